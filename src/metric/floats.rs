//! Metrics of rows of floats, and the frame that they share.

use super::{Facing, Metric, Pair, Score};
use crate::error::Side;
use crate::simd::{Float, Isa, Shaped, Vector, Widen};
use crate::table::{Dtype, Element};
use std::marker::PhantomData;

/// What a float metric adds to the frame that all float metrics share.
pub trait FloatMetric<V: Vector>: 'static {
    /// See [`Metric::PREPARES`].
    const PREPARES: bool = false;
    /// See [`Metric::KNOWN`].
    const KNOWN: bool = false;
    /// See [`Metric::tiles`].
    fn tiles<I: Isa, S: Shaped>() -> S::Out;
    /// See [`Metric::prepare`].
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    #[inline(always)]
    unsafe fn prepare(_row: &mut [V::E], _side: Side) -> Result<V::E, &'static str> {
        Ok(V::E::ZERO)
    }
    /// See [`Metric::prepare_known`].
    fn prepare_known(_row: &mut [V::E], _weights: &[V::E]) {}
    /// See [`Metric::step`]; `weight` is that of the column if the metric knows weights, else 1, in all lanes.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn step(weight: V, acc: V, key: V, query: V) -> V;
    /// Whether a score that is not finite, of rows that are, is still seen to be so once it is finished.
    const SHOWS: bool = true;
    /// Below this, and where it is not finite, a score has lost digits and is taken [`again`](FloatMetric::again), if at all.
    const DOUBT: Option<Doubt> = None;
    /// The score from the sum of the steps and the rows' own terms.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        acc
    }
    /// The scores of a pair, of which those in doubt are taken by a better way than the steps.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; the pair's rows readable.
    unsafe fn again<S: Kept<V>>(_pair: &Pair<V::E>, scores: V) -> V {
        scores
    }
}

/// How keys are kept in panels.
pub trait Kept<V: Vector>: 'static {
    /// The type of their elements.
    const DTYPE: Dtype;
    /// Its size.
    const BYTES: usize;
    /// A register of keys.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; as many elements readable as the register has lanes.
    unsafe fn load(p: *const u8) -> V;
}

/// As they are scored.
pub struct Own;
impl<V: Vector<E: Element>> Kept<V> for Own {
    const DTYPE: Dtype = V::E::DTYPE;
    const BYTES: usize = size_of::<V::E>();
    #[inline(always)]
    unsafe fn load(p: *const u8) -> V {
        V::load(p.cast())
    }
}

/// In half precision.
pub struct Half;
impl<V: Widen> Kept<V> for Half {
    const DTYPE: Dtype = Dtype::F16;
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn load(p: *const u8) -> V {
        V::half(p.cast())
    }
}

/// The upper halves of singles.
pub struct Brain;
impl<V: Widen> Kept<V> for Brain {
    const DTYPE: Dtype = Dtype::BF16;
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn load(p: *const u8) -> V {
        V::brain(p.cast())
    }
}

/// Which scores are in doubt.
#[derive(Clone, Copy)]
pub enum Doubt {
    /// Squares that may have lost digits to the end of the range.
    Squares,
    /// Their roots.
    Roots,
    /// What is left of 1.
    Rest,
}

impl Doubt {
    /// Scores below this are.
    #[inline(always)]
    fn below<E: Float>(self) -> E {
        match self {
            Doubt::Squares => E::SMALL * E::SMALL,
            Doubt::Roots => E::SMALL,
            Doubt::Rest => E::from_f64(1.0 / 64.0),
        }
    }
}

/// All columns of queries count alike.
pub const ALL: u8 = 0;
/// Their weights are 0 or 1.
pub const MASKED: u8 = 1;
/// They have weights.
pub const WEIGHTED: u8 = 2;

/// A difference that is to be squared, and the same times its column's weight. Queries of which columns count or do not are
/// zero where they do not, and negative.
#[inline(always)]
unsafe fn apart<V: Vector, const KNOWN: u8>(weight: V, key: V, query: V) -> (V, V) {
    if KNOWN == MASKED {
        let d = key.fma(weight, query);
        return (d, d);
    }
    let d = key.sub(query);
    (d, if KNOWN == WEIGHTED { d.mul(weight) } else { d })
}

/// Sum of squared differences, each times `scale` before it is squared if `SCALED`. Four chains, since one would wait for
/// itself at every step.
#[inline(always)]
unsafe fn squares<V: Vector, S: Kept<V>, const SCALED: bool, const KNOWN: u8>(pair: &Pair<V::E>, scale: V) -> V {
    let zero = V::splat(V::E::ZERO);
    let mut total = zero;
    for start in (0..pair.words).step_by(PART) {
        let end = (start + PART).min(pair.words);
        let mut sums = [zero; 4];
        for first in (start..end).step_by(4) {
            for (i, sum) in sums.iter_mut().enumerate().take(end - first) {
                let key = S::load(pair.keys.add((first + i) * V::LANES * S::BYTES));
                let query = pair.query.add((first + i) * pair.stride).cast::<V::E>();
                let weight = V::splat(if KNOWN == ALL { V::E::ONE } else { query.add(1).read() });
                let (mut d, mut times) = apart::<V, KNOWN>(weight, key, V::splat(query.read()));
                if SCALED {
                    (d, times) = (d.mul(scale), times.mul(scale));
                }
                *sum = times.fma(d, *sum);
            }
        }
        total = total.add(sums[0].add(sums[1]).add(sums[2].add(sums[3])));
    }
    total
}

/// Steps of [`squares`] after which its chains are put aside, as [`Metric::FOLD`] does.
const PART: usize = 1024;

/// Frame of the float metrics: the rows are floats, a word is one of them; keys may be kept in fewer bits.
pub struct OnFloats<V, F, S = Own>(PhantomData<(V, F, S)>);

impl<I: Isa, V, F, S> Metric<I> for OnFloats<V, F, S>
where
    V: Vector + 'static,
    V::E: Element + Score,
    F: FloatMetric<V>,
    S: Kept<V>,
{
    type Element = V::E;
    type Score = V::E;
    type Carrier = V;
    type Acc = V;
    type Key = V;
    /// Zero or a NaN, and the smallest score.
    type Marks = [V; 2];
    type Constant = V;
    const FOLD: usize = 256;
    const PREPARES: bool = F::PREPARES;
    const TERMS: bool = true;
    const KNOWN: bool = F::KNOWN;
    const KEPT: Dtype = S::DTYPE;
    const WORD: usize = S::BYTES;
    const QUERY: usize = size_of::<V::E>();
    const STEP: usize = S::BYTES * V::LANES;

    #[inline(always)]
    fn tiles<Of: Shaped>() -> Of::Out {
        F::tiles::<I, Of>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], facing: Facing) -> Result<V::E, &'static str> {
        F::prepare(row, facing.side)
    }
    unsafe fn prepare_known(row: &mut [V::E], weights: &mut [V::E], _facing: Facing) -> Result<V::E, &'static str> {
        F::prepare_known(row, weights);
        Ok(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn zero() -> V {
        V::splat(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn key(p: *const u8) -> V {
        S::load(p)
    }
    #[inline(always)]
    unsafe fn constant(_panel: usize) -> V {
        // Hidden from the compiler, which would else turn a product with it into nothing (see Manhattan).
        V::splat(std::hint::black_box(V::E::ONE))
    }
    #[inline(always)]
    unsafe fn step(one: V, acc: V, key: V, query: *const u8) -> V {
        let query = query.cast::<V::E>();
        let weight = if F::KNOWN { V::splat(query.add(1).read()) } else { one };
        F::step(weight, acc, key, V::splat(query.read()))
    }
    #[inline(always)]
    unsafe fn fold(total: V, acc: V) -> V {
        total.add(acc)
    }
    #[inline(always)]
    unsafe fn finish(acc: V, key_terms: *const V::E, query_term: V::E, out: *mut V::E, marks: &mut [V; 2]) {
        // Zero times a finite number is zero, times anything else a NaN, and a NaN stays in a sum.
        marks[0] = acc.fma(V::splat(V::E::ZERO), marks[0]);
        let score = F::finish(acc, V::load(key_terms).add(V::splat(query_term)));
        if F::DOUBT.is_some() {
            marks[1] = score.min(marks[1]);
        }
        score.store(out);
    }
    #[inline(always)]
    unsafe fn unmarked() -> [V; 2] {
        [V::splat(V::E::ZERO), V::splat(V::E::INFINITY)]
    }
    #[inline(always)]
    unsafe fn settled([odd, least]: [V; 2]) -> bool {
        let clear = F::DOUBT.is_none_or(|doubt| least.lt(V::splat(doubt.below())) == 0);
        odd.lt(V::splat(V::E::ONE)) == all::<V>(V::LANES) && clear
    }
    #[inline(always)]
    unsafe fn again(pair: &Pair<V::E>) -> bool {
        if !F::SHOWS {
            return false;
        }
        let (real, zero) = (all::<V>(pair.real), V::splat(V::E::ZERO));
        let finite = |scores: V| scores.fma(zero, zero).lt(V::splat(V::E::ONE)) & real;
        let mut scores = V::load(pair.out);
        if let Some(doubt) = F::DOUBT {
            let low = scores.lt(V::splat(doubt.below())) & real;
            if low != 0 || finite(scores) != real {
                scores = F::again::<S>(pair, scores);
                scores.store(pair.out);
            }
        }
        finite(scores) == real
    }
}

/// The first `n` lanes.
pub(super) fn all<V: Vector>(n: usize) -> u32 {
    debug_assert!(n <= V::LANES);
    ((1u64 << n) - 1) as u32
}

/// x . k
pub struct Dot;
impl<V: Vector> FloatMetric<V> for Dot {
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn step(_weight: V, acc: V, key: V, query: V) -> V {
        key.fma(query, acc)
    }
}

/// sum (x - k)^2, or its root: direct differences, so that close rows far from the origin keep their digits. Where squares
/// may have left the range of their type, differences are scaled before they are squared.
pub struct Euclidean<const ROOT: bool, const KNOWN: u8 = ALL>;
impl<V: Vector, const ROOT: bool, const KNOWN: u8> FloatMetric<V> for Euclidean<ROOT, KNOWN> {
    const KNOWN: bool = KNOWN != ALL;
    const DOUBT: Option<Doubt> = Some(if ROOT { Doubt::Roots } else { Doubt::Squares });
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::difference::<S>()
    }
    #[inline(always)]
    unsafe fn step(weight: V, acc: V, key: V, query: V) -> V {
        let (d, times) = apart::<V, KNOWN>(weight, key, query);
        times.fma(d, acc)
    }
    fn prepare_known(row: &mut [V::E], weights: &[V::E]) {
        if KNOWN == MASKED {
            for (x, &w) in row.iter_mut().zip(weights) {
                *x = -(*x * w);
            }
        }
    }
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        if ROOT { acc.sqrt() } else { acc }
    }
    #[inline(always)]
    unsafe fn again<S: Kept<V>>(pair: &Pair<V::E>, scores: V) -> V {
        let low = V::splat(if ROOT { Doubt::Roots } else { Doubt::Squares }.below());
        let (high, one) = (V::splat(V::E::INFINITY), V::splat(V::E::ONE));
        let (up, down) = (V::splat(V::E::LIFT), V::splat(V::E::ONE / V::E::LIFT));
        let scale = V::select_lt(scores, low, up, V::select_lt(scores, high, one, down));
        let back = V::select_lt(scores, low, down, V::select_lt(scores, high, one, up));
        let sum = squares::<V, S, true, KNOWN>(pair, scale);
        let again = if ROOT { sum.sqrt().mul(back) } else { sum.mul(back).mul(back) };
        V::select_lt(scores, low, again, V::select_lt(scores, high, scores, again))
    }
}

/// sum |x - k|. The sum goes through the multiplier, times one or the column's weight, because the adder is busy with the
/// difference.
pub struct Manhattan<const KNOWN: bool = false>;
impl<V: Vector, const KNOWN: bool> FloatMetric<V> for Manhattan<KNOWN> {
    const KNOWN: bool = KNOWN;
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::absolute::<S>()
    }
    #[inline(always)]
    unsafe fn step(weight: V, acc: V, key: V, query: V) -> V {
        key.sub(query).abs().fma(weight, acc)
    }
}

/// Sums of squares of which none that matters has overflowed or vanished.
const SAFE: std::ops::Range<f64> = 1e-200..1e200;

/// The sum of the squares of what `of` makes of the entries, many at a time.
#[inline(always)]
fn squared<E: Float>(row: &[E], of: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; 16];
    let mut add = |some: &[E]| {
        for (sum, x) in sums.iter_mut().zip(some) {
            *sum += of(x.to_f64()) * of(x.to_f64());
        }
    };
    let (whole, rest) = row.as_chunks::<16>();
    whole.iter().for_each(|some| add(some));
    add(rest);
    sums.iter().sum()
}

/// 1 - x . k / (|x| |k|), between 0 and 2; a zero row is at distance 1 from everything. Where the two directions are close
/// that difference cancels; half the squared distance of the rows scaled to length 1 is the same and does not.
pub struct Cosine;
impl<V: Vector> FloatMetric<V> for Cosine {
    const DOUBT: Option<Doubt> = Some(Doubt::Rest);
    const PREPARES: bool = true;
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], _side: Side) -> Result<V::E, &'static str> {
        let sum = squared(row, |x| x);
        if SAFE.contains(&sum) {
            let (length, inverse) = (sum.sqrt(), 1.0 / sum.sqrt());
            for x in row {
                // A product is near enough where what it is rounded to has half the digits.
                let single = size_of::<V::E>() == 4;
                *x = V::E::from_f64(if single { x.to_f64() * inverse } else { x.to_f64() / length });
            }
            return Ok(V::E::ZERO);
        }
        // Scaled by the largest entry first, so that no square overflows or vanishes.
        let largest = row.iter().fold(0.0f64, |m, x| m.max(x.to_f64().abs()));
        if largest > 0.0 {
            let length = squared(row, |x| x / largest).sqrt();
            for x in row {
                *x = V::E::from_f64(x.to_f64() / largest / length);
            }
        }
        Ok(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn step(_weight: V, acc: V, key: V, query: V) -> V {
        key.fma(query, acc)
    }
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        let distance = V::splat(V::E::ONE).sub(acc);
        distance.max(V::splat(V::E::ZERO)).min(V::splat(V::E::from_f64(2.0)))
    }
    #[inline(always)]
    unsafe fn again<S: Kept<V>>(pair: &Pair<V::E>, scores: V) -> V {
        let half = squares::<V, S, false, ALL>(pair, scores).mul(V::splat(V::E::from_f64(0.5)));
        V::select_lt(scores, V::splat(Doubt::Rest.below()), half, scores)
    }
}
