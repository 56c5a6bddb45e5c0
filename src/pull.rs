//! What pairs of cues and keys pull both by: the products behind every slope of a retrieval.
//!
//! A weight a pair (a few cues by up to [`STRIDE`](crate::projection::STRIDE) keys) multiplies what a [`Slope`] makes of the
//! two rows, entry by entry; the sums over the keys pull the cues, those over the cues pull the keys. Both are taken in one
//! walk: rows stand in [`Stripes`], a register of columns after the other, a few cues and what pulls them stay in registers
//! while the keys go by. Keys to which none of the cues gives a weight are left out, which changes no bit.

use crate::error::Error;
use crate::error::room;
use crate::metric::MetricName;
use crate::projection::{List, STRIDE, listed};
use crate::separation::Real;
use crate::simd::{Float, Isa, Level, Line, Vector, Work};
use crate::table::{Element, Rows};
use std::marker::PhantomData;
use std::ops::Range;

/// How the score of a pair, larger for a better match, changes with its rows.
pub trait Slope: 'static {
    /// What every weight is multiplied by beforehand.
    const FACTOR: f64 = 1.0;
    /// Whether it is divided by the distance beforehand, and is zero where that is.
    const BY_LENGTH: bool = false;
    /// Whether anything pulls the cues.
    const PULLS_CUES: bool = true;
    /// Adds the share of a pair to what pulls the cue and to what pulls the key.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn pull<V: Vector>(weight: V, cue: V, key: V, to_cue: V, to_key: V) -> (V, V);
}

/// x . k
pub struct Product;
impl Slope for Product {
    #[inline(always)]
    unsafe fn pull<V: Vector>(weight: V, cue: V, key: V, to_cue: V, to_key: V) -> (V, V) {
        (weight.fma(key, to_cue), weight.fma(cue, to_key))
    }
}

/// The half of [`Product`] that pulls keys.
pub struct Onto;
impl Slope for Onto {
    const PULLS_CUES: bool = false;
    #[inline(always)]
    unsafe fn pull<V: Vector>(weight: V, cue: V, _key: V, to_cue: V, to_key: V) -> (V, V) {
        (to_cue, weight.fma(cue, to_key))
    }
}

/// -sum (x - k)^2, or minus its root: by differences, so that close rows far from the origin keep their digits.
pub struct Difference<const ROOT: bool>;
impl<const ROOT: bool> Slope for Difference<ROOT> {
    const FACTOR: f64 = if ROOT { 1.0 } else { 2.0 };
    const BY_LENGTH: bool = ROOT;
    #[inline(always)]
    unsafe fn pull<V: Vector>(weight: V, cue: V, key: V, to_cue: V, to_key: V) -> (V, V) {
        let apart = key.sub(cue);
        (weight.fma(apart, to_cue), weight.fnma(apart, to_key))
    }
}

/// -sum |x - k|, with slope 0 at its kinks.
pub struct Sign;
impl Slope for Sign {
    #[inline(always)]
    unsafe fn pull<V: Vector>(weight: V, cue: V, key: V, to_cue: V, to_key: V) -> (V, V) {
        let (zero, one) = (V::splat(V::E::ZERO), V::splat(V::E::ONE));
        let below = V::select_lt(key, cue, V::splat(-V::E::ONE), zero);
        let sign = V::select_lt(cue, key, one, below);
        (weight.fma(sign, to_cue), weight.fnma(sign, to_key))
    }
}

/// A [`Slope`] as a table of functions, for one instruction set: so is but little compiled for every slope.
#[derive(Clone, Copy)]
pub struct Pull<E> {
    /// See [`Slope::FACTOR`].
    pub factor: f64,
    /// See [`Slope::BY_LENGTH`].
    pub by_length: bool,
    pulls_cues: bool,
    /// Of [`STEP`] cues, and of as many as registers hold.
    striped: [Striped<E>; 2],
    /// The same of two stripes at a time, where nothing pulls cues.
    twice: [Striped<E>; 2],
}

type Striped<E> = unsafe fn(&Stripe<E>);

impl<E: Real> Pull<E> {
    /// That of a metric, if its slope is known, and that of [`Onto`].
    pub fn by(level: Level, metric: MetricName) -> Option<[Self; 2]> {
        level.run(Find(metric, PhantomData))
    }
    fn of<I: Isa, S: Slope>() -> Self {
        Pull {
            factor: S::FACTOR,
            by_length: S::BY_LENGTH,
            pulls_cues: S::PULLS_CUES,
            striped: both::<I, E::Register<I>, S, 1>(),
            twice: if S::PULLS_CUES { both::<I, E::Register<I>, S, 1>() } else { both::<I, E::Register<I>, S, 2>() },
        }
    }
}

fn both<I: Isa, V: Vector + 'static, S: Slope, const C: usize>() -> [Striped<V::E>; 2] {
    [enter::<I, V, S, STEP, C>, if V::ROWS == 8 { enter::<I, V, S, 8, C> } else { enter::<I, V, S, STEP, C> }]
}

struct Find<E>(MetricName, PhantomData<E>);
impl<E: Real> Work for Find<E> {
    type Out = Option<[Pull<E>; 2]>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        let slope = match self.0 {
            MetricName::Dot => Pull::of::<I, Product>(),
            MetricName::SqEuclidean => Pull::of::<I, Difference<false>>(),
            MetricName::Euclidean => Pull::of::<I, Difference<true>>(),
            MetricName::Manhattan => Pull::of::<I, Sign>(),
            _ => return None,
        };
        Some([slope, Pull::of::<I, Onto>()])
    }
}

/// Rows a register of columns at a time: stripe after stripe, of each row the same register. Zeros stand behind the last column
/// and, to a multiple of [`STEP`] rows, behind the last row.
pub struct Stripes<E> {
    lines: Vec<Line>,
    rows: usize,
    width: usize,
    element: PhantomData<E>,
}

impl<E> Default for Stripes<E> {
    fn default() -> Self {
        Stripes { lines: Vec::new(), rows: 0, width: 0, element: PhantomData }
    }
}

/// Cues come in multiples of this.
pub const STEP: usize = 4;

impl<E: Element + Float> Stripes<E> {
    /// Zeros for so many rows, in place of what was there.
    #[inline(always)]
    pub fn clear<V: Vector<E = E>>(&mut self, rows: usize, width: usize) -> Result<(), Error> {
        (self.rows, self.width) = (rows.next_multiple_of(STEP), width);
        let elements = width.next_multiple_of(V::LANES) * self.rows;
        self.lines.clear();
        room::resize(&mut self.lines, (elements * size_of::<E>()).div_ceil(64), Line::ZERO)
    }

    /// The rows of `range`, whose elements are E.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    #[inline(always)]
    pub unsafe fn load<V: Vector<E = E>>(&mut self, rows: &Rows, range: Range<usize>) -> Result<(), Error> {
        assert!(rows.dtype() == E::DTYPE && range.end <= rows.len());
        self.clear::<V>(range.len(), rows.width())?;
        for (i, row) in range.enumerate() {
            let from = rows.row(row).cast::<E>();
            for column in (0..self.width).step_by(V::LANES) {
                V::load_up_to(from.add(column), self.width - column).store(self.at::<V>(i, column));
            }
        }
        Ok(())
    }

    /// Puts row `i` into `out`; false if an entry is not finite.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; `out` is writable for a row.
    #[inline(always)]
    pub unsafe fn give<V: Vector<E = E>>(&mut self, i: usize, out: *mut E) -> bool {
        let zero = V::splat(E::ZERO);
        let mut odd = zero;
        for column in (0..self.width).step_by(V::LANES) {
            let (n, to) = (self.width - column, out.add(column));
            let entries = V::load(self.at::<V>(i, column));
            entries.store_up_to(to, n);
            // Zero times a finite number is zero, times anything else a NaN, and a NaN stays in a sum.
            odd = entries.fma(zero, odd);
        }
        odd.sum() == E::ZERO
    }

    /// Whether both have the same shape.
    fn same(&self, other: &Self) -> bool {
        self.rows == other.rows && self.width == other.width
    }

    /// Where row `i` has the register that begins at a column.
    #[inline(always)]
    fn at<V: Vector<E = E>>(&mut self, i: usize, column: usize) -> *mut E {
        self.lines.as_mut_ptr().cast::<E>().wrapping_add(column * self.rows + i * V::LANES)
    }
}

/// Pulls cues and keys by the weights of their pairs, as `by` does it: `cues` rows of weights, [`STRIDE`] apart, for the first `n` of `keys`.
/// Rows of weights up to the next multiple of [`STEP`] are there and zero. Without anything that pulls cues there need be no room
/// for it.
///
/// # Safety
/// Only below [`Isa::call`] of the instruction set that `by` is for; weights readable to the end of their registers, stripes of
/// one width, as tall as it takes.
#[inline(always)]
pub unsafe fn pull<V: Vector>(
    by: &Pull<V::E>,
    weights: *const V::E,
    cues: Range<usize>,
    n: usize,
    [from_cues, from_keys]: [&mut Stripes<V::E>; 2],
    [to_cues, to_keys]: [&mut Stripes<V::E>; 2],
    list: &mut List,
) where
    V::E: Element,
{
    assert!(from_cues.width == from_keys.width && n <= from_keys.rows);
    assert!(cues.start.is_multiple_of(STEP) && cues.end <= from_cues.rows);
    assert!(to_keys.same(from_keys) && (!by.pulls_cues || to_cues.same(from_cues)));
    let mut cue = cues.start;
    while cue < cues.end {
        let weights = weights.add((cue - cues.start) * STRIDE);
        let eight = V::ROWS == 8 && cues.end - cue > STEP;
        let rows = if eight { 8 } else { STEP };
        let list = listed::<V>(weights, &[false; 8][..rows], n, list);
        let mut column = 0;
        while column < from_cues.width {
            let stripe = Stripe {
                weights,
                list,
                cues: from_cues.at::<V>(cue, column),
                keys: from_keys.at::<V>(0, column),
                to_cues: to_cues.at::<V>(cue, column),
                to_keys: to_keys.at::<V>(0, column),
                apart: [from_cues.rows * V::LANES, from_keys.rows * V::LANES],
            };
            // Where nothing pulls cues, registers are left for a second stripe.
            let two = !by.pulls_cues && column + V::LANES < from_cues.width;
            (if two { &by.twice } else { &by.striped })[usize::from(eight)](&stripe);
            column += if two { 2 * V::LANES } else { V::LANES };
        }
        cue += rows;
    }
}

/// A few cues and the keys of a block, a register of their columns or two.
struct Stripe<'a, E> {
    weights: *const E,
    list: &'a [u32],
    cues: *const E,
    keys: *const E,
    to_cues: *mut E,
    to_keys: *mut E,
    /// From a stripe of cues, and of keys, to the next.
    apart: [usize; 2],
}

struct Body<'a, V: Vector, S, const R: usize, const C: usize>(&'a Stripe<'a, V::E>, PhantomData<S>);

impl<V: Vector, S: Slope, const R: usize, const C: usize> Work for Body<'_, V, S, R, C> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        striped::<V, S, R, C>(self.0)
    }
}

/// A function of its own, because inlined into a larger one its sums do not stay in registers.
#[inline(never)]
unsafe fn enter<I: Isa, V: Vector, S: Slope, const R: usize, const C: usize>(stripe: &Stripe<V::E>) {
    I::call(Body::<V, S, R, C>(stripe, PhantomData))
}

#[inline(always)]
unsafe fn striped<V: Vector, S: Slope, const R: usize, const C: usize>(stripe: &Stripe<V::E>) {
    let &Stripe { weights, list, cues, keys, to_cues, to_keys, apart: [cues_apart, keys_apart] } = stripe;
    let zero = V::splat(V::E::ZERO);
    let (mut cue, mut to_cue) = ([[zero; C]; R], [[zero; C]; R]);
    for r in 0..R {
        for c in 0..C {
            cue[r][c] = V::load(cues.add(c * cues_apart + r * V::LANES));
            if S::PULLS_CUES {
                to_cue[r][c] = V::load(to_cues.add(c * cues_apart + r * V::LANES));
            }
        }
    }
    for &j in list {
        let j = j as usize;
        // Two chains, since one would wait for itself at every cue.
        let (mut key, mut to_key) = ([zero; C], [[zero; C]; 2]);
        for c in 0..C {
            key[c] = V::load(keys.add(c * keys_apart + j * V::LANES));
            to_key[0][c] = V::load(to_keys.add(c * keys_apart + j * V::LANES));
        }
        for r in 0..R {
            let weight = V::splat(*weights.add(r * STRIDE + j));
            for c in 0..C {
                let pulled = S::pull(weight, cue[r][c], key[c], to_cue[r][c], to_key[r % 2][c]);
                (to_cue[r][c], to_key[r % 2][c]) = pulled;
            }
        }
        let [some, others] = to_key;
        for (c, (a, b)) in some.into_iter().zip(others).enumerate() {
            a.add(b).store(to_keys.add(c * keys_apart + j * V::LANES));
        }
    }
    if S::PULLS_CUES {
        for (r, row) in to_cue.into_iter().enumerate() {
            for (c, to) in row.into_iter().enumerate() {
                to.store(to_cues.add(c * cues_apart + r * V::LANES));
            }
        }
    }
}
