//! A query beside coded keys: its own code, and how integers become bounds of its scores.

use super::codes::Codes;
use super::coding::{Bound, Coding, LAST, read, row};
use crate::error::Error;
use crate::error::room;
use crate::metric::MetricName;
use crate::parallel::Stop;
use crate::simd::{Isa, Level, Work};
use crate::table::{Dtype, Rows};

/// A query's side of the bounds. With an integer i of codes, a key's term t and its loss l, the score in units of the query is
/// `alpha t + beta i`, more or less `share l + own`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) alpha: f32,
    pub(super) beta: f32,
    pub(super) share: f32,
    pub(super) own: f32,
    /// A score is that many units, before the offset is taken off.
    unit: f64,
    offset: f64,
}

/// Queries as the byte kernels take them.
pub(super) struct Asking {
    /// Codes, row by row.
    codes: Vec<u8>,
    width: usize,
    dtype: Dtype,
    /// What goes with them; none for a query that is to be searched without codes.
    pub(super) asked: Vec<Option<Asked>>,
}

/// The precision of the scores that are bounded.
#[derive(Clone, Copy)]
pub struct Precision {
    /// Half the distance from 1 to the next number.
    pub(super) rounding: f64,
    /// The smallest number.
    pub(super) least: f64,
    /// The largest.
    pub(super) most: f64,
}

impl Asking {
    /// The codes.
    pub(super) fn rows(&self) -> Rows<'_> {
        // SAFETY: rows of bytes, of whichever of both types.
        unsafe { Rows::new(self.codes.as_ptr(), self.dtype, self.asked.len(), self.width) }
    }

    /// Codes some queries.
    pub(super) fn new(
        level: Level,
        codes: &Codes,
        queries: &Rows,
        precision: Precision,
        stop: &Stop,
    ) -> Result<Self, Error> {
        let dtype = if codes.coding.bound == Bound::Differences { Dtype::U8 } else { Dtype::I8 };
        let (all, asked) = level.run(CodingWork { codes, queries, precision, stop })?;
        Ok(Asking { codes: all, width: queries.width(), dtype, asked })
    }
}

struct CodingWork<'a> {
    codes: &'a Codes,
    queries: &'a Rows<'a>,
    precision: Precision,
    stop: &'a Stop<'a>,
}

impl Work for CodingWork<'_> {
    type Out = Result<(Vec<u8>, Vec<Option<Asked>>), Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        let CodingWork { codes, queries, precision, stop } = self;
        let (n, width) = (queries.len(), queries.width());
        let mut row = row(width)?;
        let (mut all, mut asked) = (room::filled(n * width, 0u8)?, room::list(n)?);
        for (i, codes_of) in (0..n).zip(all.chunks_mut(width)) {
            stop.check()?;
            read::<I::F64>(codes.coding.bound, queries, i, &mut row);
            asked.push(codes.asked(&mut row[..width], codes_of, precision));
        }
        Ok((all, asked))
    }
}

/// What sums in f32 of so large numbers may lose, a few at a time.
const SINGLE: f64 = 8.0 / (1u64 << 24) as f64;
/// More than what a conversion to f32 loses.
const UP: f64 = 1.0 + 1e-6;

impl Codes {
    #[inline(always)]
    fn asked(&self, row: &mut [f64], codes: &mut [u8], precision: Precision) -> Option<Asked> {
        if self.coding.bound == Bound::Differences {
            self.by_differences(row, codes, precision)
        } else {
            self.by_products(row, codes, precision)
        }
    }

    /// What a computed score may differ by from the exact one, as a share of the sum of its terms' magnitudes: chains of at
    /// most 256 steps and their sum, each step with a few roundings; and what is computed here in double precision.
    fn roundings(&self, precision: Precision) -> f64 {
        let width = self.width() as f64;
        (256.0 + width / 256.0 + 32.0) * precision.rounding * 1.01 + (width + 64.0) * 1e-14
    }

    /// What is lost below the smallest numbers.
    fn dust(&self, precision: Precision) -> f64 {
        (2 * self.width() + 8) as f64 * precision.least
    }

    /// A query clipped to the range of the keys: what was cut off adds the same to its distance from every decoded key.
    #[inline(always)]
    fn by_differences(&self, row: &[f64], codes: &mut [u8], precision: Precision) -> Option<Asked> {
        let coding = &self.coding;
        let (mut outside, mut loss) = (0.0, 0.0);
        for ((&x, &low), code) in row.iter().zip(&coding.low).zip(codes) {
            let above = (x - low) * coding.inverse;
            let clipped = above.clamp(0.0, LAST);
            let rounded = clipped.round_ties_even();
            *code = rounded as u8;
            outside += (above - clipped).abs();
            loss += (clipped - rounded).abs();
        }
        let width = row.len() as f64;
        let most = outside + LAST * width + self.extremes.loss;
        let unit = coding.inverse;
        let slack = self.roundings(precision) * 2.0 * most + self.dust(precision) * unit;
        let own = (loss + width * 1e-12 + slack + SINGLE * (LAST * width + 2.0 * self.extremes.loss)) * UP;
        Asked { alpha: 0.0, beta: 1.0, share: 1.0, own: own as f32, unit, offset: outside }
            .usable(most * coding.scale, precision)
    }

    /// A query with a scale of its own, of which that part is coded that keys do not have in common: what it differs by from
    /// their centre, of squares; else what is left of it without its part along the centre, which keys have terms for.
    #[inline(always)]
    fn by_products(&self, row: &mut [f64], codes: &mut [u8], precision: Precision) -> Option<Asked> {
        let Coding { inverse, low, mean, centre, .. } = &*self.coding;
        let (squares, extremes) = (self.coding.bound == Bound::Squares, &self.extremes);
        let (mut top, mut along, mut size) = (0.0f64, 0.0, 0.0);
        for (x, middle) in row.iter().zip(centre) {
            top = top.max(x.abs());
            along += x * middle;
            size += middle * middle;
        }
        let part = if size > 0.0 { along / size } else { 0.0 };
        for (((x, low), mean), centre) in row.iter_mut().zip(low).zip(mean).zip(centre) {
            *x = if squares { (*x - low) * inverse - mean } else { *x - part * centre };
        }
        let largest = row.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let own = largest / 127.0;
        let back = 1.0 / own;
        if !(own.is_normal() && back.is_normal()) {
            return None;
        }
        let (mut length, mut loss, mut sum, mut magnitude) = (0.0, 0.0, 0.0, 0.0);
        for ((x, mean), code) in row.iter().zip(mean).zip(codes) {
            let x = x * back;
            let rounded = x.clamp(-127.0, 127.0).round_ties_even();
            *code = rounded as i8 as u8;
            length += x * x;
            loss += (x - rounded) * (x - rounded);
            sum += rounded * mean;
            magnitude += rounded.abs();
        }
        // In units of the query's own scale.
        let width = row.len() as f64;
        let (exactly, length, loss) = (length, length.sqrt() * UP, (loss.sqrt() + width * 1e-12) * UP);
        let (alpha, unit, offset, most);
        if squares {
            alpha = 0.5 * back;
            unit = alpha * inverse * inverse;
            offset = alpha * own * own * exactly + sum;
            most = alpha * (own * length + extremes.spread).powi(2);
        } else {
            alpha = -part * back;
            unit = inverse * back;
            offset = sum - along * back;
            most = top * width.sqrt() * back * (extremes.length + size.sqrt());
        }
        let terms = alpha.abs() * extremes.term + LAST * magnitude + length * extremes.loss + loss * extremes.spread;
        let slack = self.roundings(precision) * 2.0 * most + self.dust(precision) * unit + SINGLE * 2.0 * terms;
        // 1 - x . k is rounded as a number near 1.
        let turned = self.coding.bound == Bound::Directions;
        let slack = if turned { slack + 8.0 * precision.rounding * unit } else { slack };
        let asked = Asked {
            alpha: alpha as f32,
            beta: -1.0,
            share: (length * UP) as f32,
            own: ((loss * extremes.spread + slack) * UP) as f32,
            unit,
            offset,
        };
        asked.usable(most / unit, precision)
    }

    /// The units of a score, as the bounds count them: smaller is better.
    pub(super) fn units(&self, asked: &Asked, score: f64) -> f64 {
        match self.coding.metric {
            MetricName::Dot => -score * asked.unit - asked.offset,
            MetricName::Cosine => (score - 1.0) * asked.unit - asked.offset,
            MetricName::Euclidean => score * score * asked.unit - asked.offset,
            _ => score * asked.unit - asked.offset,
        }
    }

    /// The same, rounded to the worse side.
    pub(super) fn units_up(&self, asked: &Asked, score: f64) -> f32 {
        let units = self.units(asked, score);
        (units + units.abs() * 1e-6) as f32
    }

    /// The units of a score that is by `margin` worse than one of so many units.
    pub(super) fn worse(&self, asked: &Asked, units: f32, margin: f64) -> f32 {
        if margin == 0.0 {
            return units;
        }
        let score = (units as f64 + asked.offset) / asked.unit;
        let worse = match self.coding.metric {
            MetricName::Dot => -score - margin,
            MetricName::Cosine => score + 1.0 + margin,
            MetricName::Euclidean => score.max(0.0).sqrt() + margin,
            _ => score + margin,
        };
        self.units_up(asked, worse)
    }
}

impl Asked {
    /// Itself if its numbers are such, and no score of it that is as large as `most` leaves the range.
    fn usable(self, most: f64, precision: Precision) -> Option<Asked> {
        let numbers = [self.alpha, self.share, self.own].iter().all(|x| x.abs() < 1e30);
        let finite = self.unit.is_finite() && self.unit > 0.0 && self.offset.is_finite();
        (numbers && finite && 8.0 * most < precision.most).then_some(self)
    }
}
