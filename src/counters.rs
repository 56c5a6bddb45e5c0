//! Sparse distributed memory: the hard locations that a word activates, and their counters.
//!
//! Which locations are within the radius of a word is the engine's search ([`activate`]). A write then adds to the counters of
//! those locations, location by location, so that threads never share a row and a row is fetched once for many items; within a
//! row the items come in order of their index, so that what saturation does to a counter is well defined. A read sums the
//! rows of a word's locations. A row of counters is kilobytes long and its place is chance: both fetch rows ahead.

use crate::error::Error;
use crate::error::room;
use crate::parallel::{Context, Shared, Stop, map, pieces};
use crate::simd::{Isa, Level, Work, prefetch};
use crate::sink::filter::{Collect, Found, filter, length};
use crate::sweep::Search;
use std::ops::Range;

struct Active {
    found: Vec<u32>,
    bound: i32,
}

impl Collect<i32> for Active {
    #[inline(always)]
    fn bound(&self) -> Option<i32> {
        Some(self.bound)
    }
    #[inline(always)]
    fn push(&mut self, _score: i32, index: u32) -> bool {
        room::push(&mut self.found, index).is_ok()
    }
    fn lacking(&self) -> Error {
        room::lacking::<u32>(2 * self.found.len())
    }
}

/// For every query the keys at most `radius` away, in ascending order.
pub fn activate(context: &Context, level: Level, search: &Search<i32>, radius: usize) -> Result<Vec<Vec<u32>>, Error> {
    let bound = i32::try_from(radius).unwrap_or(i32::MAX).saturating_add(1);
    let (length, empty) = (length(context, search, 1), |_| Active { found: Vec::new(), bound });
    let Found { parts, chunks, .. } = filter(context, level, search, length, false, empty)?;
    let stop = Stop::asking(context);
    let (mut parts, mut active) = (parts.into_iter(), room::list(search.queries.len())?);
    while let Some(mut rows) = parts.next() {
        for part in parts.by_ref().take(chunks - 1) {
            for (row, later) in rows.iter_mut().zip(part) {
                stop.check()?;
                room::reserve(&mut row.found, later.found.len())?;
                row.found.extend_from_slice(&later.found);
            }
        }
        active.extend(rows.into_iter().map(|row| row.found));
    }
    Ok(active)
}

/// Counters: integers that stop at their ends.
pub trait Counter: Copy + Send + Sync + 'static {
    /// What rows are summed in, and how many rows surely fit.
    type Sum: Copy + Default + std::ops::AddAssign + Into<i64> + From<Self>;
    /// Rows that a sum holds.
    const ROWS: usize;
    /// The largest value.
    const MAX: i64;
    /// For every byte, its bits from the highest down: -1 (all bits) where set.
    const MASKS: &'static [[Self; 8]; 256];
    /// The same number in this type, which holds it.
    fn from_i64(x: i64) -> Self;
    /// `self + (if mask { plus } else { minus })`, stopped at the ends.
    fn count(self, mask: Self, plus: Self, minus: Self) -> Self;
}

macro_rules! counter {
    ($t:ty, $sum:ty, $rows:expr) => {
        impl Counter for $t {
            type Sum = $sum;
            const ROWS: usize = $rows;
            const MAX: i64 = <$t>::MAX as i64;
            const MASKS: &'static [[$t; 8]; 256] = {
                const TABLE: [[$t; 8]; 256] = {
                    let mut table = [[0; 8]; 256];
                    let mut i = 0;
                    while i < 256 * 8 {
                        table[i / 8][i % 8] = -(((i / 8) >> (7 - i % 8) & 1) as $t);
                        i += 1;
                    }
                    table
                };
                &TABLE
            };
            #[inline(always)]
            fn from_i64(x: i64) -> $t {
                x as $t
            }
            #[inline(always)]
            fn count(self, mask: $t, plus: $t, minus: $t) -> $t {
                self.saturating_add(minus ^ (mask & (plus ^ minus)))
            }
        }
    };
}
// 65,535 times -32,768 is still an i32.
counter!(i8, i32, 65_535);
counter!(i16, i32, 65_535);
counter!(i32, i64, usize::MAX);

/// Rows of counters, one per location.
pub struct Counters<'a, C> {
    /// All of them, row by row.
    pub cells: &'a mut [C],
    /// Counters in a row.
    pub width: usize,
}

/// What is written: packed words of the counters' width, highest bit first, and how often each counts.
pub struct Items<'a> {
    /// The words, each on whole bytes.
    pub words: &'a [u8],
    /// One for each word.
    pub weights: &'a [i64],
}

/// Pairs of a location and an item that a task sorts at once: half a second-level cache.
const PAIRS: usize = 1 << 16;

/// Adds `weight` to a counter where an item's bit is 1 and takes it away where it is 0, in the rows that item i
/// activates (`active[i]`, ascending). An error leaves the counters as they were: nothing that is done once they change can fail.
pub fn write<C: Counter>(
    context: &Context,
    level: Level,
    active: &[Vec<u32>],
    items: &Items,
    counters: Counters<C>,
) -> Result<(), Error> {
    let width = counters.width;
    let locations = counters.cells.len() / width;
    let total: usize = active.iter().map(Vec::len).sum();
    let tasks = (8 * context.threads).max(total / PAIRS);
    let ranges = pieces(locations, locations.div_ceil(tasks));
    let cells = &Shared(counters.cells.as_mut_ptr());
    let body = |pairs: &mut Vec<u64>, task: usize, _: &Stop| {
        let range = &ranges[task];
        // SAFETY: the rows of this range are no other task's, and the range lies within the counters.
        let rows = unsafe { std::slice::from_raw_parts_mut(cells.0.add(range.start * width), range.len() * width) };
        add_to(level, active, items, range.clone(), rows, width, pairs);
        Ok(())
    };
    map(context, ranges.len(), total.saturating_mul(width), || Ok(Vec::new()), body)?;
    Ok(())
}

/// Adds to the rows of a range. Where there is no room for the pairs of all, parts of it are taken one after the other.
fn add_to<C: Counter>(
    level: Level,
    active: &[Vec<u32>],
    items: &Items,
    range: Range<usize>,
    rows: &mut [C],
    width: usize,
    pairs: &mut Vec<u64>,
) {
    let first = range.start;
    if collect(active, &range, pairs).is_ok() {
        level.run(Write { pairs, first, items, rows, width });
    } else if range.len() > 1 {
        let middle = first + range.len() / 2;
        let (low, high) = rows.split_at_mut((middle - first) * width);
        add_to(level, active, items, first..middle, low, width, pairs);
        add_to(level, active, items, middle..range.end, high, width, pairs);
    } else {
        for item in (0..active.len()).filter(|&item| active[item].binary_search(&(first as u32)).is_ok()) {
            level.run(Write { pairs: &[(first as u64) << 32 | item as u64], first, items, rows, width });
        }
    }
}

/// The pairs of a location in `range` and an item that activates it, by location and then by item.
fn collect(active: &[Vec<u32>], range: &Range<usize>, pairs: &mut Vec<u64>) -> Result<(), Error> {
    pairs.clear();
    for (item, locations) in active.iter().enumerate() {
        let first = locations.partition_point(|&l| (l as usize) < range.start);
        for &location in locations[first..].iter().take_while(|&&l| (l as usize) < range.end) {
            room::push(pairs, (location as u64) << 32 | item as u64)?;
        }
    }
    pairs.sort_unstable();
    Ok(())
}

struct Write<'a, C> {
    pairs: &'a [u64],
    first: usize,
    items: &'a Items<'a>,
    rows: &'a mut [C],
    width: usize,
}

impl<C: Counter> Work for Write<'_, C> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let bytes = self.width.div_ceil(8);
        let place = |pair: u64| ((pair >> 32) as usize - self.first) * self.width;
        for (i, &pair) in self.pairs.iter().enumerate() {
            if let Some(&later) = self.pairs.get(i + AHEAD) {
                fetch(&self.rows[place(later)..][..self.width]);
            }
            let item = pair as u32 as usize;
            let word = &self.items.words[item * bytes..][..bytes];
            add(&mut self.rows[place(pair)..][..self.width], word, self.items.weights[item]);
        }
    }
}

/// Adds a word to a row of counters. A weight beyond the counter's range is added in parts, all of one sign, which
/// stops where its sum would; more than the whole range makes no difference.
#[inline(always)]
fn add<C: Counter>(row: &mut [C], word: &[u8], weight: i64) {
    let most = 2 * C::MAX + 1;
    let mut left = weight.clamp(-most, most);
    while left != 0 {
        let part = left.clamp(-C::MAX, C::MAX);
        left -= part;
        let (plus, minus) = (C::from_i64(part), C::from_i64(-part));
        let (whole, rest) = row.as_chunks_mut::<8>();
        for (cells, &byte) in whole.iter_mut().zip(word) {
            let masks = &C::MASKS[byte as usize];
            for (cell, &mask) in cells.iter_mut().zip(masks) {
                *cell = cell.count(mask, plus, minus);
            }
        }
        if let Some(&byte) = word.get(whole.len()) {
            for (cell, &mask) in rest.iter_mut().zip(&C::MASKS[byte as usize]) {
                *cell = cell.count(mask, plus, minus);
            }
        }
    }
}

/// Rows that are asked for before they are needed.
const AHEAD: usize = 3;

#[inline(always)]
fn fetch<C>(row: &[C]) {
    for at in (0..size_of_val(row)).step_by(64) {
        prefetch(row.as_ptr().cast::<u8>().wrapping_add(at));
    }
}

/// Sums the rows that each query activates into `sums`, a row of `width` for each.
pub fn read<C: Counter>(
    context: &Context,
    level: Level,
    active: &[Vec<u32>],
    cells: &[C],
    width: usize,
    sums: &mut [i64],
) -> Result<(), Error> {
    assert_eq!(sums.len(), active.len() * width);
    let total: usize = active.iter().map(Vec::len).sum();
    let out = &Shared(sums.as_mut_ptr());
    let body = |acc: &mut Vec<C::Sum>, task: usize, stop: &Stop| {
        stop.check()?;
        // SAFETY: query `task` has this row of sums for itself.
        let sums = unsafe { std::slice::from_raw_parts_mut(out.0.add(task * width), width) };
        level.run(Read { locations: &active[task], cells, acc, sums });
        Ok(())
    };
    map(context, active.len(), total.saturating_mul(width), || room::filled(width, C::Sum::default()), body)?;
    Ok(())
}

struct Read<'a, C: Counter> {
    locations: &'a [u32],
    cells: &'a [C],
    acc: &'a mut [C::Sum],
    sums: &'a mut [i64],
}

impl<C: Counter> Work for Read<'_, C> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let width = self.sums.len();
        let row = |location: u32| &self.cells[location as usize * width..][..width];
        self.sums.fill(0);
        for part in self.locations.chunks(C::ROWS) {
            self.acc.fill(C::Sum::default());
            for (i, &location) in part.iter().enumerate() {
                if let Some(&later) = part.get(i + AHEAD) {
                    fetch(row(later));
                }
                for (sum, &cell) in self.acc.iter_mut().zip(row(location)) {
                    *sum += cell.into();
                }
            }
            for (sum, &acc) in self.sums.iter_mut().zip(self.acc.iter()) {
                *sum += acc.into();
            }
        }
    }
}
