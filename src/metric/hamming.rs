//! Bits packed into bytes: how many differ.

use super::bytes::{ByteMetric, OnBytes};
use super::{Facing, Metric, OfMetric, Pair, Score};
use crate::simd::{Bits, Isa, Shaped, Vector};
use std::marker::PhantomData;

/// The longest rows whose counts surely fit an i32.
pub const BIT_WIDTH: usize = i32::MAX as usize / 8;

/// A metric of rows of bits.
pub trait BitMetric {
    /// What is to be made of it, the scores being of type T.
    fn of<I: Isa, T: Score, K: OfMetric<T>>() -> K;
}

/// How many bits differ.
pub struct Hamming;
impl BitMetric for Hamming {
    /// Bits are counted by the instructions for that, where the CPU has them.
    fn of<I: Isa, T: Score, K: OfMetric<T>>() -> K {
        if I::counting() {
            K::with_few::<I::Counting, OnBytes<Counted<T>>, CountedInPlace<T>>()
        } else {
            K::with_few::<I, OnBytes<Counted<T>>, CountedInPlace<T>>()
        }
    }
}

/// The count, in lanes of keys. The scores can be floats as well, for sinks that compute with them; below 2^24, or 2^53, they
/// are the same numbers.
pub struct Counted<E, const KNOWN: bool = false>(PhantomData<E>);
impl<I: Isa, E: Score, const KNOWN: bool> ByteMetric<I> for Counted<E, KNOWN> {
    const KNOWN: bool = KNOWN;
    type Score = E;
    type Carrier = I::F64;
    type Acc = <I::Bits as Bits>::Count;

    fn tiles<S: Shaped>() -> S::Out {
        I::count::<S>()
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Acc {
        I::Bits::zero()
    }
    #[inline(always)]
    unsafe fn step(acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc {
        let query = query.cast::<u64>();
        if KNOWN {
            I::Bits::differing_known(acc, key, query.read_unaligned(), query.add(1).read_unaligned())
        } else {
            I::Bits::differing(acc, key, query.read_unaligned())
        }
    }
    #[inline(always)]
    unsafe fn finish(acc: Self::Acc, _key_terms: *const E, _query_term: E, out: *mut E) {
        let mut counts = [0i32; 16];
        I::Bits::store(acc, counts.as_mut_ptr());
        for (i, &count) in counts[..I::F64::LANES].iter().enumerate() {
            *out.add(i) = E::from_count(count);
        }
    }
}

/// The same for few queries, for which turning the keys into panels would take longer than scoring them: a register holds
/// words of one key, so the rows are read where they are. They must be as long as some registers.
pub struct CountedInPlace<E>(PhantomData<E>);
impl<I: Isa, E: Score> Metric<I> for CountedInPlace<E> {
    type Element = u8;
    type Score = E;
    type Carrier = I::F64;
    /// One key each; only as many as the carrier has lanes are used.
    type Acc = [<I::Bits as Bits>::Count; 8];
    type Key = *const u8;
    type Marks = ();
    /// Bytes of a row.
    type Constant = usize;
    const FOLD: usize = usize::MAX;
    const PREPARES: bool = false;
    const TERMS: bool = false;
    const IN_PLACE: bool = true;

    fn tiles<S: Shaped>() -> S::Out {
        S::shaped::<1, 2, 1, 2>()
    }
    #[inline(always)]
    unsafe fn prepare(_row: &mut [u8], _facing: Facing) -> Result<E, &'static str> {
        Ok(E::default())
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Acc {
        [I::Bits::zero(); 8]
    }
    #[inline(always)]
    unsafe fn key(p: *const u8) -> *const u8 {
        p
    }
    #[inline(always)]
    unsafe fn constant(panel: usize) -> usize {
        panel / I::F64::LANES
    }
    #[inline(always)]
    unsafe fn step(row: usize, mut acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc {
        for (i, a) in acc.iter_mut().enumerate().take(I::F64::LANES) {
            *a = I::Bits::across(*a, key.add(i * row), query);
        }
        acc
    }
    #[inline(always)]
    unsafe fn fold(_total: Self::Acc, acc: Self::Acc) -> Self::Acc {
        acc
    }
    #[inline(always)]
    unsafe fn finish(acc: Self::Acc, _key_terms: *const E, _query_term: E, out: *mut E, _marks: &mut ()) {
        for (i, &a) in acc.iter().enumerate().take(I::F64::LANES) {
            let mut counts = [0i32; 8];
            I::Bits::store(a, counts.as_mut_ptr());
            *out.add(i) = E::from_count(counts.iter().sum());
        }
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
