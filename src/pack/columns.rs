//! Columns of a table as if they were rows, for sums over patterns: a product of two tables' columns is a sum of outer products.
//!
//! A panel holds word after word a register of neighbouring keys. Of columns, the words are the patterns, and neighbouring keys
//! stand side by side in memory already: packing copies registers where rows have to be turned.

use crate::error::Error;
use crate::error::room;
use crate::metric::Metric;
use crate::simd::{Float, Isa, Vector, Work};
use crate::table::{Dtype, Element, Rows};
use std::marker::PhantomData;
use std::ops::Range;

/// The columns of some patterns, each pattern times its weight.
#[derive(Clone)]
pub struct Columns<'a> {
    table: Rows<'a>,
    patterns: Range<usize>,
    weights: Option<&'a [f64]>,
    /// Whether the elements are bits, 64 patterns' in a word, and what is called a pattern here are 64 of them.
    bits: bool,
}

impl<'a> Columns<'a> {
    /// The columns of `table` over `patterns`; `weights` are one per row of the table.
    pub fn new(table: Rows<'a>, patterns: Range<usize>, weights: Option<&'a [f64]>) -> Self {
        assert!(patterns.end <= table.len() && weights.is_none_or(|w| w.len() == table.len()));
        Columns { table, patterns, weights, bits: false }
    }
    /// The columns of bits: `words` has rows of `len`, one word of 64 patterns' bits a column, of which `range` is meant.
    pub fn of_bits(words: &'a [u64], len: usize, range: Range<usize>) -> Self {
        assert!(len > 0 && words.len().is_multiple_of(len) && range.end <= words.len() / len);
        // SAFETY: the slice is what the view says; the words travel as floats of that size and are never read as numbers.
        let table = unsafe { Rows::new(words.as_ptr().cast(), Dtype::F64, words.len() / len, len) };
        Columns { table, patterns: range, weights: None, bits: true }
    }
    /// Columns.
    pub fn len(&self) -> usize {
        self.table.width()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Elements of a column: patterns, or bytes of bits.
    pub fn width(&self) -> usize {
        if self.bits { 8 * self.patterns.len() } else { self.patterns.len() }
    }
    /// The first of the table's rows with a NaN or an infinity.
    pub fn first_non_finite(&self) -> Option<usize> {
        if self.bits { None } else { self.table.first_non_finite() }
    }

    /// The memory of `range` of the columns, which is read to pack them.
    pub fn memory(&self, range: &Range<usize>) -> Strided {
        let start = self.table.dtype().bytes(range.start);
        Strided {
            first: self.table.row(self.patterns.start).wrapping_add(start),
            run: self.table.dtype().bytes(range.end) - start,
            stride: self.table.dtype().bytes(self.table.width()),
            runs: self.patterns.len(),
        }
    }

    /// Calls `copy(k, n, rows)` for stretches of `n` patterns, the k-th of the columns and those after it; `rows` begin at
    /// column `columns.start` and have `columns.len()` elements, converted and weighted where that is needed.
    #[inline(always)]
    unsafe fn stretches<V: Vector, E: Element>(
        &self,
        columns: Range<usize>,
        scratch: &mut Vec<E>,
        mut copy: impl FnMut(usize, usize, &[*const V::E; STRETCH]),
    ) -> Result<(), Error> {
        let direct = self.bits || self.table.dtype() == E::DTYPE && self.weights.is_none();
        assert!(size_of::<V::E>() == if self.bits { 8 } else { size_of::<E>() });
        let width = columns.len();
        if !direct {
            room::resize(scratch, STRETCH * width, E::default())?;
        }
        // Taken once: a later borrow of the scratch as a whole would end what the pointers of the rows before may do.
        let base = scratch.as_mut_ptr();
        let mut rows = [std::ptr::null::<V::E>(); STRETCH];
        for k in (0..self.patterns.len()).step_by(STRETCH) {
            let n = (self.patterns.len() - k).min(STRETCH);
            for i in 0..n {
                let pattern = self.patterns.start + k + i;
                if direct {
                    rows[i] = self.table.row(pattern).cast::<V::E>().wrapping_add(columns.start);
                    continue;
                }
                let p = base.add(i * width);
                self.table.read_some(pattern, columns.start, std::slice::from_raw_parts_mut(p, width));
                let p = p.cast::<V::E>();
                rows[i] = p;
                if let Some(weights) = self.weights {
                    let weight = V::splat(V::E::from_f64(weights[pattern]));
                    for c in (0..width).step_by(V::LANES) {
                        let left = width - c;
                        if left >= V::LANES {
                            V::load(p.add(c)).mul(weight).store(p.add(c));
                        } else {
                            V::load_first(p.add(c), left).mul(weight).store_first(p.add(c), left);
                        }
                    }
                }
            }
            copy(k, n, &rows);
        }
        Ok(())
    }

    /// Packs `range` of the columns into `count` panels, zeros where there is no column.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; `dst` has room for the panels.
    #[inline(always)]
    pub unsafe fn panels<I: Isa, M: Metric<I>>(
        &self,
        range: Range<usize>,
        count: usize,
        dst: *mut u8,
        scratch: &mut Vec<M::Element>,
    ) -> Result<(), Error> {
        let lanes = M::Carrier::LANES;
        let (words, have) = (self.patterns.len(), range.len());
        let dst = dst.cast::<<M::Carrier as Vector>::E>();
        self.stretches::<M::Carrier, M::Element>(range, scratch, |k, n, rows| {
            for p in 0..count {
                let to = dst.add((p * words + k) * lanes);
                let left = have.saturating_sub(p * lanes);
                for (i, row) in rows.iter().enumerate().take(n) {
                    M::Carrier::load_up_to(row.wrapping_add(p * lanes), left).store(to.add(i * lanes));
                }
            }
        })
    }

    /// Packs `range` of the columns as a tile reads its queries: word after word, `rows` of them side by side. Each part is
    /// (its first column, counted from the range's start; how many; the tile's rows; where it goes).
    ///
    /// # Safety
    /// Only below [`Isa::call`]; there is room for the parts.
    #[inline(always)]
    pub unsafe fn queries<I: Isa, M: Metric<I>>(
        &self,
        range: Range<usize>,
        parts: &[(usize, usize, usize, *mut u8)],
        scratch: &mut Vec<M::Element>,
    ) -> Result<(), Error> {
        let lanes = M::Carrier::LANES;
        self.stretches::<M::Carrier, M::Element>(range, scratch, |k, n, rows| {
            for &(first, have, tile, dst) in parts {
                let dst = dst.cast::<<M::Carrier as Vector>::E>();
                for (i, row) in rows.iter().enumerate().take(n) {
                    let to = dst.add((k + i) * tile);
                    for c in (0..tile).step_by(lanes) {
                        let x = M::Carrier::load_up_to(row.wrapping_add(first + c), have.saturating_sub(c));
                        x.store_up_to(to.add(c), tile - c);
                    }
                }
            }
        })
    }
}

/// Where packed columns go.
pub(super) enum To<'a> {
    /// So many panels of keys.
    Panels(usize, *mut u8),
    /// Queries in these parts: see [`Columns::queries`].
    Parts(&'a [(usize, usize, usize, *mut u8)]),
}

/// Packs a range of the columns.
pub(super) type ColumnsFn = unsafe fn(&Columns, Range<usize>, To) -> Result<(), Error>;

struct ColumnsWork<'a, M, J> {
    columns: &'a Columns<'a>,
    range: Range<usize>,
    to: To<'a>,
    metric: PhantomData<(M, J)>,
}

pub(super) unsafe fn enter<I: Isa, M: Metric<I>>(columns: &Columns, range: Range<usize>, to: To) -> Result<(), Error> {
    I::call(ColumnsWork::<M, I> { columns, range, to, metric: PhantomData })
}

impl<J: Isa, M: Metric<J>> Work for ColumnsWork<'_, M, J> {
    type Out = Result<(), Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        assert!(!M::PREPARES);
        let mut scratch = Vec::new();
        match self.to {
            To::Panels(count, dst) => self.columns.panels::<J, M>(self.range, count, dst, &mut scratch),
            To::Parts(parts) => self.columns.queries::<J, M>(self.range, parts, &mut scratch),
        }
    }
}

/// Memory in runs of bytes, a stride apart.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Strided {
    pub first: *const u8,
    pub run: usize,
    pub stride: usize,
    pub runs: usize,
}

impl Strided {
    /// One run.
    pub fn of(memory: &[u8]) -> Self {
        Strided { first: memory.as_ptr(), run: memory.len(), stride: 0, runs: 1 }
    }
}

/// Patterns that are copied together, so that writes go to whole lines one after another.
const STRETCH: usize = 8;
