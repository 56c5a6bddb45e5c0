//! s^n and max(s, 0)^n, relative to the largest magnitude of a score.

use super::{Marks, Real, Scores, Separate, Top, larger};
use crate::error::Error;
use crate::simd::{Float, Vector, math};

/// s^n, by n; scores must not be negative if n is not whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power(pub f64);

/// max(s, 0)^n, by n.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rectified(pub f64);

macro_rules! power {
    ($power:ident, rectified: $rectified:literal) => {
        impl Separate for $power {
            fn new(n: f64) -> Result<Self, Error> {
                if n > 0.0 && n <= i32::MAX as f64 {
                    Ok($power(n))
                } else {
                    Err(Error::Argument(format!("a power must be a number above 0 and below 2^31, got {n}")))
                }
            }
            #[inline(always)]
            unsafe fn weigh<V: Vector<E: Real>>(
                self,
                scores: Scores<V::E>,
                old: Top<V::E>,
                marks: &mut Marks,
            ) -> (Top<V::E>, V) {
                weigh::<V>(self.0, $rectified, scores, old, marks)
            }
            fn rescale<E: Real>(self, old: Top<E>, new: Top<E>) -> E {
                let ratio = old.score.to_f64() / new.score.to_f64();
                E::from_f64(if self.0.fract() == 0.0 { ratio.powi(self.0 as i32) } else { ratio.powf(self.0) })
            }
            fn log_scale<E: Real>(self, top: Top<E>) -> f64 {
                self.0 * top.score.to_f64().ln()
            }
        }
    };
}
power!(Power, rectified: false);
power!(Rectified, rectified: true);

#[inline(always)]
unsafe fn weigh<V: Vector<E: Real>>(
    exponent: f64,
    rectified: bool,
    scores: Scores<V::E>,
    old: Top<V::E>,
    marks: &mut Marks,
) -> (Top<V::E>, V) {
    let Scores { row, n, terms, sign } = scores;
    let (zero, sign) = (V::splat(V::E::ZERO), V::splat(sign));
    let (mut largest, mut smallest) = (zero, zero);
    let floor = V::splat(if rectified { V::E::ZERO } else { -V::E::INFINITY });
    each!(V, row, n, None, zero, |s, _none| floor.max(s.mul(sign)), |s| {
        largest = largest.max(s.abs());
        smallest = smallest.min(s);
    });
    let new = Top { score: larger(old.score, largest.largest()), bias: V::E::ZERO };
    let reference = V::splat(if new.score == V::E::ZERO { V::E::ONE } else { new.score });
    let mut mass = zero;
    if exponent.fract() == 0.0 {
        let exponent = exponent as u32;
        each!(
            V,
            row,
            n,
            terms,
            zero,
            |s, term| {
                let w = math::power(s.div(reference), exponent);
                if terms.is_some() { w.mul(term) } else { w }
            },
            |w| mass = mass.add(w.abs())
        );
    } else {
        marks.negative = smallest.lt(zero) != 0;
        let logarithm = math::ln_any(reference);
        let exponent = V::splat(V::E::from_f64(exponent));
        each!(
            V,
            row,
            n,
            terms,
            zero,
            |s, term| {
                let w = fraction(s, reference, logarithm, exponent);
                if terms.is_some() { w.mul(term) } else { w }
            },
            |w| mass = mass.add(w)
        );
    }
    (new, mass)
}

/// (s / reference)^n for 0 <= s <= reference and any n > 0; `logarithm` is that of the reference.
#[inline(always)]
unsafe fn fraction<V: Vector>(s: V, reference: V, logarithm: V, n: V) -> V {
    let (zero, tiny) = (V::splat(V::E::ZERO), V::splat(V::E::MIN_POSITIVE));
    let ratio = s.div(reference);
    // The logarithm of the quotient has more digits, but the quotient may be no number.
    let log = V::select_lt(ratio, tiny, math::ln_any(s).sub(logarithm), math::ln(tiny.max(ratio)));
    V::select_lt(zero, s, math::exp(n.mul(log).min(zero)), zero)
}
