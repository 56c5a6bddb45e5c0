//! AVX2 with FMA: eight floats or thirty-two bytes a register, sixteen registers.

use super::{Bits, Isa, Vector, Widen, Words, Work, tiles};
use std::arch::x86_64::*;

/// AVX2 and FMA (Haswell, Zen and later).
#[derive(Clone, Copy)]
pub struct Avx2;

impl Isa for Avx2 {
    type F32 = F32;
    type F64 = F64;
    type Words = Avx2;
    type Bits = Avx2;
    type Counting = Self;
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn call<W: Work>(work: W) -> W::Out {
        work.run::<Self>()
    }
    fn counting() -> bool {
        true
    }
    tiles! {
        product: 6 x 2, 2 x 4; difference: 8 x 1, 2 x 4; absolute: 8 x 1, 2 x 4; elaborate: 2 x 1, 2 x 1;
        count: 8 x 1, 2 x 4;
    }
}

/// Eight f32.
#[derive(Clone, Copy)]
pub struct F32(__m256);
/// Four f64.
#[derive(Clone, Copy)]
pub struct F64(__m256d);

/// Words of ones, then of zeros: the load that starts n words before the middle is the mask of the first n lanes.
static FIRST32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
static FIRST64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

macro_rules! vector {
    ($v:ident, $e:ty, $lanes:literal, $first:ident,
     $set1:ident $loadu:ident $storeu:ident $maskload:ident $maskstore:ident $add:ident $sub:ident $mul:ident $div:ident
     $fmadd:ident $fnmadd:ident $min:ident $max:ident $andnot:ident $sqrt:ident $round:ident $cmp:ident $movemask:ident
     $blendv:ident $and:ident, $lanes_of:ident $power:ident $split:ident $transpose:ident) => {
        impl Vector for $v {
            type E = $e;
            const LANES: usize = $lanes;
            // Twelve sums would fit, but not with the weights that the compiler loads ahead.
            const ROWS: usize = 4;
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
                Self($maskload(p, _mm256_loadu_si256($first.as_ptr().add($lanes - n).cast())))
            }
            #[inline(always)]
            unsafe fn store_first(self, p: *mut $e, n: usize) {
                $maskstore(p, _mm256_loadu_si256($first.as_ptr().add($lanes - n).cast()), self.0)
            }
            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                Self($add(self.0, b.0))
            }
            #[inline(always)]
            unsafe fn add_where(self, mask: u32, b: Self) -> Self {
                Self($add(self.0, $and($lanes_of(mask), b.0)))
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
                Self($andnot($set1(-0.0), self.0))
            }
            #[inline(always)]
            unsafe fn sqrt(self) -> Self {
                Self($sqrt(self.0))
            }
            #[inline(always)]
            unsafe fn round(self) -> Self {
                Self($round::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0))
            }
            #[inline(always)]
            unsafe fn lt(self, b: Self) -> u32 {
                $movemask($cmp::<_CMP_LT_OQ>(self.0, b.0)) as u32
            }
            #[inline(always)]
            unsafe fn select_lt(a: Self, b: Self, yes: Self, no: Self) -> Self {
                Self($blendv(no.0, yes.0, $cmp::<_CMP_LT_OQ>(a.0, b.0)))
            }
            #[inline(always)]
            unsafe fn scale(self, n: Self) -> Self {
                Self($mul(self.0, $power(n.0)))
            }
            #[inline(always)]
            unsafe fn split(self) -> (Self, Self) {
                let (exponent, mantissa) = $split(self.0);
                (Self(exponent), Self(mantissa))
            }
            #[inline(always)]
            unsafe fn transpose(src: *const u8, stride: usize, dst: *mut $e) {
                $transpose(src, stride, dst)
            }
        }
    };
}

vector!(F32, f32, 8, FIRST32,
    _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_maskload_ps _mm256_maskstore_ps _mm256_add_ps _mm256_sub_ps
    _mm256_mul_ps _mm256_div_ps _mm256_fmadd_ps _mm256_fnmadd_ps _mm256_min_ps _mm256_max_ps _mm256_andnot_ps
    _mm256_sqrt_ps _mm256_round_ps _mm256_cmp_ps _mm256_movemask_ps _mm256_blendv_ps _mm256_and_ps,
    lanes_of32 power32 split32 transpose32);
vector!(F64, f64, 4, FIRST64,
    _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_maskload_pd _mm256_maskstore_pd _mm256_add_pd _mm256_sub_pd
    _mm256_mul_pd _mm256_div_pd _mm256_fmadd_pd _mm256_fnmadd_pd _mm256_min_pd _mm256_max_pd _mm256_andnot_pd
    _mm256_sqrt_pd _mm256_round_pd _mm256_cmp_pd _mm256_movemask_pd _mm256_blendv_pd _mm256_and_pd,
    lanes_of64 power64 split64 transpose64);

/// All bits of the lanes whose bit is set.
#[inline(always)]
unsafe fn lanes_of32(mask: u32) -> __m256 {
    let own = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(mask as i32), own), own))
}

/// All bits of the lanes whose bit is set.
#[inline(always)]
unsafe fn lanes_of64(mask: u32) -> __m256d {
    let own = _mm256_setr_epi64x(1, 2, 4, 8);
    _mm256_castsi256_pd(_mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x(mask.into()), own), own))
}

/// 2^n, written into the exponent's bits.
#[inline(always)]
unsafe fn power32(n: __m256) -> __m256 {
    let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
}

/// 2^52: a double from here to 2^53 holds its whole part in its low bits. AVX2 converts no 64-bit integers, this does.
const WHOLE: f64 = (1u64 << 52) as f64;

/// 2^n, written into the exponent's bits.
#[inline(always)]
unsafe fn power64(n: __m256d) -> __m256d {
    let biased = _mm256_castpd_si256(_mm256_add_pd(n, _mm256_set1_pd(WHOLE + 1023.0)));
    _mm256_castsi256_pd(_mm256_slli_epi64::<52>(biased))
}

#[inline(always)]
unsafe fn split32(x: __m256) -> (__m256, __m256) {
    let biased = _mm256_cvtepi32_ps(_mm256_srli_epi32::<23>(_mm256_castps_si256(x)));
    let fraction = _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32((1 << 23) - 1)));
    (_mm256_sub_ps(biased, _mm256_set1_ps(127.0)), _mm256_or_ps(fraction, _mm256_set1_ps(1.0)))
}

#[inline(always)]
unsafe fn split64(x: __m256d) -> (__m256d, __m256d) {
    let biased = _mm256_castsi256_pd(_mm256_srli_epi64::<52>(_mm256_castpd_si256(x)));
    let biased = _mm256_or_pd(biased, _mm256_set1_pd(WHOLE));
    let fraction = _mm256_and_pd(x, _mm256_castsi256_pd(_mm256_set1_epi64x((1 << 52) - 1)));
    (_mm256_sub_pd(biased, _mm256_set1_pd(WHOLE + 1023.0)), _mm256_or_pd(fraction, _mm256_set1_pd(1.0)))
}

/// Interleaves single elements, then pairs, then halves: three rounds of eight shuffles.
#[inline(always)]
unsafe fn transpose32(src: *const u8, stride: usize, dst: *mut f32) {
    let mut r = [_mm256_setzero_ps(); 8];
    for (i, x) in r.iter_mut().enumerate() {
        *x = _mm256_loadu_ps(src.add(i * stride).cast());
    }
    let mut t = r;
    for i in 0..4 {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for i in 0..2 {
        for h in 0..2 {
            let (a, b) = (t[4 * i + h], t[4 * i + 2 + h]);
            r[4 * i + 2 * h] = _mm256_shuffle_ps::<0x44>(a, b);
            r[4 * i + 2 * h + 1] = _mm256_shuffle_ps::<0xee>(a, b);
        }
    }
    for j in 0..4 {
        _mm256_storeu_ps(dst.add(8 * j), _mm256_permute2f128_ps::<0x20>(r[j], r[4 + j]));
        _mm256_storeu_ps(dst.add(8 * (4 + j)), _mm256_permute2f128_ps::<0x31>(r[j], r[4 + j]));
    }
}

/// Two rounds of four shuffles.
#[inline(always)]
unsafe fn transpose64(src: *const u8, stride: usize, dst: *mut f64) {
    let mut r = [_mm256_setzero_pd(); 4];
    for (i, x) in r.iter_mut().enumerate() {
        *x = _mm256_loadu_pd(src.add(i * stride).cast());
    }
    let t = [
        _mm256_unpacklo_pd(r[0], r[1]),
        _mm256_unpackhi_pd(r[0], r[1]),
        _mm256_unpacklo_pd(r[2], r[3]),
        _mm256_unpackhi_pd(r[2], r[3]),
    ];
    for j in 0..2 {
        _mm256_storeu_pd(dst.add(4 * j), _mm256_permute2f128_pd::<0x20>(t[j], t[2 + j]));
        _mm256_storeu_pd(dst.add(4 * (2 + j)), _mm256_permute2f128_pd::<0x31>(t[j], t[2 + j]));
    }
}

impl Words for Avx2 {
    type Sad = __m256i;
    type Dot = __m256i;
    #[inline(always)]
    unsafe fn sad_zero() -> __m256i {
        _mm256_setzero_si256()
    }
    #[inline(always)]
    unsafe fn sad(acc: __m256i, key: *const u8, query: u64) -> __m256i {
        let key = _mm256_loadu_si256(key.cast());
        _mm256_add_epi64(acc, _mm256_sad_epu8(key, _mm256_set1_epi64x(query as i64)))
    }
    #[inline(always)]
    unsafe fn sad_store(acc: __m256i, out: *mut i32) {
        let low = _mm256_permutevar8x32_epi32(acc, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
        _mm_storeu_si128(out.cast(), _mm256_castsi256_si128(low))
    }
    #[inline(always)]
    unsafe fn dot_zero() -> __m256i {
        _mm256_setzero_si256()
    }
    #[inline(always)]
    unsafe fn dot(acc: __m256i, key: *const u8, query: u32) -> __m256i {
        // The instruction for bytes saturates. Even and odd bytes as 16-bit numbers lose nothing.
        let key = _mm256_loadu_si256(key.cast());
        let query = _mm256_set1_epi32(query as i32);
        let even = _mm256_madd_epi16(
            _mm256_and_si256(key, _mm256_set1_epi16(0xff)),
            _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(query)),
        );
        let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(key), _mm256_srai_epi16::<8>(query));
        _mm256_add_epi32(acc, _mm256_add_epi32(even, odd))
    }
    #[inline(always)]
    unsafe fn dot_store(acc: __m256i, factor: i32, key_terms: *const i32, query_term: i32, out: *mut i32) {
        let terms = _mm256_add_epi32(_mm256_loadu_si256(key_terms.cast()), _mm256_set1_epi32(query_term));
        let scaled = _mm256_mullo_epi32(acc, _mm256_set1_epi32(factor));
        _mm256_storeu_si256(out.cast(), _mm256_add_epi32(terms, scaled))
    }
    #[inline(always)]
    unsafe fn dot_load(p: *const i32) -> __m256i {
        _mm256_loadu_si256(p.cast())
    }
    #[inline(always)]
    unsafe fn signs(bytes: *const u8) -> (u64, bool) {
        // Of every eight the last one first.
        let order = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0809_0a0b_0c0d_0e0f, 0x0001_0203_0405_0607));
        let halves = [0, 32].map(|at| {
            let x = _mm256_loadu_si256(bytes.add(at).cast());
            let fine = _mm256_cmpeq_epi8(_mm256_abs_epi8(x), _mm256_set1_epi8(1));
            (!_mm256_movemask_epi8(_mm256_shuffle_epi8(x, order)) as u32, _mm256_movemask_epi8(fine) == -1)
        });
        (halves[0].0 as u64 | (halves[1].0 as u64) << 32, halves[0].1 && halves[1].1)
    }
    #[inline(always)]
    unsafe fn less(p: *const i32, than: i32) -> u32 {
        let below = _mm256_cmpgt_epi32(_mm256_set1_epi32(than), _mm256_loadu_si256(p.cast()));
        _mm256_movemask_ps(_mm256_castsi256_ps(below)) as u32
    }
}

/// Counts in each lane: those of all half bytes stand in a table.
#[inline(always)]
unsafe fn ones(x: __m256i) -> __m256i {
    let table = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    let half = _mm256_set1_epi8(15);
    let low = _mm256_shuffle_epi8(table, _mm256_and_si256(x, half));
    let high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16::<4>(x), half));
    _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256())
}

impl Bits for Avx2 {
    type Count = __m256i;
    #[inline(always)]
    unsafe fn zero() -> __m256i {
        _mm256_setzero_si256()
    }
    #[inline(always)]
    unsafe fn differing(acc: __m256i, key: *const u8, query: u64) -> __m256i {
        let different = _mm256_xor_si256(_mm256_loadu_si256(key.cast()), _mm256_set1_epi64x(query as i64));
        _mm256_add_epi64(acc, ones(different))
    }
    #[inline(always)]
    unsafe fn differing_known(acc: __m256i, key: *const u8, query: u64, known: u64) -> __m256i {
        let different = _mm256_xor_si256(_mm256_loadu_si256(key.cast()), _mm256_set1_epi64x(query as i64));
        _mm256_add_epi64(acc, ones(_mm256_and_si256(different, _mm256_set1_epi64x(known as i64))))
    }
    #[inline(always)]
    unsafe fn across(acc: __m256i, key: *const u8, query: *const u8) -> __m256i {
        let different = _mm256_xor_si256(_mm256_loadu_si256(key.cast()), _mm256_loadu_si256(query.cast()));
        _mm256_add_epi64(acc, ones(different))
    }
    #[inline(always)]
    unsafe fn store(acc: __m256i, out: *mut i32) {
        <Avx2 as Words>::sad_store(acc, out)
    }
}

impl Widen for F32 {
    #[inline(always)]
    unsafe fn whole(p: *const i32) -> Self {
        Self(_mm256_cvtepi32_ps(_mm256_loadu_si256(p.cast())))
    }
    #[inline(always)]
    unsafe fn half(p: *const u16) -> Self {
        Self(_mm256_cvtph_ps(_mm_loadu_si128(p.cast())))
    }
    #[inline(always)]
    unsafe fn brain(p: *const u16) -> Self {
        let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
        Self(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide)))
    }
}
