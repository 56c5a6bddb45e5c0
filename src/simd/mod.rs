//! Registers: what the engine asks of them, and the instruction sets that answer.
//!
//! Everything above this folder is written once against [`Vector`], [`Words`] and [`Bits`]; each instruction set implements
//! them in one file, and the only intrinsics are there. The methods carry `#[inline(always)]` and no target feature of their
//! own: they are inlined into [`Isa::call`], the only function of an instruction set that enables its features. That is why
//! all of them are unsafe: they may run only below that call. [`Level`] chooses the instruction set, once a call; [`math`]
//! has the elementary functions.

#[cfg(target_arch = "x86_64")]
pub mod amx;
#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
mod cache;
mod float;
mod isa;
mod level;
pub mod math;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod portable;
mod vector;

pub use cache::second_level;
pub use float::Float;
pub(crate) use float::{brain, half};
pub(crate) use isa::tiles;
pub use isa::{Isa, Shaped, Work};
pub use level::Level;
pub use vector::{Bits, Vector, Widen, Words};

use std::marker::PhantomData;

/// Asks for a line of memory to be brought into the second-level cache. Any address will do.
#[inline(always)]
pub fn prefetch(p: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, and SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Asks for a line of memory that is about to be written. Any address will do.
#[inline(always)]
pub fn prefetch_write(p: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, and a CPU that does not know this one takes it for nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Queries and keys of a product of matrices.
pub const MATRIX: usize = 32;

/// The registers that [`Words::multiply`] works in, of the thread that holds this.
pub struct Matrices(PhantomData<*const ()>);

impl Matrices {
    /// Takes them.
    ///
    /// # Safety
    /// The level [has them](Level::multiplies); nobody else on this thread holds them.
    pub unsafe fn hold() -> Self {
        #[cfg(target_arch = "x86_64")]
        amx::configure();
        Matrices(PhantomData)
    }
}

impl Drop for Matrices {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there is one only where they could be taken.
        unsafe {
            amx::release();
        }
    }
}

/// A cache line: packed data starts at one, so that no load of a register touches two.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Line(#[allow(dead_code)] [u8; 64]); // Read through pointers only.

impl Line {
    pub(crate) const ZERO: Line = Line([0; 64]);
}
