//! What an instruction set is: registers, a way to enter code with its features enabled, and shapes of tiles.

use super::{Bits, Vector, Widen, Words};

/// Something to run with an instruction set's features enabled. `run` is inlined into [`Isa::call`], so its body, and all
/// that is inlined into it, is compiled for that instruction set.
pub trait Work {
    /// What the work returns.
    type Out;
    /// Does it.
    ///
    /// # Safety
    /// Only below [`Isa::call`] of the same `I`.
    unsafe fn run<I: Isa>(self) -> Self::Out;
}

/// Something that comes in the shape of a tile: R rows by V registers of keys, FR by FV where rows are few.
pub trait Shaped {
    /// What comes in that shape.
    type Out;
    /// Makes it.
    fn shaped<const R: usize, const V: usize, const FR: usize, const FV: usize>() -> Self::Out;
}

/// One instruction set.
pub trait Isa: Copy + Send + Sync + 'static + Sized {
    /// Registers of f32.
    type F32: Widen + 'static;
    /// Registers of f64.
    type F64: Vector<E = f64> + 'static;
    /// Registers of bytes.
    type Words: Words;
    /// Registers of bits.
    type Bits: Bits;
    /// The same with the CPU's newer instructions for counting bits, where there are such.
    type Counting: Isa;
    /// Enters code compiled for this instruction set.
    ///
    /// # Safety
    /// The CPU must have it: [`Level::available`](super::Level::available) said so.
    unsafe fn call<W: Work>(work: W) -> W::Out;
    /// Whether this CPU has [`Isa::Counting`].
    fn counting() -> bool;
    /// The shape for one operation a step (products).
    fn product<S: Shaped>() -> S::Out;
    /// The shape for two operations a step (squared differences, sums of bytes).
    fn difference<S: Shaped>() -> S::Out;
    /// The shape for three operations a step (magnitudes of differences).
    fn absolute<S: Shaped>() -> S::Out;
    /// The shape for many operations a step (logarithms).
    fn elaborate<S: Shaped>() -> S::Out;
    /// The shape for counting bits.
    fn count<S: Shaped>() -> S::Out;
}

/// How many rows and registers of keys the tiles of an instruction set have: as many as its registers hold. Each entry is
/// (rows x registers, then the same for few rows). The shapes were chosen by measurement.
macro_rules! tiles {
    ($($name:ident: $r:literal x $v:literal, $fr:literal x $fv:literal;)*) => {$(
        #[inline]
        fn $name<S: $crate::simd::Shaped>() -> S::Out {
            S::shaped::<$r, $v, $fr, $fv>()
        }
    )*};
}
pub(crate) use tiles;
