//! Keys turned into panels, block by block or once for all: a panel is a register's worth of keys, word after word.

use super::kernel::{Kernel, Layout};
use super::turn::{read, turn, turn_short};
use crate::error::room;
use crate::error::{Error, Side};
use crate::metric::{Facing, Metric, Score};
use crate::parallel::{Context, Shared, Stop, map, pieces};
use crate::simd::{Isa, Line, Work};
use crate::table::{Dtype, Element, Rows};
use crate::tile::PANELS;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

/// Packs the keys of a range, for queries that are stored in that way, to where panels and terms go.
pub(super) type PackFn<T> = unsafe fn(&Rows, Range<usize>, Dtype, To<T>, &mut Vec<u8>) -> Result<(), Error>;

/// Room for so many panels and for their keys' terms.
#[derive(Clone, Copy)]
pub(super) struct To<T> {
    pub(super) panels: *mut u8,
    pub(super) count: usize,
    pub(super) terms: *mut T,
}

/// Panels of a block and the keys' own terms, with the room needed to make them.
pub struct PackBuffer<T> {
    pub(super) data: Vec<Line>,
    pub(super) terms: Vec<T>,
    pub(super) scratch: Vec<u8>,
}

impl<T> Default for PackBuffer<T> {
    fn default() -> Self {
        PackBuffer { data: Vec::new(), terms: Vec::new(), scratch: Vec::new() }
    }
}

impl<T: Score> PackBuffer<T> {
    /// Makes room for so many panels, terms of nothing among them.
    pub(super) fn fit(&mut self, layout: &Layout, width: usize, panels: usize) -> Result<To<T>, Error> {
        room::resize(&mut self.data, (panels * layout.panel(width)).div_ceil(64), Line::ZERO)?;
        self.terms.clear();
        room::resize(&mut self.terms, panels.next_multiple_of(PANELS) * layout.lanes, T::default())?;
        Ok(To { panels: self.data.as_mut_ptr().cast(), count: panels, terms: self.terms.as_mut_ptr() })
    }
}

struct PackWork<'a, M, J, T> {
    rows: &'a Rows<'a>,
    range: Range<usize>,
    queries: Dtype,
    to: To<T>,
    scratch: &'a mut Vec<u8>,
    metric: PhantomData<(M, J)>,
}

pub(super) unsafe fn enter<I: Isa, M: Metric<I>>(
    rows: &Rows,
    range: Range<usize>,
    queries: Dtype,
    to: To<M::Score>,
    scratch: &mut Vec<u8>,
) -> Result<(), Error> {
    I::call(PackWork::<M, I, M::Score> { rows, range, queries, to, scratch, metric: PhantomData })
}

impl<J: Isa, M: Metric<J>> Work for PackWork<'_, M, J, M::Score> {
    type Out = Result<(), Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        pack_block::<J, M>(self.rows, self.range, self.queries, self.to, self.scratch)
    }
}

/// Packs the keys of `range` into panels, zeros behind them in those that are left. Every byte of the panels is written, of
/// the terms those of the keys.
#[inline(always)]
unsafe fn pack_block<I: Isa, M: Metric<I>>(
    rows: &Rows,
    range: Range<usize>,
    queries: Dtype,
    to: To<M::Score>,
    scratch: &mut Vec<u8>,
) -> Result<(), Error> {
    let layout = Layout::of::<I, M>();
    let lanes = layout.lanes;
    let bytes = rows.width() * layout.element;
    let panel = layout.panel(rows.width());
    let facing = Facing { side: Side::Key, own: rows.dtype(), other: queries };
    let far = rows.len() * bytes > CACHED;
    let direct = !M::PREPARES && rows.dtype() == M::Element::DTYPE;
    let stride = layout.words(rows.width()) * layout.word;
    for p in 0..to.count {
        let dst = to.panels.add(p * panel);
        let first = range.start + p * lanes;
        let have = range.end.saturating_sub(first).min(lanes);
        if have == 0 {
            dst.write_bytes(0, panel);
        } else if M::IN_PLACE {
            dst.write_bytes(0, panel);
            std::ptr::copy_nonoverlapping(rows.row(first), dst, have * bytes);
        } else if layout.element == 2 {
            assert_eq!(rows.dtype(), M::KEPT);
            turn_short(rows, first..first + have, lanes, std::slice::from_raw_parts_mut(dst.cast(), panel / 2));
        } else if direct && have == lanes {
            // The rows of later panels stand right behind these: fetched while these are turned.
            let later = (AHEAD / (lanes * bytes) + 1) * lanes;
            let ahead = if far && first + later + lanes <= rows.len() { later * bytes } else { 0 };
            turn::<I, M::Carrier>(rows.row(first), bytes, bytes, dst, ahead);
        } else {
            // A few long rows are taken one by one: a register's worth of them may be far more than there are.
            let alone = have < lanes && stride > LONG;
            scratch.clear();
            room::resize(scratch, if alone { 1 } else { lanes } * stride + 8, 0)?;
            let start = scratch.as_ptr().align_offset(8);
            let base = scratch.as_mut_ptr().add(start);
            if alone {
                dst.write_bytes(0, panel);
            }
            for i in 0..have {
                let at = base.add(if alone { 0 } else { i * stride });
                let row = std::slice::from_raw_parts_mut(at.cast(), rows.width());
                read::<I, M::Element>(rows, first + i, row);
                if M::PREPARES {
                    *to.terms.add(p * lanes + i) =
                        M::prepare(row, facing).map_err(|what| Error::NotADistribution(Side::Key, first + i, what))?;
                }
                if alone {
                    for w in (0..stride).step_by(layout.word) {
                        std::ptr::copy_nonoverlapping(at.add(w), dst.add(w * lanes + i * layout.word), layout.word);
                    }
                }
            }
            if !alone {
                turn::<I, M::Carrier>(base, stride, stride, dst, 0);
            }
        }
    }
    Ok(())
}

/// Bytes of a row from which on it is long.
const LONG: usize = 64 << 10;
/// Bytes of keys that are likely to be in the second-level cache: asking for them would take about as long as reading them.
pub const CACHED: usize = 512 << 10;
/// How far ahead of the rows being turned memory is asked for, at the least.
const AHEAD: usize = 24 << 10;

/// Keys that were packed once: what a memory keeps. They never change; more keys are other panels, which share with these all
/// that is full.
pub struct Panels<T> {
    kernel: Kernel<T>,
    width: usize,
    len: usize,
    /// In the order of the keys. Every run but the last has whole groups of [`PANELS`] panels; if the last group is not full,
    /// it is a run of its own.
    runs: Vec<Arc<Run>>,
    /// Those of every run's keys, if the metric has any.
    terms: Vec<Arc<Vec<T>>>,
}

/// Panels one behind the other.
pub(super) struct Run {
    first: usize,
    keys: usize,
    lines: Vec<Line>,
}

impl Run {
    fn end(&self) -> usize {
        self.first + self.keys
    }
}

/// Shorter runs are joined with those that follow: so there are few of them, however keys arrive.
const JOINED: usize = 4 << 20;
/// Bytes of keys that a task packs: they are still in the second-level cache when they are read again.
const STEP: usize = 256 << 10;

/// Where the rows of new keys come from.
pub trait Source: Sync {
    /// The rows of some of them, and which of those they are; what has to be made for it goes into the buffer.
    fn rows<'a>(
        &'a self,
        range: Range<usize>,
        buffer: &'a mut Vec<u8>,
        stop: &Stop,
    ) -> Result<(Rows<'a>, Range<usize>), Error>;
}

impl Source for Rows<'_> {
    fn rows<'a>(
        &'a self,
        range: Range<usize>,
        _buffer: &'a mut Vec<u8>,
        _stop: &Stop,
    ) -> Result<(Rows<'a>, Range<usize>), Error> {
        match self.non_finite_among(range.clone()) {
            Some(row) => Err(Error::NonFinite(Side::Key, row)),
            None => Ok((*self, range)),
        }
    }
}

impl Panels<i32> {
    /// All of them for scores of another type, which the same metric has on the same panels.
    pub fn all_for<U>(&self) -> Packed<'_, U> {
        let terms = if self.kernel.terms { Terms::Whole(&self.terms) } else { Terms::Own(&[]) };
        Packed { width: self.width, len: self.len, runs: &self.runs, terms }
    }
}

/// The keys' own terms, run by run.
#[derive(Clone, Copy)]
enum Terms<'a, T> {
    /// As the scores are; none if the metric has none.
    Own(&'a [Arc<Vec<T>>]),
    /// Whole numbers, which become scores of another type with the block that needs them.
    Whole(&'a [Arc<Vec<i32>>]),
}

/// A look at [`Panels`] for scores of type T.
#[derive(Clone, Copy)]
pub struct Packed<'a, T> {
    pub(super) width: usize,
    pub(super) len: usize,
    runs: &'a [Arc<Run>],
    terms: Terms<'a, T>,
}

impl<T: Score> Packed<'_, T> {
    /// The end of the keys from `start` on whose panels stand together.
    pub(super) fn together(&self, start: usize) -> usize {
        self.runs[self.runs.partition_point(|run| run.end() <= start)].end()
    }

    /// The memory of a block's panels, as far as they stand together.
    pub(super) fn memory(&self, kernel: &Kernel<T>, range: Range<usize>) -> &[u8] {
        let group = kernel.layout.lanes * PANELS;
        let at = self.runs.partition_point(|run| run.end() <= range.start);
        let Some(run) = self.runs.get(at).filter(|_| !range.is_empty()) else { return &[] };
        let lines = run.lines.len() / run.keys.div_ceil(group);
        let end = range.end.min(run.end());
        let part = (range.start - run.first) / group * lines..(end - run.first).div_ceil(group) * lines;
        // SAFETY: lines are bytes.
        unsafe { std::slice::from_raw_parts(run.lines[part.clone()].as_ptr().cast(), part.len() * 64) }
    }

    /// Where the panels of `range` are, which stand together, and their terms, if the kernel has any.
    pub(super) fn find(
        &self,
        kernel: &Kernel<T>,
        range: Range<usize>,
        buffer: &mut PackBuffer<T>,
    ) -> Result<(*const u8, *const T), Error> {
        let layout = &kernel.layout;
        let group = layout.lanes * PANELS;
        let at = self.runs.partition_point(|run| run.end() <= range.start);
        let run = &self.runs[at];
        debug_assert!(range.start.is_multiple_of(group) && range.end <= run.end());
        let groups = (range.start - run.first) / group..(range.end - run.first).div_ceil(group);
        let lines = group / layout.lanes * layout.panel(self.width) / 64;
        let panels = run.lines[groups.start * lines..].as_ptr().cast();
        let terms = match self.terms {
            _ if !kernel.terms => std::ptr::null(),
            Terms::Own(terms) => terms[at][groups.start * group..].as_ptr(),
            Terms::Whole(terms) => {
                buffer.terms.clear();
                room::reserve(&mut buffer.terms, groups.len() * group)?;
                let those = &terms[at][groups.start * group..groups.end * group];
                buffer.terms.extend(those.iter().map(|&x| T::from_count(x)));
                buffer.terms.as_ptr()
            }
        };
        Ok((panels, terms))
    }
}

impl<T: Score> Panels<T> {
    /// No keys yet.
    pub fn new(kernel: Kernel<T>, width: usize) -> Self {
        Panels { kernel, width, len: 0, runs: Vec::new(), terms: Vec::new() }
    }
    /// Keys.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Elements of a key.
    pub fn width(&self) -> usize {
        self.width
    }
    /// Bytes held, what is shared with other panels included.
    pub fn bytes(&self) -> usize {
        let lines: usize = self.runs.iter().map(|run| run.lines.capacity()).sum();
        let terms: usize = self.terms.iter().map(|terms| terms.capacity()).sum();
        lines * size_of::<Line>() + terms * size_of::<T>()
    }

    /// All of them.
    pub fn all(&self) -> Packed<'_, T> {
        Packed { width: self.width, len: self.len, runs: &self.runs, terms: Terms::Own(&self.terms) }
    }

    /// Copies the words of key `i`, as they were prepared, without the zeros behind the last element.
    pub fn unpack(&self, i: usize, row: &mut [u8]) {
        assert!(i < self.len && row.len() == self.width * self.kernel.layout.element);
        let Layout { lanes, word, .. } = self.kernel.layout;
        let run = &self.runs[self.runs.partition_point(|run| run.end() <= i)];
        let place = self.place(i - run.first);
        for (w, out) in row.chunks_mut(word).enumerate() {
            // SAFETY: word w of the key's lane lies inside its panel, which lies inside the run.
            unsafe {
                let from = run.lines.as_ptr().cast::<u8>().add(place + w * lanes * word);
                std::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len());
            }
        }
    }

    /// The first byte of a run's key.
    fn place(&self, key: usize) -> usize {
        let Layout { lanes, word, .. } = self.kernel.layout;
        key / lanes * self.kernel.layout.panel(self.width) + key % lanes * word
    }

    /// These keys and more.
    pub fn extended(&self, context: &Context, rows: &Rows) -> Result<Self, Error> {
        assert_eq!(rows.width(), self.width);
        self.grown(context, rows.len(), rows).map_err(|error| match error {
            // Tasks end in any order: the first of such rows is told.
            Error::NonFinite(..) => rows.first_non_finite().map_or(error, |row| Error::NonFinite(Side::Key, row)),
            other => other,
        })
    }

    /// These keys and `n` more. Full groups are shared; what is copied is the last group if it is not full, and short runs.
    pub fn grown(&self, context: &Context, n: usize, source: &dyn Source) -> Result<Self, Error> {
        let kernel = self.kernel;
        let group = kernel.layout.lanes * PANELS;
        let (mut runs, mut terms) = (room::list(self.runs.len() + 2)?, room::list(self.terms.len() + 2)?);
        runs.extend(self.runs.iter().cloned());
        terms.extend(self.terms.iter().cloned());
        let mut more = Growing { kernel, width: self.width, lines: Vec::new(), terms: Vec::new(), context, source };
        // What is not full goes to the front of what comes, and before it the short runs that are no longer than that.
        let loose = self.len % group;
        let (groups, rest) = ((loose + n) / group, (loose + n) % group);
        let kept = runs.len() - usize::from(loose > 0);
        let mut from = kept;
        let mut full = groups;
        while groups > 0 && from > 0 && runs[from - 1].keys / group <= full && runs[from - 1].lines.len() * 64 < JOINED
        {
            from -= 1;
            full += runs[from].keys / group;
        }
        let mut done = 0;
        if groups > 0 {
            more.fit(full)?;
            for (i, run) in runs.iter().enumerate().skip(from) {
                more.copy(run, terms.get(i));
            }
            if loose > 0 {
                done = group - loose;
                more.mix(self, 0..done, loose)?;
            }
            let end = n - rest;
            more.pack(done..end)?;
            done = end;
            let first = self.len - loose - (full - groups) * group;
            runs.truncate(from);
            terms.truncate(from);
            more.give(first, full * group, &mut runs, &mut terms);
        }
        if done < n {
            more.fit(1)?;
            if groups == 0 && loose > 0 {
                more.copy(&runs[kept], terms.get(kept));
                more.mix(self, 0..n, loose)?;
                runs.truncate(kept);
                terms.truncate(kept);
            } else {
                more.pack(done..n)?;
            }
            more.give(self.len + n - rest, rest, &mut runs, &mut terms);
        }
        Ok(Panels { kernel, width: self.width, len: self.len + n, runs, terms })
    }
}

/// A run in the making: whole groups, of which the last may have keys missing.
struct Growing<'a, T> {
    kernel: Kernel<T>,
    width: usize,
    lines: Vec<Line>,
    terms: Vec<T>,
    context: &'a Context<'a>,
    source: &'a dyn Source,
}

impl<T: Score> Growing<'_, T> {
    fn group(&self) -> usize {
        self.kernel.layout.lanes * PANELS
    }
    /// Begins anew, with room for so many groups.
    fn fit(&mut self, groups: usize) -> Result<(), Error> {
        self.lines = room::lasting(groups * PANELS * self.kernel.layout.panel(self.width) / 64)?;
        self.terms = room::list(if self.kernel.terms { groups * self.group() } else { 0 })?;
        Ok(())
    }
    /// Adds a run.
    fn copy(&mut self, run: &Run, terms: Option<&Arc<Vec<T>>>) {
        self.lines.extend_from_slice(&run.lines);
        self.terms.extend_from_slice(terms.map_or(&[], |terms| terms));
    }
    /// Adds groups of rows.
    fn pack(&mut self, range: Range<usize>) -> Result<(), Error> {
        let (kernel, group, before) = (self.kernel, self.group(), self.terms.len());
        let bytes = PANELS * kernel.layout.panel(self.width);
        let tasks = pieces(range.len(), kernel.block(self.width, 0, STEP, 4096));
        let groups = range.len().div_ceil(group);
        let lines = self.lines.len() + groups * bytes / 64;
        assert!(lines <= self.lines.capacity());
        let panels = Shared(self.lines.as_mut_ptr().wrapping_add(self.lines.len()).cast::<u8>());
        if kernel.terms {
            room::resize(&mut self.terms, before + groups * group, T::default())?;
        }
        let kept = Shared(self.terms.as_mut_ptr().wrapping_add(before));
        let body = |hand: &mut (Vec<u8>, Vec<u8>, Vec<T>), task: usize, stop: &Stop| {
            let ((buffer, scratch, terms), (panels, kept)) = (hand, (&panels, &kept));
            let Range { start, end } = tasks[task].clone();
            let (rows, some) = self.source.rows(range.start + start..range.start + end, buffer, stop)?;
            let (first, groups) = (start / group, (end - start).div_ceil(group));
            terms.clear();
            room::resize(terms, groups * group, T::default())?;
            // SAFETY: there is room for the panels, which are written to the last byte, and for the terms, and tasks begin at
            // groups of their own; the terms are as many as the keys. The kernel was looked up for an instruction set that
            // this CPU has.
            unsafe {
                let to = To { panels: panels.0.add(first * bytes), count: groups * PANELS, terms: terms.as_mut_ptr() };
                (kernel.pack)(&rows, some, kernel.stored.0, to, scratch)?;
                if kernel.terms {
                    std::ptr::copy_nonoverlapping(terms.as_ptr(), kept.0.add(first * group), terms.len());
                }
            }
            Ok(())
        };
        map(self.context, tasks.len(), range.len().saturating_mul(self.width), || Ok(Default::default()), body)?;
        // SAFETY: the tasks have written them all.
        unsafe { self.lines.set_len(lines) };
        Ok(())
    }
    /// Puts rows into the lanes of the last group from lane `at` on.
    fn mix(&mut self, panels: &Panels<T>, range: Range<usize>, at: usize) -> Result<(), Error> {
        let (group, layout) = (self.group(), self.kernel.layout);
        assert!(at + range.len() <= group);
        let (mut made, mut buffer) = (Vec::new(), PackBuffer::default());
        let (rows, some) = self.source.rows(range.clone(), &mut made, &Stop::asking(self.context))?;
        self.kernel.pack_to(&rows, some, range.len().div_ceil(layout.lanes), &mut buffer)?;
        let lines = self.lines.len() - PANELS * layout.panel(self.width) / 64;
        let (src, dst) = (buffer.data.as_ptr().cast::<u8>(), self.lines[lines..].as_mut_ptr().cast::<u8>());
        for i in 0..range.len() {
            for w in 0..layout.words(self.width) {
                let step = w * layout.lanes * layout.word;
                // SAFETY: both sides are whole panels for the keys named; lanes and words stay below the panels' extents.
                unsafe {
                    let (from, to) = (src.add(panels.place(i) + step), dst.add(panels.place(at + i) + step));
                    std::ptr::copy_nonoverlapping(from, to, layout.word);
                }
            }
        }
        if self.kernel.terms {
            let terms = self.terms.len() - group;
            self.terms[terms + at..][..range.len()].copy_from_slice(&buffer.terms[..range.len()]);
        }
        Ok(())
    }
    /// Hands the run over.
    fn give(&mut self, first: usize, keys: usize, runs: &mut Vec<Arc<Run>>, terms: &mut Vec<Arc<Vec<T>>>) {
        runs.push(Arc::new(Run { first, keys, lines: std::mem::take(&mut self.lines) }));
        if self.kernel.terms {
            terms.push(Arc::new(std::mem::take(&mut self.terms)));
        }
    }
}
