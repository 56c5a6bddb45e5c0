//! Searches that begin with 8-bit codes: the same answers as without, to the last bit, on every instruction set and number of
//! threads, of rows and of packed keys; and that the first pass does it where it should.

mod common;

use _core::coded::{self, Bounded, Coded, Codes};
use _core::error::Error;
use _core::metric::MetricName;
use _core::pack::{Keys, Panels};
use _core::parallel::Context;
use _core::separation::{Separation, Softmax, Threshold};
use _core::simd::Level;
use _core::table::Rows;
use common::*;

const METRICS: [MetricName; 5] =
    [MetricName::Dot, MetricName::Cosine, MetricName::SqEuclidean, MetricName::Euclidean, MetricName::Manhattan];

/// One way to run a search with codes.
#[derive(Clone, Copy, Debug)]
struct How {
    level: Level,
    metric: MetricName,
    threads: usize,
    packed: bool,
}

impl How {
    fn context(&self) -> Context<'static> {
        Context { threads: self.threads, poll: &|| false }
    }
    fn codes(&self, keys: &Rows) -> Option<Codes> {
        Codes::new(&self.context(), self.level, self.metric, keys).unwrap()
    }
    fn with<T: Bounded, R>(
        &self,
        [queries, rows]: [Rows; 2],
        codes: &Codes,
        body: impl FnOnce(&Coded<T>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let kernel = T::kernel(self.level, self.metric, queries.dtype(), rows.dtype(), rows.width());
        let panels = Panels::new(kernel, rows.width()).extended(&self.context(), &rows)?;
        let keys = if self.packed { Keys::Packed(panels.all()) } else { Keys::Rows(rows) };
        body(&Coded { queries, rows, keys, kernel, codes })
    }
    fn plain(&self) -> Run {
        Run::new(self.level, self.metric).threads(self.threads).most(usize::MAX / 2)
    }
}

/// Data of which some are hard to bound.
const KINDS: [&str; 12] =
    ["uniform", "ties", "same", "constant", "outlier", "offset", "tiny", "subnormal", "large", "far", "zero", "heavy"];

fn data<E: Real>(random: &mut Random, kind: &str, (q, n, d): (usize, usize, usize)) -> (Vec<E>, Vec<E>) {
    let mut keys: Vec<f64> = (0..n * d).map(|_| random.between(-1.0, 1.0)).collect();
    match kind {
        "ties" => keys.iter_mut().for_each(|x| *x = (*x * 1.5).round()),
        "same" => (d..n * d).for_each(|i| keys[i] = keys[i % (d * n.div_ceil(9))]),
        "constant" => keys.iter_mut().step_by(2).for_each(|x| *x = 0.75),
        "outlier" => keys[random.below(n * d)] = 1e4,
        "heavy" => keys.iter_mut().for_each(|x| *x = 0.01 / (x.abs() + 1e-4) * x.signum()),
        _ => {}
    }
    let mut queries: Vec<f64> = Vec::new();
    for _ in 0..q {
        let (key, noise) = (random.below(n), [0.0, 0.1, 1.0][random.below(3)]);
        queries.extend(keys[key * d..][..d].iter().map(|x| x + noise * random.between(-1.0, 1.0)));
    }
    let (scale, offset) = match kind {
        "offset" => (1.0, 3e4),
        "tiny" => (E::of(f64::MIN_POSITIVE).double().max(1e-30), 0.0),
        "subnormal" => (E::from_pattern(40).double(), 0.0),
        "large" => (if E::UNIT > 1e-10 { 1e18 } else { 1e150 }, 0.0),
        _ => (1.0, 0.0),
    };
    if kind == "far" {
        queries.iter_mut().for_each(|x| *x = 50.0 + 100.0 * *x);
    }
    if kind == "zero" {
        queries[..d].fill(0.0);
    }
    let of = |x: Vec<f64>| x.into_iter().map(|x| E::of(scale * x + offset)).collect();
    (of(queries), of(keys))
}

fn answers<E: Real + Bounded>() {
    let (mut coded_queries, mut all) = (0, 0);
    for case in 0..cases(240) {
        let random = &mut Random(case as u64 + 1);
        let kind = KINDS[case % KINDS.len()];
        let n = [1, 2, 63, 65, 300, 1000, 4095, 4097, 6000][random.below(9)];
        let d = [1, 2, 7, 8, 9, 31, 64, 100, 300][random.below(9)];
        let q = [1, 2, 5, 17, 70][random.below(5)];
        let (queries, keys): (Vec<E>, Vec<E>) = data(random, kind, (q, n, d));
        let (queries, keys) = (Rows::of(&queries, d), Rows::of(&keys, d));
        let levels = Level::available();
        let level = levels[case / KINDS.len() % levels.len()];
        for metric in METRICS {
            let how = How { level, metric, threads: 1 + case % 2, packed: case % 3 == 0 };
            let Some(codes) = how.codes(&keys) else { continue };
            let k = [1, 3, 10, 64][random.below(4)].min(n);
            let Ok((want, at)) = how.plain().topk::<E>(queries, keys, k) else { continue };
            let (mut scores, mut indices) = (vec![E::of(f64::NAN); q * k], vec![-1; q * k]);
            let left = how
                .with([queries, keys], &codes, |coded| {
                    coded::topk(&how.context(), level, coded, k, &mut scores, &mut indices)
                })
                .unwrap();
            assert_eq!((indices, bits(&scores)), (at, bits(&want)), "{how:?} {kind} {:?} {k}", (q, n, d));
            (coded_queries, all) = (coded_queries + q - left, all + q);

            let radius = want[k - 1].double();
            let wanted = how.plain().within::<E>(queries, keys, radius).unwrap();
            let hits = how
                .with([queries, keys], &codes, |coded: &Coded<E>| coded::within(&how.context(), level, coded, radius))
                .unwrap();
            let starts = hits.starts().unwrap();
            let total = starts[q] as usize;
            let (mut indices, mut scores) = (vec![-1; total], vec![E::of(f64::NAN); total]);
            hits.write(&how.context(), &starts, &mut indices, &mut scores).unwrap();
            let wanted: Vec<_> = wanted.concat().into_iter().map(|(score, i)| (i as i64, score.pattern())).collect();
            let got: Vec<_> = indices.into_iter().zip(scores.iter().map(|score| score.pattern())).collect();
            assert_eq!(got, wanted, "{how:?} {kind} {:?} {radius}", (q, n, d));
        }
    }
    // Most of these searches are too small or too hard for it, but not all.
    assert!(5 * coded_queries > all, "{coded_queries} of {all}");
}

#[test]
fn answers_in_single_precision() {
    answers::<f32>();
}

#[test]
fn answers_in_double_precision() {
    answers::<f64>();
}

/// Queries near keys that are far apart: none needs the search without codes.
#[test]
fn the_first_pass_does_it() {
    let (q, n, d) = (20, 20_000, 64);
    let random = &mut Random(3);
    let (queries, keys): (Vec<f32>, Vec<f32>) = data(random, "uniform", (q, n, d));
    let (queries, keys) = (Rows::of(&queries, d), Rows::of(&keys, d));
    for level in Level::available() {
        for metric in METRICS {
            let how = How { level, metric, threads: 2, packed: false };
            let codes = how.codes(&keys).unwrap();
            let (mut scores, mut indices) = (vec![0.0f32; q], vec![-1; q]);
            let left = how.with([queries, keys], &codes, |coded| {
                coded::topk(&how.context(), level, coded, 1, &mut scores, &mut indices)
            });
            assert_eq!(left, Ok(0), "{how:?}");
        }
    }
}

/// Keys that come later, in the range of the first or far beyond it.
#[test]
fn more_keys() {
    let (q, n, d) = (9, 9000, 40);
    for (case, metric) in METRICS.into_iter().enumerate() {
        let random = &mut Random(case as u64);
        let (queries, mut keys): (Vec<f32>, Vec<f32>) = data(random, "uniform", (q, n, d));
        keys[n * d / 2..].iter_mut().step_by(97).for_each(|x| *x *= 30.0);
        let (queries, keys) = (Rows::of(&queries, d), Rows::of(&keys, d));
        let how = How { level: Level::available()[0], metric, threads: 2, packed: false };
        let mut codes = how.codes(&slice(&keys, 0, 100)).unwrap();
        for end in [100, 101, 700, 700, 4096, 4096, 4097, 8200, 8200, n] {
            let some = slice(&keys, 0, end);
            codes = codes.extended(&how.context(), how.level, &some).unwrap().unwrap();
            assert_eq!(codes.len(), end);
            let (want, at) = how.plain().topk::<f32>(queries, some, 5).unwrap();
            let (mut scores, mut indices) = (vec![0.0f32; q * 5], vec![-1; q * 5]);
            how.with([queries, some], &codes, |coded| {
                coded::topk(&how.context(), how.level, coded, 5, &mut scores, &mut indices)
            })
            .unwrap();
            assert_eq!((indices, bits(&scores)), (at, bits(&want)), "{metric:?} {end}");
        }
        assert!(codes.bytes() < keys.memory(0..n).len() / 2);
    }
}

/// Of many rows some show the range of the codes; the others may be beyond it, few of them or nearly all.
#[test]
fn rows_that_nobody_looked_at() {
    let (q, n, d) = (20, 17_000, 16);
    for (case, metric) in METRICS.into_iter().enumerate() {
        for (every, factor) in [(2, 3.0), (997, 1e3), (2, 0.0), (n, 1.0)] {
            let random = &mut Random(case as u64);
            let (queries, mut keys): (Vec<f32>, Vec<f32>) = data(random, "uniform", (q, n, d));
            let other = |(i, row): (usize, &mut [f32])| {
                if i % 2 == 1 && i / 2 % (every / 2) == 0 {
                    row.iter_mut().for_each(|x| *x *= factor);
                } else if factor == 0.0 {
                    row.fill(0.5); // All that is looked at is alike.
                }
            };
            keys.chunks_mut(d).enumerate().for_each(other);
            let (queries, keys) = (Rows::of(&queries, d), Rows::of(&keys, d));
            let how = How { level: Level::available()[case % 2], metric, threads: 2, packed: false };
            let codes = how.codes(&keys).unwrap();
            let (want, at) = how.plain().topk::<f32>(queries, keys, 3).unwrap();
            let (mut scores, mut indices) = (vec![0.0f32; q * 3], vec![-1; q * 3]);
            how.with([queries, keys], &codes, |coded| {
                coded::topk(&how.context(), how.level, coded, 3, &mut scores, &mut indices)
            })
            .unwrap();
            assert_eq!((indices, bits(&scores)), (at, bits(&want)), "{metric:?} {every} {factor}");
        }
        let how = How { level: Level::available()[0], metric, threads: 2, packed: false };
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for row in [0, 1, n - 1] {
                let mut keys: Vec<f32> = Random(5).floats(n * d, 0.0, 1.0);
                keys[row * d + 3] = odd;
                assert!(how.codes(&Rows::of(&keys, d)).is_none(), "{metric:?} {odd} in row {row}");
            }
        }
    }
}

fn means<E: Real + Bounded>() {
    for case in 0..cases(60) {
        let random = &mut Random(case as u64 + 77);
        let (n, d) = ([70, 1000, 4200][random.below(3)], [5, 33, 128][random.below(3)]);
        let (q, o) = ([1, 18, 70][random.below(3)], [1, 7, 40][random.below(3)]);
        let (queries, keys): (Vec<E>, Vec<E>) = data(random, KINDS[case % 5], (q, n, d));
        let values: Vec<E> = random.floats(n * o, -1.0, 1.0);
        let (queries, keys, values) = (Rows::of(&queries, d), Rows::of(&keys, d), Rows::of(&values, o));
        let levels = Level::available();
        let level = levels[case % levels.len()];
        for metric in METRICS {
            let how = How { level, metric, threads: 2, packed: case % 2 == 0 };
            let Some(codes) = how.codes(&keys) else { continue };
            let radius = how.plain().topk::<E>(queries, keys, 7).unwrap().0[6].double();
            let beta = [1.0, 30.0, 1000.0][case % 3];
            for separation in [Separation::from(Threshold(radius)), Separation::from(Softmax(beta))] {
                let (want, scale) = how.plain().retrieve::<E>(queries, keys, values, separation, None).unwrap();
                let read = |threads: usize| {
                    let how = How { threads, ..how };
                    let (mut out, mut scales) = (vec![E::of(f64::NAN); q * o], vec![f64::NAN; q]);
                    how.with([queries, keys], &codes, |coded| {
                        let reading = (separation, values);
                        coded::retrieve(&how.context(), level, coded, reading, &mut out, &mut scales)
                    })
                    .unwrap();
                    (out, scales)
                };
                let (got, scales) = read(2);
                let what = (how, separation, (q, n, d, o));
                assert_eq!(bits(&got), bits(&read(1).0), "threads {what:?}");
                if let Separation::Threshold(_) = separation {
                    assert_eq!((bits(&got), &scales), (bits(&want), &scale), "{what:?}");
                    continue;
                }
                for i in 0..q {
                    close(scales[i], scale[i], 1e-7 + 32.0 * E::UNIT * (1.0 + scale[i].abs()), &what);
                    for j in 0..o {
                        // What is left out, and sums that are taken in another order.
                        let tolerance = 4.0 / (1u64 << 26) as f64 + 64.0 * E::UNIT;
                        close(got[i * o + j].double(), want[i * o + j].double(), tolerance, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn means_in_single_precision() {
    means::<f32>();
}

#[test]
fn means_in_double_precision() {
    means::<f64>();
}

/// Rows that no code can bound, and queries that are no numbers.
#[test]
fn what_has_no_codes() {
    let how = How { level: Level::available()[0], metric: MetricName::Dot, threads: 1, packed: false };
    let rows = |x: &[f64]| how.codes(&Rows::of(x, 2)).is_some();
    assert!(rows(&[0.0, 1.0, 2.0, 3.0]));
    assert!(!rows(&[1.0, 2.0, 1.0, 2.0]), "all alike");
    assert!(!rows(&[1.0, f64::NAN, 1.0, 2.0]));
    assert!(!rows(&[1.0, f64::INFINITY, 1.0, 2.0]));
    assert!(!rows(&[1e308, 0.0, -1e308, 0.0]), "no range");
    let of = |metric| How { metric, ..how }.codes(&Rows::of(&[0.5, 0.5, 0.1, 0.9], 2)).is_some();
    assert!(!of(MetricName::Kl) && !of(MetricName::JensenShannon));

    let keys: Vec<f32> = Random(5).floats(500 * 8, 0.0, 1.0);
    let keys = Rows::of(&keys, 8);
    let codes = how.codes(&keys).unwrap();
    let mut queries = vec![0.5f32; 3 * 8];
    queries[9] = f32::NAN;
    let (mut scores, mut indices) = (vec![0.0f32; 3], vec![-1; 3]);
    let error = how.with([Rows::of(&queries, 8), keys], &codes, |coded| {
        coded::topk(&how.context(), how.level, coded, 1, &mut scores, &mut indices)
    });
    assert_eq!(error, Err(Error::NonFinite(_core::error::Side::Query, 1)));
}
