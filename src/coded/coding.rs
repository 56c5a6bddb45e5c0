//! Keys as bytes, and what that loses.

use crate::error::Error;
use crate::error::room;
use crate::metric::MetricName;
use crate::metric::bytes::BYTE_WIDTH;
use crate::pack::{Kernel, Panels, Scored};
use crate::parallel::{Context, Shared, Stop, map, pieces};
use crate::simd::{Float, Isa, Level, Vector, Work};
use crate::table::{Dtype, Element, Rows};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

/// Keys whose numbers stand together; a multiple of the keys of any tile.
pub(super) const SEGMENT: usize = 4096;
/// Bytes of codes that become panels at once.
const RUN: usize = 8 << 20;
/// Keys that a task codes.
const STEP: usize = 256;
/// The most lanes of any register.
const LANES: usize = 16;
/// What roundings in double precision may add to the sum of magnitudes of a coded row, an element.
const DUST: f64 = 1e-12;

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
    fn of(metric: MetricName) -> Option<Bound> {
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
    chosen: usize,
}

/// Of some keys, in units of the scale.
pub(super) struct Segment {
    /// A key's own share of its scores: the square of its distance from the centre, or that difference times the centre.
    pub(super) terms: Vec<f32>,
    /// What coding a key loses at most.
    pub(super) losses: Vec<f32>,
}

/// The largest of all keys, in units of the scale.
#[derive(Clone, Copy, Default)]
pub(super) struct Extremes {
    /// Of [`Segment::terms`], the magnitude.
    pub(super) term: f64,
    /// [`Segment::losses`].
    pub(super) loss: f64,
    /// A key's distance from the mean, and its decoded form's.
    pub(super) spread: f64,
    /// A key's length.
    pub(super) length: f64,
}

impl Extremes {
    fn with(self, other: Extremes) -> Extremes {
        Extremes {
            term: self.term.max(other.term),
            loss: self.loss.max(other.loss),
            spread: self.spread.max(other.spread),
            length: self.length.max(other.length),
        }
    }
}

/// Coded keys. They never change; more keys are other codes, which share with these what both have.
pub struct Codes {
    pub(super) coding: Arc<Coding>,
    pub(super) panels: Panels<i32>,
    segments: Vec<Arc<Segment>>,
    pub(super) extremes: Extremes,
    /// Keys beyond the range of their codes.
    clipped: usize,
    /// Calls that are not to try the first pass, because it was in vain.
    pub(super) rest: AtomicI32,
}

impl Codes {
    /// Codes of all rows; none if the metric has no bounds, or where the rows are too long, too few or all alike, or have
    /// entries that are not finite or so large that double precision cannot hold their squares.
    pub fn new(context: &Context, level: Level, metric: MetricName, rows: &Rows) -> Result<Option<Codes>, Error> {
        let Some(bound) = Bound::of(metric) else { return Ok(None) };
        let width = rows.width();
        if width > BYTE_WIDTH || rows.is_empty() || u32::try_from(rows.len()).is_err() {
            return Ok(None);
        }
        let Some(coding) = choose(context, level, (bound, metric), rows)? else { return Ok(None) };
        let none = Codes {
            coding: Arc::new(coding),
            panels: Panels::new(bound.kernel(level, width), width),
            segments: Vec::new(),
            extremes: Extremes::default(),
            clipped: 0,
            rest: AtomicI32::new(0),
        };
        none.and(context, level, rows)
    }

    /// Codes of these rows and more, `rows` being all of them. What is beyond the range of the codes is clipped to it, which
    /// counts as a loss; where that has become common, all are coded anew.
    pub fn extended(&self, context: &Context, level: Level, rows: &Rows) -> Result<Option<Codes>, Error> {
        if rows.len() >= 2 * self.coding.chosen && 16 * self.clipped > rows.len() {
            return Codes::new(context, level, self.coding.metric, rows);
        }
        self.and(context, level, rows)
    }

    fn and(&self, context: &Context, level: Level, rows: &Rows) -> Result<Option<Codes>, Error> {
        let (width, done) = (rows.width(), self.panels.len());
        assert!(width == self.panels.width() && rows.len() >= done);
        let mut segments = room::list(rows.len().div_ceil(SEGMENT))?;
        // The last is made anew if it goes on.
        let kept = if done < rows.len() { done / SEGMENT } else { self.segments.len() };
        segments.extend(self.segments[..kept].iter().cloned());
        let (mut extremes, mut clipped) = (self.extremes, self.clipped);
        let mut panels = self.panels.extended(context, &Rows::of::<u8>(&[], width))?;
        let run = (RUN / width).next_multiple_of(SEGMENT).max(SEGMENT);
        let mut start = done;
        while start < rows.len() {
            let range = start..((start / SEGMENT * SEGMENT) + run).min(rows.len());
            let mut codes = room::filled(range.len() * width, 0u8)?;
            let coded = code(context, level, &self.coding, rows, range.clone(), &mut codes)?;
            let (mut terms, mut losses) = (Vec::new(), Vec::new());
            if let (within @ 1.., Some(last)) = (start % SEGMENT, self.segments.last()) {
                terms = room::copied(&last.terms[..within])?;
                losses = room::copied(&last.losses[..within])?;
            }
            for part in &coded {
                room::reserve(&mut terms, part.terms.len())?;
                room::reserve(&mut losses, part.losses.len())?;
                terms.extend_from_slice(&part.terms);
                losses.extend_from_slice(&part.losses);
                (extremes, clipped) = (extremes.with(part.extremes), clipped + part.clipped);
            }
            for (terms, losses) in terms.chunks(SEGMENT).zip(losses.chunks(SEGMENT)) {
                segments.push(Arc::new(Segment { terms: padded(terms)?, losses: padded(losses)? }));
            }
            panels = panels.extended(context, &Rows::of(&codes, width))?;
            start = range.end;
        }
        let sizes = [extremes.term.sqrt(), extremes.loss, extremes.spread, extremes.length];
        // Their squares, times a query's, have to be numbers of f32.
        if !sizes.iter().all(|&size| size < 1e15) {
            return Ok(None);
        }
        let (coding, rest) = (self.coding.clone(), AtomicI32::new(0));
        Ok(Some(Codes { coding, panels, segments, extremes, clipped, rest }))
    }

    /// Keys.
    pub fn len(&self) -> usize {
        self.panels.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.panels.is_empty()
    }
    /// Elements of a key.
    pub fn width(&self) -> usize {
        self.panels.width()
    }
    /// The metric whose scores they bound.
    pub fn metric(&self) -> MetricName {
        self.coding.metric
    }
    /// Bytes held, what is shared with other codes included.
    pub fn bytes(&self) -> usize {
        let numbers: usize = self.segments.iter().map(|segment| segment.terms.len() + segment.losses.len()).sum();
        self.panels.bytes() + numbers * size_of::<f32>() + 3 * self.coding.low.len() * size_of::<f64>()
    }

    /// Where the terms and the losses of the keys from `key` on are, as far as a segment goes.
    #[inline(always)]
    pub(super) fn numbers(&self, key: usize) -> (&[f32], &[f32]) {
        let Segment { terms, losses } = &*self.segments[key / SEGMENT];
        (&terms[key % SEGMENT..], &losses[key % SEGMENT..])
    }
}

/// The same numbers and zeros, so that a register may be read from any of them on.
fn padded(numbers: &[f32]) -> Result<Vec<f32>, Error> {
    let mut all = room::filled(numbers.len() + LANES, 0.0)?;
    all[..numbers.len()].copy_from_slice(numbers);
    Ok(all)
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
        for i in self.range {
            self.stop.check()?;
            read::<V>(self.bound, self.rows, i, &mut row);
            for at in (0..row.len()).step_by(V::LANES) {
                let x = V::load(row.as_ptr().add(at));
                let [low, high, sum] = [&mut low, &mut high, &mut sum].map(|column| column.as_mut_ptr().add(at));
                V::load(low).min(x).store(low);
                V::load(high).max(x).store(high);
                V::load(sum).add(x).store(sum);
            }
        }
        let wide = |column: Vec<V::E>| room::collected(column.into_iter().map(V::E::to_f64));
        Ok(Columns { low: wide(low)?, high: wide(high)?, sum: wide(sum)? })
    }
}

/// One scale for all columns, an offset for each; none if no code helps.
fn choose(
    context: &Context,
    level: Level,
    (bound, metric): (Bound, MetricName),
    rows: &Rows,
) -> Result<Option<Coding>, Error> {
    let n = rows.len();
    let tasks = pieces(n, n.div_ceil(4 * context.threads).max(STEP));
    let body =
        |_: &mut (), task: usize, stop: &Stop| level.run(Looking { rows, range: tasks[task].clone(), bound, stop });
    let mut parts = map(context, tasks.len(), n.saturating_mul(rows.width()) / 8, || Ok(()), body)?.into_iter();
    let Some(mut all) = parts.next() else { return Ok(None) };
    for part in parts {
        for j in 0..all.low.len() {
            all.low[j] = all.low[j].min(part.low[j]);
            all.high[j] = all.high[j].max(part.high[j]);
            all.sum[j] += part.sum[j];
        }
    }
    let range = all.low.iter().zip(&all.high).fold(0.0f64, |range, (low, high)| range.max(high - low));
    let (scale, finite) = (range / 255.0, all.sum.iter().all(|x| x.is_finite()));
    let inverse = 1.0 / scale;
    if !(finite && scale.is_normal() && inverse.is_normal()) {
        return Ok(None);
    }
    let mean = |j: usize| ((all.sum[j] / n as f64 - all.low[j]) * inverse).clamp(0.0, 255.0);
    let mean = room::collected((0..all.low.len()).map(mean))?;
    let centre = room::collected(all.low.iter().zip(&mean).map(|(low, mean)| low * inverse + mean))?;
    Ok(Some(Coding { bound, metric, scale, inverse, low: all.low, mean, centre, chosen: n }))
}

/// What was made of some keys.
struct Coded {
    terms: Vec<f32>,
    losses: Vec<f32>,
    extremes: Extremes,
    clipped: usize,
}

struct CodingWork<'a, 'b> {
    coding: &'a Coding,
    rows: &'a Rows<'a>,
    range: Range<usize>,
    /// Of these keys, row by row.
    codes: &'a mut [u8],
    stop: &'a Stop<'b>,
}

impl Work for CodingWork<'_, '_> {
    type Out = Result<Coded, Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        let CodingWork { coding, rows, range, codes, stop } = self;
        let (n, width) = (range.len(), rows.width());
        let (mut row, mut padded) = (row(width)?, room::filled(width.next_multiple_of(LANES), 0u8)?);
        let (mut terms, mut losses) = (room::list(n)?, room::list(n)?);
        let (mut extremes, mut clipped) = (Extremes::default(), 0);
        for (i, codes) in range.zip(codes.chunks_mut(width)) {
            stop.check()?;
            read::<I::F64>(coding.bound, rows, i, &mut row);
            let sums = coding.sums::<I>(&row, &mut padded);
            codes.copy_from_slice(&padded[..width]);
            let loss = match coding.bound {
                Bound::Differences => sums.losses,
                _ => sums.squares.sqrt(),
            };
            let loss = (loss * (1.0 + 1e-6) + width as f64 * DUST) as f32 * (1.0 + f32::EPSILON);
            let term = if coding.bound == Bound::Squares { sums.spread } else { sums.along };
            terms.push(term as f32);
            losses.push(loss);
            clipped += usize::from(sums.outside > 0.5);
            let spread = sums.spread.max(sums.decoded).sqrt() * (1.0 + 1e-6);
            let length = sums.length.sqrt() * (1.0 + 1e-6);
            extremes = extremes.with(Extremes { term: term.abs(), loss: loss.into(), spread, length });
        }
        Ok(Coded { terms, losses, extremes, clipped })
    }
}

/// Sums over a row, in units of the scale.
struct Sums {
    /// Magnitudes of what coding loses.
    losses: f64,
    /// Its squares.
    squares: f64,
    /// Squares of what differs from the mean.
    spread: f64,
    /// Products of that with the centre.
    along: f64,
    /// Squares of what the decoded row differs by.
    decoded: f64,
    /// Squares of the row.
    length: f64,
    /// How far an entry is beyond the range of codes.
    outside: f64,
}

/// Added to a number between 0 and 2^51 and taken away again, it rounds; its bits then end in that number's.
const ROUND: f64 = (1u64 << 52) as f64;

impl Coding {
    /// Codes a padded row; nothing is behind it.
    #[inline(always)]
    unsafe fn sums<I: Isa>(&self, row: &[f64], codes: &mut [u8]) -> Sums {
        let zero = I::F64::splat(0.0);
        let [inverse, last, round] = [self.inverse, 255.0, ROUND].map(|x| I::F64::splat(x));
        let [mut losses, mut squares, mut spread, mut along, mut decoded, mut length, mut outside] = [zero; 7];
        assert!(row.len() == codes.len() && row.len() == self.low.len() && row.len() == self.mean.len());
        for at in (0..row.len()).step_by(I::F64::LANES) {
            let [x, low, mean, centre] =
                [row, &self.low, &self.mean, &self.centre].map(|column| I::F64::load(column.as_ptr().add(at)));
            let above = x.sub(low).mul(inverse);
            let clipped = above.max(zero).min(last);
            let rounded = clipped.add(round);
            let mut bits = [0.0f64; LANES];
            rounded.store(bits.as_mut_ptr());
            for (code, x) in codes[at..at + I::F64::LANES].iter_mut().zip(bits) {
                *code = x.to_bits() as u8;
            }
            let code = rounded.sub(round);
            let (loss, apart, own) = (above.sub(code), above.sub(mean), x.mul(inverse));
            let middle = code.sub(mean);
            losses = losses.add(loss.abs());
            squares = loss.fma(loss, squares);
            spread = apart.fma(apart, spread);
            along = apart.fma(centre, along);
            decoded = middle.fma(middle, decoded);
            length = own.fma(own, length);
            outside = above.sub(clipped).abs().max(outside);
        }
        let [losses, squares, spread, along, decoded, length] =
            [losses, squares, spread, along, decoded, length].map(|sums| sums.sum());
        Sums { losses, squares, spread, along, decoded, length, outside: outside.largest() }
    }
}

/// Codes the keys of `range`.
fn code(
    context: &Context,
    level: Level,
    coding: &Coding,
    rows: &Rows,
    range: Range<usize>,
    codes: &mut [u8],
) -> Result<Vec<Coded>, Error> {
    let width = rows.width();
    let tasks = pieces(range.len(), STEP);
    let to = &Shared(codes.as_mut_ptr());
    let body = |_: &mut (), task: usize, stop: &Stop| {
        let keys = tasks[task].clone();
        // SAFETY: every task has rows of its own of `codes`, which has as many as the range.
        let codes = unsafe { std::slice::from_raw_parts_mut(to.0.add(keys.start * width), keys.len() * width) };
        let range = range.start + keys.start..range.start + keys.end;
        level.run(CodingWork { coding, rows, range, codes, stop })
    };
    map(context, tasks.len(), range.len().saturating_mul(width), || Ok(()), body)
}
