//! Metrics of queries whose columns have weights of at least zero: one is known, or is not, or counts so much.
//!
//! Differences take the weight where they are summed ([`floats`](super::floats)), bits where they are counted
//! ([`hamming`](super::hamming)); where weights are 0 and 1 alone, squares take them on the way to the difference, which costs
//! nothing. The cosine has norms that depend on the weights, and so a sum of its own for that of the key.

use super::floats::{MASKED, OnFloats, WEIGHTED};
use super::hamming::{BitMetric, Counted};
use super::{Facing, Metric, OfMetric, Pair, Score, bytes::OnBytes, floats};
use crate::simd::{Float, Isa, Shaped, Vector};
use crate::table::Element;
use std::marker::PhantomData;

/// A metric that knows weights, with floats for scores.
pub trait OfKnown {
    /// What is to be made of it; `whole` says that all weights are 0 or 1.
    fn of<I: Isa, V: Vector<E: Element + Score> + 'static, K: OfMetric<V::E>>(whole: bool) -> K;
}

/// Squared differences, or their root.
pub struct KnownSquares<const ROOT: bool>;
impl<const ROOT: bool> OfKnown for KnownSquares<ROOT> {
    fn of<I: Isa, V: Vector<E: Element + Score> + 'static, K: OfMetric<V::E>>(whole: bool) -> K {
        if whole {
            K::of::<I, OnFloats<V, floats::Euclidean<ROOT, MASKED>>>()
        } else {
            K::of::<I, OnFloats<V, floats::Euclidean<ROOT, WEIGHTED>>>()
        }
    }
}

/// Magnitudes of differences.
pub struct KnownMagnitudes;
impl OfKnown for KnownMagnitudes {
    fn of<I: Isa, V: Vector<E: Element + Score> + 'static, K: OfMetric<V::E>>(_whole: bool) -> K {
        K::of::<I, OnFloats<V, floats::Manhattan<true>>>()
    }
}

/// How many of the known bits differ.
pub struct KnownBits;
impl BitMetric for KnownBits {
    fn of<I: Isa, T: Score, K: OfMetric<T>>() -> K {
        if I::counting() {
            K::of::<I::Counting, OnBytes<Counted<T, true>>>()
        } else {
            K::of::<I, OnBytes<Counted<T, true>>>()
        }
    }
}
impl OfKnown for KnownBits {
    fn of<I: Isa, V: Vector<E: Element + Score> + 'static, K: OfMetric<V::E>>(_whole: bool) -> K {
        <Self as BitMetric>::of::<I, V::E, K>()
    }
}

/// 1 - sum w x k / sqrt(sum w x^2 sum w k^2), between 0 and 2; a row of zeros where it counts is at distance 1.
pub struct KnownCosine;
impl OfKnown for KnownCosine {
    fn of<I: Isa, V: Vector<E: Element + Score> + 'static, K: OfMetric<V::E>>(_whole: bool) -> K {
        K::of::<I, CosineOfKnown<V>>()
    }
}

/// The cosine. Keys are of any length, so that what a column of no weight holds takes no digits from the others; a query
/// becomes w x / sqrt(sum w x^2), its largest weight 1. Squares of keys end at [`Float::LIFT`]: times no weight they are then
/// nothing, and times one they are seen.
pub struct CosineOfKnown<V>(PhantomData<V>);

impl<V> CosineOfKnown<V>
where
    V: Vector + 'static,
    V::E: Element + Score,
{
    /// Scores below this are taken again.
    fn doubt() -> V::E {
        V::E::from_f64(1.0 / 64.0)
    }

    /// The distance to the key in a lane: half the squared distance of the rows scaled to length 1 where they count, in
    /// double precision and with a scale of its own, so that neither a close direction nor a small part of a row loses it.
    unsafe fn distance(pair: &Pair<V::E>, lane: usize) -> f64 {
        let words = || {
            (0..pair.words).map(|word| {
                let key = pair.keys.cast::<V::E>().add(word * V::LANES + lane).read().to_f64();
                let query = pair.query.add(word * pair.stride).cast::<V::E>();
                (key, query.read().to_f64(), query.add(1).read().to_f64())
            })
        };
        let largest =
            words().filter(|&(_, _, weight)| weight > 0.0).fold(0.0f64, |most, (key, ..)| most.max(key.abs()));
        let part =
            |(key, _, weight): (f64, f64, f64)| if weight > 0.0 { weight * (key / largest).powi(2) } else { 0.0 };
        let square: f64 = words().map(part).sum();
        if largest == 0.0 || square == 0.0 || words().all(|(_, query, _)| query == 0.0) {
            return 1.0;
        }
        let length = square.sqrt();
        let apart = |(key, query, weight): (f64, f64, f64)| {
            if weight > 0.0 { (query - weight * (key / largest / length)).powi(2) / weight } else { 0.0 }
        };
        (words().map(apart).sum::<f64>() / 2.0).min(2.0)
    }
}

impl<I: Isa, V> Metric<I> for CosineOfKnown<V>
where
    V: Vector + 'static,
    V::E: Element + Score,
{
    type Element = V::E;
    type Score = V::E;
    type Carrier = V;
    /// The product, and the key's square.
    type Acc = [V; 2];
    /// The keys and their squares.
    type Key = [V; 2];
    /// Zero or a NaN, and the smallest score.
    type Marks = [V; 2];
    type Constant = ();
    const FOLD: usize = <OnFloats<V, floats::Cosine> as Metric<I>>::FOLD;
    const PREPARES: bool = false;
    const TERMS: bool = true;
    const KNOWN: bool = true;

    #[inline(always)]
    fn tiles<S: Shaped>() -> S::Out {
        I::absolute::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(_row: &mut [V::E], _facing: Facing) -> Result<V::E, &'static str> {
        Ok(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn prepare_known(row: &mut [V::E], weights: &mut [V::E], _facing: Facing) -> Result<V::E, &'static str> {
        let most = weights.iter().fold(0.0f64, |most, w| most.max(w.to_f64()));
        for w in weights.iter_mut() {
            *w = V::E::from_f64(w.to_f64() / most);
        }
        let both = || row.iter().zip(weights.iter()).map(|(x, w)| (x.to_f64(), w.to_f64()));
        let largest = both().filter(|&(_, w)| w > 0.0).fold(0.0f64, |most, (x, _)| most.max(x.abs()));
        let length = both().map(|(x, w)| w * (x / largest).powi(2)).sum::<f64>().sqrt();
        for (x, w) in row.iter_mut().zip(weights.iter()) {
            // A NaN stays one, and shows in the score.
            let part = if largest > 0.0 { x.to_f64() / largest / length } else { x.to_f64() };
            *x = V::E::from_f64(part * w.to_f64());
        }
        Ok(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn zero() -> [V; 2] {
        [V::splat(V::E::ZERO); 2]
    }
    #[inline(always)]
    unsafe fn constant(_panel: usize) {}
    #[inline(always)]
    unsafe fn key(p: *const u8) -> [V; 2] {
        let key = V::load(p.cast());
        [key, key.mul(key).min(V::splat(V::E::LIFT))]
    }
    #[inline(always)]
    unsafe fn step(_: (), acc: [V; 2], key: [V; 2], query: *const u8) -> [V; 2] {
        let query = query.cast::<V::E>();
        [key[0].fma(V::splat(query.read()), acc[0]), key[1].fma(V::splat(query.add(1).read()), acc[1])]
    }
    #[inline(always)]
    unsafe fn fold(total: [V; 2], acc: [V; 2]) -> [V; 2] {
        [total[0].add(acc[0]), total[1].add(acc[1])]
    }
    #[inline(always)]
    unsafe fn unmarked() -> [V; 2] {
        [V::splat(V::E::ZERO), V::splat(V::E::INFINITY)]
    }
    #[inline(always)]
    unsafe fn finish(
        [product, square]: [V; 2],
        _key_terms: *const V::E,
        _query_term: V::E,
        out: *mut V::E,
        marks: &mut [V; 2],
    ) {
        let (zero, one) = (V::splat(V::E::ZERO), V::splat(V::E::ONE));
        // Zero times a finite number is zero, times anything else a NaN, and a NaN stays in a sum.
        marks[0] = product.fma(zero, square.fma(zero, marks[0]));
        let distance = one.sub(product.div(square.sqrt()));
        let distance = distance.max(zero).min(V::splat(V::E::from_f64(2.0)));
        // What is left of so small a square has no digits; in so large a one a part may have ended early.
        let (small, large) = (V::E::SMALL * V::E::SMALL, V::E::LIFT * V::E::from_f64((-40.0f64).exp2()));
        let distance = V::select_lt(square, V::splat(small), zero, distance);
        let distance = V::select_lt(square, V::splat(large), distance, zero);
        marks[1] = distance.min(marks[1]);
        distance.store(out);
    }
    #[inline(always)]
    unsafe fn settled([odd, least]: [V; 2]) -> bool {
        odd.lt(V::splat(V::E::ONE)) == floats::all::<V>(V::LANES) && least.lt(V::splat(Self::doubt())) == 0
    }
    unsafe fn again(pair: &Pair<V::E>) -> bool {
        let mut finite = true;
        for lane in 0..pair.real {
            let score = pair.out.add(lane);
            let settled = *score >= Self::doubt(); // A NaN is not.
            if !settled {
                let distance = Self::distance(pair, lane);
                finite &= distance.is_finite();
                *score = V::E::from_f64(distance);
            }
        }
        finite
    }
}
