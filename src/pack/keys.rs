//! Where keys come from, and how a block of them becomes panels.

use super::columns::{Columns, To};
use super::kernel::{Kernel, Layout};
use super::panels::{PackBuffer, Packed};
use crate::error::Error;
use crate::metric::Score;
use crate::table::Rows;
use crate::tile::PANELS;
use std::ops::Range;

/// Where keys come from.
#[derive(Clone, Copy)]
pub enum Keys<'a, T> {
    /// Rows, packed while they are read.
    Rows(Rows<'a>),
    /// Columns, likewise.
    Columns(&'a Columns<'a>),
    /// Panels, packed before.
    Packed(Packed<'a, T>),
}

/// A block ready for the tiles.
pub struct Block<T> {
    /// The first panel.
    pub panels: *const u8,
    /// The keys' own terms, if they have any.
    pub terms: *const T,
    /// Panels, padding included.
    pub count: usize,
}

impl<T> Block<T> {
    fn of(buffer: &PackBuffer<T>, lanes: usize) -> Self {
        Block { panels: buffer.data.as_ptr().cast(), terms: buffer.terms.as_ptr(), count: buffer.terms.len() / lanes }
    }
}

/// Bytes of panels that are still in the first-level cache, beside the rows they came from, when a tile reads them.
const NEAR: usize = 16 << 10;
/// The most queries that are few.
const FEW: usize = 2;

impl<T: Score> Kernel<T> {
    /// The kernel for so many queries and these keys.
    pub fn suited(self, queries: usize, keys: &Keys<T>) -> Self {
        match (self.few, keys) {
            (Some(few), Keys::Rows(rows)) if queries <= FEW => {
                let few = few();
                if !few.in_place || rows.width().is_multiple_of(few.layout.word) { few } else { self }
            }
            _ => self,
        }
    }
}

impl<T: Score> Keys<'_, T> {
    /// Keys.
    pub fn len(&self) -> usize {
        match self {
            Keys::Rows(rows) => rows.len(),
            Keys::Columns(columns) => columns.len(),
            Keys::Packed(panels) => panels.len,
        }
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Elements of a key.
    pub fn width(&self) -> usize {
        match self {
            Keys::Rows(rows) => rows.width(),
            Keys::Columns(columns) => columns.width(),
            Keys::Packed(panels) => panels.width,
        }
    }
    /// Whether panels are made of them on the way.
    pub fn turned(&self, kernel: &Kernel<T>) -> bool {
        !kernel.in_place && !matches!(self, Keys::Packed(_))
    }
    /// The first keys of `range` whose panels stand together, or are to be made at a time; `once` says that one tile reads each.
    pub fn part(&self, kernel: &Kernel<T>, range: Range<usize>, once: bool) -> Range<usize> {
        let end = match self {
            Keys::Packed(panels) => panels.together(range.start),
            Keys::Rows(rows) if once && !kernel.in_place => {
                range.start + kernel.block(rows.width(), 0, NEAR, usize::MAX)
            }
            Keys::Rows(_) | Keys::Columns(_) => range.end,
        };
        range.start..end.min(range.end)
    }
    /// The panels of `range`, which starts at a multiple of a block's granularity.
    pub fn block(
        &self,
        kernel: &Kernel<T>,
        range: Range<usize>,
        buffer: &mut PackBuffer<T>,
    ) -> Result<Block<T>, Error> {
        let Layout { lanes, .. } = kernel.layout;
        match self {
            Keys::Rows(rows) if kernel.in_place && range.len().is_multiple_of(lanes * PANELS) => {
                Ok(Block { panels: rows.row(range.start), terms: std::ptr::null(), count: range.len() / lanes })
            }
            Keys::Rows(rows) => {
                kernel.pack(rows, range, buffer)?;
                Ok(Block::of(buffer, lanes))
            }
            Keys::Columns(columns) => {
                let count = kernel.layout.panels(range.len());
                let to = buffer.fit(&kernel.layout, columns.width(), count)?;
                // SAFETY: the kernel was looked up for an instruction set that this CPU has; here is the room.
                unsafe { (kernel.columns)(columns, range, To::Panels(count, to.panels)) }?;
                Ok(Block::of(buffer, lanes))
            }
            Keys::Packed(panels) => {
                let count = kernel.layout.panels(range.len());
                let (panels, terms) = panels.find(kernel, range, buffer)?;
                Ok(Block { panels, terms, count })
            }
        }
    }
    /// The one panel of `range`, no more keys than it takes: see [`Kernel::singly`].
    pub fn panel(
        &self,
        kernel: &Kernel<T>,
        range: Range<usize>,
        buffer: &mut PackBuffer<T>,
    ) -> Result<Block<T>, Error> {
        let Keys::Rows(rows) = self else { unreachable!("rows alone are taken singly") };
        kernel.pack_to(rows, range, 1, buffer)?;
        Ok(Block { count: 1, ..Block::of(buffer, kernel.layout.lanes) })
    }
    /// The memory that [`Keys::block`] or the tiles will read for these keys.
    pub fn memory(&self, kernel: &Kernel<T>, range: Range<usize>) -> &[u8] {
        match self {
            Keys::Rows(rows) => rows.memory(range),
            Keys::Packed(panels) => panels.memory(kernel, range),
            Keys::Columns(_) => &[], // They have no memory of their own.
        }
    }
    /// The first row with a NaN or an infinity; panels were checked when they were made.
    pub fn first_non_finite(&self) -> Option<usize> {
        match self {
            Keys::Rows(rows) => rows.first_non_finite(),
            Keys::Columns(columns) => columns.first_non_finite(),
            Keys::Packed(_) => None,
        }
    }
}
