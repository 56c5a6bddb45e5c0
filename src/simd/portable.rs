//! No intrinsics: what the compiler makes of four-element arrays with the architecture's baseline features.

use super::{Bits, Float, Isa, Vector, Widen, Words, Work, brain, half, tiles};

/// What every CPU has.
#[derive(Clone, Copy)]
pub struct Portable;

impl Isa for Portable {
    type F32 = Array<f32>;
    type F64 = Array<f64>;
    type Words = Portable;
    type Bits = Portable;
    type Counting = Self;
    unsafe fn call<W: Work>(work: W) -> W::Out {
        work.run::<Self>()
    }
    fn counting() -> bool {
        true
    }
    tiles! {
        product: 4 x 2, 2 x 4; difference: 4 x 2, 2 x 4; absolute: 4 x 2, 2 x 4; elaborate: 2 x 1, 2 x 1;
        count: 4 x 2, 2 x 4;
    }
}

const LANES: usize = 4;

/// Four elements.
#[derive(Clone, Copy)]
pub struct Array<E>([E; LANES]);

macro_rules! map {
    (|$($x:ident),*| $e:expr) => {{
        let mut out = [0.0; LANES];
        for i in 0..LANES {
            $(let $x = $x.0[i];)*
            out[i] = $e;
        }
        Self(out)
    }};
}

macro_rules! vector {
    ($e:ty, $bits:ty, $fraction:literal, $bias:literal) => {
        impl Vector for Array<$e> {
            type E = $e;
            const LANES: usize = LANES;
            const ROWS: usize = 4;
            #[inline(always)]
            unsafe fn splat(x: $e) -> Self {
                Self([x; LANES])
            }
            #[inline(always)]
            unsafe fn load(p: *const $e) -> Self {
                Self(p.cast::<[$e; LANES]>().read_unaligned())
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $e) {
                p.cast::<[$e; LANES]>().write_unaligned(self.0)
            }
            #[inline(always)]
            unsafe fn load_first(p: *const $e, n: usize) -> Self {
                let mut out = [0.0; LANES];
                for (i, x) in out.iter_mut().enumerate().take(n) {
                    *x = *p.add(i);
                }
                Self(out)
            }
            #[inline(always)]
            unsafe fn store_first(self, p: *mut $e, n: usize) {
                for (i, x) in self.0.into_iter().enumerate().take(n) {
                    *p.add(i) = x;
                }
            }
            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                let a = self;
                map!(|a, b| a + b)
            }
            #[inline(always)]
            unsafe fn add_where(self, mask: u32, b: Self) -> Self {
                let mut out = self.0;
                for i in 0..LANES {
                    out[i] += if mask >> i & 1 == 1 { b.0[i] } else { 0.0 };
                }
                Self(out)
            }
            #[inline(always)]
            unsafe fn sub(self, b: Self) -> Self {
                let a = self;
                map!(|a, b| a - b)
            }
            #[inline(always)]
            unsafe fn mul(self, b: Self) -> Self {
                let a = self;
                map!(|a, b| a * b)
            }
            #[inline(always)]
            unsafe fn div(self, b: Self) -> Self {
                let a = self;
                map!(|a, b| a / b)
            }
            #[inline(always)]
            unsafe fn fma(self, b: Self, c: Self) -> Self {
                let a = self;
                map!(|a, b, c| a * b + c)
            }
            #[inline(always)]
            unsafe fn fnma(self, b: Self, c: Self) -> Self {
                let a = self;
                map!(|a, b, c| c - a * b)
            }
            #[inline(always)]
            unsafe fn min(self, b: Self) -> Self {
                let a = self;
                map!(|a, b| if a < b { a } else { b })
            }
            #[inline(always)]
            unsafe fn max(self, b: Self) -> Self {
                let a = self;
                map!(|a, b| if a > b { a } else { b })
            }
            #[inline(always)]
            unsafe fn abs(self) -> Self {
                let a = self;
                map!(|a| a.abs())
            }
            #[inline(always)]
            unsafe fn sqrt(self) -> Self {
                let a = self;
                map!(|a| a.sqrt())
            }
            #[inline(always)]
            unsafe fn round(self) -> Self {
                // Adding and taking away 1.5 * 2^fraction rounds to the nearest even integer; the argument is an exponent.
                let magic = 1.5 * ((1 as $bits) << $fraction) as $e;
                let a = self;
                map!(|a| (a + magic) - magic)
            }
            #[inline(always)]
            unsafe fn lt(self, b: Self) -> u32 {
                let mut mask = 0;
                for i in 0..LANES {
                    mask |= ((self.0[i] < b.0[i]) as u32) << i;
                }
                mask
            }
            #[inline(always)]
            unsafe fn select_lt(a: Self, b: Self, yes: Self, no: Self) -> Self {
                map!(|a, b, yes, no| if a < b { yes } else { no })
            }
            #[inline(always)]
            unsafe fn scale(self, n: Self) -> Self {
                let a = self;
                map!(|a, n| a * <$e>::from_bits(((n as i64 + $bias) as $bits) << $fraction))
            }
            #[inline(always)]
            unsafe fn split(self) -> (Self, Self) {
                let a = self;
                let exponent = map!(|a| (a.to_bits() >> $fraction) as $e - $bias as $e);
                let mantissa = map!(|a| <$e>::from_bits(
                    (a.to_bits() & ((1 << $fraction) - 1)) | <$e>::ONE.to_bits()
                ));
                (exponent, mantissa)
            }
            #[inline(always)]
            unsafe fn transpose(src: *const u8, stride: usize, dst: *mut $e) {
                // As integers: a float move may quieten a signalling NaN on some targets.
                let dst = dst.cast::<$bits>();
                for i in 0..LANES {
                    let row = src.add(i * stride).cast::<$bits>();
                    for j in 0..LANES {
                        *dst.add(j * LANES + i) = row.add(j).read_unaligned();
                    }
                }
            }
        }
    };
}

vector!(f32, u32, 23, 127);
vector!(f64, u64, 52, 1023);

impl Words for Portable {
    type Sad = [i32; LANES];
    type Dot = [i32; LANES];
    #[inline(always)]
    unsafe fn sad_zero() -> [i32; LANES] {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn sad(mut acc: [i32; LANES], key: *const u8, query: u64) -> [i32; LANES] {
        let query = query.to_ne_bytes();
        for (i, sum) in acc.iter_mut().enumerate() {
            for (j, &q) in query.iter().enumerate() {
                *sum += q.abs_diff(*key.add(8 * i + j)) as i32;
            }
        }
        acc
    }
    #[inline(always)]
    unsafe fn sad_store(acc: [i32; LANES], out: *mut i32) {
        out.cast::<[i32; LANES]>().write_unaligned(acc)
    }
    #[inline(always)]
    unsafe fn dot_zero() -> [i32; LANES] {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn dot(mut acc: [i32; LANES], key: *const u8, query: u32) -> [i32; LANES] {
        let query = query.to_ne_bytes();
        for (i, sum) in acc.iter_mut().enumerate() {
            for (j, &q) in query.iter().enumerate() {
                *sum += q as i8 as i32 * *key.add(4 * i + j) as i32;
            }
        }
        acc
    }
    #[inline(always)]
    unsafe fn dot_store(acc: [i32; LANES], factor: i32, key_terms: *const i32, query_term: i32, out: *mut i32) {
        for (i, sum) in acc.into_iter().enumerate() {
            let terms = (*key_terms.add(i)).wrapping_add(query_term);
            *out.add(i) = terms.wrapping_add(factor.wrapping_mul(sum));
        }
    }
    #[inline(always)]
    unsafe fn dot_load(p: *const i32) -> [i32; LANES] {
        p.cast::<[i32; LANES]>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn less(p: *const i32, than: i32) -> u32 {
        let mut mask = 0;
        for i in 0..LANES {
            mask |= ((*p.add(i) < than) as u32) << i;
        }
        mask
    }
}

impl Bits for Portable {
    type Count = [i32; LANES];
    #[inline(always)]
    unsafe fn zero() -> [i32; LANES] {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn differing(mut acc: [i32; LANES], key: *const u8, query: u64) -> [i32; LANES] {
        for (i, count) in acc.iter_mut().enumerate() {
            *count += (key.add(8 * i).cast::<u64>().read_unaligned() ^ query).count_ones() as i32;
        }
        acc
    }
    #[inline(always)]
    unsafe fn differing_known(mut acc: [i32; LANES], key: *const u8, query: u64, known: u64) -> [i32; LANES] {
        for (i, count) in acc.iter_mut().enumerate() {
            *count += ((key.add(8 * i).cast::<u64>().read_unaligned() ^ query) & known).count_ones() as i32;
        }
        acc
    }
    #[inline(always)]
    unsafe fn across(mut acc: [i32; LANES], key: *const u8, query: *const u8) -> [i32; LANES] {
        for (i, count) in acc.iter_mut().enumerate() {
            let query = query.add(8 * i).cast::<u64>().read_unaligned();
            *count += (key.add(8 * i).cast::<u64>().read_unaligned() ^ query).count_ones() as i32;
        }
        acc
    }
    #[inline(always)]
    unsafe fn store(acc: [i32; LANES], out: *mut i32) {
        out.cast::<[i32; LANES]>().write_unaligned(acc)
    }
}

impl Widen for Array<f32> {
    #[inline(always)]
    unsafe fn whole(p: *const i32) -> Self {
        Self(std::array::from_fn(|i| p.add(i).read_unaligned() as f32))
    }
    #[inline(always)]
    unsafe fn half(p: *const u16) -> Self {
        Self(std::array::from_fn(|i| half(p.add(i).read_unaligned())))
    }
    #[inline(always)]
    unsafe fn brain(p: *const u16) -> Self {
        Self(std::array::from_fn(|i| brain(p.add(i).read_unaligned())))
    }
}
