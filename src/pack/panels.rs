//! Keys turned into panels, block by block or once for all: a panel is a register's worth of keys, word after word.

use super::kernel::{Kernel, Layout};
use crate::error::{Error, Side};
use crate::metric::{Facing, Metric, Score};
use crate::simd::{Isa, Line, Vector, Work, prefetch};
use crate::table::{Dtype, Element, Rows};
use crate::tile::PANELS;
use std::marker::PhantomData;
use std::ops::Range;

/// Packs the keys of a range for queries that are stored in that way; else tells the row that cannot be scored and why.
pub(super) type PackFn<T> =
    unsafe fn(&Rows, Range<usize>, Dtype, &mut PackBuffer<T>) -> Result<(), (usize, &'static str)>;

/// Panels of a block and the keys' own terms, with the room needed to make them.
pub struct PackBuffer<T> {
    pub(super) data: Vec<Line>,
    pub(super) terms: Vec<T>,
    scratch: Vec<u8>,
}

impl<T> Default for PackBuffer<T> {
    fn default() -> Self {
        PackBuffer { data: Vec::new(), terms: Vec::new(), scratch: Vec::new() }
    }
}

struct PackWork<'a, M, J, T> {
    rows: &'a Rows<'a>,
    range: Range<usize>,
    queries: Dtype,
    buffer: &'a mut PackBuffer<T>,
    metric: PhantomData<(M, J)>,
}

pub(super) unsafe fn enter<I: Isa, M: Metric<I>>(
    rows: &Rows,
    range: Range<usize>,
    queries: Dtype,
    buffer: &mut PackBuffer<M::Score>,
) -> Result<(), (usize, &'static str)> {
    I::call(PackWork::<M, I, M::Score> { rows, range, queries, buffer, metric: PhantomData })
}

impl<J: Isa, M: Metric<J>> Work for PackWork<'_, M, J, M::Score> {
    type Out = Result<(), (usize, &'static str)>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        pack_block::<J, M>(self.rows, self.range, self.queries, self.buffer)
    }
}

/// Packs the keys of `range` into panels, zeros behind them up to a multiple of [`PANELS`] panels.
#[inline(always)]
unsafe fn pack_block<I: Isa, M: Metric<I>>(
    rows: &Rows,
    range: Range<usize>,
    queries: Dtype,
    buffer: &mut PackBuffer<M::Score>,
) -> Result<(), (usize, &'static str)> {
    let layout = Layout::of::<I, M>();
    let lanes = layout.lanes;
    let bytes = rows.width() * layout.element;
    let (panel, count) = (layout.panel(rows.width()), layout.panels(range.len()));
    buffer.data.resize((count * panel).div_ceil(64), Line::ZERO);
    buffer.terms.clear();
    buffer.terms.resize(count * lanes, M::Score::default());
    let facing = Facing { side: Side::Key, own: rows.dtype(), other: queries };
    let direct = !M::PREPARES && rows.dtype() == M::Element::DTYPE;
    let stride = layout.words(rows.width()) * layout.word;
    for p in 0..count {
        let dst = buffer.data.as_mut_ptr().cast::<u8>().add(p * panel);
        let first = range.start + p * lanes;
        let have = range.end.saturating_sub(first).min(lanes);
        if have == 0 {
            dst.write_bytes(0, panel);
        } else if M::IN_PLACE {
            dst.write_bytes(0, panel);
            std::ptr::copy_nonoverlapping(rows.row(first), dst, have * bytes);
        } else if direct && have == lanes {
            // The rows of later panels stand right behind these: fetched while these are turned.
            let later = (AHEAD / (lanes * bytes) + 1) * lanes;
            let ahead = if first + later + lanes <= rows.len() { later * bytes } else { 0 };
            turn::<M::Carrier>(rows.row(first), bytes, bytes, dst, ahead);
        } else {
            buffer.scratch.clear();
            buffer.scratch.resize(lanes * stride + 8, 0);
            let start = buffer.scratch.as_ptr().align_offset(8);
            let base = buffer.scratch.as_mut_ptr().add(start);
            for i in 0..have {
                let row = std::slice::from_raw_parts_mut(base.add(i * stride).cast(), rows.width());
                rows.read::<M::Element>(first + i, row);
                if M::PREPARES {
                    buffer.terms[p * lanes + i] = M::prepare(row, facing).map_err(|what| (first + i, what))?;
                }
            }
            turn::<M::Carrier>(base, stride, stride, dst, 0);
        }
    }
    Ok(())
}

/// Turns a register's worth of rows, `bytes` each and `stride` apart, into a panel. A last word that is not full is filled
/// with zeros. Memory `ahead` bytes further on is asked for meanwhile, if not 0.
#[inline(always)]
unsafe fn turn<V: Vector>(src: *const u8, stride: usize, bytes: usize, dst: *mut u8, ahead: usize) {
    let word = size_of::<V::E>();
    let full = bytes / word;
    let squares = full / V::LANES;
    let square = V::LANES * V::LANES * word;
    for s in 0..squares {
        if ahead > 0 {
            for line in (0..square).step_by(64) {
                prefetch(src.wrapping_add(ahead + s * square + line));
            }
        }
        V::transpose(src.add(s * V::LANES * word), stride, dst.add(s * square).cast());
    }
    for i in 0..V::LANES {
        let row = src.add(i * stride);
        for w in squares * V::LANES..full {
            let to = dst.add((w * V::LANES + i) * word);
            // As integers of fixed size: copies of a length known at run time only would be calls.
            if word == 8 {
                to.cast::<u64>().write(row.add(w * 8).cast::<u64>().read_unaligned());
            } else {
                to.cast::<u32>().write(row.add(w * 4).cast::<u32>().read_unaligned());
            }
        }
        if full * word < bytes {
            let to = dst.add((full * V::LANES + i) * word);
            to.write_bytes(0, word);
            std::ptr::copy_nonoverlapping(row.add(full * word), to, bytes - full * word);
        }
    }
}

/// How far ahead of the rows being turned memory is asked for, at the least.
const AHEAD: usize = 24 << 10;

/// Keys that were packed once: what a memory keeps.
pub struct Panels<T> {
    kernel: Kernel<T>,
    width: usize,
    len: usize,
    data: Vec<Line>,
    /// Empty if the metric has none.
    terms: Vec<T>,
}

impl Panels<i32> {
    /// All of them for scores of another type, which the same metric has on the same panels.
    pub fn all_for<U>(&self) -> Packed<'_, U> {
        let terms = if self.kernel.terms { Terms::Whole(&self.terms) } else { Terms::Own(&[]) };
        Packed { width: self.width, len: self.len, data: &self.data, terms }
    }
}

/// A look at [`Panels`] for scores of type T.
#[derive(Clone, Copy)]
pub struct Packed<'a, T> {
    pub(super) width: usize,
    pub(super) len: usize,
    pub(super) data: &'a [Line],
    pub(super) terms: Terms<'a, T>,
}

/// The keys' own terms.
#[derive(Clone, Copy)]
pub(super) enum Terms<'a, T> {
    /// As the scores are; none if the metric has none.
    Own(&'a [T]),
    /// Whole numbers, which become scores of another type with the block that needs them.
    Whole(&'a [i32]),
}

impl<T: Score> Panels<T> {
    /// No keys yet.
    pub fn new(kernel: Kernel<T>, width: usize) -> Self {
        Panels { kernel, width, len: 0, data: Vec::new(), terms: Vec::new() }
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
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.data.capacity() * size_of::<Line>() + self.terms.capacity() * size_of::<T>()
    }

    /// All of them.
    pub fn all(&self) -> Packed<'_, T> {
        Packed { width: self.width, len: self.len, data: &self.data, terms: Terms::Own(&self.terms) }
    }
    /// Copies the words of key `i`, as they were prepared, without the zeros behind the last element.
    pub fn unpack(&self, i: usize, row: &mut [u8]) {
        assert!(i < self.len && row.len() == self.width * self.kernel.layout.element);
        let Layout { lanes, word, .. } = self.kernel.layout;
        let first = i / lanes * self.kernel.layout.panel(self.width) + i % lanes * word;
        for (w, out) in row.chunks_mut(word).enumerate() {
            // SAFETY: word w of lane i % lanes lies inside the key's panel.
            unsafe {
                let from = self.data.as_ptr().cast::<u8>().add(first + w * lanes * word);
                std::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len());
            }
        }
    }

    /// Adds keys. A panel that is not full is filled first, lane by lane.
    pub fn append(&mut self, rows: &Rows) -> Result<(), Error> {
        assert_eq!(rows.width(), self.width);
        if let Some(row) = rows.first_non_finite() {
            return Err(Error::NonFinite(Side::Key, row));
        }
        let kernel = self.kernel;
        let Layout { lanes, word, .. } = kernel.layout;
        let (panel, few) = (kernel.layout.panel(self.width), lanes * PANELS);
        let (old, new) = (self.len, self.len + rows.len());
        let keys = new.div_ceil(few) * few;
        let size = (keys / lanes * panel).div_ceil(64);
        self.data.try_reserve(size.saturating_sub(self.data.len())).map_err(|_| Error::OutOfMemory(size * 64))?;
        // Prepared before anything is kept, so that a bad row leaves the keys as they were.
        let mut buffer = PackBuffer::default();
        let step = kernel.block(self.width, 0, 1 << 20, 4096);
        let mut done = 0;
        let mut data = Vec::new();
        let mut terms = Vec::new();
        while done < rows.len() {
            let range = done..(done + step).min(rows.len());
            kernel.pack(rows, range.clone(), &mut buffer)?;
            data.push(std::mem::take(&mut buffer.data));
            terms.push(std::mem::take(&mut buffer.terms));
            done = range.end;
        }
        self.data.resize(size, Line::ZERO);
        if kernel.terms {
            self.terms.resize(keys, T::default());
        }
        let aligned = old.is_multiple_of(few);
        let mut at = old;
        for (block, (data, terms)) in data.iter().zip(&terms).enumerate() {
            let n = step.min(rows.len() - block * step);
            if kernel.terms {
                self.terms[at..at + n].copy_from_slice(&terms[..n]);
            }
            // SAFETY: both sides hold whole panels for the keys named; lanes and words stay below the panels' extents.
            unsafe {
                let src = data.as_ptr().cast::<u8>();
                let dst = self.data.as_mut_ptr().cast::<u8>();
                if aligned {
                    let bytes = n.div_ceil(lanes) * panel;
                    std::ptr::copy_nonoverlapping(src, dst.add(at / lanes * panel), bytes);
                } else {
                    for i in 0..n {
                        let place = |key: usize| key / lanes * panel + key % lanes * word;
                        let (from, to) = (src.add(place(i)), dst.add(place(at + i)));
                        for w in 0..kernel.layout.words(self.width) {
                            let step = w * lanes * word;
                            std::ptr::copy_nonoverlapping(from.add(step), to.add(step), word);
                        }
                    }
                }
            }
            at += n;
        }
        self.len = new;
        Ok(())
    }
}
