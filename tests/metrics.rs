//! Scores by their definitions: every metric of the list on every instruction set, of floats and of what is widened to them, exact
//! where they are whole numbers.

mod common;

use _core::error::{Error, Side};
use _core::metric::{Kind, MetricName};
use _core::simd::Level;
use _core::table::{Dtype, Rows};
use common::*;

fn definition<E: Real>() {
    for metric in all_metrics() {
        for (q, n, d) in shapes() {
            let random = &mut Random((q * 1_000_003 + n * 1009 + d) as u64);
            let (queries, keys) = (rows_for::<E>(random, metric, q * d), rows_for::<E>(random, metric, n * d));
            let (queries, keys) = (Rows::of(&queries, d), Rows::of(&keys, d));
            let all: Vec<Vec<E>> =
                Level::available().iter().map(|&l| Run::new(l, metric).matrix(queries, keys).unwrap()).collect();
            let keys: Vec<Vec<f64>> = (0..n).map(|j| doubles(&keys, j)).collect();
            for i in 0..q {
                let query = doubles(&queries, i);
                for (j, key) in keys.iter().enumerate() {
                    let (want, scale) = score(metric, &query, key);
                    // The formula itself rounds as often as there are terms.
                    let tolerance = (roundings(d) * E::UNIT + d as f64 * f64::EPSILON) * scale;
                    for (level, scores) in Level::available().iter().zip(&all) {
                        let got = scores[i * n + j].double();
                        close(got, want, tolerance, &(level, metric, (q, n, d), i, j));
                    }
                }
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

/// Close rows far from the origin keep their digits.
#[test]
fn no_cancellation() {
    let random = &mut Random(11);
    let d = 100;
    let base: Vec<f32> = random.floats(d, 9000.0, 11000.0);
    let near: Vec<f32> = (0..17).flat_map(|_| base.clone()).map(|x| x + random.below(5) as f32 / 1024.0).collect();
    let (queries, keys) = (Rows::of(&base, d), Rows::of(&near, d));
    for level in Level::available() {
        for metric in [MetricName::SqEuclidean, MetricName::Euclidean, MetricName::Manhattan] {
            let got: Vec<f32> = Run::new(level, metric).matrix(queries, keys).unwrap();
            for (j, got) in got.iter().enumerate() {
                let (want, scale) = score(metric, &doubles(&queries, 0), &doubles(&keys, j));
                close(*got as f64, want, roundings(d) * f32::UNIT * scale, &(level, metric, j));
            }
        }
    }
}

#[test]
fn identical_rows_and_zeros() {
    let random = &mut Random(12);
    for level in Level::available() {
        for metric in all_metrics() {
            let x: Vec<f64> = rows_for(random, metric, 9 * 33);
            let got: Vec<f64> = Run::new(level, metric).matrix(Rows::of(&x, 33), Rows::of(&x, 33)).unwrap();
            for i in 0..9 {
                let zero = got[i * 9 + i];
                match metric {
                    MetricName::Dot => assert!(zero > 0.0),
                    MetricName::Kl | MetricName::ReverseKl => {
                        assert!((0.0..1e-14).contains(&zero))
                    }
                    _ => assert_eq!(zero, 0.0, "{metric:?}"),
                }
            }
        }
        // Cosine of nothing is 0; its distance 1. Huge and tiny rows neither overflow nor vanish.
        let rows = [0.0f32, 0.0, 3e38, 3e38, 1e-38, 1e-38, -1e-30, 0.0];
        let got: Vec<f32> = Run::new(level, MetricName::Cosine).matrix(Rows::of(&rows, 2), Rows::of(&rows, 2)).unwrap();
        let diagonal = 1.0 + 0.5f32.sqrt();
        let want = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, diagonal, 1.0, 0.0, 0.0, diagonal, 1.0, diagonal, diagonal, 0.0];
        for (got, want) in got.iter().zip(want) {
            close(*got as f64, want as f64, 1e-6, &(level, got));
        }
    }
}

#[test]
fn infinite_divergences() {
    let (p, r): ([f64; 4], [f64; 4]) = ([0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]);
    let half: [f64; 4] = [0.25, 0.25, 0.25, 0.25];
    let queries: Vec<f64> = [p, half].concat();
    let keys: Vec<f64> = [p, r, half].concat();
    for level in Level::available() {
        let run = |metric| Run::new(level, metric).matrix::<f64>(Rows::of(&queries, 4), Rows::of(&keys, 4)).unwrap();
        let (kl, reverse) = (run(MetricName::Kl), run(MetricName::ReverseKl));
        let (none, ln2) = (f64::INFINITY, std::f64::consts::LN_2);
        for (got, want) in kl.iter().zip([0.0, none, none, ln2, ln2, 0.0]) {
            close(*got, want, 1e-14, &(level, "kl", got));
        }
        for (got, want) in reverse.iter().zip([0.0, none, ln2, none, none, 0.0]) {
            close(*got, want, 1e-14, &(level, "reverse_kl", got));
        }
        for (metric, side) in
            [(MetricName::Kl, Side::Key), (MetricName::ReverseKl, Side::Query), (MetricName::JensenShannon, Side::Key)]
        {
            for (bad, what) in [(-0.5f64, "negative"), (0.0, "zeros")] {
                let mut wrong = half.repeat(20);
                wrong[4 * 17..4 * 18].fill(bad);
                let (queries, keys) = if side == Side::Key { (&queries, &wrong) } else { (&wrong, &queries) };
                let result = Run::new(level, metric).matrix::<f64>(Rows::of(queries, 4), Rows::of(keys, 4));
                match result {
                    Err(Error::NotADistribution(at, 17, text)) => assert!(at == side && text.contains(what), "{text}"),
                    other => panic!("{metric:?} {what}: {other:?}"),
                }
            }
        }
    }
}

fn integer(metric: MetricName, q: &[i64], k: &[i64]) -> i64 {
    q.iter()
        .zip(k)
        .map(|(&q, &k)| match metric {
            MetricName::Dot => q * k,
            MetricName::SqEuclidean => (q - k) * (q - k),
            MetricName::Manhattan => (q - k).abs(),
            other => panic!("no formula of whole numbers for {other:?}"),
        })
        .sum()
}

/// Byte rows as numbers.
fn integers(rows: &Rows) -> Vec<Vec<i64>> {
    (0..rows.len()).map(|i| doubles(rows, i).into_iter().map(|x| x as i64).collect()).collect()
}

/// A score of bytes before it is rounded, as something that orders pairs exactly: the squares of distances, and of cosines
/// the signed square as a fraction.
fn scored(metric: MetricName, q: &[i64], k: &[i64]) -> (i128, i128) {
    match metric {
        MetricName::Euclidean => (integer(MetricName::SqEuclidean, q, k) as i128, 1),
        MetricName::Cosine => {
            let dot = |a, b| integer(MetricName::Dot, a, b) as i128;
            let norms = dot(q, q) * dot(k, k);
            if norms == 0 { (0, 1) } else { (-dot(q, k).abs() * dot(q, k), norms) }
        }
        other => (integer(other, q, k) as i128, 1),
    }
}

/// What is given out for it, rounded once.
fn rounded(metric: MetricName, (over, under): (i128, i128)) -> f64 {
    match metric {
        MetricName::Euclidean => (over as f64).sqrt(),
        // (1 - c^2) / (1 + c) does not cancel.
        MetricName::Cosine if -2 * over > under => {
            (over + under) as f64 / under as f64 / (1.0 + (-over as f64 / under as f64).sqrt())
        }
        MetricName::Cosine => 1.0 + (over.abs() as f64 / under as f64).sqrt() * over.signum() as f64,
        _ => over as f64,
    }
}

fn exact(queries: Rows, keys: Rows) {
    let (a, b) = (integers(&queries), integers(&keys));
    let (q, n, d) = (a.len(), b.len(), keys.width());
    for metric in all_metrics().filter(|metric| metric.from_integers(queries.dtype(), keys.dtype(), d)) {
        let want: Vec<_> = a.iter().flat_map(|q| b.iter().map(move |k| scored(metric, q, k))).collect();
        let larger = metric.larger_is_better();
        let whole = metric.exact(queries.dtype(), keys.dtype(), d);
        for level in Level::available() {
            let run = Run::new(level, metric).threads(2);
            let what = (level, metric, (q, n, d), queries.dtype(), keys.dtype());
            for form in [Form::Rows, Form::Packed(7)] {
                if form != Form::Rows && queries.dtype() != keys.dtype() {
                    continue;
                }
                let run = run.form(form);
                if whole {
                    let got: Vec<i32> = run.matrix(queries, keys).unwrap();
                    assert!(got.iter().zip(&want).all(|(&x, y)| x as i128 == y.0), "{what:?} {form:?}");
                }
                let got: Vec<f64> = run.matrix(queries, keys).unwrap();
                for (&got, &want) in got.iter().zip(&want) {
                    let value = rounded(metric, want);
                    close(got, value, 8.0 * f64::UNIT * value, &what);
                    assert!(metric != MetricName::Cosine || (got == 0.0) == (-want.0 == want.1), "{what:?}");
                }
                let narrow = run.narrow(queries, keys).unwrap();
                assert!(narrow.iter().zip(&got).all(|(&x, &y)| x == y as f32));
            }
            let k = n.min(5);
            let (scores, indices): (Vec<f64>, _) = run.topk(queries, keys, k).unwrap();
            let all: Vec<f64> = run.matrix(queries, keys).unwrap();
            for i in 0..q {
                // The order of the fractions, which are compared without rounding as long as that is possible.
                let row = &want[i * n..(i + 1) * n];
                let mut best: Vec<usize> = (0..n).collect();
                let product = |a: (i128, i128), b: (i128, i128)| a.0.checked_mul(b.1).unwrap_or(0);
                let order = |&x: &usize, &y: &usize| {
                    let (x, y) = if larger { (row[y], row[x]) } else { (row[x], row[y]) };
                    product(x, y).cmp(&product(y, x))
                };
                best.sort_by(order);
                for (j, &best) in best[..k].iter().enumerate() {
                    assert_eq!((scores[i * k + j], indices[i * k + j]), (all[i * n + best], best as i64), "{what:?}");
                }
                let radius = all[i * n + best[k - 1]] as f32;
                let inside = |&j: &usize| {
                    let score = all[i * n + j] as f32;
                    if larger { score >= radius } else { score <= radius }
                };
                let inside: Vec<usize> = (0..n).filter(inside).collect();
                let found = run.within_narrow(slice(&queries, i, 1), keys, radius.into()).unwrap();
                assert_eq!(found[0].iter().map(|x| x.1 as usize).collect::<Vec<_>>(), inside, "{what:?}");
            }
        }
    }
}

#[test]
fn bytes_are_exact() {
    for (case, (q, n, d)) in shapes().into_iter().enumerate() {
        let random = &mut Random((q + n + d) as u64);
        let (queries, mut keys) = (random.bytes(q * d), random.bytes(n * d));
        // Multiples of one another are in one direction, however long.
        for j in 1..n {
            let (before, row) = keys.split_at_mut(j * d);
            if random.below(4) == 0 {
                let factor = 1 + random.below(3) as u8;
                for (x, &y) in row[..d].iter_mut().zip(&before[(j - 1) * d..]) {
                    *x = (y % 40) * factor;
                }
            }
        }
        let signed = |x: &[u8]| x.iter().map(|&x| x as i8).collect::<Vec<_>>();
        let (signed_queries, signed_keys) = (signed(&queries), signed(&keys));
        let (queries, keys) = (Rows::of(&queries, d), Rows::of(&keys, d));
        let (signed_queries, signed_keys) = (Rows::of(&signed_queries, d), Rows::of(&signed_keys, d));
        exact(queries, keys);
        exact(signed_queries, signed_keys);
        if case % 2 == 0 {
            exact(queries, signed_keys);
            exact(signed_queries, keys);
        }
    }
}

/// The longest rows whose integers surely fit.
#[test]
fn long_bytes_are_exact() {
    use _core::metric::bytes::{BYTE_WIDTH, MIXED_WIDTH};
    for d in [MIXED_WIDTH, BYTE_WIDTH] {
        let random = &mut Random(d as u64);
        let (black, white) = (vec![0u8; d], vec![255u8; d]);
        let (low, high) = (vec![-128i8; d], vec![127i8; d]);
        let (mut nearly, mut other) = (white.clone(), high.clone());
        for _ in 0..3 {
            nearly[random.below(d)] -= 1;
            other[random.below(d)] -= 1;
        }
        let (unsigned, signed) =
            ([black, white.clone(), nearly, white].concat(), [low, high.clone(), other, high].concat());
        let (unsigned, signed) = (Rows::of(&unsigned, d), Rows::of(&signed, d));
        exact(unsigned, unsigned);
        exact(signed, signed);
        exact(unsigned, signed);
        exact(signed, unsigned);
    }
}

/// Cosines whose integers are beyond those of f64 fall in with the others.
#[test]
fn long_cosines() {
    let d = 33_000;
    let random = &mut Random(3);
    let base: Vec<u8> = (0..d).map(|_| 3 * (random.below(80) as u8 + 5)).collect();
    let mut keys = vec![];
    for j in 0..20 {
        let mut row: Vec<u8> = base.iter().map(|x| if j % 2 == 0 { *x } else { x / 3 }).collect();
        row[j] = row[j].wrapping_add((j / 2) as u8);
        keys.extend(row);
    }
    exact(Rows::of(&base, d), Rows::of(&keys, d));
}

/// Weights of bytes are those of their exact scores.
#[test]
fn bytes_are_weighed_exactly() {
    use _core::separation::{Softmax, Threshold};
    let (d, n) = (2000, 40);
    let random = &mut Random(9);
    let base: Vec<u8> = (0..d).map(|_| 200 + random.below(50) as u8).collect();
    let mut keys = vec![];
    for j in 0..n {
        let mut row = base.clone();
        row[j] += 1;
        keys.extend(row);
    }
    let mut values = vec![0.0f32; n * n];
    for j in 0..n {
        values[j * n + j] = 1.0;
    }
    let mut cue = base.clone();
    cue[7] += 3;
    cue[11] += 2;
    let (cue, rows) = (Rows::of(&cue, d), Rows::of(&keys, d));
    let (a, b) = (integers(&cue), integers(&rows));
    for level in Level::available() {
        for metric in [MetricName::Dot, MetricName::SqEuclidean, MetricName::Manhattan] {
            let sign = if metric == MetricName::Dot { 1.0 } else { -1.0 };
            let scores: Vec<f64> = b.iter().map(|k| sign * integer(metric, &a[0], k) as f64).collect();
            let best = scores.iter().copied().fold(f64::MIN, f64::max);
            for form in [Form::Rows, Form::Packed(7)] {
                let run = Run::new(level, metric).form(form);
                let ask =
                    |separation| run.retrieve::<f64>(cue, rows, Rows::of(&values, n), separation, None).unwrap().0;
                let w: Vec<f64> = scores.iter().map(|s| (0.5 * (s - best)).exp()).collect();
                let mass: f64 = w.iter().sum();
                for (got, w) in ask(Softmax(0.5).into()).iter().zip(&w) {
                    close(*got, w / mass, 1e-14, &(level, metric));
                }
                let inside = scores.iter().filter(|&&s| s == best).count() as f64;
                for (got, s) in ask(Threshold(sign * best).into()).iter().zip(&scores) {
                    assert_eq!(*got, if *s == best { 1.0 / inside } else { 0.0 }, "{level:?} {metric:?}");
                }
            }
        }
    }
}

/// The value of a half-precision number, by arithmetic.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = ((bits >> 10 & 31) as i32, (bits & 1023) as f64);
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 => {
            return if fraction > 0.0 {
                f64::NAN
            } else if bits >> 15 == 1 {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            };
        }
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[test]
fn halves() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    // SAFETY: as many 16-bit numbers as the view says.
    let rows = unsafe { Rows::new(all.as_ptr().cast(), Dtype::F16, 1, all.len()) };
    let (mut single, mut double) = (vec![0f32; all.len()], vec![0f64; all.len()]);
    rows.read(0, &mut single);
    rows.read(0, &mut double);
    for &bits in &all {
        let (want, single, double) = (half(bits), single[bits as usize], double[bits as usize]);
        assert!(want.is_nan() == single.is_nan() && want.is_nan() == double.is_nan());
        if !want.is_nan() {
            assert_eq!((single as f64).to_bits(), want.to_bits(), "{bits:#x}");
            assert_eq!(double.to_bits(), want.to_bits(), "{bits:#x}");
        }
    }
}

/// Small keys score as the floats that they are.
#[test]
fn widened_keys() {
    let random = &mut Random(13);
    let (q, n, d) = (5, 70, 19);
    let bytes = random.bytes(n * d);
    let signed: Vec<i8> = bytes.iter().map(|&x| x as i8).collect();
    let halves: Vec<u16> = (0..n * d).map(|_| (random.bits() as u16) & 0xbfff).collect();
    // SAFETY: as many 16-bit numbers as the view says.
    let halves_rows = unsafe { Rows::new(halves.as_ptr().cast(), Dtype::F16, n, d) };
    for keys in [Rows::of(&bytes, d), Rows::of(&signed, d), halves_rows] {
        let wide: Vec<f32> = (0..n).flat_map(|i| doubles(&keys, i)).map(|x| x as f32).collect();
        let queries: Vec<f32> = random.floats(q * d, -3.0, 3.0);
        let doubles: Vec<f64> = queries.iter().map(|&x| x as f64).collect();
        let wider: Vec<f64> = wide.iter().map(|&x| x as f64).collect();
        for level in Level::available() {
            for metric in all_metrics().filter(|metric| metric.kind() == Kind::Numbers) {
                for form in [Form::Rows, Form::Packed(13)] {
                    let run = Run::new(level, metric).form(form);
                    let got: Vec<f32> = run.matrix(Rows::of(&queries, d), keys).unwrap();
                    let want: Vec<f32> = run.matrix(Rows::of(&queries, d), Rows::of(&wide, d)).unwrap();
                    assert_eq!(bits(&got), bits(&want));
                    let got: Vec<f64> = run.matrix(Rows::of(&doubles, d), keys).unwrap();
                    let want: Vec<f64> = run.matrix(Rows::of(&doubles, d), Rows::of(&wider, d)).unwrap();
                    assert_eq!(bits(&got), bits(&want));
                }
            }
        }
    }
}
