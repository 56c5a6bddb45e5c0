//! Queries of which some columns are known, or count more than others: by definition, on every instruction set, and with the
//! same bits alone or among others, of rows or of packed keys.

mod common;

use _core::metric::MetricName;
use _core::pack::{Keys, Panels, Scored, Table};
use _core::parallel::Context;
use _core::simd::Level;
use _core::sink::matrix::matrix;
use _core::sweep::Search;
use _core::table::{Dtype, Rows};
use common::*;

const METRICS: [MetricName; 4] =
    [MetricName::SqEuclidean, MetricName::Euclidean, MetricName::Manhattan, MetricName::Cosine];

fn scores<T: Scored>(
    (level, metric): (Level, MetricName),
    [queries, weights, keys]: [Rows; 3],
    packed: bool,
    threads: usize,
) -> Vec<T> {
    let kernel = T::known(level, metric, (queries.dtype(), keys.dtype()), weights.whole()).unwrap();
    let context = Context { threads, poll: &|| false };
    let mut out = vec![T::WORST; queries.len() * keys.len()];
    // Of the plain metric: a memory packs its keys once, for queries with masks and without.
    let plain = T::kernel(level, metric, queries.dtype(), keys.dtype(), keys.width());
    let panels = Panels::new(plain, keys.width()).extended(&context, &keys).unwrap();
    let from = if packed { Keys::Packed(panels.all()) } else { Keys::Rows(keys) };
    let search = Search::new(kernel, Table::Known(queries, weights), from, 0, 64);
    matrix(&context, level, &search, &mut out).unwrap();
    search.check().unwrap();
    out
}

/// Zeros and ones, or those and numbers between; never a row of zeros.
fn weights_of<E: Real>(random: &mut Random, (q, d): (usize, usize), whole: bool) -> Vec<E> {
    let mut weights: Vec<E> = (0..q * d)
        .map(|_| match random.below(4) {
            0 | 1 => E::of(1.0),
            2 if !whole => E::of(random.between(0.1, 4.0)),
            _ => E::of(0.0),
        })
        .collect();
    for row in weights.chunks_mut(d) {
        row[random.below(d)] = E::of(1.0);
    }
    weights
}

/// The score of two rows whose columns count so much.
fn weighed(metric: MetricName, query: &[f64], key: &[f64], weights: &[f64]) -> (f64, f64) {
    let share = |w: f64| if metric == MetricName::Manhattan { w } else { w.sqrt() };
    let times = |row: &[f64]| row.iter().zip(weights).map(|(x, &w)| x * share(w)).collect::<Vec<f64>>();
    score(metric, &times(query), &times(key))
}

fn definition<E: Real>() {
    for (case, (q, n, d)) in shapes().into_iter().enumerate() {
        let random = &mut Random(case as u64);
        let (whole, common) = (case % 2 == 0, case % 3 == 0);
        let (queries, keys): (Vec<E>, Vec<E>) = (random.floats(q * d, -1.0, 1.0), random.floats(n * d, -1.0, 1.0));
        let weights: Vec<E> = weights_of(random, (if common { 1 } else { q }, d), whole);
        let [queries, keys, weights] = [&queries, &keys, &weights].map(|x| Rows::of(x, d));
        for metric in METRICS {
            for level in Level::available() {
                let what = (level, metric, (q, n, d), whole);
                let got: Vec<E> = scores((level, metric), [queries, weights, keys], false, 1);
                for i in 0..q {
                    let (query, weight) = (doubles(&queries, i), doubles(&weights, if common { 0 } else { i }));
                    for j in 0..n {
                        let (want, scale) = weighed(metric, &query, &doubles(&keys, j), &weight);
                        let tolerance = (roundings(d) * E::UNIT + d as f64 * f64::EPSILON) * 4.0 * scale;
                        close(got[i * n + j].double(), want, tolerance, &(what, i, j));
                    }
                }
                let bits = |scores: &[E]| scores.iter().map(|x| x.pattern()).collect::<Vec<_>>();
                let packed: Vec<E> = scores((level, metric), [queries, weights, keys], true, 3);
                if metric == MetricName::Cosine {
                    // Panels of the plain cosine hold keys of length 1, which rounds them once more.
                    for (packed, got) in packed.iter().zip(&got) {
                        close(packed.double(), got.double(), 8.0 * roundings(d) * E::UNIT, &what);
                    }
                } else {
                    assert_eq!(bits(&packed), bits(&got), "{what:?} packed");
                }
                let own = |i| if common { weights } else { slice(&weights, i, 1) };
                let alone: Vec<E> = (0..q)
                    .flat_map(|i| scores::<E>((level, metric), [slice(&queries, i, 1), own(i), keys], false, 1))
                    .collect();
                assert_eq!(bits(&alone), bits(&got), "{what:?} alone");
            }
        }
    }
}

#[test]
fn definition_f32() {
    definition::<f32>();
}

#[test]
fn definition_f64() {
    definition::<f64>();
}

/// All known is the plain metric; where it differs from it, what is not known has no say, whatever it holds.
#[test]
fn ends() {
    let random = &mut Random(5);
    let (q, n, d) = (5, 33, 40);
    let (queries, keys): (Vec<f32>, Vec<f32>) = (random.floats(q * d, -1.0, 1.0), random.floats(n * d, -1.0, 1.0));
    let mut masked = queries.clone();
    let mask: Vec<f32> = (0..d).map(|i| if i % 3 == 0 { 0.0 } else { 1.0 }).collect();
    for (i, x) in masked.iter_mut().enumerate() {
        if i % d % 3 == 0 {
            *x = 1e30;
        }
    }
    let ones = vec![1.0f32; d];
    let [queries, keys, masked, mask, ones] = [&queries, &keys, &masked, &mask, &ones].map(|x| Rows::of(x, d));
    for level in Level::available() {
        for metric in METRICS {
            let plain: Vec<f32> = Run::new(level, metric).matrix(queries, keys).unwrap();
            let whole: Vec<f32> = scores((level, metric), [queries, ones, keys], false, 1);
            for (got, want) in whole.iter().zip(&plain) {
                close(*got as f64, *want as f64, 1e-5, &(level, metric));
            }
            let clean: Vec<f32> = scores((level, metric), [queries, mask, keys], false, 1);
            let spoiled: Vec<f32> = scores((level, metric), [masked, mask, keys], false, 1);
            assert_eq!(clean, spoiled, "{level:?} {metric:?}");
        }
    }
}

/// Cosines of a part of a row that is tiny beside the rest, close directions, and rows of zeros where they count.
#[test]
fn cosines() {
    let near = [1e-30f32, 2e-30, 1.0, 3e-30];
    let keys = [near, [2e-30, 4.0002e-30, -7.0, 6e-30], [0.0, 0.0, 1.0, 0.0], [-1e-30, -2e-30, 5.0, -3e-30]].concat();
    let (query, mask) = ([1.0f32, 2.0, 0.0, 3.0], [1.0f32, 1.0, 0.0, 1.0]);
    for level in Level::available() {
        let rows = [Rows::of(&query, 4), Rows::of(&mask, 4), Rows::of(&keys, 4)];
        let got: Vec<f32> = scores((level, MetricName::Cosine), rows, false, 1);
        assert!(got[0].abs() < 1e-12, "{level:?}: {}", got[0]);
        let want =
            weighed(MetricName::Cosine, &[1.0, 2.0, 0.0, 3.0], &[2.0, 4.0002, -7.0, 6.0], &[1.0, 1.0, 0.0, 1.0]).0;
        assert!((got[1] as f64 / want - 1.0).abs() < 1e-2, "{level:?}: {} {want}", got[1]);
        assert_eq!((got[2], got[3]), (1.0, 2.0), "{level:?}");
    }
}

/// What a key holds where nothing is known must not be seen, however large.
#[test]
fn sentinels() {
    let random = &mut Random(7);
    let (n, d) = (40, 21);
    let query: Vec<f64> = random.floats(d, -1.0, 1.0);
    for (scale, known) in [(1e-7, 1.0), (1e-3, 1e-3), (1.0, 1.0), (1e12, 1e-3), (1e30, 1.0)] {
        let mask: Vec<f64> = (0..d).map(|i| if i % 4 == 3 { 0.0 } else { known }).collect();
        let plain: Vec<f64> = random.floats(n * d, -scale, scale);
        for sentinel in [-f32::MAX as f64, 1e20, f64::MAX, 1e200] {
            let spoiled: Vec<f64> =
                plain.iter().enumerate().map(|(i, &x)| if i % d % 4 == 3 { sentinel } else { x }).collect();
            for level in Level::available() {
                for metric in METRICS {
                    let rows = |keys| [Rows::of(&query, d), Rows::of(&mask, d), Rows::of(keys, d)];
                    let want: Vec<f64> = scores((level, metric), rows(&plain), false, 1);
                    let got: Vec<f64> = scores((level, metric), rows(&spoiled), false, 1);
                    for (got, want) in got.iter().zip(&want) {
                        close(*got, *want, 1e-13 * want.abs().max(1e-3), &(level, metric, scale, sentinel));
                    }
                    // Squares of so much are beyond an f32.
                    let beyond = metric == MetricName::SqEuclidean && scale > 1e15;
                    if sentinel.abs() > f32::MAX as f64 || beyond {
                        continue;
                    }
                    let single = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
                    let (query, mask, keys) = (single(&query), single(&mask), single(&spoiled));
                    let rows = [Rows::of(&query, d), Rows::of(&mask, d), Rows::of(&keys, d)];
                    let got: Vec<f32> = scores((level, metric), rows, false, 1);
                    for (got, want) in got.iter().zip(&want) {
                        let close_to = if metric == MetricName::Cosine { 1e-5 } else { 1e-5 * want.abs() };
                        close(*got as f64, *want, close_to, &(level, metric, scale, sentinel));
                    }
                }
            }
        }
    }
}

/// Known bits that differ, counted.
#[test]
fn bits() {
    for (q, n, d) in shapes() {
        let random = &mut Random((q * n * d) as u64);
        let rows = [q, q, n].map(|n| random.bytes(n * d));
        let [queries, known, keys] = rows.each_ref().map(|x| Rows::of(x, d));
        for level in Level::available() {
            let got: Vec<i32> = scores((level, MetricName::Hamming), [queries, known, keys], q % 2 == 0, 2);
            let floats: Vec<f32> = scores_as_floats(level, [queries, known, keys]);
            for i in 0..q {
                for j in 0..n {
                    let pairs = rows[0][i * d..][..d].iter().zip(&rows[2][j * d..][..d]).zip(&rows[1][i * d..][..d]);
                    let want: u32 = pairs.map(|((a, b), m)| ((a ^ b) & m).count_ones()).sum();
                    assert_eq!(got[i * n + j], want as i32, "{level:?} {:?}", (q, n, d));
                    assert_eq!(floats[i * n + j], want as f32);
                }
            }
        }
    }
}

fn scores_as_floats(level: Level, rows: [Rows; 3]) -> Vec<f32> {
    assert_eq!(rows[0].dtype(), Dtype::U8);
    scores((level, MetricName::Hamming), rows, false, 1)
}
