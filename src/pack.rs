//! From rows as NumPy holds them to panels as the tile reads them.
//!
//! A *block* is a stretch of keys whose panels fit the second-level cache. Keys that are used once are packed block by block
//! while they are read; a memory packs its keys once and keeps the panels ([`Panels`]).

use crate::columns::Columns;
use crate::error::{Error, Side};
use crate::metric::{Metric, MetricName, OfMetric, Score};
use crate::simd::{Isa, Level, Line, Vector, Work, prefetch};
use crate::table::{Dtype, Element, Rows};
use crate::tile::{PANELS, Tile, Tiles, tiles};
use std::marker::PhantomData;
use std::ops::Range;

type PackFn<T> = unsafe fn(&Rows, Range<usize>, Side, &mut PackBuffer<T>) -> Result<(), (usize, &'static str)>;
type QueryFn<T> = unsafe fn(&Rows, usize, &mut [u8], &mut Vec<u8>) -> Result<T, &'static str>;
type ColumnsFn = unsafe fn(&Columns, Range<usize>, To);

/// Where packed columns go.
enum To<'a> {
    /// So many panels of keys.
    Panels(usize, *mut u8),
    /// Queries in these parts: see [`Columns::queries`].
    Parts(&'a [(usize, usize, usize, *mut u8)]),
}

/// A metric on an instruction set, as functions: what the sinks need to know of it.
#[derive(Clone, Copy)]
pub struct Kernel<T> {
    /// The tile shapes.
    pub tiles: Tiles<T>,
    /// Keys in a panel.
    pub lanes: usize,
    /// Bytes in a word.
    pub word: usize,
    /// Bytes in an element of a prepared row.
    element: usize,
    /// Whether keys have shares of their own in their scores.
    terms: bool,
    /// Whether rows are read where they are.
    in_place: bool,
    /// The kernel for few queries, if there is another.
    few: Option<fn() -> Kernel<T>>,
    pack: PackFn<T>,
    query: QueryFn<T>,
    columns: ColumnsFn,
}

/// Scores for which there are metrics.
pub trait Scored: Score {
    /// The metric of that name for queries and keys of these types. Callers have checked that there is one.
    fn kernel(level: Level, metric: MetricName, queries: Dtype) -> Kernel<Self>;
}

macro_rules! float_kernels {
    ($t:ty, $v:ident) => {
        impl Scored for $t {
            fn kernel(level: Level, metric: MetricName, _queries: Dtype) -> Kernel<$t> {
                struct Find(MetricName);
                impl Work for Find {
                    type Out = Kernel<$t>;
                    #[inline(always)]
                    unsafe fn run<I: Isa>(self) -> Kernel<$t> {
                        self.0.on_floats::<I, I::$v, _>()
                    }
                }
                level.run(Find(metric))
            }
        }
    };
}
float_kernels!(f32, F32);
float_kernels!(f64, F64);

impl Scored for i32 {
    fn kernel(level: Level, metric: MetricName, queries: Dtype) -> Kernel<i32> {
        struct Find(MetricName, Dtype);
        impl Work for Find {
            type Out = Option<Kernel<i32>>;
            #[inline(always)]
            unsafe fn run<I: Isa>(self) -> Option<Kernel<i32>> {
                self.0.on_bytes::<I, _>(self.1)
            }
        }
        level.run(Find(metric, queries)).unwrap_or_else(|| unreachable!("no exact integer scores for {metric:?}"))
    }
}

impl<T: Score> OfMetric<T> for Kernel<T> {
    fn of<I: Isa, M: Metric<I, Score = T>>() -> Self {
        Kernel {
            tiles: tiles::<I, M>(),
            lanes: M::Carrier::LANES,
            word: M::WORD,
            element: size_of::<M::Element>(),
            terms: M::TERMS,
            in_place: M::IN_PLACE,
            few: None,
            pack: pack_enter::<I, M>,
            query: query_enter::<I, M>,
            columns: columns_enter::<I, M>,
        }
    }
    fn with_few<I: Isa, M: Metric<I, Score = T>, Few: Metric<I, Score = T>>() -> Self {
        Kernel { few: Some(Self::of::<I, Few>), ..Self::of::<I, M>() }
    }
}

impl<T: Score> Kernel<T> {
    /// The kernel for so many queries and these keys.
    pub fn suited(self, queries: usize, keys: &Keys<T>) -> Self {
        match (self.few, keys) {
            (Some(few), Keys::Rows(rows)) if queries <= FEW => {
                let few = few();
                if rows.width().is_multiple_of(few.word) { few } else { self }
            }
            _ => self,
        }
    }

    /// Words of a row.
    pub fn words(&self, width: usize) -> usize {
        (width * self.element).div_ceil(self.word)
    }

    /// Bytes of a panel.
    pub fn panel(&self, width: usize) -> usize {
        self.words(width) * self.word * self.lanes
    }

    /// Keys in a block: as many as fit `bytes` of cache beside `extra` bytes a key, at least a few panels, at most `most`.
    pub fn block(&self, width: usize, extra: usize, bytes: usize, most: usize) -> usize {
        let few = PANELS * self.lanes;
        let fit = bytes / (self.words(width) * self.word + extra).max(1);
        (fit / few * few).clamp(few, (most / few * few).max(few))
    }
}

/// The most queries that are few.
const FEW: usize = 2;

/// Panels of a block and the keys' own terms, with the room needed to make them.
pub struct PackBuffer<T> {
    data: Vec<Line>,
    terms: Vec<T>,
    scratch: Vec<u8>,
}

impl<T> Default for PackBuffer<T> {
    fn default() -> Self {
        PackBuffer { data: Vec::new(), terms: Vec::new(), scratch: Vec::new() }
    }
}

impl<T> PackBuffer<T> {
    fn block(&self, kernel: &Kernel<T>) -> Block<T> {
        Block { panels: self.data.as_ptr().cast(), terms: self.terms.as_ptr(), count: self.terms.len() / kernel.lanes }
    }
}

struct PackWork<'a, M, J, T> {
    rows: &'a Rows<'a>,
    range: Range<usize>,
    side: Side,
    buffer: &'a mut PackBuffer<T>,
    metric: PhantomData<(M, J)>,
}

unsafe fn pack_enter<I: Isa, M: Metric<I>>(
    rows: &Rows,
    range: Range<usize>,
    side: Side,
    buffer: &mut PackBuffer<M::Score>,
) -> Result<(), (usize, &'static str)> {
    I::call(PackWork::<M, I, M::Score> { rows, range, side, buffer, metric: PhantomData })
}

impl<J: Isa, M: Metric<J>> Work for PackWork<'_, M, J, M::Score> {
    type Out = Result<(), (usize, &'static str)>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        pack_block::<J, M>(self.rows, self.range, self.side, self.buffer)
    }
}

/// Packs the keys of `range` into panels, zeros behind them up to a multiple of [`PANELS`] panels.
#[inline(always)]
unsafe fn pack_block<I: Isa, M: Metric<I>>(
    rows: &Rows,
    range: Range<usize>,
    side: Side,
    buffer: &mut PackBuffer<M::Score>,
) -> Result<(), (usize, &'static str)> {
    let lanes = M::Carrier::LANES;
    let word = size_of::<<M::Carrier as Vector>::E>();
    let element = size_of::<M::Element>();
    let bytes = rows.width() * element;
    let words = bytes.div_ceil(word);
    let panel = words * word * lanes;
    let count = range.len().div_ceil(lanes * PANELS) * PANELS;
    buffer.data.resize((count * panel).div_ceil(64), Line::ZERO);
    buffer.terms.clear();
    buffer.terms.resize(count * lanes, M::Score::default());
    let direct = !M::PREPARES && rows.dtype() == M::Element::DTYPE;
    let stride = words * word;
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
                    buffer.terms[p * lanes + i] = M::prepare(row, side).map_err(|what| (first + i, what))?;
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

unsafe fn query_enter<I: Isa, M: Metric<I>>(
    rows: &Rows,
    i: usize,
    out: &mut [u8],
    scratch: &mut Vec<u8>,
) -> Result<M::Score, &'static str> {
    let bytes = rows.width() * size_of::<M::Element>();
    scratch.clear();
    scratch.resize(bytes + 8, 0);
    let start = scratch.as_ptr().align_offset(8);
    // SAFETY: aligned, and as long as the row.
    let row = unsafe { std::slice::from_raw_parts_mut(scratch.as_mut_ptr().add(start).cast(), rows.width()) };
    rows.read::<M::Element>(i, row);
    // SAFETY: prepare has no intrinsics that are not inlined here; portable code is fine for a few rows.
    let term = unsafe { M::prepare(row, Side::Query)? };
    out[..bytes].copy_from_slice(&scratch[start..start + bytes]);
    out[bytes..].fill(0);
    Ok(term)
}

struct ColumnsWork<'a, M, J> {
    columns: &'a Columns<'a>,
    range: Range<usize>,
    to: To<'a>,
    metric: PhantomData<(M, J)>,
}

unsafe fn columns_enter<I: Isa, M: Metric<I>>(columns: &Columns, range: Range<usize>, to: To) {
    I::call(ColumnsWork::<M, I> { columns, range, to, metric: PhantomData })
}

impl<J: Isa, M: Metric<J>> Work for ColumnsWork<'_, M, J> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        assert!(!M::PREPARES);
        let mut scratch = Vec::new();
        match self.to {
            To::Panels(count, dst) => self.columns.panels::<J, M>(self.range, count, dst, &mut scratch),
            To::Parts(parts) => self.columns.queries::<J, M>(self.range, parts, &mut scratch),
        }
    }
}

/// Who asks.
#[derive(Clone)]
pub enum Table<'a> {
    /// Rows.
    Rows(Rows<'a>),
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
            Table::Rows(rows) => rows.len(),
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
            Table::Rows(rows) => rows.width(),
            Table::Columns(columns) => columns.width(),
        }
    }
    /// The first row of the table with a NaN or an infinity.
    pub fn first_non_finite(&self) -> Option<usize> {
        match self {
            Table::Rows(rows) => rows.first_non_finite(),
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
    pub fn pack(&mut self, kernel: &Kernel<T>, table: &Table, range: Range<usize>) -> Result<(), Error> {
        let words = kernel.words(table.width());
        match table {
            Table::Rows(rows) => {
                self.data.clear(); // What is not written below has to be zero.
                self.arrange(kernel, words, &range);
                self.rows(kernel, words, rows)
            }
            Table::Columns(columns) => {
                self.arrange(kernel, words, &range);
                let base = self.data.as_mut_ptr();
                let place = |part: &Part<T>| {
                    (part.first - range.start, part.rows, part.tile.rows, base.wrapping_add(part.words).cast())
                };
                let parts: Vec<_> = self.parts.iter().map(place).collect();
                // SAFETY: the kernel was looked up for an instruction set that this CPU has; `arrange` made the room.
                unsafe { (kernel.columns)(columns, range, To::Parts(&parts)) };
                Ok(())
            }
        }
    }

    /// Divides the queries of `range` among the tiles.
    fn arrange(&mut self, kernel: &Kernel<T>, words: usize, range: &Range<usize>) {
        let [many, few, one] = kernel.tiles.0;
        self.parts.clear();
        self.terms.clear();
        let (mut first, mut at) = (range.start, 0);
        while first < range.end {
            let left = range.end - first;
            // A large tile that is more than half full does less work than the small ones it would take.
            let tile = if 2 * left > many.rows {
                many
            } else if left >= few.rows {
                few
            } else {
                one
            };
            let n = left.min(tile.rows);
            self.parts.push(Part { first, rows: n, tile, words: at, term: self.terms.len() });
            self.terms.resize(self.terms.len() + tile.rows, T::default());
            at += (tile.rows * words * kernel.word).div_ceil(64);
            first += n;
        }
        self.data.resize(at, Line::ZERO);
    }

    fn rows(&mut self, kernel: &Kernel<T>, words: usize, rows: &Rows) -> Result<(), Error> {
        let bytes = words * kernel.word;
        let mut row = vec![0u8; bytes];
        let mut scratch = Vec::new();
        for part in &self.parts {
            let base = self.data[part.words..].as_mut_ptr().cast::<u8>();
            for r in 0..part.rows {
                // SAFETY: `row` has the length of a packed row.
                let term = unsafe { (kernel.query)(rows, part.first + r, &mut row, &mut scratch) };
                self.terms[part.term + r] =
                    term.map_err(|what| Error::NotADistribution(Side::Query, part.first + r, what))?;
                for w in 0..words {
                    // SAFETY: word w of row r lies inside the part that `at` made room for.
                    unsafe {
                        let to = base.add((w * part.tile.rows + r) * kernel.word);
                        std::ptr::copy_nonoverlapping(row.as_ptr().add(w * kernel.word), to, kernel.word);
                    }
                }
            }
        }
        Ok(())
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

/// Keys that were packed once: what a memory keeps.
pub struct Panels<T> {
    kernel: Kernel<T>,
    width: usize,
    len: usize,
    data: Vec<Line>,
    /// Empty if the metric has none.
    terms: Vec<T>,
}

/// A look at [`Panels`] for scores of type T.
#[derive(Clone, Copy)]
pub struct Packed<'a, T> {
    width: usize,
    len: usize,
    data: &'a [Line],
    terms: &'a [T],
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
        Packed { width: self.width, len: self.len, data: &self.data, terms: &self.terms }
    }
    /// All of them for scores of another type, which a metric without terms can have on the same panels.
    pub fn all_for<U>(&self) -> Packed<'_, U> {
        assert!(!self.kernel.terms, "the keys' own terms are scores of one type");
        Packed { width: self.width, len: self.len, data: &self.data, terms: &[] }
    }

    /// Copies the words of key `i`, as they were prepared, without the zeros behind the last element.
    pub fn unpack(&self, i: usize, row: &mut [u8]) {
        assert!(i < self.len && row.len() == self.width * self.kernel.element);
        let (lanes, word) = (self.kernel.lanes, self.kernel.word);
        let first = i / lanes * self.kernel.panel(self.width) + i % lanes * word;
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
        let (panel, few) = (kernel.panel(self.width), kernel.lanes * PANELS);
        let (old, new) = (self.len, self.len + rows.len());
        let keys = new.div_ceil(few) * few;
        let size = (keys / kernel.lanes * panel).div_ceil(64);
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
        let row_bytes = kernel.word;
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
                    let bytes = n.div_ceil(kernel.lanes) * panel;
                    std::ptr::copy_nonoverlapping(src, dst.add(at / kernel.lanes * panel), bytes);
                } else {
                    for i in 0..n {
                        let place = |key: usize| key / kernel.lanes * panel + key % kernel.lanes * row_bytes;
                        let (from, to) = (src.add(place(i)), dst.add(place(at + i)));
                        for w in 0..kernel.words(self.width) {
                            let step = w * kernel.lanes * row_bytes;
                            std::ptr::copy_nonoverlapping(from.add(step), to.add(step), row_bytes);
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

impl<T: Score> Kernel<T> {
    fn pack(&self, rows: &Rows, range: Range<usize>, buffer: &mut PackBuffer<T>) -> Result<(), Error> {
        // SAFETY: the kernel was looked up for an instruction set that this CPU has.
        unsafe { (self.pack)(rows, range, Side::Key, buffer) }
            .map_err(|(row, what)| Error::NotADistribution(Side::Key, row, what))
    }
}

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
    /// The panels of `range`, which starts at a multiple of a block's granularity.
    pub fn block(
        &self,
        kernel: &Kernel<T>,
        range: Range<usize>,
        buffer: &mut PackBuffer<T>,
    ) -> Result<Block<T>, Error> {
        match self {
            Keys::Rows(rows) if kernel.in_place && range.len().is_multiple_of(kernel.lanes * PANELS) => {
                Ok(Block { panels: rows.row(range.start), terms: std::ptr::null(), count: range.len() / kernel.lanes })
            }
            Keys::Rows(rows) => {
                kernel.pack(rows, range, buffer)?;
                Ok(buffer.block(kernel))
            }
            Keys::Columns(columns) => {
                let count = range.len().div_ceil(kernel.lanes * PANELS) * PANELS;
                buffer.data.resize((count * kernel.panel(columns.width())).div_ceil(64), Line::ZERO);
                buffer.terms.clear();
                buffer.terms.resize(count * kernel.lanes, T::default());
                // SAFETY: the kernel was looked up for an instruction set that this CPU has; here is the room.
                unsafe { (kernel.columns)(columns, range, To::Panels(count, buffer.data.as_mut_ptr().cast())) };
                Ok(buffer.block(kernel))
            }
            Keys::Packed(panels) => {
                debug_assert!(range.start.is_multiple_of(kernel.lanes * PANELS));
                let first = range.start / kernel.lanes;
                let panel = kernel.panel(panels.width);
                Ok(Block {
                    panels: panels.data.as_ptr().cast::<u8>().wrapping_add(first * panel),
                    terms: if kernel.terms { panels.terms[range.start..].as_ptr() } else { std::ptr::null() },
                    count: range.len().div_ceil(kernel.lanes * PANELS) * PANELS,
                })
            }
        }
    }
    /// The memory that [`Keys::block`] or the tiles will read for these keys.
    pub fn memory(&self, range: Range<usize>) -> &[u8] {
        match self {
            Keys::Rows(rows) => rows.memory(range),
            // Panels are read from one end to the other, which the CPU notices by itself; columns have no memory of their own.
            Keys::Packed(_) | Keys::Columns(_) => &[],
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
