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
        let bias = |top: Top<E>| top.bias.to_f64() + self.above::<E>(top.score, score);
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
        let reach = lowest - larger(old.score, new.score);
        if !(usual(beta) && (reach > -V::E::INFINITY || lowest == -V::E::INFINITY)) {
            let mut sum = V::E::ZERO;
            let new = self.weigh_widely(scores, V::LANES, old, new, &mut sum);
            return (new, V::load_first(&sum, 1));
        }
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
        E::from_f64((self.above(old.score, new.score) + (old.bias.to_f64() - new.bias.to_f64())).exp())
    }

    fn log_scale<E: Real>(self, top: Top<E>) -> f64 {
        self.gain::<E>() * top.score.to_f64() + top.bias.to_f64()
    }
}

impl Softmax {
    /// beta as the weights are computed with it: in their type, where that has it.
    fn gain<E: Real>(self) -> f64 {
        let beta = E::from_f64(self.0);
        if usual(beta) { beta.to_f64() } else { self.0 }
    }

    /// beta times what a score is above another. By halves, since the difference of two large scores may be no number.
    fn above<E: Real>(self, score: E, other: E) -> f64 {
        self.gain::<E>() * (0.5 * score.to_f64() - 0.5 * other.to_f64()) * 2.0
    }

    /// The weights one by one in double precision: for a beta that the type of the scores does not have, or scores whose
    /// difference it does not. `scores` have been multiplied by their sign.
    #[cold]
    unsafe fn weigh_widely<E: Real>(
        self,
        scores: Scores<E>,
        lanes: usize,
        old: Top<E>,
        new: Top<E>,
        mass: &mut E,
    ) -> Top<E> {
        let Scores { row, n, terms, .. } = scores;
        let row = std::slice::from_raw_parts_mut(row, n.next_multiple_of(lanes));
        let highest = larger(old.score, new.score);
        let reference = if highest == -E::INFINITY { E::ZERO } else { highest };
        let logarithm = |i: usize, s: E| match terms {
            // A key of weight zero, whose score counts as infinitely low.
            _ if s == -E::INFINITY => f64::NEG_INFINITY,
            Some(terms) => self.above(s, reference) + (*terms.add(i)).to_f64(),
            None => self.above(s, reference),
        };
        let mut new = Top { score: highest, bias: E::ZERO };
        if terms.is_some() {
            let largest = (0..n).map(|i| logarithm(i, row[i])).fold(f64::NEG_INFINITY, f64::max);
            new = self.reference(old, Top { bias: E::from_f64(largest), ..new }, true);
        }
        let bias = if new.bias == -E::INFINITY { 0.0 } else { new.bias.to_f64() };
        for (i, x) in row.iter_mut().enumerate() {
            *x = if i < n { E::from_f64((logarithm(i, *x) - bias).exp()) } else { E::ZERO };
            *mass += *x;
        }
        new
    }
}

/// Whether products with this beta are as good as any.
fn usual<E: Float>(beta: E) -> bool {
    E::MIN_POSITIVE <= beta && beta < E::INFINITY
}
