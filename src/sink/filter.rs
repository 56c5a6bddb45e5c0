//! Keeps some scores: what [`topk`](super::topk) and [`within`](super::within) have in common.

use super::Scratch;
use super::matrix::group;
use crate::error::Error;
use crate::error::room;
use crate::metric::Score;
use crate::parallel::{Context, Stop, map, pieces};
use crate::simd::{Isa, Level, Work};
use crate::sweep::{Search, Sink, Worker};
use std::marker::PhantomData;
use std::ops::Range;

/// What one query keeps. Scores arrive turned so that smaller is better, keys in ascending order within a chunk.
pub trait Collect<T>: Send {
    /// Scores that are not below this are of no interest; None while all are.
    fn bound(&self) -> Option<T>;
    /// Which of a register of scores, those of keys from `key` on, are of interest.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; `scores` must be readable for [`Score::lanes`].
    #[inline(always)]
    unsafe fn wanted<I: Isa>(&self, scores: *const T, _key: usize) -> u32
    where
        T: Score,
    {
        self.bound().map_or(u32::MAX, |bound| T::less::<I>(scores, bound))
    }
    /// Takes a score below the bound and the index of its key; false if there is no room for it.
    fn push(&mut self, score: T, index: u32) -> bool;
    /// What there was no room for.
    fn lacking(&self) -> Error;
}

struct Filter<'a, T, C, I> {
    kept: &'a mut [C],
    first: usize,
    scratch: Scratch<T>,
    width: usize,
    flip: bool,
    /// What there was no room for: the sweep ends with the block.
    lacking: Option<Error>,
    isa: PhantomData<I>,
}

impl<T: Score, C: Collect<T>, I: Isa> Sink<T> for Filter<'_, T, C, I> {
    #[inline(always)]
    fn wants(&self, _query: usize, _end: usize) -> bool {
        self.lacking.is_none()
    }
    #[inline(always)]
    unsafe fn block(&mut self, _keys: Range<usize>) -> Result<(), Error> {
        self.lacking.take().map_or(Ok(()), Err)
    }
    #[inline(always)]
    unsafe fn place(&mut self, _query: usize, rows: usize, _key: usize, _keys: usize, width: usize) -> (*mut T, usize) {
        self.width = width;
        self.scratch.place(rows, width)
    }
    #[inline(always)]
    unsafe fn tile(&mut self, query: usize, rows: usize, key: usize, keys: usize) {
        let lanes = T::lanes::<I>();
        if self.flip {
            // All of them first: a register is not to be read right after parts of it were written.
            for i in 0..rows * self.width {
                let score = self.scratch.as_mut_ptr().add(i);
                *score = (*score).flip();
            }
        }
        for r in 0..rows {
            let kept = &mut self.kept[query - self.first + r];
            let row = self.scratch.as_mut_ptr().add(r * self.width);
            for start in (0..keys).step_by(lanes) {
                let all = ((1u64 << (keys - start).min(lanes)) - 1) as u32;
                let mut mask = kept.wanted::<I>(row.add(start), key + start) & all;
                while mask != 0 {
                    let i = start + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    if !kept.push(*row.add(i), (key + i) as u32) {
                        self.lacking = Some(kept.lacking());
                        return;
                    }
                }
            }
        }
    }
}

struct Task<'a, 'b, T, F> {
    search: &'a Search<'b, T>,
    worker: &'a mut Worker<T>,
    group: Range<usize>,
    chunk: Range<usize>,
    flip: bool,
    stop: &'a Stop<'a>,
    empty: F,
}

impl<T: Score, C: Collect<T>, F: Fn(usize) -> C> Work for Task<'_, '_, T, F> {
    type Out = Result<Vec<C>, Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        let mut kept: Vec<C> = room::collected(self.group.clone().map(&self.empty))?;
        let mut sink = Filter::<T, C, I> {
            kept: &mut kept,
            first: self.group.start,
            scratch: Scratch::new()?,
            width: 0,
            flip: self.flip,
            lacking: None,
            isa: PhantomData,
        };
        self.search.sweep::<I, _>(self.worker, self.group, self.chunk, &mut sink, self.stop)?;
        Ok(kept)
    }
}

/// What was kept of every query, chunk by chunk of the keys.
pub struct Found<C> {
    /// For every group of queries and chunk of keys, what its queries kept.
    pub parts: Vec<Vec<C>>,
    /// Queries in a group.
    pub group: usize,
    /// Chunks.
    pub chunks: usize,
}

impl<C> Found<C> {
    /// What one query kept of the chunks, in their order.
    pub fn of(&self, query: usize) -> impl Iterator<Item = &C> {
        self.parts[query / self.group * self.chunks..][..self.chunks].iter().map(move |part| &part[query % self.group])
    }
}

/// The length of chunks, at least `least` keys, for searches whose answer it does not change: it depends on the threads.
pub fn length<T: Score>(context: &Context, search: &Search<T>, least: usize) -> usize {
    // Few chunks: each begins without a bound, when every score still has to be kept.
    let tasks = (2 * context.threads).div_ceil(search.queries.len().div_ceil(group(search)).max(1));
    search.keys.len().div_ceil(tasks).max(least)
}

/// What every query keeps, the keys in chunks of about that length. `larger` says whether larger scores are better, `empty` what a query begins with.
pub fn filter<T: Score, C: Collect<T>>(
    context: &Context,
    level: Level,
    search: &Search<T>,
    length: usize,
    larger: bool,
    empty: impl Fn(usize) -> C + Sync,
) -> Result<Found<C>, Error> {
    let (q, n) = (search.queries.len(), search.keys.len());
    if u32::try_from(n).is_err() {
        return Err(Error::Argument(format!("keys have {n} rows; top-k and radius searches take fewer than 2^32")));
    }
    let group = group(search);
    let groups = pieces(q, group);
    let chunks = pieces(n, length.div_ceil(search.block) * search.block);
    let body = |worker: &mut Worker<T>, task: usize, stop: &Stop| {
        let (group, chunk) = (groups[task / chunks.len()].clone(), chunks[task % chunks.len()].clone());
        level.run(Task { search, worker, group, chunk, flip: larger, stop, empty: &empty })
    };
    let parts = map(context, groups.len() * chunks.len(), search.cost(), || Ok(Worker::default()), body)?;
    search.check()?;
    Ok(Found { parts, group, chunks: chunks.len() })
}
