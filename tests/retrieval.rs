//! Retrieval end to end: every separation by its formula, and what must not change a bit of the answer.

mod common;

use _core::error::{Error, Side};
use _core::metric::MetricName;
use _core::separation::{Log, Power, Rectified, Separation, Softmax, Sqrt, Threshold};
use _core::simd::Level;
use _core::table::Rows;
use common::*;

/// Weight, its relative error in roundings, and the natural logarithm of its unit: weights are `w * exp(unit)`.
fn separated<E: Real>(separation: Separation, scores: &[f64], log_weight: &[f64]) -> (Vec<f64>, Vec<f64>, f64) {
    let magnitude = |logs: &[f64]| logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match separation {
        Separation::Softmax(Softmax(beta)) => {
            let z: Vec<f64> = scores.iter().zip(log_weight).map(|(s, w)| beta * s + w).collect();
            let unit = magnitude(&z);
            let unit = if unit.is_finite() { unit } else { 0.0 };
            let w = z.iter().map(|z| (z - unit).exp()).collect();
            // An exponent's absolute error is its power's relative one.
            let errors = scores
                .iter()
                .zip(log_weight)
                .map(|(s, w)| 8.0 + 4.0 * ((beta * s).abs() + finite(*w).abs() + unit.abs()));
            (w, errors.collect(), unit)
        }
        _ => {
            let unit = magnitude(log_weight);
            let unit = if unit.is_finite() { unit } else { 0.0 };
            let largest = scores.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            let scaled = |s: f64| if largest > 0.0 { s / largest } else { 0.0 };
            let (shape, n): (Box<dyn Fn(f64) -> f64>, f64) = match separation {
                Separation::Power(Power(n)) => (Box::new(move |s| power(scaled(s), n)), n),
                Separation::Rectified(Rectified(n)) => (Box::new(move |s| power(scaled(s.max(0.0)), n)), n),
                Separation::Sqrt(Sqrt) => (Box::new(|s: f64| s.sqrt()), 0.0),
                Separation::Log(Log) => (Box::new(|s: f64| s.max(E::MIN_POSITIVE.double()).ln()), 0.0),
                Separation::Threshold(Threshold(bound)) => (Box::new(move |s| if s >= bound { 1.0 } else { 0.0 }), 0.0),
                Separation::Softmax(Softmax(_)) => unreachable!(),
            };
            let w = scores.iter().zip(log_weight).map(|(&s, w)| shape(s) * (w - unit).exp()).collect();
            let power = if n > 0.0 && largest > 0.0 { n * largest.ln() } else { 0.0 };
            (w, vec![8.0 + 4.0 * n; scores.len()], unit + power)
        }
    }
}

fn power(x: f64, n: f64) -> f64 {
    if n.fract() == 0.0 { x.powi(n as i32) } else { x.powf(n) }
}

/// Whether no score may be negative.
fn refuses(separation: Separation) -> bool {
    match separation {
        Separation::Sqrt(Sqrt) | Separation::Log(Log) => true,
        Separation::Power(Power(n)) => n.fract() != 0.0,
        _ => false,
    }
}

fn finite(x: f64) -> f64 {
    if x.is_finite() { x } else { 0.0 }
}

struct Case<E> {
    metric: MetricName,
    d: usize,
    queries: Vec<E>,
    keys: Vec<E>,
    width: usize,
    values: Vec<E>,
    log_weight: Vec<f64>,
}

impl<E: Real> Case<E> {
    fn new(seed: u64, metric: MetricName, (q, n, d): (usize, usize, usize), width: usize) -> Self {
        let random = &mut Random(seed);
        let positive = matches!(metric, MetricName::Dot) && seed.is_multiple_of(2);
        let mut rows = |n: usize| if positive { random.floats(n, 0.1, 1.0) } else { rows_for(random, metric, n) };
        let (queries, keys) = (rows(q * d), rows(n * d));
        let values = random.floats(n * width, -1.0, 1.0);
        let log_weight =
            (0..n).map(|i| if i % 7 == 3 { f64::NEG_INFINITY } else { random.between(-3.0, 2.0) }).collect();
        Case { metric, d, queries, keys, width, values, log_weight }
    }
    fn queries(&self) -> Rows<'_> {
        Rows::of(&self.queries, self.d)
    }
    fn keys(&self) -> Rows<'_> {
        Rows::of(&self.keys, self.d)
    }
    fn values(&self) -> Rows<'_> {
        Rows::of(&self.values, self.width)
    }
    fn weights(&self, weighted: bool) -> Option<&[f64]> {
        weighted.then_some(&self.log_weight)
    }
    fn run(&self, run: Run, separation: Separation, weighted: bool) -> Result<(Vec<E>, Vec<f64>), Error> {
        run.retrieve(self.queries(), self.keys(), self.values(), separation, self.weights(weighted))
    }

    /// A retrieval against its formula, from the scores that the engine gives.
    fn check(&self, run: Run, separation: Separation, weighted: bool) {
        let (n, sign) = (self.keys().len(), if self.metric.larger_is_better() { 1.0 } else { -1.0 });
        let matrix: Vec<E> = run.matrix(self.queries(), self.keys()).unwrap();
        let scores: Vec<Vec<f64>> =
            matrix.chunks(n).map(|row| row.iter().map(|x| sign * x.double()).collect()).collect();
        let what = (run, separation, weighted, self.queries().len(), n, self.d, self.width);
        let result = self.run(run, separation, weighted);
        let negative = scores.iter().position(|row| row.iter().any(|&s| s < 0.0));
        if let (true, Some(row)) = (refuses(separation), negative) {
            assert_eq!(result, Err(Error::NegativeScore(row)), "{what:?}");
            return;
        }
        let (out, log_scale) = result.unwrap_or_else(|error| panic!("{what:?}: {error}"));
        // A radius is one of the unsigned scores.
        let named = match separation {
            Separation::Threshold(Threshold(radius)) => Separation::Threshold(Threshold(sign * radius)),
            other => other,
        };
        let none = vec![0.0; n];
        for (i, row) in scores.iter().enumerate() {
            let (w, errors, unit) = separated::<E>(named, row, self.weights(weighted).unwrap_or(&none));
            let mass: f64 = w.iter().map(|w| w.abs()).sum();
            let out = &out[i * self.width..][..self.width];
            if mass == 0.0 {
                assert!(log_scale[i] == f64::NEG_INFINITY && out.iter().all(|&x| x == E::ZERO), "{what:?}: {out:?}");
                continue;
            }
            // Every weight with its own error, and those of sums of n terms.
            let error = |i: usize| (errors[i] + n as f64 + 16.0) * E::UNIT * w[i].abs();
            let off = (0..n).map(error).sum::<f64>() / mass;
            // What is below the smallest normal number may count as nothing.
            let lost = n as f64 * 1e-37 * 2.0;
            close(log_scale[i], mass.ln() + unit, off + lost + 1e-13 * (1.0 + unit.abs()), &(what, i, "log_scale"));
            for (c, got) in out.iter().enumerate() {
                let value = |j: usize| self.values[j * self.width + c].double();
                let want: f64 = (0..n).map(|j| w[j] * value(j)).sum::<f64>() / mass;
                let largest = (0..n).map(|j| error(j) * value(j).abs()).sum::<f64>() / mass;
                close(
                    got.double(),
                    want,
                    largest + want.abs() * off + lost + 2.0 * E::UNIT * want.abs(),
                    &(what, i, c),
                );
            }
        }
    }
}

fn separations(scores: &[f64], case: usize) -> Vec<Separation> {
    // Exactly at a score, so that the bound itself counts.
    let radius = scores[case % scores.len()];
    let named = |name: &&str| Separation::parse(name, (1 + case % 5) as f64).unwrap();
    let mut all: Vec<_> = Separation::NAMES.iter().map(named).collect();
    all.extend([
        Separation::Softmax(Softmax([0.0, 0.25, 8.0, 300.0][case % 4])),
        Separation::Power(Power(30.0)),
        Separation::Power(Power([0.5, 1.5, 7.3][case % 3])),
        Separation::Rectified(Rectified([0.01, 2.5, 11.7][case % 3])),
        Separation::Threshold(Threshold(radius)),
        Separation::Threshold(Threshold(f64::NEG_INFINITY)),
    ]);
    all
}

fn formulas<E: Real>() {
    for (case, shape) in shapes().into_iter().enumerate() {
        let metric = metric_of(case);
        let width = [1, 3, 16, 33, 70, 8][case % 6];
        let setup = Case::<E>::new(case as u64, metric, shape, width);
        for level in Level::available() {
            let run = Run::new(level, metric);
            let scores: Vec<E> = run.matrix(setup.queries(), setup.keys()).unwrap();
            let scores: Vec<f64> = scores.iter().map(|x| x.double()).collect();
            let ways = [run, run.threads(2), run.form(Form::Packed(29)), run.most(64)];
            for (i, separation) in separations(&scores, case).into_iter().enumerate() {
                setup.check(ways[(case + i) % 4], separation, (case + i) % 3 == 0);
            }
        }
    }
}

#[test]
fn formulas_f32() {
    formulas::<f32>();
}

#[test]
fn formulas_f64() {
    formulas::<f64>();
}

/// Positive scores, for the separations that take no others.
#[test]
fn positive_scores() {
    for (case, shape) in [(13, 129, 17), (41, 700, 100), (1, 1, 1), (5, 65, 8)].into_iter().enumerate() {
        for seed in [0, 2] {
            let setup = Case::<f32>::new(seed, MetricName::Dot, shape, 21);
            let double = Case::<f64>::new(seed, MetricName::Dot, shape, 9);
            for level in Level::available() {
                let run = Run::new(level, MetricName::Dot).threads(1 + case % 2);
                let named = |name: &&str| Separation::parse(name, 2.0).unwrap();
                for separation in Separation::NAMES.iter().map(named).chain([
                    Separation::Power(Power(4.0)),
                    Separation::Power(Power(3.5)),
                    Separation::Power(Power(0.3)),
                ]) {
                    for weighted in [false, true] {
                        setup.check(run, separation, weighted);
                        double.check(run, separation, weighted);
                    }
                }
            }
        }
    }
}

/// A logarithm of 0 counts as that of the smallest normal number.
#[test]
fn logarithm_of_zero() {
    let (keys, values) = ([0.0f32, 1.0], [1.0f32, 0.0, 0.0, 1.0]);
    for level in Level::available() {
        let run = Run::new(level, MetricName::Dot);
        let result = run.retrieve::<f32>(
            Rows::of(&[2.0f32], 1),
            Rows::of(&keys, 1),
            Rows::of(&values, 2),
            Separation::Log(Log),
            None,
        );
        let (out, scale) = result.unwrap();
        let (low, ln2) = ((f32::MIN_POSITIVE as f64).ln(), std::f64::consts::LN_2);
        let mass = low.abs() + ln2;
        close(out[0] as f64, low / mass, 1e-6, &level);
        close(out[1] as f64, ln2 / mass, 1e-6, &level);
        close(scale[0], mass.ln(), 1e-6, &level);
    }
}

/// Threads, blocks, packing and the company of other cues change no bit of an answer.
fn same_bits<E: Real>() {
    // The last is long enough to be cut into chunks that several threads share.
    let shapes = if quick() {
        [(13, 100, 17), (22, 65, 20), (3, 3000, 24)]
    } else {
        [(41, 700, 100), (250, 129, 33), (3, 12_000, 70)]
    };
    for (case, shape) in shapes.into_iter().enumerate() {
        let (q, _, _) = shape;
        for metric in [MetricName::Dot, MetricName::Euclidean, MetricName::Cosine] {
            let setup = Case::<E>::new(100 + case as u64, metric, shape, [21, 64, 37][case]);
            for level in Level::available() {
                let run = Run::new(level, metric);
                let separations = [
                    Separation::Softmax(Softmax(0.7)),
                    // Almost all weights are 0, in different places for different cues.
                    Separation::Softmax(Softmax(400.0)),
                    Separation::Power(Power(3.0)),
                    Separation::Threshold(Threshold(if metric == MetricName::Dot { 3.0 } else { 1.0 })),
                ];
                for (i, separation) in separations.into_iter().enumerate() {
                    let weighted = i % 2 == 1;
                    let want = setup.run(run, separation, weighted).unwrap();
                    let same = |run: Run| {
                        let got = setup.run(run, separation, weighted).unwrap();
                        assert!(bits(&got.0) == bits(&want.0), "{run:?} {separation:?} {shape:?}");
                        assert!(bits(&got.1) == bits(&want.1), "{run:?} {separation:?} {shape:?}: log_scale");
                    };
                    same(run.threads(2));
                    same(run.threads(3));
                    same(run.form(Form::Packed(101)));
                    same(run.form(Form::Packed(64)).threads(2));
                    for (first, m) in
                        [(0, 1), (q - 1, 1), (q / 3, 1), (1, 2), (0, q.min(7)), (q - q.min(13), q.min(13))]
                    {
                        let (out, scale): (Vec<E>, _) = run
                            .threads(1 + i % 3)
                            .retrieve(
                                slice(&setup.queries(), first, m),
                                setup.keys(),
                                setup.values(),
                                separation,
                                setup.weights(weighted),
                            )
                            .unwrap();
                        let all = &want.0[first * setup.width..][..m * setup.width];
                        assert!(
                            bits(&out) == bits(all),
                            "{run:?} {separation:?} {shape:?}: cues {first}..{} alone",
                            first + m
                        );
                        assert!(bits(&scale) == bits(&want.1[first..first + m]));
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

/// Scores in the thousands: exponentials and powers would overflow if they were not kept relative.
#[test]
fn large_scores() {
    let random = &mut Random(17);
    let (q, n, d) = (7, 300, 10);
    let queries: Vec<f32> = random.floats(q * d, -30.0, 30.0);
    let mut keys: Vec<f32> = random.floats(n * d, -30.0, 30.0);
    // The best last, so that all that came before is rescaled.
    keys[(n - 1) * d..].copy_from_slice(&queries[..d].iter().map(|x| 2.0 * x).collect::<Vec<_>>());
    let values: Vec<f32> = random.floats(n * 3, -1.0, 1.0);
    let log_weight = vec![0.0; n];
    let case = Case { metric: MetricName::Dot, d, queries, keys, width: 3, values, log_weight };
    for level in Level::available() {
        for most in [64, 512] {
            let run = Run::new(level, MetricName::Dot).most(most);
            for separation in [
                Separation::Softmax(Softmax(1.0)),
                Separation::Softmax(Softmax(50.0)),
                Separation::Power(Power(40.0)),
                Separation::Rectified(Rectified(101.0)),
            ] {
                case.check(run, separation, false);
                case.check(run, separation, true);
            }
        }
    }
}

#[test]
fn no_weight_at_all() {
    let random = &mut Random(18);
    let (keys, values): (Vec<f64>, Vec<f64>) = (random.floats(100 * 4, -1.0, 1.0), random.floats(100 * 5, -1.0, 1.0));
    let nothing = vec![f64::NEG_INFINITY; 100];
    for level in Level::available() {
        let run = Run::new(level, MetricName::Dot).most(64);
        let both = |separation, weights: Option<&[f64]>| {
            let (out, scale) = run
                .retrieve::<f64>(Rows::of(&keys[..8], 4), Rows::of(&keys, 4), Rows::of(&values, 5), separation, weights)
                .unwrap();
            assert_eq!((out, scale), (vec![0.0; 10], vec![f64::NEG_INFINITY; 2]), "{level:?} {separation:?}");
        };
        both(Separation::Threshold(Threshold(1e6)), None);
        both(Separation::Softmax(Softmax(2.0)), Some(&nothing));
        both(Separation::Power(Power(2.0)), Some(&nothing));
        both(Separation::Threshold(Threshold(-1e6)), Some(&nothing));
        let zeros = vec![0.0; 100 * 4];
        let (out, scale) = run
            .retrieve::<f64>(
                Rows::of(&zeros[..4], 4),
                Rows::of(&zeros, 4),
                Rows::of(&values, 5),
                Separation::Power(Power(3.0)),
                None,
            )
            .unwrap();
        assert_eq!((out, scale), (vec![0.0; 5], vec![f64::NEG_INFINITY]));
    }
}

/// One key answers with its value, whatever its score.
/// Weights survive beside scores so large that a logarithm added to them would be lost.
#[test]
fn weights_beside_large_scores() {
    let (keys, values) = ([300.0f32, 0.0, 300.0, 0.0, 299.0, 0.0], [0.0f32, 1.0, 100.0]);
    for level in Level::available() {
        for beta in [1.0, 1e4, 1e8] {
            let case = Case {
                metric: MetricName::Dot,
                d: 2,
                queries: vec![1.0f32, 0.0],
                keys: keys.to_vec(),
                width: 1,
                values: values.to_vec(),
                log_weight: vec![3f64.ln(), 0.0, f64::NEG_INFINITY],
            };
            let (state, scale) =
                case.run(Run::new(level, MetricName::Dot), Separation::Softmax(Softmax(beta)), true).unwrap();
            assert!((state[0] - 0.25).abs() < 1e-6, "{level:?} {beta} {state:?}");
            let expected = 300.0 * beta + 4f64.ln();
            assert!((scale[0] - expected).abs() < 1e-6 * expected, "{level:?} {beta} {scale:?} {expected}");
        }
    }
}

#[test]
fn a_single_key() {
    for level in Level::available() {
        for metric in all_metrics() {
            let run = Run::new(level, metric);
            let result = run.retrieve::<f32>(
                Rows::of(&[0.2f32, 0.8], 2),
                Rows::of(&[0.5f32, 0.5], 2),
                Rows::of(&[3.0f32, -4.0, 0.1], 3),
                Separation::Softmax(Softmax(3.0)),
                None,
            );
            let (out, scale) = result.unwrap();
            assert_eq!(out, [3.0, -4.0, 0.1], "{level:?} {metric:?}");
            let score: Vec<f32> = run.matrix(Rows::of(&[0.2f32, 0.8], 2), Rows::of(&[0.5f32, 0.5], 2)).unwrap();
            let sign = if metric == MetricName::Dot { 1.0 } else { -1.0 };
            close(scale[0], 3.0 * sign * score[0] as f64, 1e-5, &(level, metric));
        }
    }
}

/// Small values mix as the floats that they are.
#[test]
fn widened_values() {
    let setup = Case::<f32>::new(19, MetricName::Dot, (15, 130, 12), 1);
    let bytes = Random(20).bytes(130 * 19);
    let wide: Vec<f32> = bytes.iter().map(|&x| x as f32).collect();
    for level in Level::available() {
        for queries in [setup.queries(), slice(&setup.queries(), 3, 2)] {
            let run = Run::new(level, MetricName::Dot);
            let separation = Separation::Softmax(Softmax(1.0));
            let small = run.retrieve::<f32>(queries, setup.keys(), Rows::of(&bytes, 19), separation, None).unwrap();
            let large = run.retrieve::<f32>(queries, setup.keys(), Rows::of(&wide, 19), separation, None).unwrap();
            assert_eq!(bits(&small.0), bits(&large.0));
        }
    }
}

#[test]
fn bad_inputs_are_told() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let good = Case::<f64>::new(21, MetricName::Euclidean, (14, 90, 6), 4);
        for level in Level::available() {
            for metric in [MetricName::Dot, MetricName::Euclidean, MetricName::Cosine] {
                for separation in [
                    Separation::Softmax(Softmax(1.0)),
                    Separation::Power(Power(2.0)),
                    Separation::Threshold(Threshold(1.0)),
                ] {
                    let run = Run::new(level, metric);
                    let wrong = |rows: &[f64], at: usize| {
                        let mut rows = rows.to_vec();
                        rows[at] = odd;
                        rows
                    };
                    let told = |case: &Case<f64>, side, row| {
                        let want = Err(Error::NonFinite(side, row));
                        assert_eq!(case.run(run, separation, false), want, "{run:?} {separation:?} {odd}");
                    };
                    let copy = || Case {
                        queries: good.queries.clone(),
                        keys: good.keys.clone(),
                        values: good.values.clone(),
                        log_weight: vec![],
                        ..good
                    };
                    told(&Case { queries: wrong(&good.queries, 6 * 13 + 2), ..copy() }, Side::Query, 13);
                    told(&Case { keys: wrong(&good.keys, 6 * 77), ..copy() }, Side::Key, 77);
                    // A key of weight 0 need not be looked at, so here all have some.
                    if !matches!(separation, Separation::Threshold(Threshold(_))) {
                        told(&Case { values: wrong(&good.values, 4 * 80 + 3), ..copy() }, Side::Value, 80);
                    }
                }
            }
        }
    }
}

#[test]
fn scores_that_overflow_are_told() {
    let (keys, values) = ([1e30f32, 1e30, 1.0, 1.0], [1.0f32, 2.0]);
    for level in Level::available() {
        let run = Run::new(level, MetricName::Dot);
        let result = run.retrieve::<f32>(
            Rows::of(&[0.0f32, 1.0, 1e30, 1e30], 2),
            Rows::of(&keys, 2),
            Rows::of(&values, 1),
            Separation::Softmax(Softmax(1.0)),
            None,
        );
        assert_eq!(result, Err(Error::Overflow(1)), "{level:?}");
    }
}
