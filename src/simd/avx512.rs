//! AVX-512 (F, BW, DQ, VL, VNNI): sixteen floats or sixty-four bytes a register.

use super::{Bits, Isa, Vector, Widen, Words, Work, amx, tiles};
use std::arch::x86_64::*;

/// AVX-512 F, BW, DQ, VL and VNNI (Cascade Lake, Zen 4 and later).
#[derive(Clone, Copy)]
pub struct Avx512;

/// The same with VPOPCNTDQ, which its first CPUs with VNNI (Cascade Lake) lack. Only what counts bits is compiled for it.
#[derive(Clone, Copy)]
pub struct Avx512Counting;

/// One struct per set of CPU features.
macro_rules! isa {
    ($name:ident, $features:literal, $counting:expr) => {
        impl Isa for $name {
            type F32 = F32;
            type F64 = F64;
            type Words = Avx512;
            type Bits = $name;
            type Counting = Avx512Counting;
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn call<W: Work>(work: W) -> W::Out {
                work.run::<Self>()
            }
            fn counting() -> bool {
                $counting
            }
            tiles! {
                product: 12 x 2, 4 x 4; difference: 20 x 1, 4 x 4; absolute: 12 x 1, 4 x 4; elaborate: 4 x 1, 2 x 1;
                count: 12 x 2, 4 x 4;
            }
        }
    };
}
isa!(
    Avx512,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c",
    is_x86_feature_detected!("avx512vpopcntdq")
);
isa!(Avx512Counting, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq,avx2,fma", true);

/// Sixteen f32.
#[derive(Clone, Copy)]
pub struct F32(__m512);
/// Eight f64.
#[derive(Clone, Copy)]
pub struct F64(__m512d);

macro_rules! vector {
    ($v:ident, $e:ty, $lanes:literal, $rows:literal, $mask:ty,
     $set1:ident $loadu:ident $storeu:ident $maskz_loadu:ident $mask_storeu:ident $add:ident $mask_add:ident $sub:ident $mul:ident
     $div:ident $fmadd:ident $fnmadd:ident $min:ident $max:ident $abs:ident $sqrt:ident $roundscale:ident $cmp:ident
     $blend:ident $scale:ident $getexp:ident $getmant:ident, $transpose:ident) => {
        impl Vector for $v {
            type E = $e;
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;
            #[inline(always)]
            unsafe fn splat(x: $e) -> Self {
                Self($set1(x))
            }
            #[inline(always)]
            unsafe fn load(p: *const $e) -> Self {
                Self($loadu(p))
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $e) {
                $storeu(p, self.0)
            }
            #[inline(always)]
            unsafe fn load_first(p: *const $e, n: usize) -> Self {
                Self($maskz_loadu(((1u32 << n) - 1) as $mask, p))
            }
            #[inline(always)]
            unsafe fn store_first(self, p: *mut $e, n: usize) {
                $mask_storeu(p, ((1u32 << n) - 1) as $mask, self.0)
            }
            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                Self($add(self.0, b.0))
            }
            #[inline(always)]
            unsafe fn add_where(self, mask: u32, b: Self) -> Self {
                Self($mask_add(self.0, mask as $mask, self.0, b.0))
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
                Self($fmadd(self.0, b.0, c.0))
            }
            #[inline(always)]
            unsafe fn fnma(self, b: Self, c: Self) -> Self {
                Self($fnmadd(self.0, b.0, c.0))
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
                Self($roundscale::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0))
            }
            #[inline(always)]
            unsafe fn lt(self, b: Self) -> u32 {
                $cmp::<_CMP_LT_OQ>(self.0, b.0) as u32
            }
            #[inline(always)]
            unsafe fn select_lt(a: Self, b: Self, yes: Self, no: Self) -> Self {
                Self($blend($cmp::<_CMP_LT_OQ>(a.0, b.0), no.0, yes.0))
            }
            #[inline(always)]
            unsafe fn scale(self, n: Self) -> Self {
                // Added to the exponent's bits, which leaves the multipliers free.
                Self($scale(self.0, n.0))
            }
            #[inline(always)]
            unsafe fn split(self) -> (Self, Self) {
                (
                    Self($getexp(self.0)),
                    Self($getmant::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_SRC>(self.0)),
                )
            }
            #[inline(always)]
            unsafe fn transpose(src: *const u8, stride: usize, dst: *mut $e) {
                $transpose(src, stride, dst)
            }
        }
    };
}

vector!(F32, f32, 16, 12, __mmask16,
    _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_maskz_loadu_ps _mm512_mask_storeu_ps _mm512_add_ps _mm512_mask_add_ps
    _mm512_sub_ps _mm512_mul_ps _mm512_div_ps _mm512_fmadd_ps _mm512_fnmadd_ps _mm512_min_ps _mm512_max_ps
    _mm512_abs_ps _mm512_sqrt_ps _mm512_roundscale_ps _mm512_cmp_ps_mask _mm512_mask_blend_ps scale32
    _mm512_getexp_ps _mm512_getmant_ps, transpose32);
vector!(F64, f64, 8, 12, __mmask8,
    _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_maskz_loadu_pd _mm512_mask_storeu_pd _mm512_add_pd _mm512_mask_add_pd
    _mm512_sub_pd _mm512_mul_pd _mm512_div_pd _mm512_fmadd_pd _mm512_fnmadd_pd _mm512_min_pd _mm512_max_pd
    _mm512_abs_pd _mm512_sqrt_pd _mm512_roundscale_pd _mm512_cmp_pd_mask _mm512_mask_blend_pd scale64
    _mm512_getexp_pd _mm512_getmant_pd, transpose64);

#[inline(always)]
unsafe fn scale32(x: __m512, n: __m512) -> __m512 {
    let bits = _mm512_slli_epi32::<23>(_mm512_cvtps_epi32(n));
    _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), bits))
}

#[inline(always)]
unsafe fn scale64(x: __m512d, n: __m512d) -> __m512d {
    let bits = _mm512_slli_epi64::<52>(_mm512_cvtpd_epi64(n));
    _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(x), bits))
}

/// Quarters of rows come together while they are loaded, which spares the shuffles half of their rounds: of every fourth row
/// in one register. Then single elements are interleaved, and pairs.
#[inline(always)]
unsafe fn transpose32(src: *const u8, stride: usize, dst: *mut f32) {
    for quarter in 0..4 {
        let mut r = [_mm512_setzero_ps(); 4];
        for (i, x) in r.iter_mut().enumerate() {
            let first = src.add(i * stride + 16 * quarter);
            *x = _mm512_castps128_ps512(_mm_loadu_ps(first.cast()));
            *x = _mm512_mask_broadcast_f32x4(*x, 0x00f0, _mm_loadu_ps(first.add(4 * stride).cast()));
            *x = _mm512_mask_broadcast_f32x4(*x, 0x0f00, _mm_loadu_ps(first.add(8 * stride).cast()));
            *x = _mm512_mask_broadcast_f32x4(*x, 0xf000, _mm_loadu_ps(first.add(12 * stride).cast()));
        }
        let a = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
        let b = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
        let c = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
        let d = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
        let to = dst.add(64 * quarter);
        _mm512_storeu_ps(to, _mm512_castpd_ps(_mm512_unpacklo_pd(a, c)));
        _mm512_storeu_ps(to.add(16), _mm512_castpd_ps(_mm512_unpackhi_pd(a, c)));
        _mm512_storeu_ps(to.add(32), _mm512_castpd_ps(_mm512_unpacklo_pd(b, d)));
        _mm512_storeu_ps(to.add(48), _mm512_castpd_ps(_mm512_unpackhi_pd(b, d)));
    }
}

/// Three rounds of eight shuffles.
#[inline(always)]
unsafe fn transpose64(src: *const u8, stride: usize, dst: *mut f64) {
    let mut r = [_mm512_setzero_pd(); 8];
    for (i, x) in r.iter_mut().enumerate() {
        *x = _mm512_loadu_pd(src.add(i * stride).cast());
    }
    let mut t = r;
    for i in 0..4 {
        t[2 * i] = _mm512_unpacklo_pd(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_pd(r[2 * i], r[2 * i + 1]);
    }
    for j in 0..2 {
        r[j] = _mm512_shuffle_f64x2::<0x88>(t[j], t[2 + j]);
        r[2 + j] = _mm512_shuffle_f64x2::<0xdd>(t[j], t[2 + j]);
        r[4 + j] = _mm512_shuffle_f64x2::<0x88>(t[4 + j], t[6 + j]);
        r[6 + j] = _mm512_shuffle_f64x2::<0xdd>(t[4 + j], t[6 + j]);
    }
    for j in 0..4 {
        _mm512_storeu_pd(dst.add(8 * j), _mm512_shuffle_f64x2::<0x88>(r[j], r[4 + j]));
        _mm512_storeu_pd(dst.add(8 * (4 + j)), _mm512_shuffle_f64x2::<0xdd>(r[j], r[4 + j]));
    }
}

impl Words for Avx512 {
    type Sad = __m512i;
    type Dot = __m512i;
    const MULTIPLIES: bool = true;
    // Differences are added up on one port of Intel's, these on both.
    const LEAST: bool = true;
    #[inline(always)]
    unsafe fn sad_zero() -> __m512i {
        _mm512_setzero_si512()
    }
    #[inline(always)]
    unsafe fn sad(acc: __m512i, key: *const u8, query: u64) -> __m512i {
        let key = _mm512_loadu_si512(key.cast());
        _mm512_add_epi64(acc, _mm512_sad_epu8(key, _mm512_set1_epi64(query as i64)))
    }
    #[inline(always)]
    unsafe fn sad_store(acc: __m512i, out: *mut i32) {
        _mm256_storeu_si256(out.cast(), _mm512_cvtepi64_epi32(acc))
    }
    #[inline(always)]
    unsafe fn dot_zero() -> __m512i {
        _mm512_setzero_si512()
    }
    #[inline(always)]
    unsafe fn dot(acc: __m512i, key: *const u8, query: u32) -> __m512i {
        _mm512_dpbusd_epi32(acc, _mm512_loadu_si512(key.cast()), _mm512_set1_epi32(query as i32))
    }
    #[inline(always)]
    unsafe fn signs(bytes: *const u8) -> (u64, bool) {
        let x = _mm512_loadu_si512(bytes.cast());
        let fine = _mm512_cmpeq_epi8_mask(_mm512_abs_epi8(x), _mm512_set1_epi8(1));
        // Of every eight the last one first.
        let order = _mm_set_epi64x(0x0809_0a0b_0c0d_0e0f, 0x0001_0203_0405_0607);
        let turned = _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(order));
        (!_mm512_movepi8_mask(turned), fine == !0)
    }
    #[inline(always)]
    unsafe fn least(acc: __m512i, key: *const u8, query: u32) -> __m512i {
        let least = _mm512_min_epu8(_mm512_loadu_si512(key.cast()), _mm512_set1_epi32(query as i32));
        _mm512_dpbusd_epi32(acc, least, _mm512_set1_epi8(1))
    }
    #[inline(always)]
    unsafe fn dot_store(acc: __m512i, factor: i32, key_terms: *const i32, query_term: i32, out: *mut i32) {
        let terms = _mm512_add_epi32(_mm512_loadu_si512(key_terms.cast()), _mm512_set1_epi32(query_term));
        let scaled = _mm512_mullo_epi32(acc, _mm512_set1_epi32(factor));
        _mm512_storeu_si512(out.cast(), _mm512_add_epi32(terms, scaled))
    }
    #[inline(always)]
    unsafe fn dot_load(p: *const i32) -> __m512i {
        _mm512_loadu_si512(p.cast())
    }
    #[inline(always)]
    unsafe fn multiply(keys: *const u8, column: usize, queries: *const u8, words: usize, sums: *mut i32) {
        amx::multiply(keys, column, queries, words, sums);
    }
    #[inline(always)]
    unsafe fn less(p: *const i32, than: i32) -> u32 {
        _mm512_cmplt_epi32_mask(_mm512_loadu_si512(p.cast()), _mm512_set1_epi32(than)) as u32
    }
}

impl Bits for Avx512Counting {
    type Count = __m512i;
    #[inline(always)]
    unsafe fn zero() -> __m512i {
        _mm512_setzero_si512()
    }
    #[inline(always)]
    unsafe fn differing(acc: __m512i, key: *const u8, query: u64) -> __m512i {
        let different = _mm512_xor_si512(_mm512_loadu_si512(key.cast()), _mm512_set1_epi64(query as i64));
        _mm512_add_epi64(acc, _mm512_popcnt_epi64(different))
    }
    #[inline(always)]
    unsafe fn differing_known(acc: __m512i, key: *const u8, query: u64, known: u64) -> __m512i {
        let different = _mm512_xor_si512(_mm512_loadu_si512(key.cast()), _mm512_set1_epi64(query as i64));
        _mm512_add_epi64(acc, _mm512_popcnt_epi64(_mm512_and_si512(different, _mm512_set1_epi64(known as i64))))
    }
    #[inline(always)]
    unsafe fn across(acc: __m512i, key: *const u8, query: *const u8) -> __m512i {
        let different = _mm512_xor_si512(_mm512_loadu_si512(key.cast()), _mm512_loadu_si512(query.cast()));
        _mm512_add_epi64(acc, _mm512_popcnt_epi64(different))
    }
    #[inline(always)]
    unsafe fn store(acc: __m512i, out: *mut i32) {
        _mm256_storeu_si256(out.cast(), _mm512_cvtepi64_epi32(acc))
    }
}

/// Counts in each lane without the instruction: those of all half bytes stand in a table.
#[inline(always)]
unsafe fn ones(x: __m512i) -> __m512i {
    let table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    let half = _mm512_set1_epi8(15);
    let low = _mm512_shuffle_epi8(table, _mm512_and_si512(x, half));
    let high = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16::<4>(x), half));
    _mm512_sad_epu8(_mm512_add_epi8(low, high), _mm512_setzero_si512())
}

impl Bits for Avx512 {
    type Count = __m512i;
    #[inline(always)]
    unsafe fn zero() -> __m512i {
        _mm512_setzero_si512()
    }
    #[inline(always)]
    unsafe fn differing(acc: __m512i, key: *const u8, query: u64) -> __m512i {
        let different = _mm512_xor_si512(_mm512_loadu_si512(key.cast()), _mm512_set1_epi64(query as i64));
        _mm512_add_epi64(acc, ones(different))
    }
    #[inline(always)]
    unsafe fn differing_known(acc: __m512i, key: *const u8, query: u64, known: u64) -> __m512i {
        let different = _mm512_xor_si512(_mm512_loadu_si512(key.cast()), _mm512_set1_epi64(query as i64));
        _mm512_add_epi64(acc, ones(_mm512_and_si512(different, _mm512_set1_epi64(known as i64))))
    }
    #[inline(always)]
    unsafe fn across(acc: __m512i, key: *const u8, query: *const u8) -> __m512i {
        let different = _mm512_xor_si512(_mm512_loadu_si512(key.cast()), _mm512_loadu_si512(query.cast()));
        _mm512_add_epi64(acc, ones(different))
    }
    #[inline(always)]
    unsafe fn store(acc: __m512i, out: *mut i32) {
        _mm256_storeu_si256(out.cast(), _mm512_cvtepi64_epi32(acc))
    }
}

impl Widen for F32 {
    #[inline(always)]
    unsafe fn whole(p: *const i32) -> Self {
        Self(_mm512_cvtepi32_ps(_mm512_loadu_si512(p.cast())))
    }
    #[inline(always)]
    unsafe fn half(p: *const u16) -> Self {
        Self(_mm512_cvtph_ps(_mm256_loadu_si256(p.cast())))
    }
    #[inline(always)]
    unsafe fn brain(p: *const u16) -> Self {
        let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
        Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide)))
    }
}
