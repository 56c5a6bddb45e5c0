//! Queries as the tiles read them: word after word, the rows of a tile side by side.

use super::columns::{Columns, To};
use super::kernel::{Kernel, Layout};
use crate::error::room;
use crate::error::{Error, Side};
use crate::metric::{Facing, Lay, Metric, Score};
use crate::parallel::Stop;
use crate::simd::{Isa, Line};
use crate::table::{Dtype, Element, Rows};
use crate::tile::Tile;
use std::ops::Range;

/// Prepares a query for keys that are stored in that way, where it is to be, aligned for its elements, and its weights behind
/// it; else tells why it cannot be scored.
pub(super) type QueryFn<T> = unsafe fn(&Rows, &Rows, usize, Dtype, &mut [u8]) -> Result<T, &'static str>;

pub(super) unsafe fn enter<I: Isa, M: Metric<I>>(
    rows: &Rows,
    weights: &Rows,
    i: usize,
    keys: Dtype,
    out: &mut [u8],
) -> Result<M::Score, &'static str> {
    let facing = Facing { side: Side::Query, own: rows.dtype(), other: keys };
    // SAFETY: prepare has no intrinsics that are not inlined here; portable code is fine for a few rows.
    unsafe {
        if M::KNOWN {
            let (row, known) = out.split_at_mut(out.len() / 2);
            // One row of weights may be that of every query.
            let known = read::<M::Element>(weights, if weights.len() == 1 { 0 } else { i }, known);
            M::prepare_known(read(rows, i, row), known, facing)
        } else {
            M::prepare(read(rows, i, out), facing)
        }
    }
}

/// Copies a row to where it is to be, zeros behind it.
fn read<'a, E: Element>(rows: &Rows, i: usize, out: &'a mut [u8]) -> &'a mut [E] {
    let (row, rest) = out.split_at_mut(rows.width() * size_of::<E>());
    assert!(row.as_ptr().cast::<E>().is_aligned());
    rest.fill(0);
    // SAFETY: aligned, and as long as the row.
    let row = unsafe { std::slice::from_raw_parts_mut(row.as_mut_ptr().cast(), rows.width()) };
    rows.read(i, row);
    row
}

/// Who asks.
#[derive(Clone)]
pub enum Table<'a> {
    /// Rows.
    Rows(Rows<'a>),
    /// Rows and the weights of their columns, a row of which serves one query or all of them.
    Known(Rows<'a>, Rows<'a>),
    /// Columns, whose elements are the metric's own or widened to them.
    Columns(Columns<'a>),
}

impl<'a> From<Rows<'a>> for Table<'a> {
    fn from(rows: Rows<'a>) -> Self {
        Table::Rows(rows)
    }
}
impl<'a> From<Columns<'a>> for Table<'a> {
    fn from(columns: Columns<'a>) -> Self {
        Table::Columns(columns)
    }
}

impl Table<'_> {
    /// Queries.
    pub fn len(&self) -> usize {
        match self {
            Table::Rows(rows) | Table::Known(rows, _) => rows.len(),
            Table::Columns(columns) => columns.len(),
        }
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Elements of a query.
    pub fn width(&self) -> usize {
        match self {
            Table::Rows(rows) | Table::Known(rows, _) => rows.width(),
            Table::Columns(columns) => columns.width(),
        }
    }
    /// The first row of the table with a NaN or an infinity.
    pub fn first_non_finite(&self) -> Option<usize> {
        match self {
            Table::Rows(rows) | Table::Known(rows, _) => rows.first_non_finite(),
            Table::Columns(columns) => columns.first_non_finite(),
        }
    }
}

/// Queries side by side in the groups that the tiles take.
pub struct Queries<T> {
    /// The groups.
    pub parts: Vec<Part<T>>,
    data: Vec<Line>,
    terms: Vec<T>,
}

/// One tile's queries.
pub struct Part<T> {
    /// The first of them.
    pub first: usize,
    /// How many.
    pub rows: usize,
    /// The tile that takes them.
    pub tile: Tile<T>,
    words: usize,
    term: usize,
}

impl<T> Default for Queries<T> {
    fn default() -> Self {
        Queries { parts: Vec::new(), data: Vec::new(), terms: Vec::new() }
    }
}

impl<T: Score> Queries<T> {
    /// Packs the queries of `range` in place of those before.
    pub fn pack(&mut self, kernel: &Kernel<T>, table: &Table, range: Range<usize>, stop: &Stop) -> Result<(), Error> {
        let words = kernel.layout.words(table.width());
        match table {
            Table::Rows(rows) | Table::Known(rows, _) => {
                let weights = if let Table::Known(_, weights) = table { weights } else { rows };
                self.data.clear(); // What is not written below has to be zero.
                self.arrange(kernel, kernel.matrix, words, &range)?;
                self.rows(kernel, words, rows, weights, stop)
            }
            Table::Columns(columns) => {
                self.arrange(kernel, None, words, &range)?;
                let base = self.data.as_mut_ptr();
                let place = |part: &Part<T>| {
                    (part.first - range.start, part.rows, part.tile.rows, base.wrapping_add(part.words).cast())
                };
                let parts = room::collected(self.parts.iter().map(place))?;
                // SAFETY: the kernel was looked up for an instruction set that this CPU has; `arrange` made the room.
                unsafe { (kernel.columns)(columns, range, To::Parts(&parts)) }
            }
        }
    }

    /// Divides the queries of `range` among the tiles, that of matrices if it is given among them.
    fn arrange(
        &mut self,
        kernel: &Kernel<T>,
        matrix: Option<Tile<T>>,
        words: usize,
        range: &Range<usize>,
    ) -> Result<(), Error> {
        self.parts.clear();
        self.terms.clear();
        let (mut first, mut at) = (range.start, 0);
        while first < range.end {
            let left = range.end - first;
            let mut tiles = matrix.into_iter().chain(kernel.tiles.0);
            let tile =
                tiles.find(|tile| left >= tile.least).unwrap_or_else(|| unreachable!("one takes single queries"));
            let n = left.min(tile.rows);
            room::push(&mut self.parts, Part { first, rows: n, tile, words: at, term: self.terms.len() })?;
            room::reserve(&mut self.terms, tile.rows)?;
            self.terms.resize(self.terms.len() + tile.rows, T::default());
            at += tile.lines(words, kernel.layout.asked);
            first += n;
        }
        room::resize(&mut self.data, at, Line::ZERO)
    }

    /// Weights are looked at where the kernel wants them.
    fn rows(
        &mut self,
        kernel: &Kernel<T>,
        words: usize,
        rows: &Rows,
        weights: &Rows,
        stop: &Stop,
    ) -> Result<(), Error> {
        let Layout { query: word, asked, .. } = kernel.layout;
        let bytes = words * asked;
        let mut line = Vec::new();
        for part in &self.parts {
            // The words of a query that is alone are its row; others go between those of their neighbours and weights.
            let alone = part.tile.rows == 1 && asked == word;
            if !alone {
                room::resize(&mut line, bytes.div_ceil(64), Line::ZERO)?;
            }
            let base = self.data[part.words..].as_mut_ptr().cast::<u8>();
            for r in 0..part.rows {
                stop.check()?;
                let row = if alone { base } else { line.as_mut_ptr().cast() };
                // SAFETY: a packed row has that many bytes, here as in the part that `arrange` made room for.
                let row = unsafe { std::slice::from_raw_parts_mut(row, bytes) };
                // SAFETY: the kernel was looked up for an instruction set that this CPU has.
                let term = unsafe { (kernel.query)(rows, weights, part.first + r, kernel.stored.1, row) };
                self.terms[part.term + r] =
                    term.map_err(|what| Error::NotADistribution(Side::Query, part.first + r, what))?;
                if alone {
                    continue;
                }
                // SAFETY: `arrange` made room for the part: every word of row r and its weights have a place, at a multiple of
                // its size.
                unsafe {
                    match part.tile.lay {
                        Lay::Words => {
                            for (half, from) in row.chunks_exact(words * word).enumerate() {
                                let (to, stride) = (base.add(r * asked + half * word), part.tile.rows * asked / word);
                                match word {
                                    4 => spread::<u32>(from, to, stride),
                                    8 => spread::<u64>(from, to, stride),
                                    _ => unreachable!("words of floats, or of four or eight bytes"),
                                }
                            }
                        }
                        Lay::Lines => {
                            for (i, from) in row.chunks(64).enumerate() {
                                let to = base.add((i * part.tile.rows + r) * 64);
                                std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len());
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a tile wants [`Matrices`](crate::simd::Matrices).
    pub fn multiplies(&self) -> bool {
        self.parts.iter().any(|part| part.tile.multiplies())
    }
    /// Where a part's words are.
    pub fn words(&self, part: &Part<T>) -> *const u8 {
        self.data[part.words..].as_ptr().cast()
    }
    /// Where a part's terms are.
    pub fn terms(&self, part: &Part<T>) -> *const T {
        self.terms[part.term..].as_ptr()
    }
}

/// Copies the words of a row to every `stride`-th place.
///
/// # Safety
/// Row and places are aligned for words; there are places for all of them.
unsafe fn spread<W: Copy>(row: &[u8], to: *mut u8, stride: usize) {
    let (from, to) = (row.as_ptr().cast::<W>(), to.cast::<W>());
    for w in 0..row.len() / size_of::<W>() {
        *to.add(w * stride) = *from.add(w);
    }
}
