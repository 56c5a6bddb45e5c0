//! Keys as bytes, and what that loses.

use super::coding::{Bound, Coding, LANES, LAST, choose, read, row};
use crate::error::Error;
use crate::error::room;
use crate::metric::MetricName;
use crate::metric::bytes::BYTE_WIDTH;
use crate::pack::{Panels, Source};
use crate::parallel::{Context, Shared, Stop};
use crate::simd::{Isa, Level, Vector, Work};
use crate::table::Rows;
use std::ops::Range;
use std::sync::atomic::AtomicI32;
use std::sync::{Arc, Mutex};

/// Keys whose numbers stand together; a multiple of the keys of any tile.
pub(super) const SEGMENT: usize = 4096;
/// Keys that are looked at to choose a code, at the least, if there are so many.
const LOOKED: usize = 8192;
/// One in so many keys may be beyond the range of codes.
const MANY: usize = 16;
/// What roundings in double precision may add to the sum of magnitudes of a coded row, an element.
const DUST: f64 = 1e-12;

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
        // Some rows show the range of nearly all; if too many are beyond it, all are looked at.
        let steps = [rows.len() / LOOKED, 1];
        for &step in &steps[usize::from(steps[0] <= 1)..] {
            let Some(coding) = choose(context, level, (bound, metric), rows, step)? else { continue };
            let none = Codes {
                coding: Arc::new(coding),
                panels: Panels::new(bound.kernel(level, width), width),
                segments: Vec::new(),
                extremes: Extremes::default(),
                clipped: 0,
                rest: AtomicI32::new(0),
            };
            match none.and(context, level, rows)? {
                Some(codes) if step > 1 && MANY * codes.clipped > rows.len() => {}
                codes => return Ok(codes),
            }
        }
        Ok(None)
    }

    /// Codes of these rows and more, `rows` being all of them. What is beyond the range of the codes is clipped to it, which
    /// counts as a loss; where that has become common, all are coded anew.
    pub fn extended(&self, context: &Context, level: Level, rows: &Rows) -> Result<Option<Codes>, Error> {
        if rows.len() >= 2 * self.coding.chosen && MANY * self.clipped > rows.len() {
            return Codes::new(context, level, self.coding.metric, rows);
        }
        self.and(context, level, rows)
    }

    fn and(&self, context: &Context, level: Level, rows: &Rows) -> Result<Option<Codes>, Error> {
        let done = self.panels.len();
        assert!(rows.width() == self.panels.width() && rows.len() >= done);
        // The last segment is made anew if it goes on.
        let kept = if done < rows.len() { done / SEGMENT } else { self.segments.len() };
        let (first, old) = ((kept * SEGMENT).min(done), self.segments.get(kept));
        let numbers = |old: Option<&Vec<f32>>| {
            let mut all = room::filled(rows.len() - first, 0.0)?;
            all[..done - first].copy_from_slice(&old.map_or(&[][..], Vec::as_slice)[..done - first]);
            Ok::<_, Error>(all)
        };
        let mut terms = numbers(old.map(|old| &old.terms))?;
        let mut losses = numbers(old.map(|old| &old.losses))?;
        let found = Mutex::new((self.extremes, self.clipped));
        let coder = Coder {
            level,
            coding: &self.coding,
            rows,
            done,
            numbers: [&mut terms, &mut losses].map(|numbers| Shared(numbers[done - first..].as_mut_ptr())),
            found: &found,
        };
        let panels = self.panels.grown(context, rows.len() - done, &coder)?;
        let (extremes, clipped) = found.into_inner().unwrap_or_else(|e| e.into_inner());
        let sizes = [extremes.term.sqrt(), extremes.loss, extremes.spread, extremes.length];
        // Their squares, times a query's, have to be numbers of f32.
        if !sizes.iter().all(|&size| size < 1e15) {
            return Ok(None);
        }
        let mut segments = room::list(rows.len().div_ceil(SEGMENT))?;
        segments.extend(self.segments[..kept].iter().cloned());
        for (terms, losses) in terms.chunks(SEGMENT).zip(losses.chunks(SEGMENT)) {
            segments.push(Arc::new(Segment { terms: padded(terms)?, losses: padded(losses)? }));
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

/// Codes rows for panels.
struct Coder<'a> {
    level: Level,
    coding: &'a Coding,
    rows: &'a Rows<'a>,
    /// Rows that are coded already.
    done: usize,
    /// Where the terms and the losses of those behind them go.
    numbers: [Shared<f32>; 2],
    /// The largest numbers, and how many rows were clipped.
    found: &'a Mutex<(Extremes, usize)>,
}

impl Source for Coder<'_> {
    fn rows<'a>(
        &'a self,
        range: Range<usize>,
        buffer: &'a mut Vec<u8>,
        stop: &Stop,
    ) -> Result<(Rows<'a>, Range<usize>), Error> {
        let (n, width) = (range.len(), self.rows.width());
        buffer.clear();
        room::resize(buffer, n * width, 0)?;
        // SAFETY: there is a place for every row behind the coded ones, and nobody else has those of this range.
        let [terms, losses] =
            unsafe { self.numbers.each_ref().map(|to| std::slice::from_raw_parts_mut(to.0.add(range.start), n)) };
        let range = self.done + range.start..self.done + range.end;
        let Coder { coding, rows, .. } = self;
        let work = CodingWork { coding, rows, range, codes: buffer, terms, losses, stop };
        let (extremes, clipped) = self.level.run(work)?;
        let mut found = self.found.lock().unwrap_or_else(|e| e.into_inner());
        *found = (found.0.with(extremes), found.1 + clipped);
        Ok((Rows::of(buffer, width), 0..n))
    }
}

struct CodingWork<'a, 'b> {
    coding: &'a Coding,
    rows: &'a Rows<'a>,
    range: Range<usize>,
    /// Of these keys, row by row.
    codes: &'a mut [u8],
    terms: &'a mut [f32],
    losses: &'a mut [f32],
    stop: &'a Stop<'b>,
}

impl Work for CodingWork<'_, '_> {
    type Out = Result<(Extremes, usize), Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        let CodingWork { coding, rows, range, codes, terms, losses, stop } = self;
        let width = rows.width();
        let (mut row, mut rounded) = (row(width)?, row(width)?);
        let (mut extremes, mut clipped) = (Extremes::default(), 0);
        for (at, (i, codes)) in range.zip(codes.chunks_mut(width)).enumerate() {
            stop.check()?;
            read::<I::F64>(coding.bound, rows, i, &mut row);
            // Each with a constant, so that only what a bound needs is computed.
            let sums = match coding.bound {
                Bound::Differences => coding.sums::<I>(Bound::Differences, &row, &mut rounded),
                Bound::Squares => coding.sums::<I>(Bound::Squares, &row, &mut rounded),
                Bound::Products | Bound::Directions => coding.sums::<I>(Bound::Products, &row, &mut rounded),
            };
            for (code, x) in codes.iter_mut().zip(&rounded) {
                *code = x.to_bits() as u8;
            }
            let loss = match coding.bound {
                Bound::Differences => sums.losses,
                _ => sums.squares.sqrt(),
            };
            let loss = (loss * (1.0 + 1e-6) + width as f64 * DUST) as f32 * (1.0 + f32::EPSILON);
            let term = if coding.bound == Bound::Squares { sums.spread } else { sums.along };
            (terms[at], losses[at]) = (term as f32, loss);
            clipped += usize::from(sums.outside > 0.5);
            let spread = sums.spread.max(sums.decoded).sqrt() * (1.0 + 1e-6);
            let length = sums.length.sqrt() * (1.0 + 1e-6);
            // What is not finite has no loss that is.
            let loss = if loss.is_finite() { loss.into() } else { f64::INFINITY };
            extremes = extremes.with(Extremes { term: term.abs(), loss, spread, length });
        }
        Ok((extremes, clipped))
    }
}

/// Sums over a row, in units of the scale; 0 where a bound does without.
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
    /// Codes a padded row, nothing behind it, and sums up what `bound` needs. The codes are the last bytes of `rounded`.
    #[inline(always)]
    unsafe fn sums<I: Isa>(&self, bound: Bound, row: &[f64], rounded: &mut [f64]) -> Sums {
        let zero = I::F64::splat(0.0);
        let (inverse, last, round) = (I::F64::splat(self.inverse), I::F64::splat(LAST), I::F64::splat(ROUND));
        let [mut losses, mut squares, mut spread, mut along, mut decoded, mut length, mut outside] = [zero; 7];
        assert!([rounded.len(), self.low.len(), self.mean.len(), self.centre.len()] == [row.len(); 4]);
        for at in (0..row.len()).step_by(I::F64::LANES) {
            let (x, low) = (I::F64::load(row.as_ptr().add(at)), I::F64::load(self.low.as_ptr().add(at)));
            let above = x.sub(low).mul(inverse);
            let clipped = above.max(zero).min(last);
            let bits = clipped.add(round);
            bits.store(rounded.as_mut_ptr().add(at));
            let code = bits.sub(round);
            let loss = above.sub(code);
            outside = above.sub(clipped).abs().max(outside);
            if bound == Bound::Differences {
                losses = losses.add(loss.abs());
                continue;
            }
            let (mean, centre) = (I::F64::load(self.mean.as_ptr().add(at)), I::F64::load(self.centre.as_ptr().add(at)));
            let (apart, middle, own) = (above.sub(mean), code.sub(mean), x.mul(inverse));
            squares = loss.fma(loss, squares);
            spread = apart.fma(apart, spread);
            decoded = middle.fma(middle, decoded);
            if bound != Bound::Squares {
                along = apart.fma(centre, along);
                length = own.fma(own, length);
            }
        }
        Sums {
            losses: losses.sum(),
            squares: squares.sum(),
            spread: spread.sum(),
            along: along.sum(),
            decoded: decoded.sum(),
            length: length.sum(),
            outside: outside.largest(),
        }
    }
}
