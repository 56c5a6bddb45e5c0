//! Divergences of rows that are read as distributions.

use super::floats::FloatMetric;
use crate::error::Side;
use crate::simd::{Float, Isa, Shaped, Vector, math};

/// Divides a row by its sum; false if the row is not a distribution.
fn normalise<E: Float>(row: &mut [E]) -> Result<(), &'static str> {
    if row.iter().any(|x| !x.to_f64().is_finite()) {
        // Left for the score to show: the search then names the row.
        row.fill(E::from_f64(f64::NAN));
        return Ok(());
    }
    let largest = row.iter().fold(0.0f64, |m, x| m.max(x.to_f64()));
    if row.iter().any(|x| *x < E::ZERO) {
        return Err("has a negative entry");
    }
    if largest == 0.0 {
        return Err("has only zeros");
    }
    let sum: f64 = row.iter().map(|x| x.to_f64() / largest).sum();
    for x in row {
        *x = E::from_f64(x.to_f64() / largest / sum);
    }
    Ok(())
}

/// sum p ln(p / r), where the key is p (`KEY_FIRST`) or r: the p ln p are the row's own, the rest is a product.
///
/// Both logarithms are taken against the uniform distribution 1/d, which leaves the sum as it is and the terms small.
/// An r of 0 stands in the product as a penalty so large that any mass of p on it shows: the divergence is then infinite.
pub struct Divergence<const KEY_FIRST: bool>;
impl<V: Vector, const KEY_FIRST: bool> FloatMetric<V> for Divergence<KEY_FIRST> {
    const PREPARES: bool = true;
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], side: Side) -> Result<V::E, &'static str> {
        normalise(row)?;
        let d = row.len() as f64;
        let mut own = 0.0;
        for x in row {
            let p = x.to_f64();
            if (side == Side::Key) == KEY_FIRST {
                if p < V::E::DUST.to_f64() {
                    *x = V::E::ZERO;
                } else {
                    own += p * (p * d).ln();
                }
            } else {
                *x = if p == 0.0 { -V::E::PENALTY } else { V::E::from_f64((p * d).ln()) };
            }
        }
        Ok(V::E::from_f64(own))
    }
    #[inline(always)]
    unsafe fn step(_one: V, acc: V, key: V, query: V) -> V {
        key.fma(query, acc)
    }
    #[inline(always)]
    unsafe fn finish(acc: V, terms: V) -> V {
        let divergence = terms.sub(acc).max(V::splat(V::E::ZERO));
        let forbidden = V::splat(V::E::from_f64(-1e5));
        V::select_lt(acc, forbidden, V::splat(V::E::INFINITY), divergence)
    }
}

/// Root of the Jensen-Shannon divergence (natural logarithm) of the rows as distributions.
pub struct JensenShannon;
impl<V: Vector> FloatMetric<V> for JensenShannon {
    const PREPARES: bool = true;
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::elaborate::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], _side: Side) -> Result<V::E, &'static str> {
        normalise(row)?;
        Ok(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn step(_one: V, acc: V, key: V, query: V) -> V {
        acc.add(math::jensen_shannon(key, query))
    }
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        acc.max(V::splat(V::E::ZERO)).mul(V::splat(V::E::from_f64(0.5))).sqrt()
    }
}
