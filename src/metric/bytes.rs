//! Metrics of rows of bytes, and the frame that they share. A metric is taken from exact integers, whichever of both types
//! either side has; what is rounded, is rounded once.
//!
//! Unsigned bytes are stored as they are, signed ones 128 higher ([`Element`](crate::table::Element) for u8). A row's own share
//! of a score sets right what its and the other side's shift leave out or add.

use super::{Facing, Metric, OfMetric, Pair, Score};
use crate::error::Side;
use crate::simd::{Isa, Shaped, Vector, Words};
use crate::table::Dtype;
use std::marker::PhantomData;

/// The longest rows whose scores surely fit an i32: 255^2 * 33025 < 2^31.
pub const BYTE_WIDTH: usize = 33_025;
/// The same of squared differences of unsigned and signed bytes: 383^2 * 14639 < 2^31.
pub const MIXED_WIDTH: usize = 14_639;

/// A metric that is taken from exact integers of bytes.
pub trait OfBytes {
    /// Whether scores are rounded, if only once.
    const ROUNDS: bool;
    /// The longest rows, of two types if `mixed`, whose integers surely fit 32 bits.
    fn width(mixed: bool) -> usize;
    /// The metric with those integers as its scores, if they are.
    fn exactly<I: Isa, K: OfMetric<i32>>(mixed: bool) -> Option<K>;
    /// The metric with scores that are rounded once from them, if at all.
    fn widely<I: Isa, K: OfMetric<f64>>(mixed: bool) -> K;
}

/// What a metric of bytes adds to the frame that all of them share.
pub trait ByteMetric<I: Isa>: 'static {
    /// See [`Metric::Score`].
    type Score: Score;
    /// See [`Metric::Carrier`].
    type Carrier: Vector;
    /// See [`Metric::Acc`].
    type Acc: Copy;
    /// Whether rows are prepared and have shares of their own.
    const PREPARES: bool = false;
    /// See [`Metric::KNOWN`].
    const KNOWN: bool = false;
    /// See [`Metric::PRODUCTS`].
    const PRODUCTS: bool = false;
    /// See [`Metric::tiles`].
    fn tiles<S: Shaped>() -> S::Out;
    /// See [`Metric::prepare`].
    #[inline(always)]
    fn prepare(_row: &mut [u8], _facing: Facing) -> Self::Score {
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
    /// See [`Metric::summed`].
    ///
    /// # Safety
    /// As there.
    unsafe fn summed(
        _sums: *const i32,
        _key_terms: *const Self::Score,
        _query_term: Self::Score,
        _out: *mut Self::Score,
    ) {
        unreachable!("what matrices take says what it makes of sums")
    }
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
    type Marks = ();
    type Constant = ();
    const FOLD: usize = usize::MAX;
    const PREPARES: bool = B::PREPARES;
    const TERMS: bool = B::PREPARES;
    const KNOWN: bool = B::KNOWN;
    const PRODUCTS: bool = B::PRODUCTS;

    #[inline(always)]
    fn tiles<S: Shaped>() -> S::Out {
        B::tiles::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [u8], facing: Facing) -> Result<B::Score, &'static str> {
        Ok(B::prepare(row, facing))
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
    unsafe fn summed(sums: *const i32, key_terms: *const B::Score, query_term: B::Score, out: *mut B::Score) {
        B::summed(sums, key_terms, query_term, out);
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
        _marks: &mut (),
    ) {
        B::finish(acc, key_terms, query_term, out);
    }
    #[inline(always)]
    unsafe fn unmarked() {}
    #[inline(always)]
    unsafe fn settled(_marks: ()) -> bool {
        true
    }
    unsafe fn again(_pair: &Pair<Self::Score>) -> bool {
        true
    }
}

/// A score that holds the whole numbers of bytes.
pub trait Whole: Score {
    /// That number; as an i32, without what is beyond its bits.
    fn whole(x: i64) -> Self;
    /// Their sum; of i32, without what is beyond its bits.
    fn sum(of: [Self; 3]) -> Self;
    /// Replaces a register of whole numbers by their roots; an i32 has none.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; readable and writable for the keys of a register of products.
    unsafe fn root<I: Isa>(_out: *mut Self) {}
    /// `key_term + query_term + factor * acc` in each lane of products.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; terms readable and out writable for the keys of a register.
    unsafe fn products<I: Isa>(
        acc: <I::Words as Words>::Dot,
        factor: i32,
        key_terms: *const Self,
        query_term: Self,
        out: *mut Self,
    );
}

impl Whole for i32 {
    fn whole(x: i64) -> i32 {
        x as i32
    }
    #[inline(always)]
    fn sum([a, b, c]: [i32; 3]) -> i32 {
        a.wrapping_add(b).wrapping_add(c)
    }
    #[inline(always)]
    unsafe fn products<I: Isa>(
        acc: <I::Words as Words>::Dot,
        factor: i32,
        key_terms: *const i32,
        query_term: i32,
        out: *mut i32,
    ) {
        I::Words::dot_store(acc, factor, key_terms, query_term, out);
    }
}

impl Whole for f64 {
    fn whole(x: i64) -> f64 {
        x as f64
    }
    #[inline(always)]
    fn sum([a, b, c]: [f64; 3]) -> f64 {
        a + b + c
    }
    #[inline(always)]
    unsafe fn root<I: Isa>(out: *mut f64) {
        for i in (0..I::F32::LANES).step_by(I::F64::LANES) {
            I::F64::load(out.add(i)).sqrt().store(out.add(i));
        }
    }
    #[inline(always)]
    unsafe fn products<I: Isa>(
        acc: <I::Words as Words>::Dot,
        factor: i32,
        key_terms: *const f64,
        query_term: f64,
        out: *mut f64,
    ) {
        let (none, mut sums) = ([0i32; LANES], [0i32; LANES]);
        I::Words::dot_store(acc, 1, none.as_ptr(), 0, sums.as_mut_ptr());
        for (i, &sum) in sums[..I::F32::LANES].iter().enumerate() {
            *out.add(i) = *key_terms.add(i) + query_term + factor as f64 * sum as f64;
        }
    }
}

/// The most lanes of any register of i32.
pub(super) const LANES: usize = 16;

/// What signed bytes are stored higher than they are.
fn shift(dtype: Dtype) -> i64 {
    if dtype == Dtype::I8 { 128 } else { 0 }
}

/// Sums of a row's numbers and of their squares, stored as they may be.
#[inline(always)]
pub(super) fn moments(row: &[u8], own: Dtype) -> (i64, i64) {
    // Rows are no longer than their squares' sum allows, which is then quicker.
    let (shift, n) = (shift(own), row.len() as i64);
    let (sum, squares) = row.iter().fold((0i32, 0i32), |(sum, squares), &x| {
        let x = x as i32;
        (sum + x, squares + x * x)
    });
    let (sum, squares) = (sum as i64, squares as i64);
    (sum - n * shift, squares - 2 * shift * sum + n * shift * shift)
}

/// sum |x - k| of bytes. A common shift changes nothing.
pub struct Differences<E>(PhantomData<E>);
impl<I: Isa, E: Whole> ByteMetric<I> for Differences<E> {
    type Score = E;
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
    unsafe fn finish(acc: Self::Acc, _key_terms: *const E, _query_term: E, out: *mut E) {
        let mut sums = [0i32; LANES];
        I::Words::sad_store(acc, sums.as_mut_ptr());
        for (i, &sum) in sums[..I::F64::LANES].iter().enumerate() {
            *out.add(i) = E::whole(sum as i64);
        }
    }
}

/// Clips signed numbers at 0 and stores them as unsigned ones are; what is below 0 in all.
fn clip(row: &mut [u8], own: Dtype) -> i64 {
    if own != Dtype::I8 {
        return 0;
    }
    let mut below = 0;
    for x in row {
        let signed = *x as i64 - 128;
        below -= signed.min(0);
        *x = signed.max(0) as u8;
    }
    below
}

/// The same of unsigned and signed bytes: a negative number is farther than 0 from an unsigned one by its own magnitude.
pub struct MixedDifferences<E>(PhantomData<E>);
impl<I: Isa, E: Whole> ByteMetric<I> for MixedDifferences<E> {
    type Score = E;
    type Carrier = I::F64;
    type Acc = <I::Words as Words>::Sad;
    const PREPARES: bool = true;

    fn tiles<S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    fn prepare(row: &mut [u8], facing: Facing) -> E {
        E::whole(clip(row, facing.own))
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
    unsafe fn finish(acc: Self::Acc, key_terms: *const E, query_term: E, out: *mut E) {
        let mut sums = [0i32; LANES];
        I::Words::sad_store(acc, sums.as_mut_ptr());
        for (i, &sum) in sums[..I::F64::LANES].iter().enumerate() {
            *out.add(i) = E::sum([E::whole(sum as i64), *key_terms.add(i), query_term]);
        }
    }
}

/// The same where [`Words::least`] is quicker than differences: sum |x - k| = sum x + sum k - 2 sum min(x, k). Of two types,
/// the signed side is what it is among [`MixedDifferences`].
pub struct Minima<E>(PhantomData<E>);
impl<I: Isa, E: Whole> ByteMetric<I> for Minima<E> {
    type Score = E;
    type Carrier = I::F32;
    type Acc = <I::Words as Words>::Dot;
    const PREPARES: bool = true;

    fn tiles<S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    fn prepare(row: &mut [u8], facing: Facing) -> E {
        let below = if facing.own == facing.other { 0 } else { clip(row, facing.own) };
        E::whole(below + row.iter().fold(0i32, |sum, &x| sum + x as i32) as i64)
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Acc {
        I::Words::dot_zero()
    }
    #[inline(always)]
    unsafe fn step(acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc {
        I::Words::least(acc, key, query.cast::<u32>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn finish(acc: Self::Acc, key_terms: *const E, query_term: E, out: *mut E) {
        E::products::<I>(acc, -2, key_terms, query_term, out);
    }
}

/// Sum of magnitudes of differences.
pub struct ByteManhattan;
impl ByteManhattan {
    fn of<I: Isa, E: Whole, K: OfMetric<E>>(mixed: bool) -> K {
        match (I::Words::LEAST, mixed) {
            // Rows that few queries see are turned as they are, which sums of their own would prevent.
            (true, false) => K::with_few::<I, OnBytes<Minima<E>>, OnBytes<Differences<E>>>(),
            (true, true) => K::of::<I, OnBytes<Minima<E>>>(),
            (false, false) => K::of::<I, OnBytes<Differences<E>>>(),
            (false, true) => K::of::<I, OnBytes<MixedDifferences<E>>>(),
        }
    }
}
impl OfBytes for ByteManhattan {
    const ROUNDS: bool = false;
    fn width(_mixed: bool) -> usize {
        BYTE_WIDTH
    }
    fn exactly<I: Isa, K: OfMetric<i32>>(mixed: bool) -> Option<K> {
        Some(Self::of::<I, i32, K>(mixed))
    }
    fn widely<I: Isa, K: OfMetric<f64>>(mixed: bool) -> K {
        Self::of::<I, f64, K>(mixed)
    }
}

/// What is made of sums of products of bytes.
pub trait ByteProduct<E: Score>: 'static {
    /// A row's own share.
    fn term(row: &[u8], facing: Facing) -> E;
    /// The scores of a register of keys.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; terms readable and out writable for the keys of a register.
    unsafe fn finish<I: Isa>(acc: <I::Words as Words>::Dot, key_terms: *const E, query_term: E, out: *mut E);
}

/// Sums of products of bytes. The instruction takes unsigned keys K and signed queries s: keys k as they are stored,
/// `K = k + a`, and queries `s = q - b`, so that `sum k q = sum K s + b sum k - a sum s` with a and b either 0 or 128. What
/// depends on one row only stands in its term. An i32's sums wrap, so only the score itself has to fit.
pub struct Products<P, E>(PhantomData<(P, E)>);
impl<I: Isa, E: Score, P: ByteProduct<E>> ByteMetric<I> for Products<P, E> {
    type Score = E;
    type Carrier = I::F32;
    type Acc = <I::Words as Words>::Dot;
    const PREPARES: bool = true;
    const PRODUCTS: bool = true;

    fn tiles<S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    fn prepare(row: &mut [u8], facing: Facing) -> E {
        let term = P::term(row, facing);
        if facing.side == Side::Query {
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
    unsafe fn summed(sums: *const i32, key_terms: *const E, query_term: E, out: *mut E) {
        P::finish::<I>(I::Words::dot_load(sums), key_terms, query_term, out);
    }
    #[inline(always)]
    unsafe fn finish(acc: Self::Acc, key_terms: *const E, query_term: E, out: *mut E) {
        P::finish::<I>(acc, key_terms, query_term, out);
    }
}

/// What a row adds to the sum of its products: b sum k of a key, -a sum s of a query.
#[inline(always)]
pub(super) fn missing(row: &[u8], sum: i64, facing: Facing) -> i64 {
    let query = if facing.side == Side::Query { facing.own } else { facing.other };
    let b = 128 - shift(query);
    if facing.side == Side::Key { b * sum } else { -shift(facing.other) * (sum - b * row.len() as i64) }
}

/// x . k
pub struct ByteDot;
impl<E: Whole> ByteProduct<E> for ByteDot {
    #[inline(always)]
    fn term(row: &[u8], facing: Facing) -> E {
        let (sum, _) = moments(row, facing.own);
        E::whole(missing(row, sum, facing))
    }
    #[inline(always)]
    unsafe fn finish<I: Isa>(acc: <I::Words as Words>::Dot, key_terms: *const E, query_term: E, out: *mut E) {
        E::products::<I>(acc, 1, key_terms, query_term, out);
    }
}
impl OfBytes for ByteDot {
    const ROUNDS: bool = false;
    fn width(_mixed: bool) -> usize {
        BYTE_WIDTH
    }
    fn exactly<I: Isa, K: OfMetric<i32>>(_mixed: bool) -> Option<K> {
        Some(K::of::<I, OnBytes<Products<ByteDot, i32>>>())
    }
    fn widely<I: Isa, K: OfMetric<f64>>(_mixed: bool) -> K {
        K::of::<I, OnBytes<Products<ByteDot, f64>>>()
    }
}

/// sum (x - k)^2 = sum k^2 + sum x^2 - 2 x . k, or its root; integers lose nothing by it.
pub struct ByteSquares<const ROOT: bool>;
impl<E: Whole, const ROOT: bool> ByteProduct<E> for ByteSquares<ROOT> {
    #[inline(always)]
    fn term(row: &[u8], facing: Facing) -> E {
        let (sum, squares) = moments(row, facing.own);
        E::whole(squares - 2 * missing(row, sum, facing))
    }
    #[inline(always)]
    unsafe fn finish<I: Isa>(acc: <I::Words as Words>::Dot, key_terms: *const E, query_term: E, out: *mut E) {
        E::products::<I>(acc, -2, key_terms, query_term, out);
        if ROOT {
            E::root::<I>(out);
        }
    }
}
impl<const ROOT: bool> OfBytes for ByteSquares<ROOT> {
    const ROUNDS: bool = ROOT;
    fn width(mixed: bool) -> usize {
        if mixed { MIXED_WIDTH } else { BYTE_WIDTH }
    }
    fn exactly<I: Isa, K: OfMetric<i32>>(_mixed: bool) -> Option<K> {
        (!ROOT).then(K::of::<I, OnBytes<Products<ByteSquares<false>, i32>>>)
    }
    fn widely<I: Isa, K: OfMetric<f64>>(_mixed: bool) -> K {
        K::of::<I, OnBytes<Products<ByteSquares<ROOT>, f64>>>()
    }
}
