//! Joins a metric and a sink: every query of a group against every key of a chunk, block by block, tile by tile.

use crate::error::{Error, Side};
use crate::metric::Score;
use crate::pack::{CACHED, Kernel, Keys, Layout, PackBuffer, Queries, Strided, Table};
use crate::parallel::Stop;
use crate::simd::{Isa, Matrices, prefetch, second_level};
use crate::tile::Place;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is kept of the scores. One sink serves one group of queries and one chunk of keys.
pub trait Sink<T> {
    /// Whether scores of queries from `query` on with keys before `end` are of use; else their tile is left out.
    #[inline(always)]
    fn wants(&self, _query: usize, _end: usize) -> bool {
        true
    }
    /// Where the scores of a tile go, and the distance between its rows: `rows` queries from `query` on, `width` keys (padding
    /// included) from `key` on, of which the first `keys` are real.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; the answer is writable for the whole tile.
    unsafe fn place(&mut self, query: usize, rows: usize, key: usize, keys: usize, width: usize) -> (*mut T, usize);
    /// The scores of that tile are there; only the first `rows` rows and `keys` columns mean something.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn tile(&mut self, query: usize, rows: usize, key: usize, keys: usize);
    /// All queries of the group have met all keys of the block. An error ends the sweep.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn block(&mut self, _keys: Range<usize>) -> Result<(), Error> {
        Ok(())
    }
    /// Memory that [`Sink::block`] will read for these keys.
    fn reads(&self, _keys: Range<usize>) -> &[u8] {
        &[]
    }
    /// Memory that is read when the sweep is done, if something is known of that.
    fn follows(&self) -> [Strided; 2] {
        [Strided::of(&[]); 2]
    }
}

/// Memory to be fetched into the second-level cache in even shares.
struct Ahead {
    next: Strided,
    at: usize,
    share: usize,
}

impl Ahead {
    /// Memory to be fetched in `steps` shares, as far as that does not take too long in one go.
    fn new(memory: Strided, steps: usize) -> Self {
        let share = (memory.run * memory.runs / steps.max(1)).next_multiple_of(64).min(4096);
        Ahead { next: memory, at: 0, share }
    }
    #[inline(always)]
    fn fetch(&mut self, steps: usize) {
        for _ in (0..steps * self.share).step_by(64) {
            if self.at >= self.next.run {
                self.at = 0;
                self.next.first = self.next.first.wrapping_add(self.next.stride);
                self.next.runs = self.next.runs.saturating_sub(1);
            }
            if self.next.runs == 0 {
                return;
            }
            prefetch(self.next.first.wrapping_add(self.at));
            self.at += 64;
        }
    }
}

/// One search: the arguments that all its tasks share.
pub struct Search<'a, T> {
    /// The metric.
    pub kernel: Kernel<T>,
    /// Who asks.
    pub queries: Table<'a>,
    /// What is searched.
    pub keys: Keys<'a, T>,
    /// Keys in a block.
    pub block: usize,
    /// Bytes that a key takes besides its own.
    pub extra: usize,
    /// Whether panels are made and met one by one wherever they would be filled up to a block: for one query and a few keys.
    pub singly: bool,
    /// Whether a score was not finite: see [`Search::check`].
    pub odd: AtomicBool,
}

/// What a worker keeps from task to task.
pub struct Worker<T> {
    buffer: PackBuffer<T>,
    queries: Queries<T>,
    packed: Range<usize>,
}

impl<T> Default for Worker<T> {
    fn default() -> Self {
        Worker { buffer: PackBuffer::default(), queries: Queries::default(), packed: 0..0 }
    }
}

impl<T> Worker<T> {
    /// To be called between one search and another: keeps the room, not what is in it.
    pub fn renew(&mut self) {
        self.packed = 0..0;
    }
}

impl<'a, T: Score> Search<'a, T> {
    /// A search with blocks for a second-level cache, of which a key takes `extra` bytes besides its own.
    pub fn new(kernel: Kernel<T>, queries: impl Into<Table<'a>>, keys: Keys<'a, T>, extra: usize, most: usize) -> Self {
        let queries = queries.into();
        let kernel = kernel.suited(queries.len(), &keys);
        let block = kernel.block(keys.width(), extra, CACHE, most);
        Search { kernel, queries, keys, block, extra, singly: false, odd: AtomicBool::new(false) }
    }

    /// Tile steps in all; of few queries as many as take the time of reading the keys.
    pub fn cost(&self) -> usize {
        let Layout { lanes, .. } = self.kernel.layout;
        let (n, width) = (self.keys.len(), self.keys.width());
        let steps = self.kernel.layout.words(width) * n.div_ceil(lanes);
        let bytes = n * (self.kernel.layout.panel(width) / lanes + self.extra);
        let far = if 4 * bytes > 3 * second_level() { FAR } else { 0 };
        let turned = if self.keys.turned(&self.kernel) { TURNED } else { 0 };
        (self.queries.len() + far + turned).saturating_mul(steps.max(1))
    }

    /// Every query of `group` against every key of `chunk`. To be inlined into the task's [`Isa::call`].
    ///
    /// # Safety
    /// Only below [`Isa::call`] of the instruction set that the kernel was looked up for.
    #[inline(always)]
    pub unsafe fn sweep<I: Isa, S: Sink<T>>(
        &self,
        worker: &mut Worker<T>,
        group: Range<usize>,
        chunk: Range<usize>,
        sink: &mut S,
        stop: &Stop,
    ) -> Result<(), Error> {
        if worker.packed != group {
            worker.packed = 0..0;
            worker.queries.pack(&self.kernel, &self.queries, group.clone(), stop)?;
            worker.packed = group;
        }
        let queries = &worker.queries;
        let _held = queries.multiplies().then(|| Matrices::hold());
        let (lanes, width) = (self.kernel.layout.lanes, self.keys.width());
        let (words, panel) = (self.kernel.layout.words(width), self.kernel.layout.panel(width));
        let far = self.keys.len() * (panel / lanes) > CACHED;
        let mut finite = true;
        let mut start = chunk.start;
        while start < chunk.end {
            let whole = start..(start + self.block).min(chunk.end);
            let singly = self.kernel.singly(&self.keys, &whole, self.singly);
            // All panels of a tile are then the same.
            let panel = if singly { 0 } else { panel };
            while start < whole.end {
                let range = if singly {
                    start..(start + lanes).min(whole.end)
                } else {
                    self.keys.part(&self.kernel, start..whole.end, queries.parts.len() == 1)
                };
                let block = if singly {
                    self.keys.panel(&self.kernel, range.clone(), &mut worker.buffer)?
                } else {
                    self.keys.block(&self.kernel, range.clone(), &mut worker.buffer)?
                };
                // The tiles need no new memory: time to fetch what comes after them.
                let next = range.end..(range.end + self.block).min(chunk.end);
                let tiles = queries.parts.len() * block.count;
                let none = Strided::of(&[]);
                let [queries_then, keys_then] = if next.is_empty() { sink.follows() } else { [none; 2] };
                let reads = Strided::of(if far { sink.reads(range.clone()) } else { &[] });
                let keys = if far { Strided::of(self.keys.memory(&self.kernel, next)) } else { none };
                let mut fetch = [reads, keys, queries_then, keys_then].map(|memory| Ahead::new(memory, tiles));
                for part in &queries.parts {
                    stop.check()?;
                    let (rows, step) = (part.rows, part.tile.panels);
                    let written = if part.tile.multiplies() { rows } else { part.tile.rows };
                    for p in (0..block.count).step_by(step) {
                        let key = start + p * lanes;
                        if key >= range.end {
                            break;
                        }
                        let keys = (range.end - key).min(step * lanes);
                        for memory in &mut fetch {
                            memory.fetch(step);
                        }
                        if !sink.wants(part.first, key + keys) {
                            continue;
                        }
                        let (out, stride) = sink.place(part.first, written, key, keys, step * lanes);
                        finite &= (part.tile.run)(&Place {
                            keys: block.panels.add(p * panel),
                            panel,
                            queries: queries.words(part),
                            words,
                            key_terms: block.terms.wrapping_add(p * lanes),
                            query_terms: queries.terms(part),
                            out,
                            stride,
                            real_queries: rows,
                            real_keys: keys,
                        });
                        sink.tile(part.first, rows, key, keys);
                    }
                }
                start = range.end;
            }
            sink.block(whole)?;
        }
        if !finite {
            self.odd.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Names the input row that made a score odd, if an input did.
    pub fn check_inputs(&self) -> Result<(), Error> {
        if self.odd.load(Ordering::Relaxed) {
            if let Some(row) = self.queries.first_non_finite() {
                return Err(Error::NonFinite(Side::Query, row));
            }
            if let Some(row) = self.keys.first_non_finite() {
                return Err(Error::NonFinite(Side::Key, row));
            }
        }
        Ok(())
    }

    /// The same, and says if finite inputs made one odd.
    pub fn check(&self) -> Result<(), Error> {
        self.check_inputs()?;
        if self.odd.load(Ordering::Relaxed) { Err(Error::ScoreOverflow) } else { Ok(()) }
    }
}

/// Steps that a register of keys costs besides its queries' where it has to come from beyond the second-level cache,
const FAR: usize = 3;
/// and where it has to be put together from rows.
const TURNED: usize = 4;

/// Room for a block of keys: a quarter of a second-level cache of one megabyte; the queries, the next block and the values
/// want theirs.
const CACHE: usize = 256 << 10;
