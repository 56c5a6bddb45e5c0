//! The root and the logarithm of scores that must not be negative.

use super::{Marks, Real, Scores, Separate, Top};
use crate::error::Error;
use crate::simd::{Float, Vector, math};

/// The root of s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sqrt;

/// ln s; 0 counts as the smallest normal number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Log;

macro_rules! root {
    ($root:ident, logarithm: $logarithm:literal) => {
        impl Separate for $root {
            fn new(_none: f64) -> Result<Self, Error> {
                Ok($root)
            }
            #[inline(always)]
            unsafe fn weigh<V: Vector<E: Real>>(
                self,
                scores: Scores<V::E>,
                old: Top<V::E>,
                marks: &mut Marks,
            ) -> (Top<V::E>, V) {
                (old, weigh::<V>($logarithm, scores, marks))
            }
        }
    };
}
root!(Sqrt, logarithm: false);
root!(Log, logarithm: true);

#[inline(always)]
unsafe fn weigh<V: Vector<E: Real>>(logarithm: bool, scores: Scores<V::E>, marks: &mut Marks) -> V {
    let Scores { row, n, terms, sign } = scores;
    let (zero, sign) = (V::splat(V::E::ZERO), V::splat(sign));
    let tiny = V::splat(V::E::MIN_POSITIVE);
    let (mut mass, mut negative) = (zero, 0);
    each!(
        V,
        row,
        n,
        terms,
        zero,
        |s, term| {
            let s = s.mul(sign);
            negative |= s.lt(zero);
            let w = if logarithm { math::ln(tiny.max(s)) } else { s.sqrt() };
            if terms.is_some() { w.mul(term) } else { w }
        },
        |w| mass = mass.add(w.abs())
    );
    marks.negative = negative != 0;
    mass
}
