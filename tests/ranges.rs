//! Scores at the ends of the range of their type: distances whose squares leave it, masses too small to be seen, directions too
//! close for their cosine to tell.

mod common;

use _core::error::Error;
use _core::metric::MetricName;
use _core::separation::{Power, Rectified, Separation, Softmax, Threshold};
use _core::simd::Level;
use _core::table::Rows;
use common::*;

/// The root of a sum of squares, by numbers scaled to their largest.
fn length(x: &[f64]) -> f64 {
    let largest = x.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    if largest == 0.0 { 0.0 } else { x.iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt() * largest }
}

/// Rows whose distances from one another are of every size that the type has, mixed with some that are equal, at every place
/// of a tile, a register and a block.
fn spread<E: Real>(random: &mut Random, rows: usize, d: usize, low: i32, high: i32) -> Vec<E> {
    let mut all: Vec<E> = Vec::new();
    for i in 0..rows {
        if i > 0 && random.below(6) == 0 {
            let copied = random.below(i);
            all.extend_from_within(copied * d..(copied + 1) * d);
            continue;
        }
        let size = 2f64.powi(low + random.below((high - low) as usize) as i32);
        all.extend((0..d).map(|_| E::of(random.between(-1.0, 1.0) * size)));
    }
    all
}

fn distances<E: Real>(low: i32, high: i32) {
    for (case, (q, n, d)) in shapes().into_iter().enumerate() {
        let random = &mut Random(case as u64);
        // The largest differences still have a distance of their type.
        let high = high - (d as f64).log2().ceil() as i32 / 2 - 2;
        let (a, b) = (spread::<E>(random, q, d, low, high), spread::<E>(random, n, d, low, high));
        let b: Vec<E> = if case % 3 == 0 { a.iter().chain(&b).take(n * d).copied().collect() } else { b };
        let (queries, keys) = (Rows::of(&a, d), Rows::of(&b, d));
        let mut want = Vec::new();
        for i in 0..q {
            let query = &a[i * d..(i + 1) * d];
            for j in 0..n {
                let key = &b[j * d..(j + 1) * d];
                let differences: Vec<f64> = query.iter().zip(key).map(|(&x, &y)| (x - y).double()).collect();
                want.push(length(&differences));
            }
        }
        for level in Level::available() {
            let run = Run::new(level, MetricName::Euclidean);
            let got: Vec<E> = run.matrix(queries, keys).unwrap();
            for (at, (&got, &want)) in got.iter().zip(&want).enumerate() {
                let tolerance = roundings(d) * E::ulp(want);
                close(got.double(), want, tolerance, &(level, (q, n, d), at));
                assert!((got.double() == 0.0) == (want == 0.0), "{level:?} {at}: {got:?}, not {want:e}");
            }
            // The same bits whatever the form, the threads and the sink.
            let packed: Vec<E> = run.form(Form::Packed(7)).threads(2).matrix(queries, keys).unwrap();
            assert_eq!(bits(&got), bits(&packed), "{level:?}");
            let k = n.min(4);
            let (scores, indices) = run.threads(2).topk::<E>(queries, keys, k).unwrap();
            for i in 0..q {
                let row = &got[i * n..(i + 1) * n];
                let best = sorted(row, false);
                for j in 0..k {
                    assert_eq!(indices[i * k + j], best[j] as i64, "{level:?}");
                    assert_eq!(scores[i * k + j].pattern(), row[best[j]].pattern());
                }
                let radius = row[best[k - 1]];
                let inside: Vec<u32> = (0..n as u32).filter(|&j| row[j as usize] <= radius).collect();
                let one = slice(&queries, i, 1);
                let found = run.within::<E>(one, keys, radius.double()).unwrap();
                assert_eq!(found[0].iter().map(|x| x.1).collect::<Vec<_>>(), inside, "{level:?}");
            }
        }
    }
}

#[test]
fn distances_of_every_size_f32() {
    distances::<f32>(-149, 128);
}

#[test]
fn distances_of_every_size_f64() {
    distances::<f64>(-1074, 1024);
}

/// What is refused is the distance that the type cannot hold, not the one whose square it cannot, and no padding's.
#[test]
fn only_what_does_not_fit_is_refused() {
    for level in Level::available() {
        for n in [1, 15, 16, 17, 64, 100] {
            let keys = vec![3.0e38f32; 2 * n];
            let near = [2.9e38f32, 2.9e38];
            for metric in [MetricName::Euclidean, MetricName::Manhattan] {
                let run = Run::new(level, metric);
                let got = run.matrix::<f32>(Rows::of(&near, 2), Rows::of(&keys, 2)).unwrap();
                let apart = 3.0e38f32 as f64 - 2.9e38f32 as f64;
                let want = if metric == MetricName::Manhattan { 2.0 * apart } else { 2f64.sqrt() * apart };
                for x in got {
                    close(x as f64, want, 1e-6 * want, &(level, metric, n));
                }
                let far = [-1.0e38f32, 0.0];
                assert_eq!(run.matrix::<f32>(Rows::of(&far, 2), Rows::of(&keys, 2)), Err(Error::ScoreOverflow));
            }
            let run = Run::new(level, MetricName::SqEuclidean);
            let big = vec![1.0e20f32; 2 * n];
            assert_eq!(run.matrix::<f32>(Rows::of(&big[..2], 2), Rows::of(&big, 2)), Ok(vec![0.0; n]));
        }
    }
}

/// Squares keep their digits as long as the type has them.
#[test]
fn small_squares() {
    for level in Level::available() {
        let d = 3000;
        let (a, b) = (vec![0.0f32; d], vec![1.1e-20f32; d]);
        let run = Run::new(level, MetricName::SqEuclidean);
        let got = run.matrix::<f32>(Rows::of(&a, d), Rows::of(&b, d)).unwrap()[0] as f64;
        let want = d as f64 * (1.1e-20f32 as f64).powi(2);
        close(got, want, roundings(d) * f32::UNIT * want, &level);
    }
}

/// Weights by small and by large distances are those of the distances.
#[test]
fn retrieval_by_every_distance() {
    for level in Level::available() {
        for (size, beta) in [(1e-30f32, 1e30), (1e25, 1e-25)] {
            let keys = [0.0f32, 0.0, 3.0 * size, 4.0 * size, 6.0 * size, 8.0 * size];
            let values = [1.0f32, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
            let run = Run::new(level, MetricName::Euclidean);
            let (keys, values) = (Rows::of(&keys, 2), Rows::of(&values, 3));
            let cue = slice(&keys, 0, 1);
            let (got, _) = run.retrieve::<f32>(cue, keys, values, Softmax(beta).into(), None).unwrap();
            let mass = 1.0 + (-5f64).exp() + (-10f64).exp();
            for (got, want) in got.iter().zip([0.0f64, -5.0, -10.0]) {
                close(*got as f64, want.exp() / mass, 1e-6, &(level, size));
            }
            let radius = Threshold(7.0 * size as f64);
            let (got, _) = run.retrieve::<f32>(cue, keys, values, radius.into(), None).unwrap();
            assert_eq!(got, [0.5, 0.5, 0.0], "{level:?}");
        }
    }
}

/// A row is at distance 0 from itself and from its doubles, and small angles have their digits.
fn angles<E: Real>() {
    for (case, (q, n, d)) in shapes().into_iter().enumerate().filter(|(_, shape)| shape.2 > 1) {
        let random = &mut Random(case as u64);
        let a: Vec<E> = random.floats(q * d, -1.0, 1.0);
        let mut b: Vec<E> = Vec::new();
        for j in 0..n {
            let row = &a[j % q * d..][..d];
            match j % 3 {
                0 => b.extend_from_slice(row),
                1 => b.extend(row.iter().map(|&x| x * E::of(0.25))),
                _ => {
                    let size = 10f64.powf(random.between(-9.0, 0.0));
                    b.extend(row.iter().map(|x| E::of(x.double() + size * random.between(-1.0, 1.0))));
                }
            }
        }
        let (queries, keys) = (Rows::of(&a, d), Rows::of(&b, d));
        for level in Level::available() {
            let run = Run::new(level, MetricName::Cosine);
            let got: Vec<E> = run.matrix(queries, keys).unwrap();
            for i in 0..q {
                let query = unit(&a[i * d..(i + 1) * d]);
                for j in 0..n {
                    let (got, key) = (got[i * n + j].double(), unit(&b[j * d..(j + 1) * d]));
                    if j % q == i && j % 3 < 2 {
                        assert_eq!(got, 0.0, "{level:?} {d} {j}");
                    }
                    let angle = length(&query.iter().zip(&key).map(|(x, y)| x - y).collect::<Vec<_>>());
                    let want = angle * angle / 2.0;
                    // Each row is rounded once, which turns it by half a unit at most.
                    let turned = 2.0 * (E::UNIT + 1e-15) * angle + 4.0 * (E::UNIT + 1e-15).powi(2);
                    let tolerance = turned + roundings(d) * E::UNIT * if want < 0.015 { want } else { 1.0 };
                    close(got, want, tolerance, &(level, (q, n, d), i, j));
                }
            }
            let itself = run.within::<E>(queries, queries, 0.0).unwrap();
            assert!(itself.iter().enumerate().all(|(i, row)| row.iter().any(|x| x.1 as usize == i)), "{level:?}");
            let (scores, _) = run.topk::<E>(queries, queries, 1).unwrap();
            assert!(scores.iter().all(|x| x.double() == 0.0), "{level:?}");
            let packed: Vec<E> = run.form(Form::Packed(7)).threads(2).matrix(queries, keys).unwrap();
            assert_eq!(bits(&got), bits(&packed), "{level:?}");
        }
    }
}

fn unit<E: Real>(row: &[E]) -> Vec<f64> {
    let row: Vec<f64> = row.iter().map(|x| x.double()).collect();
    let length = length(&row);
    row.iter().map(|x| x / length).collect()
}

#[test]
fn small_angles_f32() {
    angles::<f32>();
}

#[test]
fn small_angles_f64() {
    angles::<f64>();
}

/// A mass of any size where the other row has none makes the divergence infinite, and one where it has next to none does not.
fn infinities<E: Real>(smallest: f64, largest: f64) {
    let masses = [smallest, smallest * 16.0, largest / 2f64.powi(90), 1e-30, 1e-27, 1e-24, 1e-10, 1.0, largest];
    for level in Level::available() {
        for (metric, key_first) in [(MetricName::Kl, true), (MetricName::ReverseKl, false)] {
            for d in [2, 3, 17, 785] {
                for mass in masses {
                    for other in [1.0, largest / 2.0] {
                        let mut p = vec![E::of(0.0); d];
                        (p[0], p[d - 1]) = (E::of(mass), E::of(other));
                        let mut r = p.clone();
                        r[0] = E::of(0.0);
                        let both = |first: &[E], second: &[E]| {
                            let (q, k) = if key_first { (second, first) } else { (first, second) };
                            let keys = k.repeat(17);
                            let got: Vec<E> =
                                Run::new(level, metric).matrix(Rows::of(q, d), Rows::of(&keys, d)).unwrap();
                            assert!(got.iter().all(|x| x.pattern() == got[0].pattern()));
                            got[0].double()
                        };
                        let what = (level, metric, d, mass, other);
                        assert_eq!(both(&p, &r), f64::INFINITY, "{what:?}");
                        let back = both(&r, &p);
                        close(back, (mass / other).ln_1p(), (1e-5 + E::UNIT) * (1.0 + back.abs()), &what);
                        close(both(&p, &p), 0.0, 1e-3 * E::UNIT.sqrt(), &what);
                        // Even the smallest share of the other row will do.
                        r[0] = E::of(smallest);
                        let finite = both(&p, &r);
                        assert!((0.0..1500.0).contains(&finite), "{what:?}: {finite}");
                    }
                }
            }
        }
    }
}

#[test]
fn masses_of_every_size_f32() {
    infinities::<f32>(2f64.powi(-149), f32::MAX as f64);
}

#[test]
fn masses_of_every_size_f64() {
    infinities::<f64>(2f64.powi(-1074), f64::MAX);
}

/// Any finite inverse temperature: what the scores' type cannot hold of it acts as a mean, or as the largest score alone.
fn temperatures<E: Real>(betas: &[f64]) {
    let values: Vec<E> = [1.0, 2.0, 4.0, 8.0].map(E::of).to_vec();
    let log_weight = [0.0, 2f64.ln(), f64::NEG_INFINITY, 0.0];
    for size in [1.0, 1e-30, 1e30, E::of(f64::MAX / 1.1).double().min(3e38)] {
        let keys: Vec<E> = [1.0, 0.25, 5.0, -1.0].map(|x: f64| E::of(x.min(1.0) * size)).to_vec();
        let cue = [E::of(1.0)];
        for &beta in betas {
            for weights in [None, Some(&log_weight[..])] {
                let none = [0.0; 4];
                let b = weights.unwrap_or(&none);
                let top = keys.iter().zip(b).filter(|x| x.1.is_finite()).map(|x| x.0.double()).fold(f64::MIN, f64::max);
                let w: Vec<f64> =
                    keys.iter().zip(b).map(|(k, b)| ((k.double() / 2.0 - top / 2.0) * beta * 2.0 + b).exp()).collect();
                let mass: f64 = w.iter().sum();
                let want = w.iter().zip(&values).map(|(w, v)| w * v.double()).sum::<f64>() / mass;
                for level in Level::available() {
                    let run = Run::new(level, MetricName::Dot);
                    let (keys, values) = (Rows::of(&keys, 1), Rows::of(&values, 1));
                    let (got, scale) =
                        run.retrieve::<E>(Rows::of(&cue, 1), keys, values, Softmax(beta).into(), weights).unwrap();
                    let what = (level, size, beta, weights);
                    close(got[0].double(), want, 64.0 * E::UNIT * want * (1.0 + (beta * size).min(100.0)), &what);
                    let log = mass.ln() + beta * top;
                    if log.is_finite() && beta * size < 1e3 {
                        close(scale[0], log, 64.0 * E::UNIT * (1.0 + log.abs()), &what);
                    }
                }
            }
        }
    }
    // In many blocks and chunks, each with a reference of its own.
    let n = 3000;
    let keys: Vec<E> = (0..n).map(|i| E::of((i % 1000) as f64)).collect();
    for level in Level::available() {
        for threads in [1, 2] {
            let run = Run::new(level, MetricName::Dot).threads(threads);
            let rows = Rows::of(&keys, 1);
            let cue = [E::of(1.0)];
            let ask =
                |beta: f64| run.retrieve::<E>(Rows::of(&cue, 1), rows, rows, Softmax(beta).into(), None).unwrap().0[0];
            close(ask(betas[0]).double(), 499.5, 499.5 * 64.0 * E::UNIT, &(level, threads));
            close(ask(betas[betas.len() - 1]).double(), 999.0, 0.0, &(level, threads));
        }
    }
}

#[test]
fn any_temperature_f32() {
    temperatures::<f32>(&[
        5e-324,
        1e-300,
        1e-50,
        1e-45,
        1e-40,
        1e-38,
        1e-30,
        0.5,
        1e30,
        1e38,
        3.5e38,
        1e39,
        1e60,
        1e300,
        f64::MAX,
    ]);
}

#[test]
fn any_temperature_f64() {
    temperatures::<f64>(&[5e-324, 1e-310, 1e-300, 1e-50, 1e-30, 0.5, 1e30, 1e60, 1e300, f64::MAX]);
}

/// Powers of scores whose quotient is no number.
#[test]
fn powers_of_every_size() {
    let keys = [3e38f32, 1e-40, 1e-10, 0.0, 1e-45];
    let values = [
        1.0f32, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0,
        0.0, 0.0, 0.0, 1.0,
    ];
    for n in [0.01, 0.3, 1.5] {
        let w: Vec<f64> = keys.iter().map(|&k| (k as f64).powf(n)).collect();
        let mass: f64 = w.iter().sum();
        for level in Level::available() {
            for separation in [Separation::Power(Power(n)), Separation::Rectified(Rectified(n))] {
                let run = Run::new(level, MetricName::Dot);
                let (got, scale) = run
                    .retrieve::<f32>(Rows::of(&[1.0f32], 1), Rows::of(&keys, 1), Rows::of(&values, 5), separation, None)
                    .unwrap();
                for (got, w) in got.iter().zip(&w) {
                    close(*got as f64, w / mass, 1e-5 * w / mass + 1e-37, &(level, n));
                }
                close(scale[0], mass.ln(), 1e-5, &(level, n));
            }
        }
    }
}
