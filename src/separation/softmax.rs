//! exp(beta s): relative to the largest score, and with weights to the largest sum of both logarithms.

use super::{Marks, Real, Scores, Separate, Separation, Threshold, Top, larger};
use crate::error::Error;
use crate::simd::{Float, Vector, math};

/// exp(beta s), by beta.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softmax(pub f64);

impl Separate for Softmax {
    fn new(beta: f64) -> Result<Self, Error> {
        if beta.is_finite() && beta >= 0.0 {
            Ok(Softmax(beta))
        } else {
            Err(Error::Argument(format!("beta must be finite and at least 0, got {beta}")))
        }
    }

    /// exp(0 s) is 1 whatever s, even where 0 s would be no number.
    fn simplest(self, sign: f64) -> Separation {
        if self.0 == 0.0 { Threshold(-sign * f64::INFINITY).into() } else { self.into() }
    }

    fn term(self, log_weight: f64) -> f64 {
        log_weight
    }

    fn nothing<E: Real>(self) -> Top<E> {
        Top { score: -E::INFINITY, bias: E::ZERO }
    }

    #[inline(always)]
    fn reference<E: Real>(self, a: Top<E>, b: Top<E>, weighted: bool) -> Top<E> {
        let score = larger(a.score, b.score);
        if !weighted || score == -E::INFINITY {
            return Top { score, bias: E::ZERO };
        }
        let gain = E::from_f64(self.0).to_f64();
        let bias = |top: Top<E>| top.bias.to_f64() + gain * (top.score.to_f64() - score.to_f64());
        Top { score, bias: E::from_f64(bias(a).max(bias(b))) }
    }

    #[inline(always)]
    unsafe fn weigh<V: Vector<E: Real>>(
        self,
        scores: Scores<V::E>,
        old: Top<V::E>,
        marks: &mut Marks,
    ) -> (Top<V::E>, V) {
        let Scores { row, n, terms, sign } = scores;
        let (zero, sign) = (V::splat(V::E::ZERO), V::splat(sign));
        let none = V::splat(-V::E::INFINITY);
        let (mut largest, mut smallest) = (none, V::splat(V::E::INFINITY));
        // The new score comes second: a register maximum answers with its second operand where one is NaN.
        // A key of weight zero counts as infinitely far.
        each!(V, row, n, terms, none, |s, term| V::select_lt(none, term, s.mul(sign), none), |s| {
            largest = largest.max(s);
            smallest = smallest.min(s);
        });
        let mut new = Top { score: largest.largest(), bias: V::E::ZERO };
        let lowest = -zero.sub(smallest).largest();
        let beta = V::E::from_f64(self.0);
        let gain = V::splat(beta);
        let mut mass = zero;
        // A row without any weight has no largest score; relative to 0 all its weights are exp(-inf) = 0.
        let above = |top: Top<V::E>| if top.score == -V::E::INFINITY { V::E::ZERO } else { top.score };
        if terms.is_none() {
            new = self.reference(old, new, false);
            let reference = V::splat(above(new));
            each!(V, row, n, None, zero, |s, _none| math::exp(s.sub(reference).mul(gain)), |w| mass = mass.add(w));
            marks.dense = beta * (lowest - new.score) > V::E::EXP_MIN + V::E::ONE;
        } else {
            let reference = V::splat(above(Top { score: larger(old.score, new.score), ..new }));
            let mut highest = none;
            each!(V, row, n, terms, none, |s, term| s.sub(reference).fma(gain, term), |y| highest = highest.max(y));
            new = Top { score: larger(old.score, new.score), bias: highest.largest() };
            new = self.reference(old, new, true);
            let bias = V::splat(if new.bias == -V::E::INFINITY { V::E::ZERO } else { new.bias });
            each!(V, row, n, None, zero, |y, _none| math::exp(y.sub(bias)), |w| mass = mass.add(w));
        }
        (new, mass)
    }

    fn rescale<E: Real>(self, old: Top<E>, new: Top<E>) -> E {
        let gain = E::from_f64(self.0).to_f64();
        let (a, b) = (old.score.to_f64(), new.score.to_f64());
        E::from_f64((gain * (a - b) + (old.bias.to_f64() - new.bias.to_f64())).exp())
    }

    fn log_scale<E: Real>(self, top: Top<E>) -> f64 {
        E::from_f64(self.0).to_f64() * top.score.to_f64() + top.bias.to_f64()
    }
}
