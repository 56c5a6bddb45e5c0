//! Tables of numbers as NumPy holds them, and their elements widened without loss.

use crate::simd::{brain, half};
use std::marker::PhantomData;
use std::ops::Range;

/// How an array's elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Dtype {
    F32,
    F64,
    F16,
    /// The upper half of an f32.
    BF16,
    U8,
    I8,
    /// Eight elements a byte, the first in the highest bit: a bit 1 is the number 1, a bit 0 the number -1.
    Bipolar,
}

impl Dtype {
    /// Bytes of a row.
    pub fn bytes(self, width: usize) -> usize {
        match self {
            Dtype::F64 => 8 * width,
            Dtype::F32 => 4 * width,
            Dtype::F16 | Dtype::BF16 => 2 * width,
            Dtype::U8 | Dtype::I8 => width,
            Dtype::Bipolar => width.div_ceil(8),
        }
    }
    /// Whether an element is a byte that is a number.
    pub fn is_byte(self) -> bool {
        matches!(self, Dtype::U8 | Dtype::I8)
    }
    /// Whether an element is a float of 16 bits.
    pub fn is_short(self) -> bool {
        matches!(self, Dtype::F16 | Dtype::BF16)
    }
    /// What a row's address must be a multiple of.
    pub fn align(self) -> usize {
        self.bytes(1)
    }
}

/// A C-contiguous table of numbers that somebody else owns.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    data: *const u8,
    dtype: Dtype,
    len: usize,
    width: usize,
    owner: PhantomData<&'a [u8]>,
}

// SAFETY: a Rows only reads, and its owner outlives it.
unsafe impl Send for Rows<'_> {}
// SAFETY: as above.
unsafe impl Sync for Rows<'_> {}

impl<'a> Rows<'a> {
    /// A view of `len` rows of `width` elements.
    ///
    /// # Safety
    /// `data` must be aligned for `dtype` and readable for `len` rows of `width` elements as long as `'a` lasts.
    pub unsafe fn new(data: *const u8, dtype: Dtype, len: usize, width: usize) -> Self {
        Rows { data, dtype, len, width, owner: PhantomData }
    }

    /// A view of a slice.
    pub fn of<E: Numeric>(data: &'a [E], width: usize) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width));
        // SAFETY: the slice is what the view says.
        unsafe { Rows::new(data.as_ptr().cast(), E::DTYPE, data.len() / width, width) }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Elements of a row.
    pub fn width(&self) -> usize {
        self.width
    }
    /// How the elements are stored.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }
    /// First byte of row `i`.
    #[inline(always)]
    pub fn row(&self, i: usize) -> *const u8 {
        debug_assert!(i <= self.len);
        self.data.wrapping_add(i * self.dtype.bytes(self.width))
    }

    /// The memory of some rows.
    pub fn memory(&self, range: Range<usize>) -> &'a [u8] {
        assert!(range.end <= self.len);
        // SAFETY: the rows are readable for as long as 'a lasts, by the contract of `new`.
        unsafe { std::slice::from_raw_parts(self.row(range.start), range.len() * self.dtype.bytes(self.width)) }
    }

    /// Copies row `i`, widened to E without loss; inlined, so that registers are those of the caller's instruction set.
    #[inline(always)]
    pub fn read<E: Element>(&self, i: usize, out: &mut [E]) {
        assert!(out.len() == self.width);
        self.read_some(i, 0, out);
    }

    /// The same for the elements from `first` on, as many as `out` has room for; bits begin with a byte.
    #[inline(always)]
    pub fn read_some<E: Element>(&self, i: usize, first: usize, out: &mut [E]) {
        assert!(i < self.len && first + out.len() <= self.width);
        assert!(self.dtype != Dtype::Bipolar || first.is_multiple_of(8));
        // SAFETY: row i has `width` elements of its dtype, by the contract of `new`.
        unsafe {
            let p = self.row(i).add(self.dtype.bytes(first));
            match self.dtype {
                Dtype::F32 => widen(p.cast::<f32>(), out, E::widen_f32),
                Dtype::F64 => widen(p.cast::<f64>(), out, E::widen_f64),
                Dtype::F16 => widen(p.cast::<u16>(), out, |x| E::widen_f32(half(x))),
                Dtype::BF16 => widen(p.cast::<u16>(), out, |x| E::widen_f32(brain(x))),
                Dtype::U8 => widen(p, out, E::widen_u8),
                Dtype::I8 => widen(p.cast::<i8>(), out, E::widen_i8),
                Dtype::Bipolar => {
                    for (i, part) in out.chunks_mut(8).enumerate() {
                        widen(BIPOLAR[*p.add(i) as usize].as_ptr(), part, E::widen_i8);
                    }
                }
            }
        }
    }

    /// Whether all elements are 0 or 1.
    pub fn whole(&self) -> bool {
        let mut some = [0.0f64; 256];
        (0..self.len).all(|i| {
            (0..self.width).step_by(some.len()).all(|first| {
                let n = some.len().min(self.width - first);
                self.read_some(i, first, &mut some[..n]);
                some[..n].iter().all(|&x| x == 0.0 || x == 1.0)
            })
        })
    }

    /// The first row with a NaN or an infinity.
    pub fn first_non_finite(&self) -> Option<usize> {
        self.non_finite_among(0..self.len)
    }
    /// The first such row among some.
    pub fn non_finite_among(&self, mut rows: Range<usize>) -> Option<usize> {
        if matches!(self.dtype, Dtype::U8 | Dtype::I8 | Dtype::Bipolar) {
            return None;
        }
        let mut some = [0.0f64; 256];
        rows.find(|&i| {
            (0..self.width).step_by(some.len()).any(|first| {
                let n = some.len().min(self.width - first);
                self.read_some(i, first, &mut some[..n]);
                some[..n].iter().any(|x| !x.is_finite())
            })
        })
    }
}

#[inline(always)]
unsafe fn widen<A: Copy, E>(p: *const A, out: &mut [E], f: impl Fn(A) -> E) {
    for (i, x) in out.iter_mut().enumerate() {
        *x = f(*p.add(i));
    }
}

/// The eight numbers of every byte of bits.
static BIPOLAR: [[i8; 8]; 256] = {
    let mut table = [[-1i8; 8]; 256];
    let mut at = 0;
    while at < 8 * 256 {
        if (at / 8) >> (7 - at % 8) & 1 == 1 {
            table[at / 8][at % 8] = 1;
        }
        at += 1;
    }
    table
};

/// Elements that [`Rows::of`] takes.
pub trait Numeric: Copy {
    /// Their name.
    const DTYPE: Dtype;
}
impl Numeric for f32 {
    const DTYPE: Dtype = Dtype::F32;
}
impl Numeric for f64 {
    const DTYPE: Dtype = Dtype::F64;
}
impl Numeric for u8 {
    const DTYPE: Dtype = Dtype::U8;
}
impl Numeric for i8 {
    const DTYPE: Dtype = Dtype::I8;
}

/// What rows are made of once they are packed, and the conversions into it. Those that would lose something are never asked
/// for: the callers choose an element that holds the data.
pub trait Element: Copy + Default + Send + Sync + 'static {
    /// The dtype that needs no conversion.
    const DTYPE: Dtype;
    #[allow(missing_docs)]
    fn widen_f32(x: f32) -> Self;
    #[allow(missing_docs)]
    fn widen_f64(x: f64) -> Self;
    #[allow(missing_docs)]
    fn widen_u8(x: u8) -> Self;
    #[allow(missing_docs)]
    fn widen_i8(x: i8) -> Self;
}

macro_rules! widen_float {
    ($t:ty, $dtype:expr) => {
        impl Element for $t {
            const DTYPE: Dtype = $dtype;
            #[inline(always)]
            fn widen_f32(x: f32) -> Self {
                x as $t
            }
            #[inline(always)]
            fn widen_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn widen_u8(x: u8) -> Self {
                x as $t
            }
            #[inline(always)]
            fn widen_i8(x: i8) -> Self {
                x as $t
            }
        }
    };
}
widen_float!(f32, Dtype::F32);
widen_float!(f64, Dtype::F64);

/// Signed bytes are stored 128 higher, which no difference notices; [`bytes`](crate::metric::bytes) says what becomes of products.
impl Element for u8 {
    const DTYPE: Dtype = Dtype::U8;
    fn widen_f32(_: f32) -> Self {
        unreachable!("floats are never scored as bytes")
    }
    fn widen_f64(_: f64) -> Self {
        unreachable!("floats are never scored as bytes")
    }
    #[inline(always)]
    fn widen_u8(x: u8) -> Self {
        x
    }
    #[inline(always)]
    fn widen_i8(x: i8) -> Self {
        x as u8 ^ 0x80
    }
}
