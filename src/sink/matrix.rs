//! Keeps everything.

use super::Scratch;
use crate::error::Error;
use crate::metric::{Given, Score};
use crate::parallel::{Context, Shared, Stop, map, pieces};
use crate::simd::{Isa, Level, Work, prefetch_write};
use crate::sweep::{Search, Sink, Worker};
use std::ops::Range;

struct Matrix<'a, T, O> {
    out: &'a Shared<O>,
    keys: usize,
    queries: usize,
    scratch: Scratch<T>,
    direct: bool,
    width: usize,
}

impl<T: Given<O>, O: Copy> Sink<T> for Matrix<'_, T, O> {
    #[inline(always)]
    unsafe fn place(&mut self, query: usize, rows: usize, key: usize, keys: usize, width: usize) -> (*mut T, usize) {
        self.direct = T::SAME && keys == width && query + rows <= self.queries;
        self.width = width;
        if self.direct {
            let out = self.out.0.add(query * self.keys + key);
            // The lines of a matrix beyond the caches come while the tile is taken, or its stores would wait for them.
            for r in 0..rows {
                let row = out.add(r * self.keys).cast::<u8>();
                for at in (0..width * size_of::<O>()).step_by(64) {
                    prefetch_write(row.add(at));
                }
            }
            (out.cast(), self.keys)
        } else {
            self.scratch.place(rows, width)
        }
    }
    #[inline(always)]
    unsafe fn tile(&mut self, query: usize, rows: usize, key: usize, keys: usize) {
        if !self.direct {
            for r in 0..rows {
                let to = self.out.0.add((query + r) * self.keys + key);
                let from = self.scratch.as_ptr().add(r * self.width);
                if T::SAME {
                    std::ptr::copy_nonoverlapping(from.cast::<O>(), to, keys);
                } else {
                    for i in 0..keys {
                        *to.add(i) = (*from.add(i)).given();
                    }
                }
            }
        }
    }
}

struct Task<'a, 'b, T, O> {
    search: &'a Search<'b, T>,
    worker: &'a mut Worker<T>,
    group: Range<usize>,
    chunk: Range<usize>,
    out: &'a Shared<O>,
    stop: &'a Stop<'a>,
}

impl<T: Given<O>, O: Copy> Work for Task<'_, '_, T, O> {
    type Out = Result<(), Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        let mut sink = Matrix {
            out: self.out,
            keys: self.search.keys.len(),
            queries: self.group.end,
            scratch: Scratch::new()?,
            direct: false,
            width: 0,
        };
        self.search.sweep::<I, _>(self.worker, self.group, self.chunk, &mut sink, self.stop)
    }
}

/// Queries that a task packs at once: enough to pay for packing a block of keys.
const GROUP: usize = 1020;
/// Bytes of queries that a worker packs at once, if they are so long that a few are as good.
const GROUP_BYTES: usize = 64 << 20;

/// How many queries of a search a task packs at once.
pub(crate) fn group<T: Score>(search: &Search<T>) -> usize {
    (GROUP_BYTES / (search.kernel.layout.panel(search.keys.width()) / search.kernel.layout.lanes).max(1))
        .clamp(16, GROUP)
}

/// All scores, `out` being (queries, keys) row by row.
pub fn matrix<T: Given<O>, O: Copy + Send + Sync>(
    context: &Context,
    level: Level,
    search: &Search<T>,
    out: &mut [O],
) -> Result<(), Error> {
    let (q, n) = (search.queries.len(), search.keys.len());
    assert_eq!(out.len(), q * n);
    let groups = pieces(q, group(search));
    let tasks = (8 * context.threads).div_ceil(groups.len().max(1));
    let chunks = pieces(n, n.div_ceil(tasks).div_ceil(search.block) * search.block);
    let shared = Shared(out.as_mut_ptr());
    let body = |worker: &mut Worker<T>, task: usize, stop: &Stop| {
        let (group, chunk) = (groups[task / chunks.len()].clone(), chunks[task % chunks.len()].clone());
        level.run(Task { search, worker, group, chunk, out: &shared, stop })
    };
    map(context, groups.len() * chunks.len(), search.cost(), || Ok(Worker::default()), body)?;
    search.check()
}

/// The same by the calling thread alone.
pub(crate) fn scores<T: Score>(
    level: Level,
    search: &Search<T>,
    worker: &mut Worker<T>,
    out: &mut [T],
    stop: &Stop,
) -> Result<(), Error> {
    let (group, chunk) = (0..search.queries.len(), 0..search.keys.len());
    assert_eq!(out.len(), group.len() * chunk.len());
    level.run(Task { search, worker, group, chunk, out: &Shared(out.as_mut_ptr()), stop })
}
