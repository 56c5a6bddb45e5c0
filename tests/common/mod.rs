//! What the engine's tests share: numbers, ways to run the engine, and plain formulas to hold it to.
#![allow(dead_code)] // No test file uses all of it.

use _core::error::Error;
use _core::flips::chance::{GAMMA, mix};
use _core::metric::{Kind, MetricName, Score};
use _core::pack::{Keys, Panels, Scored};
use _core::parallel::Context;
use _core::projection::BLOCK;
use _core::separation::{self, Separation};
use _core::simd::Float;
use _core::simd::Level;
use _core::sink::{matrix, retrieve, topk, within};
use _core::sweep::Search;
use _core::table::Rows;

/// Whether to take fewer and smaller cases, for an emulator.
pub fn quick() -> bool {
    std::env::var("AMFAST_TEST_QUICK").is_ok_and(|x| x == "1")
}

/// `full`, or less in quick mode.
pub fn cases(full: usize) -> usize {
    if quick() { full.div_ceil(10) } else { full }
}

/// Random numbers by SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }
    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// In low..high.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
    /// In 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
    /// `n` numbers in low..high.
    pub fn floats<E: Real>(&mut self, n: usize, low: f64, high: f64) -> Vec<E> {
        (0..n).map(|_| E::of(self.between(low, high))).collect()
    }
    /// `n` bytes, every fourth one an extreme.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n)
            .map(|_| match self.below(16) {
                0 => 0,
                1 => 255,
                2 => 127,
                3 => 128,
                _ => self.bits() as u8,
            })
            .collect()
    }
}

/// The float types, with what tests need of them.
pub trait Real: separation::Real + Scored + _core::table::Numeric {
    /// Half the distance from 1 to the next number.
    const UNIT: f64;
    /// Nearest value.
    fn of(x: f64) -> Self;
    /// The same value in double precision.
    fn double(self) -> f64;
    /// Its bits.
    fn pattern(self) -> u64;
    /// The value with those bits.
    fn from_pattern(bits: u64) -> Self;
    /// Rounded once.
    fn fused(self, b: Self, c: Self) -> Self;
    /// The distance between numbers of the size of `x`.
    fn ulp(x: f64) -> f64;
}

macro_rules! real {
    ($t:ty, $bits:ty, $fraction:literal) => {
        impl Real for $t {
            const UNIT: f64 = <$t>::EPSILON as f64 / 2.0;
            fn of(x: f64) -> Self {
                x as $t
            }
            fn double(self) -> f64 {
                self as f64
            }
            fn pattern(self) -> u64 {
                self.to_bits() as u64
            }
            fn from_pattern(bits: u64) -> Self {
                <$t>::from_bits(bits as $bits)
            }
            fn fused(self, b: Self, c: Self) -> Self {
                self.mul_add(b, c)
            }
            fn ulp(x: f64) -> f64 {
                let x = (x.abs() as $t).max(<$t>::MIN_POSITIVE);
                let exponent = (x.to_bits() >> $fraction) << $fraction;
                <$t>::from_bits(exponent) as f64 * <$t>::EPSILON as f64
            }
        }
    };
}
real!(f32, u32, 23);
real!(f64, u64, 52);

/// How the keys reach the engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// As rows.
    Rows,
    /// Packed before, in pieces of that many keys.
    Packed(usize),
}

/// One way to run a search.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub level: Level,
    pub threads: usize,
    pub metric: MetricName,
    pub form: Form,
    /// The most keys in a block.
    pub most: usize,
}

impl Run {
    pub fn new(level: Level, metric: MetricName) -> Run {
        Run { level, threads: 1, metric, form: Form::Rows, most: 4096 }
    }
    pub fn threads(self, threads: usize) -> Run {
        Run { threads, ..self }
    }
    pub fn form(self, form: Form) -> Run {
        Run { form, ..self }
    }
    pub fn most(self, most: usize) -> Run {
        Run { most, ..self }
    }

    fn search<T: Scored, R>(
        &self,
        queries: Rows,
        keys: Rows,
        extra: usize,
        body: impl FnOnce(&Context, &Search<T>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let kernel = T::kernel(self.level, self.metric, queries.dtype());
        let context = Context { threads: self.threads, poll: &|| false };
        match self.form {
            Form::Rows => body(&context, &Search::new(kernel, queries, Keys::Rows(keys), extra, self.most)),
            Form::Packed(piece) => {
                let mut panels = Panels::new(kernel, keys.width());
                let mut first = 0;
                while first < keys.len() {
                    let n = piece.min(keys.len() - first);
                    panels = panels.extended(&context, &slice(&keys, first, n))?;
                    first += n;
                }
                assert_eq!(panels.len(), keys.len());
                body(&context, &Search::new(kernel, queries, Keys::Packed(panels.all()), extra, self.most))
            }
        }
    }

    /// All scores.
    pub fn matrix<T: Scored>(&self, queries: Rows, keys: Rows) -> Result<Vec<T>, Error> {
        let mut out = vec![T::WORST; queries.len() * keys.len()];
        self.search::<T, _>(queries, keys, 0, |context, search| matrix::matrix(context, self.level, search, &mut out))?;
        Ok(out)
    }

    /// The best k of every query.
    pub fn topk<T: Scored>(&self, queries: Rows, keys: Rows, k: usize) -> Result<(Vec<T>, Vec<i64>), Error> {
        let mut scores = vec![T::WORST; queries.len() * k];
        let mut indices = vec![-1; queries.len() * k];
        let larger = self.metric.larger_is_better();
        self.search::<T, _>(queries, keys, 0, |context, search| {
            topk::topk(context, self.level, search, k, larger, &mut scores, &mut indices)
        })?;
        Ok((scores, indices))
    }

    /// What lies within a radius.
    pub fn within<T: Scored>(&self, queries: Rows, keys: Rows, radius: f64) -> Result<Vec<Vec<(T, u32)>>, Error> {
        let larger = self.metric.larger_is_better();
        self.search::<T, _>(queries, keys, 0, |context, search| {
            let hits = within::within(context, self.level, search, radius, larger)?;
            let starts = hits.starts()?;
            let n = *starts.last().unwrap() as usize;
            let (mut indices, mut scores) = (vec![-1; n], vec![T::WORST; n]);
            hits.write(context, &starts, &mut indices, &mut scores)?;
            let pairs: Vec<_> = scores.into_iter().zip(indices.into_iter().map(|i| i as u32)).collect();
            let row = |ends: &[i64]| pairs[ends[0] as usize..ends[1] as usize].to_vec();
            Ok(starts.windows(2).map(row).collect())
        })
    }

    /// Weighted values and logarithms of the weights' mass.
    pub fn retrieve<E: Real>(
        &self,
        queries: Rows,
        keys: Rows,
        values: Rows,
        separation: Separation,
        log_weight: Option<&[f64]>,
    ) -> Result<(Vec<E>, Vec<f64>), Error> {
        let mut out = vec![E::of(f64::NAN); queries.len() * values.width()];
        let mut scale = vec![f64::NAN; queries.len()];
        let sign = if self.metric.larger_is_better() { 1.0 } else { -1.0 };
        let run = self.most(self.most.min(BLOCK));
        run.search::<E, _>(queries, keys, values.width() * size_of::<E>(), |context, search| {
            let retrieval = retrieve::Retrieval::new(separation, values, log_weight, sign)?;
            retrieve::retrieve(context, self.level, search, &retrieval, &mut out, &mut scale)
        })?;
        Ok((out, scale))
    }
}

/// Rows `first .. first + n`.
pub fn slice<'a>(rows: &Rows<'a>, first: usize, n: usize) -> Rows<'a> {
    assert!(first + n <= rows.len());
    // SAFETY: a part of what `rows` may read.
    unsafe { Rows::new(rows.row(first), rows.dtype(), n, rows.width()) }
}

/// Row `i` in double precision.
pub fn doubles(rows: &Rows, i: usize) -> Vec<f64> {
    let mut out = vec![0.0; rows.width()];
    rows.read(i, &mut out);
    out
}

/// The bits of scores, so that comparisons are of bits.
pub fn bits<E: Real>(x: &[E]) -> Vec<u64> {
    x.iter().map(|x| x.pattern()).collect()
}

fn distribution(x: &[f64]) -> Vec<f64> {
    let sum: f64 = x.iter().sum();
    x.iter().map(|x| x / sum).collect()
}

/// sum p ln(p / r) with the magnitudes of its terms, both logarithms taken against the uniform distribution.
fn divergence(p: &[f64], r: &[f64]) -> (f64, f64) {
    let (p, r) = (distribution(p), distribution(r));
    let d = p.len() as f64;
    let (mut sum, mut scale) = (0.0, 1.0);
    for (&p, &r) in p.iter().zip(&r) {
        if p > 0.0 {
            sum += p * (p / r).ln();
            scale += p * (p * d).ln().abs() + p * (r * d).ln().abs();
        }
    }
    (sum.max(0.0), scale)
}

/// p ln(2p/(p+q)) + q ln(2q/(p+q)), exact to a few ulp however close p and q are.
pub fn jensen_shannon_term(p: f64, q: f64) -> f64 {
    let sum = p + q;
    if sum == 0.0 {
        return 0.0;
    }
    let r = (p - q).abs() / sum;
    let shape = if r < 0.3 {
        (1..40).rev().fold(0.0, |y, k| r * r * (y + 1.0 / (k as f64 * (2 * k - 1) as f64)))
    } else {
        let x_ln_x = |x: f64| if x > 0.0 { x * x.ln() } else { 0.0 };
        x_ln_x(1.0 + r) + x_ln_x(1.0 - r)
    };
    0.5 * sum * shape
}

/// A score by its definition, and a magnitude to which rounding errors of a sum of its terms are relative.
pub fn score(metric: MetricName, query: &[f64], key: &[f64]) -> (f64, f64) {
    let sum = |f: &dyn Fn(f64, f64) -> f64| query.iter().zip(key).map(|(&q, &k)| f(q, k)).sum::<f64>();
    match metric {
        MetricName::Dot => (sum(&|q, k| q * k), sum(&|q, k| (q * k).abs())),
        MetricName::SqEuclidean => {
            let x = sum(&|q, k| (q - k) * (q - k));
            (x, x)
        }
        MetricName::Euclidean => {
            let x = sum(&|q, k| (q - k) * (q - k)).sqrt();
            (x, x)
        }
        MetricName::Manhattan => {
            let x = sum(&|q, k| (q - k).abs());
            (x, x)
        }
        MetricName::Cosine => {
            let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
            let norms = norm(query) * norm(key);
            if norms == 0.0 {
                return (1.0, 1.0);
            }
            let cosine = sum(&|q, k| q * k) / norms;
            ((1.0 - cosine).clamp(0.0, 2.0), 1.0 + sum(&|q, k| (q * k).abs()) / norms)
        }
        MetricName::Hamming => unreachable!("floats have no Hamming distance; tests/hamming.rs has that of bits"),
        MetricName::Kl => divergence(key, query),
        MetricName::ReverseKl => divergence(query, key),
        MetricName::JensenShannon => {
            let (p, q) = (distribution(query), distribution(key));
            let pairs = || p.iter().zip(&q).map(|(&p, &q)| (p, q));
            let twice: f64 = pairs().map(|(p, q)| jensen_shannon_term(p, q)).sum();
            // A relative error of p moves the sum by p ln(2p/(p+q)), which is more than the term where p and q are close.
            let share = |p: f64, q: f64| if p > 0.0 { p * (2.0 * p / (p + q)).ln().abs() } else { 0.0 };
            let moved: f64 = pairs().map(|(p, q)| share(p, q) + share(q, p)).sum();
            let root = (twice / 2.0).sqrt();
            let scale = if root > 0.0 { (twice + moved) / root } else { 1.0 };
            (root, scale)
        }
    }
}

/// How many roundings a score of `d` terms may show.
pub fn roundings(d: usize) -> f64 {
    (d.min(256) + d / 256 + 16) as f64
}

/// Rows fit for a metric: distributions are of numbers above zero.
pub fn rows_for<E: Real>(random: &mut Random, metric: MetricName, n: usize) -> Vec<E> {
    match metric.kind() {
        Kind::Masses => random.floats(n, 0.01, 1.0),
        _ => random.floats(n, -1.0, 1.0),
    }
}

/// Number of queries, keys and columns: every pair of the last two around the edges of registers, tiles, blocks and parts.
pub fn shapes() -> Vec<(usize, usize, usize)> {
    const Q: [usize; 7] = [1, 2, 3, 5, 13, 21, 41];
    const N: [usize; 9] = [1, 15, 16, 17, 63, 64, 65, 129, 700];
    const D: [usize; 10] = [1, 2, 7, 8, 15, 16, 17, 100, 257, 785];
    let mut all = Vec::new();
    for (i, &d) in D.iter().enumerate() {
        for (j, &n) in N.iter().enumerate() {
            all.push((Q[(3 * i + j) % Q.len()], n, d));
        }
    }
    if quick() { all.into_iter().step_by(7).collect() } else { all }
}

/// The metric of floats whose turn it is in a list of cases. Every round has another order, so that no metric meets the same
/// kind of case again and again, however many metrics there are.
pub fn metric_of(case: usize) -> MetricName {
    let all: Vec<_> = all_metrics().collect();
    all[(case + case / all.len()) % all.len()]
}

/// The metrics of floats.
pub fn all_metrics() -> impl Iterator<Item = MetricName> {
    MetricName::ALL.iter().map(|&(_, metric)| metric).filter(|metric| metric.kind() != Kind::Bits)
}

/// Fails unless both are the same number or close.
#[track_caller]
pub fn close(got: f64, want: f64, tolerance: f64, what: &dyn std::fmt::Debug) {
    let same = got == want || (got - want).abs() <= tolerance;
    assert!(same, "{what:?}: got {got:e}, want {want:e} within {tolerance:e}, off by {:e}", (got - want).abs());
}

/// The first of several equal scores, and the better before the worse.
pub fn sorted<T: Score>(scores: &[T], larger: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| {
        let (x, y) = if larger { (scores[b], scores[a]) } else { (scores[a], scores[b]) };
        x.partial_cmp(&y).unwrap()
    });
    order
}

/// Largest float of a list, in double precision.
pub fn largest<E: Float>(x: &[E]) -> f64 {
    x.iter().fold(0.0, |m, x| m.max(Float::to_f64(*x).abs()))
}
