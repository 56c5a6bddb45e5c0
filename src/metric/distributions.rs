//! Divergences of rows that are read as distributions.

use super::floats::FloatMetric;
use crate::error::Side;
use crate::simd::{Float, Isa, Shaped, Vector, math};

/// What a row is divided by to become a distribution.
struct Sum {
    largest: f64,
    /// Of the entries divided by the largest: the sum itself may overflow.
    share: f64,
}

impl Sum {
    /// The mass of an entry.
    fn mass(&self, x: f64) -> f64 {
        x / self.largest / self.share
    }
    /// The logarithm of d times that mass, which may be too small to be a number itself.
    fn log(&self, x: f64, d: f64) -> f64 {
        x.ln() - self.largest.ln() - self.share.ln() + d.ln()
    }
}

/// The sum of a row; none if it has a NaN or an infinity, which is left for the score to show: the search then names the row.
fn sum_of<E: Float>(row: &mut [E]) -> Result<Option<Sum>, &'static str> {
    if row.iter().any(|x| !x.to_f64().is_finite()) {
        row.fill(E::from_f64(f64::NAN));
        return Ok(None);
    }
    let largest = row.iter().fold(0.0f64, |m, x| m.max(x.to_f64()));
    if row.iter().any(|x| *x < E::ZERO) {
        return Err("has a negative entry");
    }
    if largest == 0.0 {
        return Err("has only zeros");
    }
    Ok(Some(Sum { largest, share: row.iter().map(|x| x.to_f64() / largest).sum() }))
}

/// sum p ln(p / r), where the key is p (`KEY_FIRST`) or r: the p ln p are the row's own, the rest is a product.
///
/// Both logarithms are taken against the uniform distribution 1/d, which leaves the sum as it is and the terms small.
/// An r of 0 stands in the product as a penalty so large that any mass of p on it shows: the divergence is then infinite. So
/// that it shows however small it is, a mass of p above 0 counts as [`Float::DUST`] at least, which is nothing beside the
/// rounding of the sum. Whether a mass is 0 is asked of the entry, since what division by the sum leaves may be none.
pub struct Divergence<const KEY_FIRST: bool>;
impl<V: Vector, const KEY_FIRST: bool> FloatMetric<V> for Divergence<KEY_FIRST> {
    const PREPARES: bool = true;
    const SHOWS: bool = false;
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], side: Side) -> Result<V::E, &'static str> {
        let Some(sum) = sum_of(row)? else { return Ok(V::E::ZERO) };
        let d = row.len() as f64;
        let mut own = 0.0;
        for x in row {
            let entry = x.to_f64();
            let mass = V::E::from_f64(sum.mass(entry));
            let p = mass.to_f64();
            *x = match (side == Side::Key) == KEY_FIRST {
                true if entry == 0.0 => V::E::ZERO,
                true if mass < V::E::DUST => V::E::DUST,
                true => {
                    own += p * (p * d).ln();
                    mass
                }
                false if entry == 0.0 => -V::E::PENALTY,
                false if mass < V::E::MIN_POSITIVE => V::E::from_f64(sum.log(entry, d)),
                false => V::E::from_f64((p * d).ln()),
            };
        }
        Ok(V::E::from_f64(own))
    }
    #[inline(always)]
    unsafe fn step(_weight: V, acc: V, key: V, query: V) -> V {
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
    const SHOWS: bool = false;
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::elaborate::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], _side: Side) -> Result<V::E, &'static str> {
        if let Some(sum) = sum_of(row)? {
            for x in row {
                *x = V::E::from_f64(sum.mass(x.to_f64()));
            }
        }
        Ok(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn step(_weight: V, acc: V, key: V, query: V) -> V {
        acc.add(math::jensen_shannon(key, query))
    }
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        acc.max(V::splat(V::E::ZERO)).mul(V::splat(V::E::from_f64(0.5))).sqrt()
    }
}
