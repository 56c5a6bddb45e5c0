//! Floating-point elements and the constants of their elementary functions.

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
    /// The least that a mass above 0 counts in a divergence: times the penalty it cannot be missed.
    const DUST: Self;
    /// A root whose square, and those of terms that count beside it, are far from the smallest numbers.
    const SMALL: Self;
    /// A power of two that brings a difference below [`Float::SMALL`] to where squares are safe; its inverse does that
    /// for one whose square is beyond the largest number.
    const LIFT: Self;
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
    ($t:ty, $exp:expr, $log:expr, $entropy:expr, $exp_min:expr, $ln2:expr, $penalty:expr, $dust:expr, $small:expr, $lift:expr) => {
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
            const SMALL: Self = $small;
            const LIFT: Self = $lift;
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
/// 2^n.
const fn two(n: i32) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}

float!(
    f32,
    8,
    5,
    6,
    -87.33654,
    (0.693_359_4, -2.121_944_4e-4),
    two(100) as f32,
    two(-80) as f32,
    two(-51) as f32,
    two(100) as f32
);
float!(
    f64,
    14,
    11,
    13,
    -708.396_418_532_264_1,
    (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10),
    two(1000),
    two(-900),
    two(-485),
    two(800)
);

/// The value of a half-precision number, by its bits.
#[inline(always)]
pub(crate) fn half(bits: u16) -> f32 {
    let magnitude = (bits & 0x7fff) as u32;
    let sign = ((bits & 0x8000) as u32) << 16;
    // Shifted to the place of a single's fields the exponent is 112 too small; the product repairs it, subnormals included.
    let value = f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23);
    let value = if magnitude >= 0x7c00 { f32::from_bits((magnitude << 13) | 0x7f80_0000) } else { value };
    f32::from_bits(value.to_bits() | sign)
}

/// The value of the upper half of a single, by its bits.
#[inline(always)]
pub(crate) fn brain(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}
