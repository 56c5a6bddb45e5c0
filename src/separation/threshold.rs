//! 1 within a radius, 0 beyond.

use super::{Marks, Real, Scores, Separate, Top};
use crate::error::Error;
use crate::metric::Score;
use crate::simd::{Float, Vector};

/// 1 where the distance is at most the radius, or the similarity at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold(pub f64);

impl Separate for Threshold {
    fn new(radius: f64) -> Result<Self, Error> {
        if radius.is_nan() {
            return Err(Error::Argument("radius must be a number, got nan".to_owned()));
        }
        Ok(Threshold(radius))
    }

    #[inline(always)]
    unsafe fn weigh<V: Vector<E: Real>>(
        self,
        scores: Scores<V::E>,
        old: Top<V::E>,
        _marks: &mut Marks,
    ) -> (Top<V::E>, V) {
        let Scores { row, n, terms, sign } = scores;
        // Inside means d <= radius or s >= radius: the same test on scores whose sign was turned.
        let bound = V::splat(V::E::above(if sign < V::E::ZERO { self.0 } else { -self.0 }));
        let (zero, one, sign) = (V::splat(V::E::ZERO), V::splat(V::E::ONE), V::splat(sign));
        let mut mass = zero;
        each!(
            V,
            row,
            n,
            terms,
            zero,
            |s, term| {
                let distance = zero.sub(s.mul(sign));
                V::select_lt(distance, bound, if terms.is_some() { term } else { one }, zero)
            },
            |w| mass = mass.add(w)
        );
        (old, mass)
    }
}
