//! Metrics of rows of floats, and the frame that they share.

use super::{Metric, Score};
use crate::error::Side;
use crate::simd::{Float, Isa, Shaped, Vector};
use crate::table::Element;
use std::marker::PhantomData;

/// What a float metric adds to the frame that all float metrics share.
pub trait FloatMetric<V: Vector>: 'static {
    /// See [`Metric::PREPARES`].
    const PREPARES: bool = false;
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
    /// See [`Metric::step`]; `one` is 1 in all lanes.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn step(one: V, acc: V, key: V, query: V) -> V;
    /// The score from the sum of the steps and the rows' own terms.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        acc
    }
}

/// Frame of the float metrics: the rows are floats, a word is one of them.
pub struct OnFloats<V, F>(PhantomData<(V, F)>);

impl<I: Isa, V, F> Metric<I> for OnFloats<V, F>
where
    V: Vector + 'static,
    V::E: Element + Score,
    F: FloatMetric<V>,
{
    type Element = V::E;
    type Score = V::E;
    type Carrier = V;
    type Acc = V;
    type Key = V;
    type Constant = V;
    const FOLD: usize = 256;
    const PREPARES: bool = F::PREPARES;
    const TERMS: bool = true;

    #[inline(always)]
    fn tiles<S: Shaped>() -> S::Out {
        F::tiles::<I, S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], side: Side) -> Result<V::E, &'static str> {
        F::prepare(row, side)
    }
    #[inline(always)]
    unsafe fn zero() -> V {
        V::splat(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn key(p: *const u8) -> V {
        V::load(p.cast())
    }
    #[inline(always)]
    unsafe fn constant(_panel: usize) -> V {
        // Hidden from the compiler, which would else turn a product with it into nothing (see Manhattan).
        V::splat(std::hint::black_box(V::E::ONE))
    }
    #[inline(always)]
    unsafe fn step(one: V, acc: V, key: V, query: *const u8) -> V {
        F::step(one, acc, key, V::splat(query.cast::<V::E>().read()))
    }
    #[inline(always)]
    unsafe fn fold(total: V, acc: V) -> V {
        total.add(acc)
    }
    #[inline(always)]
    unsafe fn finish(acc: V, key_terms: *const V::E, query_term: V::E, out: *mut V::E, odd: &mut V) {
        // Zero times a finite number is zero, times anything else a NaN, and a NaN stays in a sum.
        *odd = acc.fma(V::splat(V::E::ZERO), *odd);
        F::finish(acc, V::load(key_terms).add(V::splat(query_term))).store(out);
    }
    #[inline(always)]
    unsafe fn finite(odd: V) -> bool {
        odd.lt(V::splat(V::E::ONE)) == ((1u64 << V::LANES) - 1) as u32
    }
}

/// x . k
pub struct Dot;
impl<V: Vector> FloatMetric<V> for Dot {
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn step(_one: V, acc: V, key: V, query: V) -> V {
        key.fma(query, acc)
    }
}

/// sum (x - k)^2, or its root: direct differences, so that close rows far from the origin keep their digits.
pub struct Euclidean<const ROOT: bool>;
impl<V: Vector, const ROOT: bool> FloatMetric<V> for Euclidean<ROOT> {
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::difference::<S>()
    }
    #[inline(always)]
    unsafe fn step(_one: V, acc: V, key: V, query: V) -> V {
        let d = key.sub(query);
        d.fma(d, acc)
    }
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        if ROOT { acc.sqrt() } else { acc }
    }
}

/// sum |x - k|. The sum goes through the multiplier, times one, because the adder is busy with the difference.
pub struct Manhattan;
impl<V: Vector> FloatMetric<V> for Manhattan {
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::absolute::<S>()
    }
    #[inline(always)]
    unsafe fn step(one: V, acc: V, key: V, query: V) -> V {
        key.sub(query).abs().fma(one, acc)
    }
}

/// 1 - x . k / (|x| |k|), between 0 and 2; a zero row is at distance 1 from everything.
pub struct Cosine;
impl<V: Vector> FloatMetric<V> for Cosine {
    const PREPARES: bool = true;
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], _side: Side) -> Result<V::E, &'static str> {
        // Scaled by the largest entry first, so that no square overflows or vanishes.
        let largest = row.iter().fold(0.0f64, |m, x| m.max(x.to_f64().abs()));
        if largest > 0.0 {
            let norm = row.iter().map(|x| (x.to_f64() / largest).powi(2)).sum::<f64>().sqrt();
            for x in row {
                *x = V::E::from_f64(x.to_f64() / largest / norm);
            }
        }
        Ok(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn step(_one: V, acc: V, key: V, query: V) -> V {
        key.fma(query, acc)
    }
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        let distance = V::splat(V::E::ONE).sub(acc);
        distance.max(V::splat(V::E::ZERO)).min(V::splat(V::E::from_f64(2.0)))
    }
}
