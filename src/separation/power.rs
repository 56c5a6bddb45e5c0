//! s^n and max(s, 0)^n, relative to the largest magnitude of a score.

use super::{Marks, Real, Scores, Separate, Top, larger};
use crate::error::Error;
use crate::simd::{Float, Vector, math};

/// s^n, by n.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power(pub u32);

/// max(s, 0)^n, by n.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rectified(pub u32);

macro_rules! power {
    ($power:ident, rectified: $rectified:literal) => {
        impl Separate for $power {
            fn new(n: f64) -> Result<Self, Error> {
                Ok($power(whole(n)?))
            }
            #[inline(always)]
            unsafe fn weigh<V: Vector<E: Real>>(
                self,
                scores: Scores<V::E>,
                old: Top<V::E>,
                _marks: &mut Marks,
            ) -> (Top<V::E>, V) {
                weigh::<V>(self.0, $rectified, scores, old)
            }
            fn rescale<E: Real>(self, old: Top<E>, new: Top<E>) -> E {
                E::from_f64((old.score.to_f64() / new.score.to_f64()).powi(self.0 as i32))
            }
            fn log_scale<E: Real>(self, top: Top<E>) -> f64 {
                self.0 as f64 * top.score.to_f64().ln()
            }
        }
    };
}
power!(Power, rectified: false);
power!(Rectified, rectified: true);

fn whole(n: f64) -> Result<u32, Error> {
    if n >= 1.0 && n <= i32::MAX as f64 && n.fract() == 0.0 {
        Ok(n as u32)
    } else {
        Err(Error::Argument(format!("a power must be a whole number from 1 on, got {n}")))
    }
}

#[inline(always)]
unsafe fn weigh<V: Vector<E: Real>>(
    exponent: u32,
    rectified: bool,
    scores: Scores<V::E>,
    old: Top<V::E>,
) -> (Top<V::E>, V) {
    let Scores { row, n, terms, sign } = scores;
    let (zero, sign) = (V::splat(V::E::ZERO), V::splat(sign));
    let mut largest = zero;
    let floor = V::splat(if rectified { V::E::ZERO } else { -V::E::INFINITY });
    each!(V, row, n, None, zero, |s, _none| floor.max(s.mul(sign)), |s| largest = largest.max(s.abs()));
    let new = Top { score: larger(old.score, largest.largest()), bias: V::E::ZERO };
    let reference = V::splat(if new.score == V::E::ZERO { V::E::ONE } else { new.score });
    let mut mass = zero;
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
    (new, mass)
}
