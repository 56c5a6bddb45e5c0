//! Weights times values: the second half of a retrieval.
//!
//! A block of weights (a few queries by up to [`STRIDE`] keys) multiplies the values of those keys. Keys to which none of a
//! tile's queries gives a weight are left out, which changes no bit of the sums and is most of the work when memories are
//! well separated. Each sum starts at zero and is added to what the blocks before gave, in any tile alike.

use crate::pack::{Rows, Widen};
use crate::simd::{Float, Vector};

/// Distance between the rows of weights: blocks are smaller, and rows of a power of two would share cache sets.
pub const STRIDE: usize = 528;
/// The most keys in a block.
pub const BLOCK: usize = 512;

/// Values of the keys of a block.
pub struct Values<E> {
    data: *const E,
    width: usize,
    widened: Vec<E>,
}

impl<E: Widen + Float> Values<E> {
    /// No values yet.
    pub fn new() -> Self {
        Values { data: std::ptr::null(), width: 0, widened: Vec::new() }
    }
    /// Points at the values of rows `first .. first + n`, widened where they are stored smaller.
    pub fn load(&mut self, rows: &Rows, first: usize, n: usize) {
        self.width = rows.width();
        if rows.dtype() == E::DTYPE {
            self.data = rows.row(first).cast();
        } else {
            self.widened.resize(n * self.width, E::ZERO);
            for (i, row) in self.widened.chunks_exact_mut(self.width).enumerate() {
                rows.read(first + i, row);
            }
            self.data = self.widened.as_ptr();
        }
    }
}

/// Adds weights times values to `out`: `rows` rows of weights, [`STRIDE`] apart, for `keys` keys.
///
/// # Safety
/// Only below [`Isa::call`](crate::isa::Isa::call); weights readable, out writable for `rows` rows of the values' width.
#[inline(always)]
pub unsafe fn project<V: Vector>(
    weights: *const V::E,
    rows: usize,
    keys: usize,
    values: &Values<V::E>,
    out: *mut V::E,
    list: &mut Vec<u32>,
    sums: &mut Vec<V::E>,
) where
    V::E: Widen,
{
    let mut r = 0;
    while r < rows {
        let (w, to) = (weights.add(r * STRIDE), out.add(r * values.width));
        let left = rows - r;
        if left >= V::ROWS {
            listed::<V>(w, V::ROWS, keys, list);
            // The tile heights that the instruction sets name in `Vector::ROWS`; the others are not compiled.
            match V::ROWS {
                12 => tiled::<V, 12>(w, values, to, list),
                6 => tiled::<V, 6>(w, values, to, list),
                _ => tiled::<V, 4>(w, values, to, list),
            }
            r += V::ROWS;
        } else if left >= 4 {
            listed::<V>(w, 4, keys, list);
            tiled::<V, 4>(w, values, to, list);
            r += 4;
        } else {
            listed::<V>(w, 1, keys, list);
            streamed::<V>(w, values, to, list, sums);
            r += 1;
        }
    }
}

/// The keys to which one of the rows gives a weight.
#[inline(always)]
unsafe fn listed<V: Vector>(weights: *const V::E, rows: usize, keys: usize, list: &mut Vec<u32>) {
    list.clear();
    let zero = V::splat(V::E::ZERO);
    for start in (0..keys).step_by(V::LANES) {
        let mut any = 0;
        for r in 0..rows {
            // "Not zero" as "below or above": a NaN cannot be here.
            let w = V::load(weights.add(r * STRIDE + start));
            any |= w.lt(zero) | zero.lt(w);
        }
        while any != 0 {
            let i = start + any.trailing_zeros() as usize;
            any &= any - 1;
            if i < keys {
                list.push(i as u32);
            }
        }
    }
}

/// R queries by two registers of values at a time.
#[inline(always)]
unsafe fn tiled<V: Vector, const R: usize>(weights: *const V::E, values: &Values<V::E>, out: *mut V::E, list: &[u32]) {
    let width = values.width;
    let mut column = 0;
    while column + 2 * V::LANES <= width {
        let mut acc = [[V::splat(V::E::ZERO); 2]; R];
        for &key in list {
            let value = values.data.add(key as usize * width + column);
            let (a, b) = (V::load(value), V::load(value.add(V::LANES)));
            for (r, acc) in acc.iter_mut().enumerate() {
                let w = V::splat(*weights.add(r * STRIDE + key as usize));
                acc[0] = w.fma(a, acc[0]);
                acc[1] = w.fma(b, acc[1]);
            }
        }
        for (r, acc) in acc.into_iter().enumerate() {
            let to = out.add(r * width + column);
            V::load(to).add(acc[0]).store(to);
            V::load(to.add(V::LANES)).add(acc[1]).store(to.add(V::LANES));
        }
        column += 2 * V::LANES;
    }
    while column < width {
        let n = (width - column).min(V::LANES);
        let mut acc = [V::splat(V::E::ZERO); R];
        for &key in list {
            let value = first::<V>(values.data.add(key as usize * width + column), n);
            for (r, acc) in acc.iter_mut().enumerate() {
                *acc = V::splat(*weights.add(r * STRIDE + key as usize)).fma(value, *acc);
            }
        }
        for (r, acc) in acc.into_iter().enumerate() {
            let to = out.add(r * width + column);
            put::<V>(first::<V>(to, n).add(acc), to, n);
        }
        column += n;
    }
}

/// One query, whole rows of values one after another, as memory likes to be read.
#[inline(always)]
unsafe fn streamed<V: Vector>(weights: *const V::E, values: &Values<V::E>, out: *mut V::E, list: &[u32], sums: &mut Vec<V::E>) {
    let width = values.width;
    sums.clear();
    sums.resize(width, V::E::ZERO);
    let sums = sums.as_mut_ptr();
    let mut fours = list.chunks_exact(4);
    for keys in fours.by_ref() {
        let value = |i: usize| values.data.add(keys[i] as usize * width);
        let w = |i: usize| V::splat(*weights.add(keys[i] as usize));
        let (p, q, r, s) = (value(0), value(1), value(2), value(3));
        let (wp, wq, wr, ws) = (w(0), w(1), w(2), w(3));
        let mut column = 0;
        while column < width {
            let n = (width - column).min(V::LANES);
            let mut acc = first::<V>(sums.add(column), n);
            acc = wp.fma(first::<V>(p.add(column), n), acc);
            acc = wq.fma(first::<V>(q.add(column), n), acc);
            acc = wr.fma(first::<V>(r.add(column), n), acc);
            acc = ws.fma(first::<V>(s.add(column), n), acc);
            put::<V>(acc, sums.add(column), n);
            column += n;
        }
    }
    for &key in fours.remainder() {
        let (value, w) = (values.data.add(key as usize * width), V::splat(*weights.add(key as usize)));
        let mut column = 0;
        while column < width {
            let n = (width - column).min(V::LANES);
            let acc = w.fma(first::<V>(value.add(column), n), first::<V>(sums.add(column), n));
            put::<V>(acc, sums.add(column), n);
            column += n;
        }
    }
    let mut column = 0;
    while column < width {
        let n = (width - column).min(V::LANES);
        let to = out.add(column);
        put::<V>(first::<V>(to, n).add(first::<V>(sums.add(column), n)), to, n);
        column += n;
    }
}

#[inline(always)]
unsafe fn first<V: Vector>(p: *const V::E, n: usize) -> V {
    if n == V::LANES { V::load(p) } else { V::load_first(p, n) }
}

#[inline(always)]
unsafe fn put<V: Vector>(x: V, p: *mut V::E, n: usize) {
    if n == V::LANES { x.store(p) } else { x.store_first(p, n) }
}
