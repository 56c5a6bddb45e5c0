//! The one loop: a few queries against a few registers of keys, over all words of their rows.
//!
//! Keys stand in lanes (a *panel* is a register's worth of keys, word after word), queries are broadcast. Every pair has its
//! own chain of steps in the order of the words, so its score has the same bits whatever tile, thread or batch it is in.

use crate::metric::{Lay, Metric, Pair};
use crate::simd::{Isa, MATRIX, Shaped, Vector, Words, Work};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Where a tile reads and writes.
pub struct Place<T> {
    /// The first panel.
    pub keys: *const u8,
    /// Bytes from a panel to the next.
    pub panel: usize,
    /// The rows of this tile as its [`Lay`] says, each word with its weights behind it if it has any.
    pub queries: *const u8,
    /// Words of a row.
    pub words: usize,
    /// The keys' own shares of their scores; of no meaning if the metric has none.
    pub key_terms: *const T,
    /// The queries' own shares of their scores.
    pub query_terms: *const T,
    /// Score of the first query with the first key.
    pub out: *mut T,
    /// Scores from a query's row to the next.
    pub stride: usize,
    /// Queries that are no padding.
    pub real_queries: usize,
    /// Keys that are no padding.
    pub real_keys: usize,
}

/// Scores a tile; false if a score of a real query with a real key is not finite.
pub type TileFn<T> = unsafe fn(&Place<T>) -> bool;

/// One shape of tile.
#[derive(Clone, Copy)]
pub struct Tile<T> {
    /// Queries it takes.
    pub rows: usize,
    /// Panels it takes.
    pub panels: usize,
    /// Queries for which it does less work than the smaller tiles that they would take.
    pub least: usize,
    /// How queries stand. If not word by word, [`Matrices`](crate::simd::Matrices) have to be held, and scores of real queries
    /// alone are written.
    pub lay: Lay,
    /// Does it.
    pub run: TileFn<T>,
}

/// The shapes for many, few and single queries. All their panel counts divide [`PANELS`].
#[derive(Clone, Copy)]
pub struct Tiles<T>(pub [Tile<T>; 3]);

/// Packed blocks hold a multiple of this many panels.
pub const PANELS: usize = 4;

/// The tiles of a metric, in the shape that it asks an instruction set for.
pub fn tiles<I: Isa, M: Metric<I>>() -> Tiles<M::Score> {
    M::tiles::<Of<I, M>>()
}

struct Of<I, M>(PhantomData<(I, M)>);

impl<I: Isa, M: Metric<I>> Shaped for Of<I, M> {
    type Out = Tiles<M::Score>;
    /// Tiles of R rows by V panels, FR by FV where rows are few, 1 by FV.
    fn shaped<const R: usize, const V: usize, const FR: usize, const FV: usize>() -> Self::Out {
        const { assert!(PANELS.is_multiple_of(V) && PANELS.is_multiple_of(FV)) };
        Tiles([
            // A large tile that is more than half full is the better one.
            Tile { rows: R, panels: V, least: R / 2 + 1, lay: Lay::Words, run: enter::<I, M, R, V> },
            Tile { rows: FR, panels: FV, least: FR, lay: Lay::Words, run: enter::<I, M, FR, FV> },
            Tile { rows: 1, panels: FV, least: 1, lay: Lay::Words, run: enter::<I, M, 1, FV> },
        ])
    }
}

/// The tile for many queries of a metric and an instruction set that multiply matrices: two of them at once.
pub fn matrix<I: Isa, M: Metric<I>>() -> Option<Tile<M::Score>> {
    let run: TileFn<M::Score> = multiply::<I, M>;
    let tile = Tile { rows: MATRIX, panels: PANELS, least: FILLED, lay: Lay::Lines, run };
    (M::PRODUCTS && <I::Words as Words>::MULTIPLIES).then_some(tile)
}

/// Queries from which on a matrix is faster than single products, although most of it is empty.
const FILLED: usize = 8;

impl<T> Tile<T> {
    /// Whether it multiplies matrices.
    pub fn multiplies(&self) -> bool {
        self.lay != Lay::Words
    }
    /// Lines that hold its queries, so many words of so many bytes each.
    pub fn lines(&self, words: usize, bytes: usize) -> usize {
        match self.lay {
            Lay::Words => (self.rows * words * bytes).div_ceil(64),
            Lay::Lines => self.rows * (words * bytes).div_ceil(64),
        }
    }
}

unsafe fn enter<I: Isa, M: Metric<I>, const R: usize, const V: usize>(place: &Place<M::Score>) -> bool {
    I::call(Body::<M, I, R, V> { place, metric: PhantomData })
}

struct Body<'a, M: Metric<J>, J: Isa, const R: usize, const V: usize> {
    place: &'a Place<M::Score>,
    metric: PhantomData<(M, J)>,
}

impl<M: Metric<J>, J: Isa, const R: usize, const V: usize> Work for Body<'_, M, J, R, V> {
    type Out = bool;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> bool {
        tile::<J, M, R, V>(self.place)
    }
}

#[inline(always)]
unsafe fn tile<I: Isa, M: Metric<I>, const R: usize, const V: usize>(place: &Place<M::Score>) -> bool {
    let lanes = <M::Carrier as Vector>::LANES;
    let constant = M::constant(place.panel);
    let mut total = [[M::zero(); V]; R];
    let (mut key, mut query) = (place.keys, place.queries);
    // Equal parts, none longer than FOLD: the longest chain of roundings is then shortest.
    let parts = place.words.div_ceil(M::FOLD).max(1);
    let mut done = 0;
    for part in 1..=parts {
        let end = place.words * part / parts;
        let mut acc = [[M::zero(); V]; R];
        while done < end {
            let mut keys = [M::key(key); V];
            for (v, k) in keys.iter_mut().enumerate().skip(1) {
                *k = M::key(key.add(v * place.panel));
            }
            for (r, row) in acc.iter_mut().enumerate() {
                for (v, a) in row.iter_mut().enumerate() {
                    *a = M::step(constant, *a, keys[v], query.add(r * M::ASKED));
                }
            }
            key = key.add(M::STEP);
            query = query.add(R * M::ASKED);
            done += 1;
        }
        for (row, sums) in total.iter_mut().zip(acc) {
            for (t, a) in row.iter_mut().zip(sums) {
                *t = if parts == 1 { a } else { M::fold(*t, a) };
            }
        }
    }
    let mut marks = M::unmarked();
    for (r, row) in total.into_iter().enumerate() {
        for (v, t) in row.into_iter().enumerate() {
            let out = place.out.add(r * place.stride + v * lanes);
            M::finish(t, place.key_terms.wrapping_add(v * lanes), *place.query_terms.add(r), out, &mut marks);
        }
    }
    M::settled(marks) || again::<I, M, R, V>(place)
}

unsafe fn multiply<I: Isa, M: Metric<I>>(place: &Place<M::Score>) -> bool {
    I::call(Matrix::<M, I> { place, metric: PhantomData })
}

struct Matrix<'a, M: Metric<J>, J: Isa> {
    place: &'a Place<M::Score>,
    metric: PhantomData<(M, J)>,
}

/// Sums of two matrices, every place of which is written before it is read.
#[repr(align(64))]
struct Sums(MaybeUninit<[i32; 2 * MATRIX * MATRIX]>);

impl<M: Metric<J>, J: Isa> Work for Matrix<'_, M, J> {
    type Out = bool;
    /// The sums at once in place of steps. Both matrices are taken before one is looked at, so that the second need not wait
    /// for what becomes of the first.
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> bool {
        let place = self.place;
        let lanes = M::Carrier::LANES;
        let matrices = place.real_keys.div_ceil(MATRIX);
        debug_assert!(matrices * MATRIX <= PANELS * lanes);
        let mut sums = Sums(MaybeUninit::uninit());
        let sums = sums.0.as_mut_ptr().cast::<i32>();
        for m in 0..matrices {
            let keys = place.keys.add(m * MATRIX / lanes * place.panel);
            J::Words::multiply(keys, place.panel, place.queries, place.words, sums.add(m * MATRIX * MATRIX));
        }
        for r in 0..place.real_queries {
            for k in (0..matrices * MATRIX).step_by(lanes) {
                let sums = sums.add((k / MATRIX * MATRIX + r) * MATRIX + k % MATRIX);
                let (terms, query) = (place.key_terms.wrapping_add(k), *place.query_terms.add(r));
                M::summed(sums, terms, query, place.out.add(r * place.stride + k));
            }
        }
        true
    }
}

struct Again<'a, M: Metric<J>, J: Isa, const R: usize, const V: usize> {
    place: &'a Place<M::Score>,
    metric: PhantomData<(M, J)>,
}

/// A function of its own, so that what is rare takes no registers from what is not.
#[cold]
#[inline(never)]
unsafe fn again<I: Isa, M: Metric<I>, const R: usize, const V: usize>(place: &Place<M::Score>) -> bool {
    I::call(Again::<M, I, R, V> { place, metric: PhantomData })
}

impl<M: Metric<J>, J: Isa, const R: usize, const V: usize> Work for Again<'_, M, J, R, V> {
    type Out = bool;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> bool {
        let Place { keys, panel, queries, words, out, stride, real_queries, real_keys, .. } = *self.place;
        let lanes = <M::Carrier as Vector>::LANES;
        let mut finite = true;
        for r in 0..real_queries {
            for v in 0..real_keys.div_ceil(lanes) {
                finite &= M::again(&Pair {
                    keys: keys.add(v * panel),
                    query: queries.add(r * M::ASKED),
                    stride: R * M::ASKED,
                    words,
                    real: (real_keys - v * lanes).min(lanes),
                    out: out.add(r * stride + v * lanes),
                });
            }
        }
        finite
    }
}
