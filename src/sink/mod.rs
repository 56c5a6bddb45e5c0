//! What is kept of the scores, one file each: everything ([`matrix`]), the best k ([`topk`]), what lies within a radius
//! ([`within`]), what separation and projection make of them ([`retrieve`]), the derivatives of that ([`slopes`]), or their sums
//! over many searches ([`sum`]).

pub(crate) mod filter;
pub mod matrix;
pub mod retrieve;
pub mod slopes;
pub mod sum;
pub mod topk;
pub mod within;

use crate::error::{Error, room};
use crate::simd::Line;
use std::marker::PhantomData;

/// Scores of one tile that a sink looks at and forgets. Large enough for every tile shape of every instruction set.
pub(crate) struct Scratch<T>(Vec<Line>, PhantomData<T>);

const SIZE: usize = 2048;

impl<T: Copy + Default> Scratch<T> {
    pub(crate) fn new() -> Result<Self, Error> {
        // Zeros are numbers of any type of scores.
        Ok(Scratch(room::filled(SIZE * size_of::<T>() / size_of::<Line>(), Line::ZERO)?, PhantomData))
    }
    /// Room for a tile: where, and the distance between its rows.
    #[inline(always)]
    pub(crate) fn place(&mut self, rows: usize, width: usize) -> (*mut T, usize) {
        debug_assert!(rows * width <= SIZE);
        (self.as_mut_ptr(), width)
    }
    #[inline(always)]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }
    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *const T {
        self.0.as_ptr().cast()
    }
}
