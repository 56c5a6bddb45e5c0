//! NEON: four floats or sixteen bytes a register, thirty-two registers. Every arm64 has it.

use super::{Bits, Isa, Vector, Widen, Words, Work, half, tiles};
use std::arch::aarch64::*;

/// NEON, part of every arm64.
#[derive(Clone, Copy)]
pub struct Neon;

impl Isa for Neon {
    type F32 = F32;
    type F64 = F64;
    type Words = Neon;
    type Bits = Neon;
    type Counting = Self;
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn call<W: Work>(work: W) -> W::Out {
        work.run::<Self>()
    }
    fn counting() -> bool {
        true
    }
    tiles! {
        product: 6 x 4, 2 x 4; difference: 6 x 4, 2 x 4; absolute: 8 x 2, 2 x 4; elaborate: 4 x 1, 2 x 1;
        count: 6 x 4, 2 x 4;
    }
}

/// Four f32.
#[derive(Clone, Copy)]
pub struct F32(float32x4_t);
/// Two f64.
#[derive(Clone, Copy)]
pub struct F64(float64x2_t);

macro_rules! vector {
    ($v:ident, $e:ty, $lanes:literal, $bits:ty, $fraction:literal, $bias:literal,
     $dup:ident $ld1:ident $st1:ident $add:ident $sub:ident $mul:ident $div:ident $fma:ident $fms:ident $min:ident $max:ident
     $abs:ident $sqrt:ident $rndn:ident $clt:ident $bsl:ident, $dup_bits:ident $ld1_bits:ident $and_bits:ident
     $orr_bits:ident $tst_bits:ident $addv_bits:ident $shr:ident $from_unsigned:ident $to_bits:ident $of_bits:ident, $dup_signed:ident
     $add_signed:ident $shl_signed:ident $to_signed:ident $of_signed:ident, $transpose:ident) => {
        impl Vector for $v {
            type E = $e;
            const LANES: usize = $lanes;
            const ROWS: usize = 8;
            #[inline(always)]
            unsafe fn splat(x: $e) -> Self {
                Self($dup(x))
            }
            #[inline(always)]
            unsafe fn load(p: *const $e) -> Self {
                Self($ld1(p))
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $e) {
                $st1(p, self.0)
            }
            #[inline(always)]
            unsafe fn load_first(p: *const $e, n: usize) -> Self {
                let mut out = [0.0; $lanes];
                for (i, x) in out.iter_mut().enumerate().take(n) {
                    *x = *p.add(i);
                }
                Self($ld1(out.as_ptr()))
            }
            #[inline(always)]
            unsafe fn store_first(self, p: *mut $e, n: usize) {
                let mut lanes = [0.0; $lanes];
                $st1(lanes.as_mut_ptr(), self.0);
                for (i, x) in lanes.into_iter().enumerate().take(n) {
                    *p.add(i) = x;
                }
            }
            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                Self($add(self.0, b.0))
            }
            #[inline(always)]
            unsafe fn add_where(self, mask: u32, b: Self) -> Self {
                const LANE: [$bits; 4] = [1, 2, 4, 8];
                let picked = $tst_bits($dup_bits(mask as $bits), $ld1_bits(LANE.as_ptr()));
                Self($add(self.0, $of_bits($and_bits(picked, $to_bits(b.0)))))
            }
            #[inline(always)]
            unsafe fn sub(self, b: Self) -> Self {
                Self($sub(self.0, b.0))
            }
            #[inline(always)]
            unsafe fn mul(self, b: Self) -> Self {
                Self($mul(self.0, b.0))
            }
            #[inline(always)]
            unsafe fn div(self, b: Self) -> Self {
                Self($div(self.0, b.0))
            }
            #[inline(always)]
            unsafe fn fma(self, b: Self, c: Self) -> Self {
                Self($fma(c.0, self.0, b.0))
            }
            #[inline(always)]
            unsafe fn fnma(self, b: Self, c: Self) -> Self {
                Self($fms(c.0, self.0, b.0))
            }
            #[inline(always)]
            unsafe fn min(self, b: Self) -> Self {
                Self($min(self.0, b.0))
            }
            #[inline(always)]
            unsafe fn max(self, b: Self) -> Self {
                Self($max(self.0, b.0))
            }
            #[inline(always)]
            unsafe fn abs(self) -> Self {
                Self($abs(self.0))
            }
            #[inline(always)]
            unsafe fn sqrt(self) -> Self {
                Self($sqrt(self.0))
            }
            #[inline(always)]
            unsafe fn round(self) -> Self {
                Self($rndn(self.0))
            }
            #[inline(always)]
            unsafe fn lt(self, b: Self) -> u32 {
                const LANE: [$bits; 4] = [1, 2, 4, 8];
                $addv_bits($and_bits($clt(self.0, b.0), $ld1_bits(LANE.as_ptr()))) as u32
            }
            #[inline(always)]
            unsafe fn select_lt(a: Self, b: Self, yes: Self, no: Self) -> Self {
                Self($bsl($clt(a.0, b.0), yes.0, no.0))
            }
            #[inline(always)]
            unsafe fn scale(self, n: Self) -> Self {
                // 2^n, written into the exponent's bits.
                let biased = $add_signed($to_signed(n.0), $dup_signed($bias));
                Self($mul(self.0, $of_signed($shl_signed::<$fraction>(biased))))
            }
            #[inline(always)]
            unsafe fn split(self) -> (Self, Self) {
                let bits = $to_bits(self.0);
                let exponent = $sub($from_unsigned($shr::<$fraction>(bits)), $dup($bias as $e));
                let fraction = $and_bits(bits, $dup_bits((1 << $fraction) - 1));
                let one = $dup_bits((1.0 as $e).to_bits());
                (Self(exponent), Self($of_bits($orr_bits(fraction, one))))
            }
            #[inline(always)]
            unsafe fn transpose(src: *const u8, stride: usize, dst: *mut $e) {
                $transpose(src, stride, dst)
            }
        }
    };
}

vector!(F32, f32, 4, u32, 23, 127,
    vdupq_n_f32 vld1q_f32 vst1q_f32 vaddq_f32 vsubq_f32 vmulq_f32 vdivq_f32 vfmaq_f32 vfmsq_f32 vminq_f32 vmaxq_f32
    vabsq_f32 vsqrtq_f32 vrndnq_f32 vcltq_f32 vbslq_f32, vdupq_n_u32 vld1q_u32 vandq_u32 vorrq_u32 vtstq_u32 vaddvq_u32 vshrq_n_u32
    vcvtq_f32_u32 vreinterpretq_u32_f32 vreinterpretq_f32_u32, vdupq_n_s32 vaddq_s32 vshlq_n_s32 vcvtq_s32_f32
    vreinterpretq_f32_s32, transpose32);
vector!(F64, f64, 2, u64, 52, 1023,
    vdupq_n_f64 vld1q_f64 vst1q_f64 vaddq_f64 vsubq_f64 vmulq_f64 vdivq_f64 vfmaq_f64 vfmsq_f64 vminq_f64 vmaxq_f64
    vabsq_f64 vsqrtq_f64 vrndnq_f64 vcltq_f64 vbslq_f64, vdupq_n_u64 vld1q_u64 vandq_u64 vorrq_u64 vtstq_u64 vaddvq_u64 vshrq_n_u64
    vcvtq_f64_u64 vreinterpretq_u64_f64 vreinterpretq_f64_u64, vdupq_n_s64 vaddq_s64 vshlq_n_s64 vcvtq_s64_f64
    vreinterpretq_f64_s64, transpose64);

/// Interleaves single elements, then pairs.
#[inline(always)]
unsafe fn transpose32(src: *const u8, stride: usize, dst: *mut f32) {
    // Loaded as bytes: rows may start anywhere.
    let row = |i: usize| vreinterpretq_u32_u8(vld1q_u8(src.add(i * stride)));
    let (a, b, c, d) = (row(0), row(1), row(2), row(3));
    let wide = |x: uint32x4_t| vreinterpretq_u64_u32(x);
    let (ab0, ab1) = (wide(vtrn1q_u32(a, b)), wide(vtrn2q_u32(a, b)));
    let (cd0, cd1) = (wide(vtrn1q_u32(c, d)), wide(vtrn2q_u32(c, d)));
    let put = |j: usize, x: uint64x2_t| vst1q_u8(dst.add(4 * j).cast(), vreinterpretq_u8_u64(x));
    put(0, vtrn1q_u64(ab0, cd0));
    put(1, vtrn1q_u64(ab1, cd1));
    put(2, vtrn2q_u64(ab0, cd0));
    put(3, vtrn2q_u64(ab1, cd1));
}

/// Two shuffles.
#[inline(always)]
unsafe fn transpose64(src: *const u8, stride: usize, dst: *mut f64) {
    let row = |i: usize| vreinterpretq_u64_u8(vld1q_u8(src.add(i * stride)));
    let (a, b) = (row(0), row(1));
    let put = |j: usize, x: uint64x2_t| vst1q_u8(dst.add(2 * j).cast(), vreinterpretq_u8_u64(x));
    put(0, vtrn1q_u64(a, b));
    put(1, vtrn2q_u64(a, b));
}

impl Words for Neon {
    /// Two halves a key: the pair is added when it is stored.
    type Sad = uint32x4_t;
    type Dot = int32x4_t;
    #[inline(always)]
    unsafe fn sad_zero() -> uint32x4_t {
        vdupq_n_u32(0)
    }
    #[inline(always)]
    unsafe fn sad(acc: uint32x4_t, key: *const u8, query: u64) -> uint32x4_t {
        let difference = vabdq_u8(vld1q_u8(key), vreinterpretq_u8_u64(vdupq_n_u64(query)));
        vpadalq_u16(acc, vpaddlq_u8(difference))
    }
    #[inline(always)]
    unsafe fn sad_store(acc: uint32x4_t, out: *mut i32) {
        let sums = vpadd_u32(vget_low_u32(acc), vget_high_u32(acc));
        vst1_s32(out, vreinterpret_s32_u32(sums))
    }
    #[inline(always)]
    unsafe fn dot_zero() -> int32x4_t {
        vdupq_n_s32(0)
    }
    #[inline(always)]
    unsafe fn dot(acc: int32x4_t, key: *const u8, query: u32) -> int32x4_t {
        // Even and odd bytes as 16-bit numbers: a key's four products are then two sums side by side.
        let key = vreinterpretq_u16_u8(vld1q_u8(key));
        let query = vreinterpret_s16_u32(vdup_n_u32(query));
        let key_even = vreinterpretq_s16_u16(vandq_u16(key, vdupq_n_u16(0xff)));
        let key_odd = vreinterpretq_s16_u16(vshrq_n_u16::<8>(key));
        let (query_even, query_odd) = (vshr_n_s16::<8>(vshl_n_s16::<8>(query)), vshr_n_s16::<8>(query));
        let low = vmull_s16(vget_low_s16(key_even), query_even);
        let low = vmlal_s16(low, vget_low_s16(key_odd), query_odd);
        let high = vmull_s16(vget_high_s16(key_even), query_even);
        let high = vmlal_s16(high, vget_high_s16(key_odd), query_odd);
        vaddq_s32(acc, vpaddq_s32(low, high))
    }
    #[inline(always)]
    unsafe fn dot_store(acc: int32x4_t, factor: i32, key_terms: *const i32, query_term: i32, out: *mut i32) {
        let terms = vaddq_s32(vld1q_s32(key_terms), vdupq_n_s32(query_term));
        vst1q_s32(out, vmlaq_s32(terms, acc, vdupq_n_s32(factor)))
    }
    #[inline(always)]
    unsafe fn dot_load(p: *const i32) -> int32x4_t {
        vld1q_s32(p)
    }
    #[inline(always)]
    unsafe fn less(p: *const i32, than: i32) -> u32 {
        const LANE: [u32; 4] = [1, 2, 4, 8];
        let below = vcltq_s32(vld1q_s32(p), vdupq_n_s32(than));
        vaddvq_u32(vandq_u32(below, vld1q_u32(LANE.as_ptr())))
    }
}

impl Bits for Neon {
    /// Two halves a key: the pair is added when it is stored.
    type Count = uint32x4_t;
    #[inline(always)]
    unsafe fn zero() -> uint32x4_t {
        vdupq_n_u32(0)
    }
    #[inline(always)]
    unsafe fn differing(acc: uint32x4_t, key: *const u8, query: u64) -> uint32x4_t {
        let different = veorq_u8(vld1q_u8(key), vreinterpretq_u8_u64(vdupq_n_u64(query)));
        vpadalq_u16(acc, vpaddlq_u8(vcntq_u8(different)))
    }
    #[inline(always)]
    unsafe fn differing_known(acc: uint32x4_t, key: *const u8, query: u64, known: u64) -> uint32x4_t {
        let different = veorq_u8(vld1q_u8(key), vreinterpretq_u8_u64(vdupq_n_u64(query)));
        let different = vandq_u8(different, vreinterpretq_u8_u64(vdupq_n_u64(known)));
        vpadalq_u16(acc, vpaddlq_u8(vcntq_u8(different)))
    }
    #[inline(always)]
    unsafe fn across(acc: uint32x4_t, key: *const u8, query: *const u8) -> uint32x4_t {
        vpadalq_u16(acc, vpaddlq_u8(vcntq_u8(veorq_u8(vld1q_u8(key), vld1q_u8(query)))))
    }
    #[inline(always)]
    unsafe fn store(acc: uint32x4_t, out: *mut i32) {
        <Neon as Words>::sad_store(acc, out)
    }
}

impl Widen for F32 {
    #[inline(always)]
    unsafe fn whole(p: *const i32) -> Self {
        Self(vcvtq_f32_s32(vld1q_s32(p)))
    }
    #[inline(always)]
    unsafe fn half(p: *const u16) -> Self {
        let wide: [f32; 4] = std::array::from_fn(|i| half(p.add(i).read_unaligned()));
        Self(vld1q_f32(wide.as_ptr()))
    }
    #[inline(always)]
    unsafe fn brain(p: *const u16) -> Self {
        Self(vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(p))))
    }
}
