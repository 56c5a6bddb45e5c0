//! The engine end to end: what must not change a bit of a score, what the sinks keep of scores, and what errors tell.

mod common;

use _core::error::{Error, Side};
use _core::metric::MetricName;
use _core::pack::{Keys, Panels, Scored};
use _core::parallel::Context;
use _core::simd::Level;
use _core::sink::matrix;
use _core::sweep::Search;
use _core::table::{Dtype, Rows};
use common::*;
use std::time::{Duration, Instant};

/// Threads, blocks, packing and the company of other queries change no bit of a score.
fn same_bits<E: Real>() {
    let many = [(21, 65, 17), (41, 700, 257), (13, 129, 785), (130, 3000, 65)];
    let few = [(21, 65, 17), (41, 700, 150)];
    for (case, &(q, n, d)) in if quick() { &few[..] } else { &many[..] }.iter().enumerate() {
        for metric in all_metrics() {
            // The largest are there for the threads.
            if (case == 3 || case == 1 && quick()) && !matches!(metric, MetricName::Dot | MetricName::Manhattan) {
                continue;
            }
            let random = &mut Random((q * n * d) as u64);
            let (queries, keys) = (rows_for::<E>(random, metric, q * d), rows_for::<E>(random, metric, n * d));
            let (queries, keys) = (Rows::of(&queries, d), Rows::of(&keys, d));
            for level in Level::available() {
                let run = Run::new(level, metric);
                let want = bits::<E>(&run.matrix(queries, keys).unwrap());
                let same = |run: Run| assert!(bits::<E>(&run.matrix(queries, keys).unwrap()) == want, "{run:?}");
                same(run.threads(2));
                same(run.threads(3));
                same(run.most(64));
                for piece in [1, 13, 64, 100, n] {
                    same(run.form(Form::Packed(piece)));
                }
                same(run.form(Form::Packed(37)).threads(3).most(64));
                for (first, m) in [(0, 1), (q / 2, 1), (q - 1, 1), (1, 2), (2, 5), (q - 9, 9)] {
                    let some: Vec<E> = run.matrix(slice(&queries, first, m), keys).unwrap();
                    assert!(bits(&some) == want[first * n..][..m * n], "{run:?} queries {first}..{}", first + m);
                }
                for (first, m) in [(0, 1), (n - 1, 1), (n / 3, 17)] {
                    let some: Vec<E> = run.matrix(queries, slice(&keys, first, m)).unwrap();
                    for (i, some) in some.chunks(m).enumerate() {
                        assert!(bits(some) == want[i * n + first..][..m], "{run:?} keys {first}..{}", first + m);
                    }
                }
            }
        }
    }
}

#[test]
fn same_bits_f32() {
    same_bits::<f32>();
}

#[test]
fn same_bits_f64() {
    same_bits::<f64>();
}

/// Top-k and radius keep what the matrix says, ties to the lowest index.
fn kept<E: Real>() {
    for (case, (q, n, d)) in shapes().into_iter().enumerate() {
        let metric = metric_of(case);
        let random = &mut Random((q * n + d) as u64);
        let (mut queries, mut keys) = (rows_for::<E>(random, metric, q * d), rows_for::<E>(random, metric, n * d));
        if case % 3 != 0 {
            // Many ties: few values, and rows that return.
            for x in queries.iter_mut().chain(&mut keys) {
                *x = E::of((x.double() * 2.0).round().abs() + 1.0);
            }
            for i in (3..n).step_by(3) {
                keys.copy_within((i / 5) * d..(i / 5 + 1) * d, i * d);
            }
        }
        let (queries, keys) = (Rows::of(&queries, d), Rows::of(&keys, d));
        let larger = metric.larger_is_better();
        for level in Level::available() {
            let run = Run::new(level, metric);
            let scores: Vec<E> = run.matrix(queries, keys).unwrap();
            let ways = [
                run,
                run.threads(2),
                run.threads(3).most(64),
                run.form(Form::Packed(13)).threads(2),
                run.form(Form::Packed(64)),
            ];
            for k in [1, 3.min(n), n.div_ceil(2), n] {
                let run = ways[k % ways.len()];
                let (best, indices): (Vec<E>, _) = run.topk(queries, keys, k).unwrap();
                for i in 0..q {
                    let row = &scores[i * n..][..n];
                    let want = sorted(row, larger);
                    for (j, &want) in want[..k].iter().enumerate() {
                        let got = (best[i * k + j].pattern(), indices[i * k + j]);
                        assert_eq!(
                            got,
                            (row[want].pattern(), want as i64),
                            "{run:?} {:?} k {k} row {i} place {j}",
                            (q, n, d)
                        );
                    }
                }
            }
            // A radius that some key is exactly at, one between scores, none and all.
            let at = scores[case % scores.len()].double();
            for (way, radius) in [at, at * 1.01 + 1e-3, f64::NEG_INFINITY, f64::INFINITY].into_iter().enumerate() {
                let got = ways[way].within::<E>(queries, keys, radius).unwrap();
                for (i, got) in got.iter().enumerate() {
                    let row = &scores[i * n..][..n];
                    let inside = |x: f64| if larger { x >= radius } else { x <= radius };
                    let want: Vec<usize> = (0..n).filter(|&j| inside(row[j].double())).collect();
                    let found: Vec<usize> = got.iter().map(|x| x.1 as usize).collect();
                    assert_eq!(found, want, "{:?} radius {radius}", ways[way]);
                    assert!(got.iter().all(|&(x, j)| x.pattern() == row[j as usize].pattern()));
                }
            }
        }
    }
}

#[test]
fn kept_f32() {
    kept::<f32>();
}

#[test]
fn kept_f64() {
    kept::<f64>();
}

/// Keys that come ever closer: every one of them is a candidate.
#[test]
fn every_key_better_than_the_last() {
    let n = if quick() { 2000 } else { 20_000 };
    let keys: Vec<f32> = (0..n).flat_map(|i| [i as f32, 1.0]).collect();
    let queries = [1.0f32, 0.0, 1.0, 0.0, 2.0, 0.5];
    for level in Level::available() {
        for k in [1, 7, 100, n / 2, n] {
            for threads in [1, 3] {
                let run = Run::new(level, MetricName::Dot).threads(threads);
                let (scores, indices): (Vec<f32>, _) = run.topk(Rows::of(&queries, 2), Rows::of(&keys, 2), k).unwrap();
                for j in 0..k {
                    assert_eq!((scores[j], indices[j]), ((n - 1 - j) as f32, (n - 1 - j) as i64));
                }
                // The other way round the first k are the best.
                let run = Run::new(level, MetricName::SqEuclidean).threads(threads);
                let (_, indices): (Vec<f32>, _) = run.topk(Rows::of(&[0.0f32, 0.0], 2), Rows::of(&keys, 2), k).unwrap();
                assert!((0..k).all(|j| indices[j] == j as i64));
            }
        }
    }
}

#[test]
fn all_keys_equal() {
    let keys = vec![0.5f64; 300 * 3];
    for level in Level::available() {
        for metric in all_metrics() {
            let run = Run::new(level, metric).threads(2).most(64);
            let (_, indices): (Vec<f64>, _) = run.topk(Rows::of(&keys[..9], 3), Rows::of(&keys, 3), 40).unwrap();
            assert!(indices.iter().enumerate().all(|(j, &index)| index == (j % 40) as i64), "{run:?}");
        }
    }
}

/// NaN and infinity are told with their side and row, wherever they are.
fn non_finite<E: Real>(odd: f64) {
    let (q, n, d) = (13, 70, 9);
    for metric in all_metrics() {
        let random = &mut Random(14);
        let good_queries = rows_for::<E>(random, metric, q * d);
        let good_keys = rows_for::<E>(random, metric, n * d);
        for level in Level::available() {
            let run = Run::new(level, metric);
            let told = |queries: &[E], keys: &[E], side: Side, row: usize, what: &str| {
                let (queries, keys) = (Rows::of(queries, d), Rows::of(keys, d));
                let want = Error::NonFinite(side, row);
                let told = |result: Result<(), Error>, sink: &str| {
                    assert_eq!(result, Err(want.clone()), "{run:?} {sink}, {odd} in {what}");
                };
                told(run.matrix::<E>(queries, keys).map(|_| ()), "matrix");
                told(run.topk::<E>(queries, keys, 3).map(|_| ()), "topk");
                told(run.within::<E>(queries, keys, 0.5).map(|_| ()), "within");
                told(run.form(Form::Packed(11)).matrix::<E>(queries, keys).map(|_| ()), "matrix of panels");
            };
            for row in [0, 5, q - 1] {
                let mut queries = good_queries.clone();
                queries[row * d + row % d] = E::of(odd);
                told(&queries, &good_keys, Side::Query, row, "one entry");
                queries[row * d..][..d].fill(E::of(odd));
                told(&queries, &good_keys, Side::Query, row, "a whole row");
            }
            for row in [0, 33, n - 1] {
                let mut keys = good_keys.clone();
                keys[row * d + (row + 3) % d] = E::of(odd);
                let side = Side::Key;
                // Packing tells the row within the piece that was packed.
                let (queries, rows) = (Rows::of(&good_queries, d), Rows::of(&keys, d));
                let want = Err(Error::NonFinite(side, row));
                assert_eq!(run.matrix::<E>(queries, rows).map(|_| ()), want, "{run:?} key row {row} of {odd}");
                assert_eq!(run.topk::<E>(queries, rows, 3).map(|_| ()), want, "{run:?} key row {row} of {odd}");
                assert_eq!(run.within::<E>(queries, rows, 0.5).map(|_| ()), want, "{run:?} key row {row} of {odd}");
                assert_eq!(run.form(Form::Packed(n)).matrix::<E>(queries, rows).map(|_| ()), want);
                keys[row * d..][..d].fill(E::of(odd));
                let rows = Rows::of(&keys, d);
                assert_eq!(run.matrix::<E>(queries, rows).map(|_| ()), want, "{run:?} whole key row {row} of {odd}");
            }
        }
    }
}

#[test]
fn nan_is_told() {
    non_finite::<f32>(f64::NAN);
    non_finite::<f64>(f64::NAN);
}

#[test]
fn infinity_is_told() {
    non_finite::<f32>(f64::INFINITY);
    non_finite::<f64>(f64::INFINITY);
    non_finite::<f64>(f64::NEG_INFINITY);
}

/// Scores beyond their type are told: as infinities they would rank wrongly.
#[test]
fn overflow_is_told() {
    let (big, small) = ([1e30f32, 1e30, 1.0, 2.0], [1e30f32, 1e30]);
    for level in Level::available() {
        let run = Run::new(level, MetricName::Dot);
        let (queries, keys) = (Rows::of(&small, 2), Rows::of(&big, 2));
        assert_eq!(run.matrix::<f32>(queries, keys), Err(Error::ScoreOverflow));
        assert_eq!(run.topk::<f32>(queries, keys, 2), Err(Error::ScoreOverflow));
    }
}

#[test]
fn panels_refuse_bad_rows_whole() {
    let random = &mut Random(15);
    let d = 5;
    let good: Vec<f64> = random.floats(40 * d, 0.1, 1.0);
    let query = &good[..d];
    for level in Level::available() {
        for (metric, bad) in [(MetricName::Dot, f64::NAN), (MetricName::Kl, -1.0)] {
            let kernel = f64::kernel(level, metric, Dtype::F64);
            let mut panels = Panels::new(kernel, d);
            assert!(panels.is_empty());
            let context = Context { threads: 1, poll: &|| false };
            panels = panels.extended(&context, &Rows::of(&good[..23 * d], d)).unwrap();
            let mut wrong = good[23 * d..].to_vec();
            wrong[3 * d + 1] = bad;
            match panels.extended(&context, &Rows::of(&wrong, d)).map(|_| ()) {
                Err(Error::NonFinite(Side::Key, 3) | Error::NotADistribution(Side::Key, 3, _)) => {}
                other => panic!("{other:?}"),
            }
            assert_eq!(panels.len(), 23);
            panels = panels.extended(&context, &Rows::of(&good[23 * d..], d)).unwrap();

            assert_eq!((panels.len(), panels.width()), (40, d));
            assert!(panels.bytes() >= 40 * d * 8);
            let search = Search::new(kernel, Rows::of(query, d), Keys::Packed(panels.all()), 0, 4096);
            let mut got = vec![0.0; 40];
            matrix::matrix(&context, level, &search, &mut got).unwrap();
            let want: Vec<f64> = Run::new(level, metric).matrix(Rows::of(query, d), Rows::of(&good, d)).unwrap();
            assert_eq!(bits(&got), bits(&want));
        }
    }
}

#[test]
fn a_long_call_can_be_interrupted() {
    let (q, n, d) = (120, if quick() { 20_000 } else { 100_000 }, 64);
    let random = &mut Random(16);
    let (queries, keys): (Vec<f32>, Vec<f32>) = (random.floats(q * d, 0.0, 1.0), random.floats(n * d, 0.0, 1.0));
    let level = Level::available()[0];
    for threads in [1, 2] {
        let kernel = f32::kernel(level, MetricName::JensenShannon, Dtype::F32);
        let search = Search::new(kernel, Rows::of(&queries, d), Keys::Rows(Rows::of(&keys, d)), 0, 512);
        let context = Context { threads, poll: &|| true };
        let mut out = vec![0f32; q * n];
        let begun = Instant::now();
        let result = matrix::matrix(&context, level, &search, &mut out);
        assert_eq!(result, Err(Error::Interrupted));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        // The next call is not disturbed.
        let few = slice(&Rows::of(&keys, d), 0, 100);
        assert!(
            Run::new(level, MetricName::JensenShannon)
                .threads(threads)
                .matrix::<f32>(Rows::of(&queries, d), few)
                .is_ok()
        );
    }
}
