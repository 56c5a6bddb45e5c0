//! What a byte of a coded key stands for, and how that is chosen.

use crate::error::Error;
use crate::error::room;
use crate::metric::MetricName;
use crate::pack::{Kernel, Scored};
use crate::parallel::{Context, Stop, map, pieces};
use crate::simd::{Float, Isa, Level, Vector, Work};
use crate::table::{Dtype, Element, Rows};
use std::ops::Range;

/// Keys that a task looks at, at the least.
const STEP: usize = 256;
/// The most lanes of any register.
pub(super) const LANES: usize = 16;
/// The last code.
pub(super) const LAST: f64 = 255.0;

/// How the codes of a metric bound its scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// By sums of differences of codes.
    Differences,
    /// By products of codes.
    Products,
    /// By products, of rows that are brought to length 1.
    Directions,
    /// By products, of which squared differences are made.
    Squares,
}

impl Bound {
    /// That of a metric, if its scores can be bounded.
    pub(super) fn of(metric: MetricName) -> Option<Bound> {
        match metric {
            MetricName::Dot => Some(Bound::Products),
            MetricName::Cosine => Some(Bound::Directions),
            MetricName::SqEuclidean | MetricName::Euclidean => Some(Bound::Squares),
            MetricName::Manhattan => Some(Bound::Differences),
            _ => None,
        }
    }

    /// The kernel of codes.
    pub(super) fn kernel(self, level: Level, width: usize) -> Kernel<i32> {
        match self {
            Bound::Differences => i32::kernel(level, MetricName::Manhattan, Dtype::U8, Dtype::U8, width),
            _ => i32::kernel(level, MetricName::Dot, Dtype::I8, Dtype::U8, width),
        }
    }
}

/// What a byte stands for: `low[j] + scale * code` in column j.
pub(super) struct Coding {
    pub(super) bound: Bound,
    pub(super) metric: MetricName,
    pub(super) scale: f64,
    pub(super) inverse: f64,
    /// Padded with zeros, as rows are.
    pub(super) low: Vec<f64>,
    /// The mean code of every column, likewise: products are taken of what differs from it.
    pub(super) mean: Vec<f64>,
    /// The mean of every column in units of the scale, likewise.
    pub(super) centre: Vec<f64>,
    /// The keys that it was chosen for.
    pub(super) chosen: usize,
}

/// A row widened to the elements of a register, of length 1 where directions alone count, and zeros behind it.
#[inline(always)]
pub(super) unsafe fn read<V: Vector<E: Element>>(bound: Bound, rows: &Rows, i: usize, row: &mut [V::E]) {
    rows.read(i, &mut row[..rows.width()]);
    if bound == Bound::Directions {
        let (zero, one) = (V::splat(V::E::ZERO), V::E::ONE);
        let largest = registers::<V>(row).fold(zero, |m, x| x.abs().max(m)).largest();
        let inverse = one / largest;
        if largest > V::E::ZERO {
            // A subnormal number has no inverse.
            let near = V::splat(if inverse < V::E::INFINITY { inverse } else { one / V::E::MIN_POSITIVE });
            let squares = registers::<V>(row).map(|x| x.mul(near)).fold(zero, |sum, x| x.fma(x, sum));
            let factor = V::splat(one).div(V::splat(squares.sum()).sqrt());
            for at in (0..row.len()).step_by(V::LANES) {
                let p = row.as_mut_ptr().add(at);
                V::load(p).mul(near).mul(factor).store(p);
            }
        }
    }
}

/// A padded row, a register at a time.
#[inline(always)]
unsafe fn registers<V: Vector>(row: &[V::E]) -> impl Iterator<Item = V> {
    debug_assert!(row.len().is_multiple_of(LANES));
    row.chunks_exact(V::LANES).map(|some| V::load(some.as_ptr()))
}

/// Room for a row of so many elements, in whole registers.
pub(super) fn row<E: Float>(width: usize) -> Result<Vec<E>, Error> {
    room::filled(width.next_multiple_of(LANES), E::ZERO)
}

/// The smallest, the largest and the sum of every column.
struct Columns {
    low: Vec<f64>,
    high: Vec<f64>,
    sum: Vec<f64>,
}

struct Looking<'a, 'b> {
    rows: &'a Rows<'a>,
    range: Range<usize>,
    step: usize,
    bound: Bound,
    stop: &'a Stop<'b>,
}

impl Work for Looking<'_, '_> {
    type Out = Result<Columns, Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        // What is chosen is as good if it is rounded.
        if self.rows.dtype() == Dtype::F64 { self.look::<I::F64>() } else { self.look::<I::F32>() }
    }
}

impl Looking<'_, '_> {
    #[inline(always)]
    unsafe fn look<V: Vector<E: Element>>(self) -> Result<Columns, Error> {
        let mut row = row::<V::E>(self.rows.width())?;
        let mut low = room::filled(row.len(), V::E::INFINITY)?;
        let mut high = room::filled(row.len(), -V::E::INFINITY)?;
        let mut sum = room::filled(row.len(), V::E::ZERO)?;
        for i in self.range.step_by(self.step) {
            self.stop.check()?;
            read::<V>(self.bound, self.rows, i, &mut row);
            for at in (0..row.len()).step_by(V::LANES) {
                let x = V::load(row.as_ptr().add(at));
                let low = low.as_mut_ptr().add(at);
                V::load(low).min(x).store(low);
                let high = high.as_mut_ptr().add(at);
                V::load(high).max(x).store(high);
                let sum = sum.as_mut_ptr().add(at);
                V::load(sum).add(x).store(sum);
            }
        }
        let wide = |column: Vec<V::E>| room::collected(column.into_iter().map(V::E::to_f64));
        Ok(Columns { low: wide(low)?, high: wide(high)?, sum: wide(sum)? })
    }
}

/// One scale for all columns, an offset for each, by every `step`-th row; none if no code helps.
pub(super) fn choose(
    context: &Context,
    level: Level,
    (bound, metric): (Bound, MetricName),
    rows: &Rows,
    step: usize,
) -> Result<Option<Coding>, Error> {
    let (n, width) = (rows.len(), rows.width());
    let tasks = pieces(n, n.div_ceil(4 * context.threads).max(STEP).next_multiple_of(step));
    let body = |_: &mut (), task: usize, stop: &Stop| {
        level.run(Looking { rows, range: tasks[task].clone(), step, bound, stop })
    };
    let cost = n.div_ceil(step).saturating_mul(width) / 8;
    let mut parts = map(context, tasks.len(), cost, || Ok(()), body)?.into_iter();
    let Some(mut all) = parts.next() else { return Ok(None) };
    for part in parts {
        for j in 0..all.low.len() {
            all.low[j] = all.low[j].min(part.low[j]);
            all.high[j] = all.high[j].max(part.high[j]);
            all.sum[j] += part.sum[j];
        }
    }
    let range = all.low.iter().zip(&all.high).fold(0.0f64, |range, (low, high)| range.max(high - low));
    let (scale, finite) = (range / LAST, all.sum.iter().all(|x| x.is_finite()));
    let inverse = 1.0 / scale;
    if !(finite && scale.is_normal() && inverse.is_normal()) {
        return Ok(None);
    }
    if step > 1 {
        // A column that does not fill the codes has them on both sides, whole ones, so that what was exact remains so.
        for (low, high) in all.low.iter_mut().zip(&all.high).take(width) {
            *low -= (0.5 * (LAST - (high - *low) * inverse)).floor() * scale;
        }
    }
    let mean = |j: usize| ((all.sum[j] / n.div_ceil(step) as f64 - all.low[j]) * inverse).clamp(0.0, LAST);
    let mean = room::collected((0..all.low.len()).map(mean))?;
    let centre = room::collected(all.low.iter().zip(&mean).map(|(low, mean)| low * inverse + mean))?;
    Ok(Some(Coding { bound, metric, scale, inverse, low: all.low, mean, centre, chosen: n }))
}
