//! Metrics of rows of bytes, and the frame that they share.

use super::{Metric, Score};
use crate::error::Side;
use crate::simd::{Isa, Shaped, Vector, Words};
use std::marker::PhantomData;

/// The longest rows whose scores surely fit an i32: 255^2 * 33025 < 2^31.
pub const BYTE_WIDTH: usize = 33_025;

/// What a metric of bytes adds to the frame that all of them share. Their scores are whole numbers, exactly.
pub trait ByteMetric<I: Isa>: 'static {
    /// See [`Metric::Score`].
    type Score: Score;
    /// See [`Metric::Carrier`].
    type Carrier: Vector;
    /// See [`Metric::Acc`].
    type Acc: Copy;
    /// Whether rows are prepared and have shares of their own.
    const PREPARES: bool = false;
    /// See [`Metric::tiles`].
    fn tiles<S: Shaped>() -> S::Out;
    /// See [`Metric::prepare`].
    #[inline(always)]
    fn prepare(_row: &mut [u8], _side: Side) -> Self::Score {
        Self::Score::default()
    }
    /// See [`Metric::zero`].
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn zero() -> Self::Acc;
    /// See [`Metric::step`].
    ///
    /// # Safety
    /// Only below [`Isa::call`]; `key` readable for a register, `query` for a word.
    unsafe fn step(acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc;
    /// See [`Metric::finish`].
    ///
    /// # Safety
    /// Only below [`Isa::call`]; terms readable and out writable for the keys of a register.
    unsafe fn finish(acc: Self::Acc, key_terms: *const Self::Score, query_term: Self::Score, out: *mut Self::Score);
}

/// Frame of the byte metrics: the instruction reads the keys where they are, nothing is ever rounded.
pub struct OnBytes<B>(PhantomData<B>);

impl<I: Isa, B: ByteMetric<I>> Metric<I> for OnBytes<B> {
    type Element = u8;
    type Score = B::Score;
    type Carrier = B::Carrier;
    type Acc = B::Acc;
    type Key = *const u8;
    type Constant = ();
    const FOLD: usize = usize::MAX;
    const PREPARES: bool = B::PREPARES;
    const TERMS: bool = B::PREPARES;

    #[inline(always)]
    fn tiles<S: Shaped>() -> S::Out {
        B::tiles::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [u8], side: Side) -> Result<B::Score, &'static str> {
        Ok(B::prepare(row, side))
    }
    #[inline(always)]
    unsafe fn zero() -> B::Acc {
        B::zero()
    }
    #[inline(always)]
    unsafe fn key(p: *const u8) -> *const u8 {
        p
    }
    #[inline(always)]
    unsafe fn constant(_panel: usize) {}
    #[inline(always)]
    unsafe fn step(_: (), acc: B::Acc, key: *const u8, query: *const u8) -> B::Acc {
        B::step(acc, key, query)
    }
    #[inline(always)]
    unsafe fn fold(_total: B::Acc, acc: B::Acc) -> B::Acc {
        acc
    }
    #[inline(always)]
    unsafe fn finish(
        acc: B::Acc,
        key_terms: *const B::Score,
        query_term: B::Score,
        out: *mut B::Score,
        _odd: &mut B::Acc,
    ) {
        B::finish(acc, key_terms, query_term, out);
    }
    #[inline(always)]
    unsafe fn finite(_odd: B::Acc) -> bool {
        true
    }
}

/// sum |x - k| of bytes.
pub struct ByteManhattan;
impl<I: Isa> ByteMetric<I> for ByteManhattan {
    type Score = i32;
    type Carrier = I::F64;
    type Acc = <I::Words as Words>::Sad;

    fn tiles<S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Acc {
        I::Words::sad_zero()
    }
    #[inline(always)]
    unsafe fn step(acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc {
        I::Words::sad(acc, key, query.cast::<u64>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn finish(acc: Self::Acc, _key_terms: *const i32, _query_term: i32, out: *mut i32) {
        I::Words::sad_store(acc, out);
    }
}

/// Which product of bytes.
pub trait ByteProduct: 'static {
    /// What the sum of products is multiplied by.
    const FACTOR: i32;
    /// A row's own share.
    fn term(row: &[u8], side: Side) -> i32;
}

/// Sums of products of bytes. The instruction takes unsigned keys k and signed queries q - 128; what that leaves
/// out of the score depends on one row only and stands in its term. Sums wrap, so only the score itself has to fit.
pub struct Products<P>(PhantomData<P>);
impl<I: Isa, P: ByteProduct> ByteMetric<I> for Products<P> {
    type Score = i32;
    type Carrier = I::F32;
    type Acc = <I::Words as Words>::Dot;
    const PREPARES: bool = true;

    fn tiles<S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    fn prepare(row: &mut [u8], side: Side) -> i32 {
        let term = P::term(row, side);
        if side == Side::Query {
            for x in row {
                *x ^= 0x80;
            }
        }
        term
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Acc {
        I::Words::dot_zero()
    }
    #[inline(always)]
    unsafe fn step(acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc {
        I::Words::dot(acc, key, query.cast::<u32>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn finish(acc: Self::Acc, key_terms: *const i32, query_term: i32, out: *mut i32) {
        I::Words::dot_store(acc, P::FACTOR, key_terms, query_term, out);
    }
}

fn byte_sum(row: &[u8]) -> i32 {
    row.iter().map(|&x| x as i32).fold(0, i32::wrapping_add)
}

/// x . k of unsigned bytes: the instruction's sum k (q - 128) lacks 128 sum k.
pub struct UnsignedDot;
impl ByteProduct for UnsignedDot {
    const FACTOR: i32 = 1;
    fn term(row: &[u8], side: Side) -> i32 {
        if side == Side::Key { byte_sum(row).wrapping_mul(128) } else { 0 }
    }
}

/// x . k of signed bytes, both stored 128 higher: the instruction's sum (k + 128) q has 128 sum q too much.
pub struct SignedDot;
impl ByteProduct for SignedDot {
    const FACTOR: i32 = 1;
    fn term(row: &[u8], side: Side) -> i32 {
        if side == Side::Query { byte_sum(row).wrapping_sub(128 * row.len() as i32).wrapping_mul(-128) } else { 0 }
    }
}

/// sum (x - k)^2 of bytes = sum k^2 + sum x^2 - 2 x . k; integers lose nothing by it, and a common shift changes nothing.
pub struct ByteEuclidean;
impl ByteProduct for ByteEuclidean {
    const FACTOR: i32 = -2;
    fn term(row: &[u8], side: Side) -> i32 {
        let squares = row.iter().map(|&x| x as i32 * x as i32).fold(0, i32::wrapping_add);
        if side == Side::Key { squares.wrapping_sub(byte_sum(row).wrapping_mul(256)) } else { squares }
    }
}
