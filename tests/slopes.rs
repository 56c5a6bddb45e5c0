//! Retrieval by many heads and its derivatives: by their formulas, and what must not change a bit of them.

mod common;

use _core::error::{Error, Side};
use _core::metric::MetricName;
use _core::pack::Keys;
use _core::parallel::Context;
use _core::projection::BLOCK;
use _core::separation::{Separation, Softmax};
use _core::simd::Level;
use _core::sink::retrieve::{Retrieval, retrieve_heads};
use _core::sink::slopes::{Head, Slopes, slopes};
use _core::sweep::Search;
use _core::table::Rows;
use common::*;

const METRICS: [MetricName; 4] =
    [MetricName::Dot, MetricName::SqEuclidean, MetricName::Euclidean, MetricName::Manhattan];

/// Heads of one shape.
struct Case<E> {
    metric: MetricName,
    heads: usize,
    /// Cues, keys, columns, columns of the values.
    shape: [usize; 4],
    cues: Vec<E>,
    keys: Vec<E>,
    values: Vec<E>,
    grad: Vec<E>,
    beta: Vec<f64>,
    log_weight: Option<Vec<f64>>,
    causal: bool,
}

/// What a case gives.
#[derive(Clone, Debug, PartialEq)]
struct Found<E> {
    out: Vec<E>,
    log_scale: Vec<f64>,
    cues: Vec<E>,
    keys: Vec<E>,
    values: Vec<E>,
    beta: Vec<f64>,
    log_weight: Vec<f64>,
}

impl<E: Real> Case<E> {
    fn new(seed: u64, metric: MetricName, heads: usize, shape: [usize; 4], weighted: bool, causal: bool) -> Self {
        let random = &mut Random(seed);
        let [q, n, d, o] = shape;
        // Multiples of a sixteenth meet often, so that kinks are there, and are exact in both types.
        let mut rows =
            |n: usize| -> Vec<E> { (0..n).map(|_| E::of((random.between(-16.0, 17.0)).floor() / 16.0)).collect() };
        let (cues, keys, values, grad) =
            (rows(heads * q * d), rows(heads * n * d), rows(heads * n * o), rows(heads * q * o));
        let mut weight = |i: usize| if i % 7 == 3 && n > 4 { f64::NEG_INFINITY } else { random.between(-1.0, 1.0) };
        let log_weight = weighted.then(|| (0..heads * n).map(&mut weight).collect());
        let beta = (0..heads).map(|h| 0.5 + h as f64 / 4.0).collect();
        Case { metric, heads, shape, cues, keys, values, grad, beta, log_weight, causal }
    }

    fn rows<'a>(&self, all: &'a [E], head: usize, rows: usize, width: usize) -> Rows<'a> {
        Rows::of(&all[head * rows * width..][..rows * width], width)
    }

    fn weights(&self, head: usize) -> Option<&[f64]> {
        let n = self.shape[1];
        self.log_weight.as_ref().map(|b| &b[head * n..][..n])
    }

    fn run(&self, level: Level, threads: usize) -> Result<Found<E>, Error> {
        let [q, n, d, o] = self.shape;
        let context = Context { threads, poll: &|| false };
        let kernel =
            E::kernel(level, self.metric, <E as _core::table::Numeric>::DTYPE, <E as _core::table::Numeric>::DTYPE, d);
        let sign = if self.metric.larger_is_better() { 1.0 } else { -1.0 };
        let searches: Vec<_> = (0..self.heads)
            .map(|h| {
                let keys = Keys::Rows(self.rows(&self.keys, h, n, d));
                let separation = Separation::Softmax(Softmax(self.beta[h]));
                let values = self.rows(&self.values, h, n, o);
                let retrieval = Retrieval::new(separation, values, self.weights(h), sign).unwrap();
                let search = Search::new(kernel, self.rows(&self.cues, h, q, d), keys, o * size_of::<E>(), BLOCK);
                (search, retrieval.causal(self.causal))
            })
            .collect();
        let heads: Vec<_> = searches.iter().map(|(search, retrieval)| (search, retrieval)).collect();
        let zeros = |n: usize| vec![E::of(0.0); self.heads * n];
        let mut found = Found {
            out: zeros(q * o),
            log_scale: vec![0.0; self.heads * q],
            cues: zeros(q * d),
            keys: zeros(n * d),
            values: zeros(n * o),
            beta: vec![0.0; self.heads],
            log_weight: vec![0.0; self.heads * n],
        };
        retrieve_heads(&context, level, &heads, &mut found.out, &mut found.log_scale)?;
        let head = |h: usize| Head {
            cues: self.rows(&self.cues, h, q, d),
            keys: self.rows(&self.keys, h, n, d),
            values: self.rows(&self.values, h, n, o),
            beta: self.beta[h],
            log_weight: self.weights(h),
            out: self.rows(&found.out, h, q, o),
            log_scale: &found.log_scale[h * q..][..q],
            grad: self.rows(&self.grad, h, q, o),
        };
        let heads: Vec<_> = (0..self.heads).map(head).collect();
        let into = Slopes {
            cues: &mut found.cues,
            keys: &mut found.keys,
            values: &mut found.values,
            beta: &mut found.beta,
            log_weight: &mut found.log_weight,
        };
        slopes(&context, level, self.metric, &heads, self.causal, into)?;
        Ok(found)
    }

    /// The formulas, in double precision.
    fn expected(&self) -> Found<f64> {
        let [q, n, d, o] = self.shape;
        let mut all = Found {
            out: vec![],
            log_scale: vec![],
            cues: vec![0.0; self.heads * q * d],
            keys: vec![0.0; self.heads * n * d],
            values: vec![0.0; self.heads * n * o],
            beta: vec![0.0; self.heads],
            log_weight: vec![0.0; self.heads * n],
        };
        for h in 0..self.heads {
            let [cues, keys] = [(&self.cues, q), (&self.keys, n)].map(|(x, n)| self.rows(x, h, n, d));
            let [values, grad] = [(&self.values, n), (&self.grad, q)].map(|(x, n)| self.rows(x, h, n, o));
            for i in 0..q {
                let (cue, grad) = (doubles(&cues, i), doubles(&grad, i));
                let met = if self.causal { n.min(i + 1) } else { n };
                let sign = if self.metric.larger_is_better() { 1.0 } else { -1.0 };
                let sims: Vec<f64> = (0..met).map(|j| sign * score(self.metric, &cue, &doubles(&keys, j)).0).collect();
                let level = |j: usize| self.beta[h] * sims[j] + self.weights(h).map_or(0.0, |b| b[j]);
                let most = (0..met).map(level).fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = (0..met)
                    .map(|j| if level(j) == f64::NEG_INFINITY { 0.0 } else { (level(j) - most).exp() })
                    .collect();
                let mass: f64 = powers.iter().sum();
                let weights: Vec<f64> = powers.iter().map(|w| if mass > 0.0 { w / mass } else { 0.0 }).collect();
                all.log_scale.push(if mass > 0.0 { most + mass.ln() } else { f64::NEG_INFINITY });
                let gain = |j: usize| doubles(&values, j).iter().zip(&grad).map(|(v, g)| v * g).sum::<f64>();
                let mean: f64 = (0..met).map(|j| weights[j] * gain(j)).sum();
                all.out.extend((0..o).map(|c| (0..met).map(|j| weights[j] * doubles(&values, j)[c]).sum::<f64>()));
                for j in 0..met {
                    let slope = weights[j] * (gain(j) - mean);
                    all.beta[h] += slope * sims[j];
                    all.log_weight[h * n + j] += slope;
                    for (to, g) in all.values[(h * n + j) * o..].iter_mut().zip(&grad) {
                        *to += weights[j] * g;
                    }
                    let key = doubles(&keys, j);
                    for c in 0..d {
                        let (x, k) = (cue[c], key[c]);
                        let (to_cue, to_key) = match self.metric {
                            MetricName::Dot => (k, x),
                            MetricName::SqEuclidean => (2.0 * (k - x), 2.0 * (x - k)),
                            MetricName::Euclidean if sims[j] == 0.0 => (0.0, 0.0),
                            MetricName::Euclidean => ((k - x) / -sims[j], (x - k) / -sims[j]),
                            MetricName::Manhattan if x == k => (0.0, 0.0),
                            _ => ((k - x).signum(), (x - k).signum()),
                        };
                        all.cues[(h * q + i) * d + c] += self.beta[h] * slope * to_cue;
                        all.keys[(h * n + j) * d + c] += self.beta[h] * slope * to_key;
                    }
                }
            }
        }
        all
    }

    fn check(&self, level: Level) {
        let (found, expected) = (self.run(level, 1).unwrap(), self.expected());
        let what = (level, self.metric, self.heads, self.shape, self.log_weight.is_some(), self.causal);
        let [q, n, d, _] = self.shape;
        // Scores are a few hundred units at most; sums of both signs are as large as what they are made of.
        let unit = E::UNIT * (64.0 + 8.0 * d as f64);
        let near = |name: &str, got: &[f64], expected: &[f64], size: f64| {
            assert_eq!(got.len(), expected.len());
            for (i, (x, y)) in got.iter().zip(expected).enumerate() {
                assert!(x == y || (x - y).abs() <= unit * size, "{name} {i}: {x}, not {y}: {what:?}");
            }
        };
        let wide = |x: &[E]| x.iter().map(|x| x.double()).collect::<Vec<f64>>();
        let size = self.shape[3] as f64 * 2.0;
        near("out", &wide(&found.out), &expected.out, 2.0);
        near("log_scale", &found.log_scale, &expected.log_scale, 8.0 * d as f64);
        near("cues", &wide(&found.cues), &expected.cues, 4.0 * size);
        near("keys", &wide(&found.keys), &expected.keys, size * (4.0 + q as f64 / 4.0));
        near("values", &wide(&found.values), &expected.values, 2.0 + q as f64 / 4.0);
        near("beta", &found.beta, &expected.beta, size * (d * q) as f64 / 4.0);
        near("log_weight", &found.log_weight, &expected.log_weight, size * (1.0 + q as f64 / 4.0));
        assert_eq!(found.log_weight.len(), self.heads * n);
    }
}

fn sizes() -> Vec<[usize; 4]> {
    let all = vec![
        [1, 1, 1, 1],
        [2, 3, 4, 5],
        [5, 17, 33, 8],
        [9, 64, 16, 17],
        [35, 100, 20, 20],
        [61, 65, 7, 1],
        [130, 257, 5, 3],
        [19, 600, 9, 4],
    ];
    all.into_iter().take(if quick() { 5 } else { 8 }).collect()
}

fn formulas<E: Real>() {
    for level in Level::available() {
        for metric in METRICS {
            for (at, shape) in sizes().into_iter().enumerate() {
                Case::<E>::new(at as u64, metric, 1 + at % 3, shape, at % 2 == 0, at % 4 >= 2).check(level);
            }
        }
    }
}

#[test]
fn derivatives_have_their_formulas_in_single_precision() {
    formulas::<f32>();
}

#[test]
fn derivatives_have_their_formulas_in_double_precision() {
    formulas::<f64>();
}

#[test]
fn threads_change_no_bit() {
    for level in Level::available() {
        for (heads, shape) in
            [(3, [70, 300, 12, 12]), (1, [1500, 40, 12, 5]), (1, [100, 2100, 12, 5]), (40, [35, 35, 20, 20])]
        {
            let case = Case::<f32>::new(7, MetricName::Manhattan, heads, shape, true, true);
            let one = case.run(level, 1).unwrap();
            for threads in [2, 3] {
                assert!(one == case.run(level, threads).unwrap(), "{level:?} {heads} {shape:?} {threads}");
            }
        }
    }
}

#[test]
fn a_head_has_the_same_bits_alone() {
    let level = Level::available()[0];
    let case = Case::<f32>::new(3, MetricName::Euclidean, 5, [33, 70, 19, 6], true, false);
    let all = case.run(level, 2).unwrap();
    let [q, n, d, o] = case.shape;
    for h in 0..5 {
        let part = |x: &[f32], n: usize| x[h * n..][..n].to_vec();
        let alone = Case {
            heads: 1,
            cues: part(&case.cues, q * d),
            keys: part(&case.keys, n * d),
            values: part(&case.values, n * o),
            grad: part(&case.grad, q * o),
            beta: vec![case.beta[h]],
            log_weight: case.log_weight.as_ref().map(|b| b[h * n..][..n].to_vec()),
            ..case
        };
        let one = alone.run(level, 1).unwrap();
        assert_eq!(one.out, part(&all.out, q * o));
        assert_eq!(one.cues, part(&all.cues, q * d));
        assert_eq!(one.keys, part(&all.keys, n * d));
    }
}

#[test]
fn a_cue_without_weights_pulls_nothing() {
    let mut case = Case::<f64>::new(5, MetricName::Dot, 2, [3, 4, 5, 6], true, false);
    case.log_weight = Some([[f64::NEG_INFINITY; 4], [0.0; 4]].concat());
    let found = case.run(Level::available()[0], 1).unwrap();
    let [q, n, d, o] = case.shape;
    for (x, half) in [(&found.out, q * o), (&found.cues, q * d), (&found.keys, n * d), (&found.values, n * o)] {
        assert!(x[..half].iter().all(|&x| x == 0.0) && x[half..].iter().any(|&x| x != 0.0));
    }
}

#[test]
fn the_head_and_the_row_of_a_bad_number_are_named() {
    let level = Level::available()[0];
    let case = || Case::<f32>::new(1, MetricName::Manhattan, 3, [4, 5, 6, 2], false, false);
    let told = |case: Case<f32>| case.run(level, 1).unwrap_err();
    let at = |side, row| Error::Head(1, Box::new(Error::NonFinite(side, row)));
    let mut bad = case();
    bad.cues[4 * 6 + 2 * 6] = f32::NAN;
    assert_eq!(told(bad), at(Side::Query, 2));
    let mut bad = case();
    bad.keys[5 * 6 + 3 * 6] = f32::INFINITY;
    assert_eq!(told(bad), at(Side::Key, 3));
    let mut bad = case();
    bad.values[5 * 2 + 2] = f32::NAN;
    assert_eq!(told(bad), at(Side::Value, 1));
    let mut bad = case();
    bad.grad[4 * 2 + 3 * 2] = f32::NAN;
    assert_eq!(told(bad), at(Side::Gradient, 3));
    assert_eq!(at(Side::Gradient, 3).to_string(), "head 1: gradients row 3 has a NaN or infinite entry");
}

#[test]
fn other_metrics_are_refused() {
    let case = Case::<f32>::new(1, MetricName::Cosine, 1, [4, 5, 6, 2], false, false);
    assert!(matches!(case.run(Level::available()[0], 1), Err(Error::Argument(text)) if text.contains("Cosine")));
}
