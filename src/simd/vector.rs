//! What the engine asks of a register: of floats, of small integers, of bits.
#![allow(clippy::missing_safety_doc)] // One contract, that of the folder, for every method.

use super::Float;

/// One register of floats.
pub trait Vector: Copy {
    /// The element.
    type E: Float;
    /// Elements in a register.
    const LANES: usize;
    /// Rows of the tile that mixes values (see `projection.rs`).
    const ROWS: usize;

    /// All lanes `x`.
    unsafe fn splat(x: Self::E) -> Self;
    /// Unaligned load.
    unsafe fn load(p: *const Self::E) -> Self;
    /// Unaligned store.
    unsafe fn store(self, p: *mut Self::E);
    /// Load of the first `n < LANES` elements, 0 beyond.
    unsafe fn load_first(p: *const Self::E, n: usize) -> Self;
    /// Store of the first `n < LANES` elements.
    unsafe fn store_first(self, p: *mut Self::E, n: usize);
    /// Lane-wise sum.
    unsafe fn add(self, b: Self) -> Self;
    /// `self + b` in the lanes whose bit of `mask` is set, `self` in the others (a zero may lose its sign); bits
    /// beyond the lanes mean nothing.
    unsafe fn add_where(self, mask: u32, b: Self) -> Self;
    /// Lane-wise difference.
    unsafe fn sub(self, b: Self) -> Self;
    /// Lane-wise product.
    unsafe fn mul(self, b: Self) -> Self;
    /// Lane-wise quotient.
    unsafe fn div(self, b: Self) -> Self;
    /// `self * b + c`, fused where the instruction set can.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// `c - self * b`, fused where the instruction set can.
    unsafe fn fnma(self, b: Self, c: Self) -> Self;
    /// Lane-wise minimum (either operand where one is NaN).
    unsafe fn min(self, b: Self) -> Self;
    /// Lane-wise maximum (either operand where one is NaN).
    unsafe fn max(self, b: Self) -> Self;
    /// Lane-wise magnitude.
    unsafe fn abs(self) -> Self;
    /// Lane-wise square root.
    unsafe fn sqrt(self) -> Self;
    /// Nearest integer, ties to even.
    unsafe fn round(self) -> Self;
    /// Bit i is set where lane i of self < lane i of b; false for NaN.
    unsafe fn lt(self, b: Self) -> u32;
    /// Lane-wise `a < b ? yes : no`.
    unsafe fn select_lt(a: Self, b: Self, yes: Self, no: Self) -> Self;
    /// `self * 2^n` for integral lanes n of at most 0 whose result is a normal number.
    unsafe fn scale(self, n: Self) -> Self;
    /// Exponent and mantissa in [1, 2) of positive normal lanes.
    unsafe fn split(self) -> (Self, Self);
    /// Transposes a square of LANES x LANES elements: element j of the row at byte `i * stride` of `src` goes to
    /// `dst[j * LANES + i]`. Bits are moved, never read as numbers, so any words of that size may travel this way.
    unsafe fn transpose(src: *const u8, stride: usize, dst: *mut Self::E);

    /// Load of the first `n` elements, or of a full register of them; 0 beyond. Of none, nothing is read.
    #[inline(always)]
    unsafe fn load_up_to(p: *const Self::E, n: usize) -> Self {
        match n {
            n if n >= Self::LANES => Self::load(p),
            0 => Self::splat(Self::E::ZERO),
            n => Self::load_first(p, n),
        }
    }

    /// Store of the first `n` elements, or of all there are.
    #[inline(always)]
    unsafe fn store_up_to(self, p: *mut Self::E, n: usize) {
        if n >= Self::LANES { self.store(p) } else { self.store_first(p, n) }
    }

    /// Lane numbers 0, 1, 2, ...
    #[inline(always)]
    unsafe fn lanes() -> Self {
        let mut out = [Self::E::ZERO; 16];
        for (i, x) in out.iter_mut().enumerate() {
            *x = Self::E::from_f64(i as f64);
        }
        Self::load(out.as_ptr())
    }

    /// Sum of the lanes, always in the same order.
    #[inline(always)]
    unsafe fn sum(self) -> Self::E {
        let mut out = [Self::E::ZERO; 16];
        self.store(out.as_mut_ptr());
        let mut width = Self::LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                out[i] += out[i + width];
            }
        }
        out[0]
    }

    /// Largest lane; NaN if there is one.
    #[inline(always)]
    unsafe fn largest(self) -> Self::E {
        let mut out = [Self::E::ZERO; 16];
        self.store(out.as_mut_ptr());
        let mut best = out[0];
        for &x in &out[1..Self::LANES] {
            #[allow(clippy::eq_op)] // The test for a NaN, which must win.
            if x > best || x != x {
                best = x;
            }
        }
        best
    }
}

/// A register of f32, into which floats of 16 bits are widened, and whole numbers turned.
pub trait Widen: Vector<E = f32> {
    /// Load of whole numbers of 32 bits, rounded.
    unsafe fn whole(p: *const i32) -> Self;
    /// Load of half-precision numbers, a register's worth.
    unsafe fn half(p: *const u16) -> Self;
    /// Load of upper halves of singles.
    unsafe fn brain(p: *const u16) -> Self;
}

/// Registers of small integers: four or eight bytes of a row stand side by side in a lane.
pub trait Words {
    /// Sums of byte differences, one 64-bit lane a key.
    type Sad: Copy;
    /// Sums of byte products, one 32-bit lane a key.
    type Dot: Copy;
    /// Whether some CPUs of this instruction set [multiply](Words::multiply).
    const MULTIPLIES: bool = false;
    /// Whether sums of [minima](Words::least) take less than those of differences.
    const LEAST: bool = false;

    /// No differences yet.
    unsafe fn sad_zero() -> Self::Sad;
    /// Adds |key - query| of the eight bytes at `key` in each lane and the eight bytes `query`.
    unsafe fn sad(acc: Self::Sad, key: *const u8, query: u64) -> Self::Sad;
    /// The sums as 32-bit integers.
    unsafe fn sad_store(acc: Self::Sad, out: *mut i32);
    /// No products yet.
    unsafe fn dot_zero() -> Self::Dot;
    /// Adds key * query of the four unsigned bytes at `key` in each lane and the four signed bytes `query`.
    unsafe fn dot(acc: Self::Dot, key: *const u8, query: u32) -> Self::Dot;
    /// Adds min(key, query) of the four unsigned bytes at `key` in each lane and the four of `query`.
    unsafe fn least(_acc: Self::Dot, _key: *const u8, _query: u32) -> Self::Dot {
        unreachable!("differences take less")
    }
    /// `key_term + query_term + factor * acc` in each lane.
    unsafe fn dot_store(acc: Self::Dot, factor: i32, key_terms: *const i32, query_term: i32, out: *mut i32);
    /// Sums that were stored.
    unsafe fn dot_load(p: *const i32) -> Self::Dot;
    /// Stores the sums of the products of [`MATRIX`](super::MATRIX) queries with as many keys, query by query. A line of every
    /// query stands before all others' second one; keys are two columns of words of four bytes, those of sixteen keys side by
    /// side. Bytes of queries are signed, those of keys are not; words of queries behind the last are 0. Only where
    /// [`Level::multiplies`](super::Level::multiplies), while [`Matrices`](super::Matrices) are held.
    unsafe fn multiply(_keys: *const u8, _column: usize, _queries: *const u8, _words: usize, _sums: *mut i32) {
        unreachable!("no level of this instruction set multiplies")
    }
    /// Which of 64 bytes are 1, eight a byte, the first in the highest bit (`numpy.packbits`), and whether all others are -1.
    #[inline(always)]
    unsafe fn signs(bytes: *const u8) -> (u64, bool) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        let (mut packed, mut odd) = ([0; 8], 0);
        for (i, byte) in packed.iter_mut().enumerate() {
            let x = u64::from_le(bytes.add(8 * i).cast::<u64>().read_unaligned());
            let negative = (x >> 7) & ONES;
            odd |= x ^ (ONES + negative * 0xfe);
            // The product moves the lowest bit of byte i to bit 7 - i of the highest byte.
            *byte = ((negative ^ ONES).wrapping_mul(0x8040_2010_0804_0201) >> 56) as u8;
        }
        (u64::from_ne_bytes(packed), odd == 0)
    }
    /// Bit i is set where `p[i] < than`, for as many as a [`Words::Dot`] has lanes.
    unsafe fn less(p: *const i32, than: i32) -> u32;
}

/// Registers of bits: sixty-four bits of a row stand in a 64-bit lane.
pub trait Bits {
    /// Counts, one 64-bit lane a key.
    type Count: Copy;

    /// Nothing counted yet.
    unsafe fn zero() -> Self::Count;
    /// Adds how many bits differ between the 64 at `key` in each lane and the 64 of `query`.
    unsafe fn differing(acc: Self::Count, key: *const u8, query: u64) -> Self::Count;
    /// The same of those bits alone that are set in `known`.
    unsafe fn differing_known(acc: Self::Count, key: *const u8, query: u64, known: u64) -> Self::Count;
    /// The same with a register of the query, when the lanes are words of one key.
    unsafe fn across(acc: Self::Count, key: *const u8, query: *const u8) -> Self::Count;
    /// The counts as 32-bit integers.
    unsafe fn store(acc: Self::Count, out: *mut i32);
}
