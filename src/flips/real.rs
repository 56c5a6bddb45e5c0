//! Patterns of real numbers, states of -1 and +1.
//!
//! The overlap after a flip is o - 2 x s, so a unit's field times its state is half of sum w [F(o) - F(o - 2 x s)]. The
//! exponential is taken relative to the largest overlap among both. A field is a tie by its terms as they are computed from
//! the overlaps in double precision.

use super::{EPS, Exact, Field, Sum};
use crate::error::Error;
use crate::error::room;
use crate::simd::{Isa, Vector, math};

/// What an overlap is worth.
#[derive(Clone, Copy, Debug)]
pub enum Interaction {
    /// o^n.
    Power(u32),
    /// max(o, 0)^n.
    Rectified(u32),
    /// exp(beta o).
    Exponential(f64),
}

/// The overlaps of one state.
pub struct RealOverlaps<'a> {
    columns: &'a [f64],
    len: usize,
    weights: &'a [f64],
    interaction: Interaction,
    overlaps: Vec<f64>,
}

const WIDE: usize = 8;

impl<'a> RealOverlaps<'a> {
    /// `columns` (units, len) are the patterns' entries unit by unit; `weights` one a pattern.
    pub fn new(columns: &'a [f64], weights: &'a [f64], interaction: Interaction) -> Result<Self, Error> {
        let len = weights.len();
        Ok(RealOverlaps { columns, len, weights, interaction, overlaps: room::filled(len, 0.0)? })
    }
    fn column(&self, unit: usize) -> &'a [f64] {
        &self.columns[unit * self.len..][..self.len]
    }
    /// The largest of the overlaps that count, before and after a flip; zero where they need no common scale.
    #[inline(always)]
    fn shift(&self, column: Option<(&[f64], f64)>) -> f64 {
        if !matches!(self.interaction, Interaction::Exponential(_)) {
            return 0.0;
        }
        let mut most = f64::NEG_INFINITY;
        for mu in 0..self.len {
            let o = self.overlaps[mu];
            let after = column.map_or(o, |(x, s)| o - 2.0 * x[mu] * s);
            if self.weights[mu] != 0.0 {
                most = most.max(o).max(after);
            }
        }
        if most == f64::NEG_INFINITY { 0.0 } else { most }
    }
    /// What an overlap is worth, in plain arithmetic.
    fn worth(&self, o: f64, shift: f64) -> f64 {
        match self.interaction {
            Interaction::Power(n) => power([o], n)[0],
            Interaction::Rectified(n) => power([o.max(0.0)], n)[0],
            Interaction::Exponential(beta) => (beta * (o - shift)).exp(),
        }
    }
    /// The same for several.
    #[inline(always)]
    unsafe fn worths<I: Isa>(&self, mut o: [f64; WIDE], shift: f64) -> [f64; WIDE] {
        match self.interaction {
            Interaction::Power(n) => power(o, n),
            Interaction::Rectified(n) => power(o.map(|o| o.max(0.0)), n),
            Interaction::Exponential(beta) => {
                for at in (0..WIDE).step_by(<I::F64 as Vector>::LANES) {
                    let p = o.as_mut_ptr().add(at);
                    let x = I::F64::load(p).sub(I::F64::splat(shift)).mul(I::F64::splat(beta));
                    // Items of weight zero may lie above the shift.
                    math::exp(x.min(I::F64::splat(0.0))).store(p);
                }
                o
            }
        }
    }
}

/// x^n by squaring.
#[inline(always)]
fn power<const N: usize>(mut x: [f64; N], mut n: u32) -> [f64; N] {
    let mut out = [1.0; N];
    while n > 0 {
        if n & 1 == 1 {
            for j in 0..N {
                out[j] *= x[j];
            }
        }
        for x in &mut x {
            *x *= *x;
        }
        n >>= 1;
    }
    out
}

impl Field for RealOverlaps<'_> {
    #[inline(always)]
    unsafe fn load<I: Isa>(&mut self, state: &[i8]) {
        self.overlaps.fill(0.0);
        for (unit, &s) in state.iter().enumerate() {
            for (o, &x) in self.overlaps.iter_mut().zip(&self.columns[unit * self.len..]) {
                *o += x * f64::from(s);
            }
        }
    }

    #[inline(always)]
    unsafe fn refresh<I: Isa>(&mut self, state: &[i8]) {
        self.load::<I>(state);
    }

    #[inline(always)]
    unsafe fn sum<I: Isa>(&mut self, unit: usize, s: i8) -> Sum {
        let (column, sign) = (self.column(unit), f64::from(s));
        let shift = self.shift(Some((column, sign)));
        let (mut sums, mut magnitudes) = ([0.0; WIDE], [0.0; WIDE]);
        let mut first = 0;
        while first < self.len {
            let (mut now, mut after, mut weights) = ([shift; WIDE], [shift; WIDE], [0.0; WIDE]);
            for j in 0..WIDE.min(self.len - first) {
                now[j] = self.overlaps[first + j];
                after[j] = now[j] - 2.0 * column[first + j] * sign;
                weights[j] = 0.5 * self.weights[first + j];
            }
            let (now, after) = (self.worths::<I>(now, shift), self.worths::<I>(after, shift));
            for j in 0..WIDE {
                sums[j] += weights[j] * (now[j] - after[j]);
                magnitudes[j] += weights[j].abs() * (now[j].abs() + after[j].abs());
            }
            first += WIDE;
        }
        let magnitude: f64 = magnitudes.iter().sum();
        let log_scale = match self.interaction {
            Interaction::Exponential(beta) => beta * shift,
            _ => 0.0,
        };
        Sum {
            value: sign * sums.iter().sum::<f64>(),
            // The two exponentials of a term are 2 ulp apart from those that `exact` takes.
            slack: (self.len as f64 / 8.0 + 32.0) * EPS * magnitude,
            log_scale,
        }
    }

    fn exact(&self, unit: usize, state: &[i8]) -> (f64, f64) {
        let (column, sign) = (self.column(unit), f64::from(state[unit]));
        let shift = self.shift(Some((column, sign)));
        let mut sum = Exact::default();
        for ((&o, &x), &w) in self.overlaps.iter().zip(column).zip(self.weights) {
            if w != 0.0 {
                sum.add(0.5 * w * self.worth(o, shift));
                sum.add(-0.5 * w * self.worth(o - 2.0 * x * sign, shift));
            }
        }
        let (value, magnitude) = sum.parts();
        (sign * value, magnitude)
    }

    #[inline(always)]
    unsafe fn flip<I: Isa>(&mut self, unit: usize, s: i8) {
        let twice = 2.0 * f64::from(s);
        for (o, &x) in self.overlaps.iter_mut().zip(&self.columns[unit * self.len..]) {
            *o -= twice * x;
        }
    }

    fn energy(&self, _state: &[i8]) -> f64 {
        let shift = self.shift(None);
        let mut sum = Exact::default();
        for (&o, &w) in self.overlaps.iter().zip(self.weights) {
            if w != 0.0 {
                sum.add(w * self.worth(o, shift));
            }
        }
        match self.interaction {
            Interaction::Exponential(beta) => -(beta * shift + sum.value().ln()),
            _ => -sum.value(),
        }
    }
}
