//! What the engine asks of a register, and the instruction sets that answer.
//!
//! Everything above this module is written once against [`Vector`] and [`Words`]; each instruction set implements them
//! in one file. The methods carry `#[inline(always)]` and no target feature of their own: they are inlined into
//! [`Isa::call`](crate::isa::Isa::call), the only function of an instruction set that enables its features. That is why all of
//! them are unsafe: they may run only below that call.
#![allow(clippy::missing_safety_doc)] // One contract, stated above, for every method.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod portable;

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

/// A floating-point element and the constants of its elementary functions.
pub trait Float:
    Copy
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Infinity.
    const INFINITY: Self;
    /// The smallest normal number.
    const MIN_POSITIVE: Self;
    /// Below this the exponential is smaller than the smallest normal number and is taken as 0.
    const EXP_MIN: Self;
    /// ln 2 in two parts, the first short enough that its multiples by an exponent are exact.
    const LN2: (Self, Self);
    /// Taylor coefficients of exp, highest first: enough for a tenth of an ulp on |x| <= ln(2)/2.
    const EXP: &'static [Self];
    /// Coefficients 2/(2k+1) of ln((1+s)/(1-s)) as powers of s^2, highest first.
    const LOG: &'static [Self];
    /// Coefficients 1/(k(2k-1)) of (1+r)ln(1+r)+(1-r)ln(1-r) as powers of r^2 for r < 1/4, highest first.
    const ENTROPY: &'static [Self];
    /// Stands for -ln 0 in a divergence: any mass on it shows, and no sum of it overflows.
    const PENALTY: Self;
    /// Masses below this count as 0 in a divergence: a mass above it times the penalty cannot be missed.
    const DUST: Self;
    /// Nearest value of this type.
    fn from_f64(x: f64) -> Self;
    /// The same value in double precision.
    fn to_f64(self) -> f64;
}

/// A table of `n` coefficients c(k), highest order first.
macro_rules! table {
    ($n:expr, $t:ty, |$k:ident| $e:expr) => {{
        const TABLE: [$t; $n] = {
            let mut out = [0.0; $n];
            let mut i = 0;
            while i < $n {
                let $k = ($n - 1 - i) as f64;
                out[i] = $e as $t;
                i += 1;
            }
            out
        };
        &TABLE
    }};
}

const fn factorial(n: f64) -> f64 {
    let mut product = 1.0;
    let mut k = 2.0;
    while k <= n {
        product *= k;
        k += 1.0;
    }
    product
}

macro_rules! float {
    ($t:ty, $exp:expr, $log:expr, $entropy:expr, $exp_min:expr, $ln2:expr, $penalty:expr, $dust:expr) => {
        impl Float for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const INFINITY: Self = <$t>::INFINITY;
            const MIN_POSITIVE: Self = <$t>::MIN_POSITIVE;
            const EXP_MIN: Self = $exp_min;
            const LN2: (Self, Self) = $ln2;
            const EXP: &'static [Self] = table!($exp, $t, |k| 1.0 / factorial(k));
            const LOG: &'static [Self] = table!($log, $t, |k| 2.0 / (2.0 * k + 1.0));
            const ENTROPY: &'static [Self] = table!($entropy, $t, |k| 1.0 / ((k + 1.0) * (2.0 * k + 1.0)));
            const PENALTY: Self = $penalty;
            const DUST: Self = $dust;
            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    };
}
// The constants are 2^100 and 2^-80, 2^1000 and 2^-900.
float!(f32, 8, 5, 6, -87.33654, (0.693_359_4, -2.121_944_4e-4), 1.267_650_6e30, 8.271_806e-25);
float!(
    f64,
    14,
    11,
    13,
    -708.396_418_532_264_1,
    (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10),
    1.071_508_607_186_267_3e301,
    1.183_052_186_166_774_7e-271
);

/// One register of floats.
pub trait Vector: Copy {
    /// The element.
    type E: Float;
    /// Elements in a register.
    const LANES: usize;
    /// Rows of the tile that mixes values (see `project.rs`).
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

/// Registers of small integers: four or eight bytes of a row stand side by side in a lane.
pub trait Words {
    /// Sums of byte differences, one 64-bit lane a key.
    type Sad: Copy;
    /// Sums of byte products, one 32-bit lane a key.
    type Dot: Copy;

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
    /// `key_term + query_term + factor * acc` in each lane.
    unsafe fn dot_store(acc: Self::Dot, factor: i32, key_terms: *const i32, query_term: i32, out: *mut i32);
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
    /// The same with a register of the query, when the lanes are words of one key.
    unsafe fn across(acc: Self::Count, key: *const u8, query: *const u8) -> Self::Count;
    /// The counts as 32-bit integers.
    unsafe fn store(acc: Self::Count, out: *mut i32);
}
