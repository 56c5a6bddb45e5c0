//! Sums the scores of many searches of the same shape: products over so many patterns that their panels would fit no cache,
//! taken a chunk of patterns at a time.
//!
//! The answer is cut into regions, whose sums a worker keeps in its cache while it goes through the chunks. Where there are
//! too few regions for many workers, the chunks are cut into stretches as well, whose sums are added in order afterwards. Both
//! cuts depend on the shapes alone, so the sums have the same bits for any number of threads.

use super::Scratch;
use crate::error::Error;
use crate::error::room;
use crate::metric::Score;
use crate::pack::{Kernel, Keys, Strided, Table};
use crate::parallel::{Context, Shared, Stop, map, pieces};
use crate::simd::{Isa, Level, Work, prefetch};
use crate::sweep::{Search, Sink, Worker};
use std::marker::PhantomData;
use std::ops::{AddAssign, Range};
use std::sync::atomic::{AtomicBool, Ordering};

/// What scores are added up in.
pub trait Total<T>: Copy + Default + AddAssign + Send + Sync + 'static {
    /// The score in this type.
    fn of(score: T) -> Self;
}
/// What totals are given out as.
pub trait Entry<A>: Copy + Send + Sync {
    /// `factor * total + offset + old`, if this type can hold it.
    fn of(total: A, scale: Scale, old: Option<Self>) -> Option<Self>;
}

/// What an integer total is multiplied by before something is added; floats are left as they are.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Scale {
    pub factor: i64,
    pub offset: i64,
}

macro_rules! totals {
    ($($score:ty => $total:ty),*) => {$(
        impl Total<$score> for $total {
            #[inline(always)]
            fn of(score: $score) -> Self {
                score as $total
            }
        }
    )*};
}
totals!(f32 => f32, f32 => f64, f64 => f64, f32 => i64, f64 => i64, i32 => i64);

macro_rules! entries {
    ($($t:ty),*) => {$(
        impl Entry<$t> for $t {
            #[inline(always)]
            fn of(total: $t, _: Scale, old: Option<$t>) -> Option<$t> {
                Some(old.map_or(total, |old| old + total)).filter(|x| x.is_finite())
            }
        }
    )*};
}
entries!(f32, f64);

impl Entry<i64> for i32 {
    #[inline(always)]
    fn of(total: i64, scale: Scale, old: Option<i32>) -> Option<i32> {
        let sum = scale.factor.checked_mul(total)?.checked_add(scale.offset)?;
        i32::try_from(sum.checked_add(old.unwrap_or(0).into())?).ok()
    }
}

/// The searches to sum: chunk k's queries and keys.
pub struct Sums<'a, T, F> {
    /// The metric.
    pub kernel: Kernel<T>,
    /// Queries and keys of a search: the rows and columns of the answer.
    pub shape: (usize, usize),
    /// Whether queries and keys are the same, so that half of the scores tell all.
    pub symmetric: bool,
    /// Searches.
    pub chunks: usize,
    /// Words of a search, for the cost.
    pub words: usize,
    /// The k-th search.
    pub search: F,
    /// What becomes of the totals.
    pub scale: Scale,
    /// Whether the answer is added to what is there.
    pub add: bool,
    #[allow(missing_docs)]
    pub lifetime: PhantomData<&'a ()>,
}

/// One part of the answer.
#[derive(Clone)]
struct Region {
    rows: Range<usize>,
    columns: Range<usize>,
}

struct Sum<'a, T, A> {
    region: &'a Region,
    totals: &'a mut [A],
    symmetric: bool,
    scratch: Scratch<T>,
    width: usize,
    follows: [Strided; 2],
}

impl<T: Score, A: Total<T>> Sink<T> for Sum<'_, T, A> {
    #[inline(always)]
    fn wants(&self, query: usize, end: usize) -> bool {
        !self.symmetric || end > query
    }
    #[inline(always)]
    unsafe fn place(&mut self, query: usize, rows: usize, key: usize, keys: usize, width: usize) -> (*mut T, usize) {
        self.width = width;
        // Wanted once the tile is done.
        let stride = self.region.columns.len();
        let first = (query - self.region.rows.start) * stride + key - self.region.columns.start;
        for r in 0..rows {
            let row = self.totals.as_ptr().wrapping_add(first + r * stride).cast::<u8>();
            for line in (0..keys * size_of::<A>()).step_by(64) {
                prefetch(row.wrapping_add(line));
            }
        }
        self.scratch.place(rows, width)
    }
    fn follows(&self) -> [Strided; 2] {
        self.follows
    }
    #[inline(always)]
    unsafe fn tile(&mut self, query: usize, rows: usize, key: usize, keys: usize) {
        let stride = self.region.columns.len();
        let first = (query - self.region.rows.start) * stride + key - self.region.columns.start;
        for r in 0..rows {
            let totals = &mut self.totals[first + r * stride..][..keys];
            let scores = std::slice::from_raw_parts(self.scratch.as_ptr().add(r * self.width), keys);
            for (total, score) in totals.iter_mut().zip(scores) {
                *total += A::of(*score);
            }
        }
    }
}

struct Task<'a, T, A, F> {
    sums: &'a Sums<'a, T, F>,
    worker: &'a mut Worker<T>,
    region: &'a Region,
    chunks: Range<usize>,
    totals: &'a mut [A],
    odd: &'a AtomicBool,
    stop: &'a Stop<'a>,
}

impl<'a, T, A, F> Work for Task<'_, T, A, F>
where
    T: Score,
    A: Total<T>,
    F: Fn(usize) -> (Table<'a>, Keys<'a, T>),
{
    type Out = Result<(), Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        let Task { sums, worker, region, chunks, totals, odd, stop } = self;
        let nothing = [Strided::of(&[]); 2];
        let (symmetric, scratch) = (sums.symmetric, Scratch::new()?);
        let mut sink = Sum { region, totals, symmetric, scratch, width: 0, follows: nothing };
        for k in chunks.clone() {
            let (queries, keys) = (sums.search)(k);
            sink.follows = nothing;
            if k + 1 < chunks.end
                && let (Table::Columns(queries), Keys::Columns(keys)) = (sums.search)(k + 1)
            {
                sink.follows = [queries.memory(&region.rows), keys.memory(&region.columns)];
            }
            let search = Search::new(sums.kernel, queries, keys, 0, usize::MAX / 2);
            worker.renew();
            search.sweep::<I, _>(worker, region.rows.clone(), region.columns.clone(), &mut sink, stop)?;
            if search.odd.load(Ordering::Relaxed) {
                odd.store(true, Ordering::Relaxed);
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Bytes of a region's totals, about. They are walked in order and fetched ahead, so that they need not leave much of a
/// second-level cache to the keys; the larger a region, the less is packed for each of its products.
const TOTALS: usize = 1 << 20;
/// Tasks that a call is cut into, at the least, where there is so much to do.
const TASKS: usize = 16;
/// The fewest searches worth a task.
const FEW: usize = 8;

/// The sums, in `out`, which has the shape's rows one after another. False if a sum is out of its type's range or an input is
/// not finite; what `out` holds is then undefined.
pub fn sum<'a, T, A, O, F>(context: &Context, level: Level, sums: &Sums<'a, T, F>, out: &mut [O]) -> Result<bool, Error>
where
    T: Score,
    A: Total<T>,
    O: Entry<A>,
    F: Fn(usize) -> (Table<'a>, Keys<'a, T>) + Sync,
{
    let (o, d) = sums.shape;
    assert_eq!(out.len(), o * d);
    let side = (TOTALS / size_of::<A>()).isqrt();
    let even = |n: usize, step: usize| pieces(n, n.div_ceil(n.div_ceil(side)).next_multiple_of(step));
    let (rows, columns) = (even(o, sums.kernel.tiles.0[0].rows), even(d, 4 * sums.kernel.layout.lanes));
    let mut regions = Vec::new();
    for rows in rows {
        let met = columns.iter().filter(|columns| !sums.symmetric || columns.end > rows.start);
        room::reserve(&mut regions, columns.len())?;
        regions.extend(met.map(|columns| Region { rows: rows.clone(), columns: columns.clone() }));
    }
    let stretches = TASKS.div_ceil(regions.len()).clamp(1, (sums.chunks / FEW).max(1));
    let stretches = pieces(sums.chunks, sums.chunks.div_ceil(stretches));
    let (odd, fits) = (AtomicBool::new(false), AtomicBool::new(true));
    let shared = Shared(out.as_mut_ptr());
    let store = |region: &Region, totals: &[A]| {
        // SAFETY: regions are disjoint, and so are their reflections.
        if !unsafe { store(sums, region, totals, &shared) } {
            fits.store(false, Ordering::Relaxed);
        }
    };
    let body = |(worker, totals): &mut (Worker<T>, Vec<A>), task: usize, stop: &Stop| {
        let region = &regions[task / stretches.len()];
        totals.clear();
        room::resize(totals, region.rows.len() * region.columns.len(), A::default())?;
        let chunks = stretches[task % stretches.len()].clone();
        level.run(Task { sums, worker, region, chunks, totals, odd: &odd, stop })?;
        if stretches.len() > 1 {
            return Ok(std::mem::take(totals));
        }
        store(region, totals);
        Ok(Vec::new())
    };
    let cost = (o * sums.words / sums.kernel.layout.lanes).saturating_mul(d);
    let mut parts = map(context, regions.len() * stretches.len(), cost, || Ok(Default::default()), body)?;
    if odd.load(Ordering::Relaxed) {
        return Ok(false);
    }
    if stretches.len() > 1 {
        let parts = Shared(parts.as_mut_ptr());
        let join = |_: &mut (), task: usize, _: &Stop| {
            let parts = &parts;
            // SAFETY: each task has the parts of its own region.
            let parts = unsafe { std::slice::from_raw_parts_mut(parts.0.add(task * stretches.len()), stretches.len()) };
            let Some((first, others)) = parts.split_first_mut() else { unreachable!() };
            for other in others {
                for (total, more) in first.iter_mut().zip(other) {
                    *total += *more;
                }
            }
            store(&regions[task], first);
            Ok(())
        };
        map(context, regions.len(), o * d, || Ok(()), join)?;
    }
    Ok(fits.into_inner())
}

/// Gives out a region's totals, mirrored if the answer is symmetric; false if one does not fit.
///
/// # Safety
/// Nobody else writes to the region or its reflection.
unsafe fn store<T, A, O, F>(sums: &Sums<T, F>, region: &Region, totals: &[A], out: &Shared<O>) -> bool
where
    A: Copy,
    O: Entry<A>,
{
    let (d, stride) = (sums.shape.1, region.columns.len());
    let mut fits = true;
    let mut put = |total: A, i: usize, j: usize| {
        let to = out.0.add(i * d + j);
        match O::of(total, sums.scale, sums.add.then(|| *to)) {
            Some(x) => *to = x,
            None => fits = false,
        }
    };
    for rows in blocks(&region.rows) {
        for columns in blocks(&region.columns) {
            for i in rows.clone() {
                let from = if sums.symmetric { columns.start.max(i) } else { columns.start };
                let row = &totals[(i - region.rows.start) * stride..];
                for j in from..columns.end {
                    put(row[j - region.columns.start], i, j);
                }
            }
            if sums.symmetric {
                for j in columns.clone() {
                    for i in rows.start..rows.end.min(j) {
                        put(totals[(i - region.rows.start) * stride + j - region.columns.start], j, i);
                    }
                }
            }
        }
    }
    fits
}

/// Pieces so small that rows and columns of them stay in the first-level cache.
fn blocks(range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let Range { start, end } = *range;
    (start..end).step_by(32).map(move |at| at..(at + 32).min(end))
}
