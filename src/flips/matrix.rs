//! A symmetric matrix of couplings: h = W s, one row added or taken away per flip.
//!
//! Fields of an integer matrix are exact. Those of a float matrix are in double precision whatever the matrix is in, and a field
//! that may be a tie is summed anew.

use super::{EPS, Exact, Field, Sum};
use crate::error::Error;
use crate::error::room;
use crate::simd::Isa;
use std::ops::{Add, AddAssign, Neg, Sub};

/// An element of the matrix.
pub trait Coupling: Copy + Send + Sync {
    /// What rows are summed in.
    type Total: Copy
        + Default
        + Add<Output = Self::Total>
        + AddAssign
        + Neg<Output = Self::Total>
        + Sub<Output = Self::Total>
        + Send;
    /// Whether sums are exact.
    const EXACT: bool;
    /// Widened.
    fn wide(self) -> Self::Total;
    /// As a double.
    fn double(x: Self::Total) -> f64;
}

macro_rules! coupling {
    ($t:ty, $total:ty, $exact:literal) => {
        impl Coupling for $t {
            type Total = $total;
            const EXACT: bool = $exact;
            #[inline(always)]
            fn wide(self) -> $total {
                self.into()
            }
            #[inline(always)]
            fn double(x: $total) -> f64 {
                x as f64
            }
        }
    };
}
coupling!(i32, i64, true);
coupling!(f32, f64, false);
coupling!(f64, f64, false);

/// The fields of one state.
pub struct Matrix<'a, T: Coupling> {
    couplings: &'a [T],
    width: usize,
    own: bool,
    fields: Vec<T::Total>,
    /// Sums of the magnitudes of the rows.
    magnitudes: Vec<f64>,
    flips: f64,
}

impl<'a, T: Coupling> Matrix<'a, T> {
    /// Couplings (width, width) row by row; without `own` the diagonal is passed over.
    pub fn new(couplings: &'a [T], width: usize, own: bool) -> Result<Self, Error> {
        assert_eq!(couplings.len(), width * width);
        let (fields, magnitudes) = (room::filled(width, T::Total::default())?, room::filled(width, 0.0)?);
        Ok(Matrix { couplings, width, own, fields, magnitudes, flips: 0.0 })
    }
    fn row(&self, unit: usize) -> &'a [T] {
        &self.couplings[unit * self.width..][..self.width]
    }
}

#[inline(always)]
fn signed<T: Coupling>(x: T, s: i8) -> T::Total {
    if s < 0 { -x.wide() } else { x.wide() }
}

impl<T: Coupling> Field for Matrix<'_, T> {
    #[inline(always)]
    unsafe fn load<I: Isa>(&mut self, state: &[i8]) {
        self.flips = 0.0;
        for unit in 0..self.width {
            let row = self.row(unit);
            let (rows, states) = (row.as_chunks::<16>(), state.as_chunks::<16>());
            let (mut sums, mut magnitudes) = ([T::Total::default(); 16], [0.0; 16]);
            for (xs, ss) in rows.0.iter().zip(states.0) {
                for j in 0..16 {
                    sums[j] += signed(xs[j], ss[j]);
                    if !T::EXACT {
                        magnitudes[j] += T::double(xs[j].wide()).abs();
                    }
                }
            }
            for (j, (&x, &s)) in rows.1.iter().zip(states.1).enumerate() {
                sums[j] += signed(x, s);
                magnitudes[j] += T::double(x.wide()).abs();
            }
            let sum = sums.into_iter().fold(T::Total::default(), |sum, x| sum + x);
            self.fields[unit] = if self.own { sum } else { sum - signed(row[unit], state[unit]) };
            self.magnitudes[unit] = magnitudes.iter().sum();
        }
    }

    #[inline(always)]
    unsafe fn sum<I: Isa>(&mut self, unit: usize, _s: i8) -> Sum {
        let value = T::double(self.fields[unit]);
        let roundings = self.width as f64 / 16.0 + 32.0 + self.flips;
        Sum { value, slack: if T::EXACT { 0.0 } else { roundings * EPS * self.magnitudes[unit] }, log_scale: 0.0 }
    }

    fn exact(&self, unit: usize, state: &[i8]) -> (f64, f64) {
        if T::EXACT {
            let value = T::double(self.fields[unit]);
            return (value, value.abs());
        }
        let mut sum = Exact::default();
        for (j, (&x, &s)) in self.row(unit).iter().zip(state).enumerate() {
            if self.own || j != unit {
                sum.add(T::double(signed(x, s)));
            }
        }
        sum.parts()
    }

    #[inline(always)]
    unsafe fn flip<I: Isa>(&mut self, unit: usize, s: i8) {
        let (kept, row) = (self.fields[unit], self.row(unit));
        for (field, &x) in self.fields.iter_mut().zip(row) {
            let change = signed(x, -s);
            *field += change + change;
        }
        if !self.own {
            self.fields[unit] = kept;
        }
        self.flips += 1.0;
    }

    fn energy(&self, state: &[i8]) -> f64 {
        let mut sum = Exact::default();
        for (&field, &s) in self.fields.iter().zip(state) {
            sum.add(-0.5 * f64::from(s) * T::double(field));
        }
        sum.value()
    }
}
