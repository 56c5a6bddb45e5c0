//! Weights times values: the second half of a retrieval.
//!
//! A block of weights (a few queries by up to [`STRIDE`] keys) multiplies the values of those keys. Keys to which none of a
//! tile's queries gives a weight are left out, which changes no bit of the sums and is most of the work when memories are
//! well separated. Each sum starts at zero and is added to what the blocks before gave, in any tile alike.

use crate::error::Error;
use crate::error::room;
use crate::simd::{Float, Isa, Line, Vector, Work};
use crate::table::{Element, Rows};

/// Distance between the rows of weights: blocks are smaller, and rows of a power of two would share cache sets.
pub const STRIDE: usize = 272;
/// The most keys in a block.
pub const BLOCK: usize = 256;

/// Values of the keys of a block.
struct Values<E> {
    /// Row by row.
    rows: *const E,
    width: usize,
    widened: Vec<E>,
    /// The same two registers of columns at a time, so that a tile reads memory in one direction; zeros behind the last column.
    panels: Vec<Line>,
}

impl<E: Element + Float> Values<E> {
    fn new() -> Self {
        Values { rows: std::ptr::null(), width: 0, widened: Vec::new(), panels: Vec::new() }
    }

    /// Points at the values of rows `first .. first + n`, widened where they are stored smaller, and lays out the panels if
    /// there are so many queries that tiles will use them.
    #[inline(always)]
    unsafe fn load<V: Vector<E = E>>(
        &mut self,
        rows: &Rows,
        first: usize,
        n: usize,
        panels: bool,
    ) -> Result<(), Error> {
        self.width = rows.width();
        if rows.dtype() == E::DTYPE {
            self.rows = rows.row(first).cast();
        } else {
            room::resize(&mut self.widened, n * self.width, E::ZERO)?;
            for (i, row) in self.widened.chunks_exact_mut(self.width).enumerate() {
                rows.read(first + i, row);
            }
            self.rows = self.widened.as_ptr();
        }
        if !panels {
            return Ok(());
        }
        let columns = 2 * V::LANES;
        let panel = n * columns;
        let count = self.width.div_ceil(columns);
        room::resize(&mut self.panels, (count * panel * size_of::<E>()).div_ceil(64), Line::ZERO)?;
        let to = self.panels.as_mut_ptr().cast::<E>();
        for key in 0..n {
            let row = self.rows.add(key * self.width);
            for c in 0..count {
                let (from, to) = (row.add(c * columns), to.add(c * panel + key * columns));
                let have = columns.min(self.width - c * columns);
                for half in 0..2 {
                    let at = half * V::LANES;
                    V::load_up_to(from.wrapping_add(at), have.saturating_sub(at)).store(to.add(at));
                }
            }
        }
        Ok(())
    }
}

/// Adds weights times values to `out`: `rows` rows of weights, [`STRIDE`] apart, for the `keys` rows of values from `first` on.
/// `dense` says of a row that none of its weights is zero.
///
/// # Safety
/// Only below [`Isa::call`]; weights readable, out writable for `rows` rows of the values' width.
#[inline(always)]
pub unsafe fn project<I: Isa, V: Vector + 'static>(
    weights: *const V::E,
    dense: &[bool],
    source: &Rows,
    first: usize,
    keys: usize,
    out: *mut V::E,
    room: &mut Room<V::E>,
) -> Result<(), Error>
where
    V::E: Element,
{
    const { assert!(V::ROWS == 12 || V::ROWS == 8 || V::ROWS == 4) };
    let Room { values, list, sums } = room;
    let rows = dense.len();
    let many = rows >= V::ROWS;
    values.load::<V>(source, first, keys, many)?;
    room::resize(sums, values.width, V::E::ZERO)?;
    let mut r = 0;
    while r < rows {
        let (w, to) = (weights.add(r * STRIDE), out.add(r * values.width));
        let left = rows - r;
        if many && left >= V::ROWS {
            let list = listed::<V>(w, &dense[r..r + V::ROWS], keys, list);
            // The tile heights that the instruction sets name in `Vector::ROWS`; the others are not compiled.
            match V::ROWS {
                12 => enter::<I, V, 12>(&Tile { weights: w, values, keys, list }, to),
                8 => enter::<I, V, 8>(&Tile { weights: w, values, keys, list }, to),
                _ => enter::<I, V, 4>(&Tile { weights: w, values, keys, list }, to),
            }
            r += V::ROWS;
        } else if many && left >= 4 {
            let list = listed::<V>(w, &dense[r..r + 4], keys, list);
            enter::<I, V, 4>(&Tile { weights: w, values, keys, list }, to);
            r += 4;
        } else {
            let list = listed::<V>(w, &dense[r..r + 1], keys, list);
            streamed::<V>(w, values, to, list, sums);
            r += 1;
        }
    }
    Ok(())
}

/// Memory that a projection needs and a worker keeps.
pub struct Room<E> {
    values: Values<E>,
    list: List,
    sums: Vec<E>,
}

impl<E: Element + Float> Default for Room<E> {
    fn default() -> Self {
        Room { values: Values::new(), list: List::default(), sums: Vec::new() }
    }
}

/// The keys to which one of the rows gives a weight.
#[inline(always)]
pub(crate) unsafe fn listed<'a, V: Vector>(
    weights: *const V::E,
    dense: &[bool],
    keys: usize,
    list: &'a mut List,
) -> &'a [u32] {
    if dense.contains(&true) {
        return &list.all[..keys];
    }
    let zero = V::splat(V::E::ZERO);
    let mut masks = [0u32; BLOCK];
    let mut count = 0;
    for (start, mask) in (0..keys).step_by(V::LANES).zip(&mut masks) {
        for r in 0..dense.len() {
            // "Not zero" as "below or above": a NaN cannot be here.
            let w = V::load(weights.add(r * STRIDE + start));
            *mask |= w.lt(zero) | zero.lt(w);
        }
        let real = (keys - start).min(V::LANES);
        *mask &= ((1u64 << real) - 1) as u32;
        count += mask.count_ones() as usize;
    }
    if count == keys {
        return &list.all[..keys];
    }
    list.some.clear();
    for (start, mask) in (0..keys).step_by(V::LANES).zip(&masks) {
        let mut mask = *mask;
        while mask != 0 {
            list.some.push((start + mask.trailing_zeros() as usize) as u32);
            mask &= mask - 1;
        }
    }
    &list.some
}

/// Keys of a block by number.
pub struct List {
    all: [u32; BLOCK],
    some: Vec<u32>,
}

impl Default for List {
    fn default() -> Self {
        List { all: std::array::from_fn(|i| i as u32), some: Vec::new() }
    }
}

/// What a tile of the projection reads.
struct Tile<'a, E> {
    weights: *const E,
    values: &'a Values<E>,
    keys: usize,
    list: &'a [u32],
}

struct Body<'a, V: Vector, const R: usize> {
    tile: &'a Tile<'a, V::E>,
    out: *mut V::E,
}

impl<V: Vector, const R: usize> Work for Body<'_, V, R> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        tiled::<V, R>(self.tile, self.out)
    }
}

/// A function of its own, because inlined into a larger one its sums do not stay in registers.
#[inline(never)]
unsafe fn enter<I: Isa, V: Vector, const R: usize>(tile: &Tile<V::E>, out: *mut V::E) {
    I::call(Body::<V, R> { tile, out })
}

/// R queries by two registers of values at a time.
#[inline(always)]
unsafe fn tiled<V: Vector, const R: usize>(tile: &Tile<V::E>, out: *mut V::E) {
    let &Tile { weights, values, keys, list } = tile;
    let (width, step) = (values.width, 2 * V::LANES);
    let mut panel = values.panels.as_ptr().cast::<V::E>();
    let mut column = 0;
    while column < width {
        let mut acc = [[V::splat(V::E::ZERO); 2]; R];
        if list.len() == keys {
            // Nothing to look up.
            for key in 0..keys {
                mix::<V, R>(&mut acc, weights.add(key), panel.add(key * step));
            }
        } else {
            for &key in list {
                mix::<V, R>(&mut acc, weights.add(key as usize), panel.add(key as usize * step));
            }
        }
        for (r, acc) in acc.into_iter().enumerate() {
            for (half, sum) in acc.into_iter().enumerate() {
                let at = column + half * V::LANES;
                if at < width {
                    let n = (width - at).min(V::LANES);
                    let to = out.add(r * width + at);
                    V::load_up_to(to, n).add(sum).store_up_to(to, n);
                }
            }
        }
        column += step;
        panel = panel.add(keys * step);
    }
}

/// Adds a key's values to the sums of R queries, each with its weight.
#[inline(always)]
unsafe fn mix<V: Vector, const R: usize>(acc: &mut [[V; 2]; R], weights: *const V::E, value: *const V::E) {
    let (a, b) = (V::load(value), V::load(value.add(V::LANES)));
    for (r, acc) in acc.iter_mut().enumerate() {
        let w = V::splat(*weights.add(r * STRIDE));
        acc[0] = w.fma(a, acc[0]);
        acc[1] = w.fma(b, acc[1]);
    }
}

/// One query, whole rows of values one after another, as memory likes to be read.
#[inline(always)]
unsafe fn streamed<V: Vector>(
    weights: *const V::E,
    values: &Values<V::E>,
    out: *mut V::E,
    list: &[u32],
    sums: &mut [V::E],
) {
    let width = values.width;
    sums.fill(V::E::ZERO);
    let sums = sums.as_mut_ptr();
    let mut fours = list.chunks_exact(4);
    for keys in fours.by_ref() {
        let mut value = [values.rows; 4];
        let mut w = [V::splat(V::E::ZERO); 4];
        for i in 0..4 {
            value[i] = values.rows.add(keys[i] as usize * width);
            w[i] = V::splat(*weights.add(keys[i] as usize));
        }
        let mut column = 0;
        while column < width {
            let n = (width - column).min(V::LANES);
            let mut acc = V::load_up_to(sums.add(column), n);
            for i in 0..4 {
                acc = w[i].fma(V::load_up_to(value[i].add(column), n), acc);
            }
            acc.store_up_to(sums.add(column), n);
            column += n;
        }
    }
    for &key in fours.remainder() {
        let (value, w) = (values.rows.add(key as usize * width), V::splat(*weights.add(key as usize)));
        let mut column = 0;
        while column < width {
            let n = (width - column).min(V::LANES);
            let acc = w.fma(V::load_up_to(value.add(column), n), V::load_up_to(sums.add(column), n));
            acc.store_up_to(sums.add(column), n);
            column += n;
        }
    }
    let mut column = 0;
    while column < width {
        let n = (width - column).min(V::LANES);
        let to = out.add(column);
        V::load_up_to(to, n).add(V::load_up_to(sums.add(column), n)).store_up_to(to, n);
        column += n;
    }
}
