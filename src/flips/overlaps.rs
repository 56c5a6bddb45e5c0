//! Patterns of bits, the energy a function of their overlaps with the state.
//!
//! With a(mu) the number of units that agree with pattern mu, the overlap is o = 2a - d. A unit that agrees with the pattern
//! adds w G(o - 1) to its field times its state, one that does not takes away w G(o + 1), where G(o) = (F(o + 1) - F(o - 1)) / 2.
//! Both depend on the unit only through that one bit, so a cue keeps for each pattern `step = w (G(o - 1) + G(o + 1))` and the sum
//! `base` of all -w G(o + 1), and a unit adds the steps of the patterns that agree with it: one masked addition per
//! register. A flip changes every overlap by 2, up or down, and looks the steps up again.

use super::{EPS, Exact, Field, Sum};
use crate::error::Error;
use crate::error::room;
use crate::parallel::{Context, Shared, Stop, map};
use crate::simd::{Isa, Level, Vector, Work};
use crate::table::turned::Square;

/// Terms that are added side by side, whatever the width of the registers: a sum has the same bits on all of them.
const ABREAST: usize = 32;

/// What a pattern's overlap is worth.
pub enum Table<'a> {
    /// G at -(d-1), -(d-3), ..., d-1: the field leaves out what the unit adds to its own.
    Without(&'a [f64]),
    /// F' at -d, -(d-2), ..., d: the field is the sum of w F'(o) x.
    With(&'a [f64]),
    /// F(o) = exp(beta o), relative to the largest overlap at hand. `own` as in `With`.
    Exponential {
        /// Above zero.
        beta: f64,
        /// Whether the unit's own contribution stays in.
        own: bool,
    },
}

/// Patterns with their weights and what their overlaps are worth; shared by all cues.
pub struct Patterns<'a> {
    rows: &'a [u8],
    width: usize,
    len: usize,
    /// For every unit, one bit a pattern, the first in the lowest bit.
    columns: Vec<u64>,
    words: usize,
    /// One a pattern, zero for those that fill the last word.
    weights: Vec<f64>,
    /// (-G(o + 1), G(o - 1) + G(o + 1)) by agreements or, if relative, by how many fewer they are than the most.
    pairs: Vec<[f64; 2]>,
    /// (G(o - 1), -G(o + 1)) likewise.
    terms: Vec<[f64; 2]>,
    own: bool,
    /// Units that fields are of.
    units: usize,
    beta: Option<f64>,
    energy: Option<&'a [f64]>,
}

/// Bytes of a row of `width` bits.
fn bytes(width: usize) -> usize {
    width.div_ceil(8)
}

impl<'a> Patterns<'a> {
    /// `len` patterns of `width` bits, eight a byte, the first in the highest bit; `weights` may be empty for all ones. Fields are
    /// of the units of `readout` (rows, width), else of those of the patterns.
    pub fn new(
        rows: &'a [u8],
        len: usize,
        width: usize,
        weights: &[f64],
        table: &Table,
        energy: Option<&'a [f64]>,
        readout: Option<(&[u8], usize)>,
    ) -> Result<Self, Error> {
        let words = len.div_ceil(64);
        let mut padded = room::filled(64 * words, 0.0)?;
        match weights.is_empty() {
            true => padded[..len].fill(1.0),
            false => padded[..len].copy_from_slice(weights),
        }
        let mut terms: Vec<[f64; 2]> = room::list(width + 1)?;
        match *table {
            Table::Without(g) => {
                assert_eq!(g.len(), width);
                // All agree: there is no unit that does not. None agrees: likewise.
                let at = |a: usize| g.get(a).copied().unwrap_or(0.0);
                terms.extend((0..=width).map(|a| [at(a.wrapping_sub(1)), -at(a)]));
            }
            Table::With(f) => {
                assert_eq!(f.len(), width + 1);
                terms.extend(f.iter().map(|&x| [x, -x]));
            }
            Table::Exponential { beta, own } => {
                let at = |fewer: usize| (-2.0 * beta * fewer as f64).exp();
                terms.extend((0..=width).map(|j| [at(if own { j } else { j + 1 }), -at(j)]));
            }
        }
        let (bits, units) = readout.unwrap_or((rows, width));
        Ok(Patterns {
            rows,
            width,
            len,
            columns: columns(bits, len, units)?,
            words,
            weights: padded,
            pairs: room::collected(terms.iter().map(|[p, m]| [*m, p - m]))?,
            terms,
            units,
            own: matches!(*table, Table::With(_) | Table::Exponential { own: true, .. }),
            beta: match *table {
                Table::Exponential { beta, .. } => Some(beta),
                _ => None,
            },
            energy,
        })
    }

    /// Additions of a sweep, in registers.
    pub fn cost(&self) -> usize {
        self.columns.len() * 8
    }

    /// A cue's view of the patterns.
    pub fn field(&self) -> Result<Overlaps<'_>, Error> {
        Ok(Overlaps {
            patterns: self,
            state: room::filled(bytes(self.width), 0)?,
            agreements: room::filled(64 * self.words, 0)?,
            steps: room::filled(64 * self.words, 0.0)?,
            base: 0.0,
            magnitude: 0.0,
            most: 0,
        })
    }
}

/// The overlaps of one state.
pub struct Overlaps<'a> {
    patterns: &'a Patterns<'a>,
    /// The state as bits.
    state: Vec<u8>,
    agreements: Vec<u32>,
    steps: Vec<f64>,
    base: f64,
    /// Sum of the magnitudes of all that `base` and `steps` hold.
    magnitude: f64,
    /// Agreements of the pattern that has the most, if the table is relative.
    most: u32,
}

impl Overlaps<'_> {
    /// Where in the tables a pattern with that many agreements is.
    #[inline(always)]
    fn place(&self, agreements: u32) -> usize {
        // Patterns of weight zero may agree more often than the most that counts; they are multiplied by zero.
        if self.patterns.beta.is_some() { self.most.saturating_sub(agreements) as usize } else { agreements as usize }
    }

    /// Looks everything up anew.
    #[inline(always)]
    unsafe fn look_up(&mut self) {
        let weights = &self.patterns.weights;
        if self.patterns.beta.is_none() {
            return self.look_up_at(|agreements| agreements);
        }
        let counted = |(&a, &w): (&u32, &f64)| if w != 0.0 { a } else { 0 };
        self.most = self.agreements.iter().zip(weights).map(counted).max().unwrap_or(0);
        let most = self.most;
        self.look_up_at(|agreements| most.saturating_sub(agreements));
    }

    /// The same from where `place` says; it is told apart outside, so that the loop has nothing to ask.
    #[inline(always)]
    fn look_up_at(&mut self, place: impl Fn(u32) -> u32) {
        let pairs = self.patterns.pairs.as_slice();
        let (weights, _) = self.patterns.weights.as_chunks::<8>();
        let (agreements, _) = self.agreements.as_chunks::<8>();
        let (steps, _) = self.steps.as_chunks_mut::<8>();
        let (mut base, mut magnitude) = ([0.0; 8], [0.0; 8]);
        for ((agreements, steps), weights) in agreements.iter().zip(steps).zip(weights) {
            for j in 0..8 {
                let [m, step] = pairs[place(agreements[j]) as usize];
                let (m, step) = (weights[j] * m, weights[j] * step);
                steps[j] = step;
                base[j] += m;
                magnitude[j] += m.abs() + step.abs();
            }
        }
        self.base = base.iter().sum();
        self.magnitude = magnitude.iter().sum();
    }

    /// The bits of the patterns that agree with a unit at `s`: those that are set, or those that are not.
    #[inline(always)]
    fn agreeing(&self, unit: usize, s: i8) -> impl Iterator<Item = u64> {
        let words = self.patterns.words;
        let other = if s < 0 && !self.patterns.own { u64::MAX } else { 0 };
        self.patterns.columns[unit * words..][..words].iter().map(move |word| word ^ other)
    }
}

impl Field for Overlaps<'_> {
    #[inline(always)]
    unsafe fn load<I: Isa>(&mut self, state: &[i8]) {
        let patterns = self.patterns;
        for (byte, units) in self.state.iter_mut().zip(state.chunks(8)) {
            *byte = units.iter().enumerate().fold(0, |bits, (i, &s)| bits | (u8::from(s > 0) << (7 - i)));
        }
        let (rows, size) = (patterns.rows, bytes(patterns.width));
        for (mu, agreements) in self.agreements.iter_mut().enumerate() {
            let differing = match mu < patterns.len {
                true => hamming(&rows[mu * size..][..size], &self.state),
                false => self.state.iter().map(|byte| byte.count_ones()).sum(),
            };
            *agreements = patterns.width as u32 - differing;
        }
        self.look_up();
    }

    #[inline(always)]
    unsafe fn sum<I: Isa>(&mut self, unit: usize, s: i8) -> Sum {
        let mut sums = [I::F64::splat(0.0); ABREAST / 2];
        let lanes = <I::F64 as Vector>::LANES;
        let mut steps = self.steps.as_ptr();
        for word in self.agreeing(unit, s) {
            for half in [word as u32, (word >> 32) as u32] {
                for (i, sum) in sums.iter_mut().enumerate().take(ABREAST / lanes) {
                    *sum = sum.add_where(half >> (i * lanes), I::F64::load(steps.add(i * lanes)));
                }
                steps = steps.add(ABREAST);
            }
        }
        let mut out = [0.0; ABREAST];
        for (i, sum) in sums.iter().enumerate().take(ABREAST / lanes) {
            sum.store(out.as_mut_ptr().add(i * lanes));
        }
        let mut width = ABREAST;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                out[i] += out[i + width];
            }
        }
        let patterns = self.patterns;
        let value = self.base + out[0];
        let log_scale = patterns.beta.map_or(0.0, |beta| {
            let scale = beta * (2.0 * f64::from(self.most) - patterns.width as f64);
            if patterns.own { scale } else { scale + ((2.0 * beta).exp_m1() / 2.0).ln() }
        });
        Sum {
            value: if s < 0 && !patterns.own { -value } else { value },
            // An eighth of the terms in a row, and a few roundings of each.
            slack: (patterns.len as f64 / 8.0 + 32.0) * EPS * self.magnitude,
            log_scale,
        }
    }

    fn exact(&self, unit: usize, state: &[i8]) -> (f64, f64) {
        let patterns = self.patterns;
        let mut sum = Exact::default();
        // A unit that is read out only has no state.
        let s = state.get(unit).copied().unwrap_or(1);
        for (word, first) in self.agreeing(unit, s).zip((0..).step_by(64)) {
            for mu in first..(first + 64).min(patterns.len) {
                let agrees = word >> (mu - first) & 1;
                sum.add(patterns.weights[mu] * patterns.terms[self.place(self.agreements[mu])][1 - agrees as usize]);
            }
        }
        let (value, magnitude) = sum.parts();
        (if s < 0 && !patterns.own { -value } else { value }, magnitude)
    }

    #[inline(always)]
    unsafe fn flip<I: Isa>(&mut self, unit: usize, s: i8) {
        let words = self.patterns.words;
        let column = &self.patterns.columns[unit * words..][..words];
        let other = if s < 0 { u64::MAX } else { 0 };
        for (word, agreements) in column.iter().zip(self.agreements.chunks_exact_mut(64)) {
            let agreeing = word ^ other;
            let (low, high) = agreements.split_at_mut(32);
            for (half, agreements) in [(agreeing as u32, low), ((agreeing >> 32) as u32, high)] {
                for (j, agreements) in agreements.iter_mut().enumerate() {
                    *agreements = agreements.wrapping_add(1).wrapping_sub((half >> j & 1) << 1);
                }
            }
        }
        self.look_up();
    }

    fn energy(&self, _state: &[i8]) -> f64 {
        let patterns = self.patterns;
        let mut sum = Exact::default();
        let weighted = self.agreements.iter().zip(&patterns.weights).take(patterns.len);
        if let Some(beta) = patterns.beta {
            for (&agreements, weight) in weighted {
                sum.add(weight * (-2.0 * beta * self.place(agreements) as f64).exp());
            }
            return -(beta * (2.0 * f64::from(self.most) - patterns.width as f64) + sum.value().ln());
        }
        let energy = patterns.energy.unwrap_or_default();
        for (&agreements, weight) in weighted {
            sum.add(-weight * energy.get(agreements as usize).copied().unwrap_or(f64::NAN));
        }
        sum.value()
    }
}

/// Bits that differ.
#[inline(always)]
fn hamming(a: &[u8], b: &[u8]) -> u32 {
    let (a, b) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let words = a.0.iter().zip(b.0).map(|(x, y)| (u64::from_ne_bytes(*x) ^ u64::from_ne_bytes(*y)).count_ones());
    let rest = a.1.iter().zip(b.1).map(|(x, y)| (x ^ y).count_ones());
    words.sum::<u32>() + rest.sum::<u32>()
}

/// Columns of bits, a pattern a bit, in words of 64.
fn columns(rows: &[u8], len: usize, width: usize) -> Result<Vec<u64>, Error> {
    let (words, size) = (len.div_ceil(64), bytes(width));
    let mut out = room::filled(width * words, 0)?;
    for word in 0..words {
        for first in (0..width).step_by(64) {
            let mut square = [0u64; 64];
            for (bits, row) in square.iter_mut().zip(64 * word..len) {
                let mut part = [0; 8];
                let row = &rows[row * size..][..size][first / 8..];
                let n = row.len().min(8);
                part[..n].copy_from_slice(&row[..n]);
                *bits = u64::from_ne_bytes(part);
            }
            let square = Square::of(square);
            for unit in first..width.min(first + 64) {
                out[unit * words + word] = square.column(unit - first);
            }
        }
    }
    Ok(out)
}

// -- one step, read out on units of their own -------------------------------------------------------

struct Read<'a, 'b> {
    field: &'a mut Overlaps<'b>,
    cue: &'a [i8],
    out: &'a mut [i8],
    stop: &'a Stop<'a>,
}

impl Work for Read<'_, '_> {
    type Out = Result<(), Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        self.field.load::<I>(self.cue);
        for (unit, out) in self.out.iter_mut().enumerate() {
            self.stop.check()?;
            let sum = self.field.sum::<I>(unit, 1);
            let mut value = sum.value;
            if value.abs() <= 2.0 * sum.slack {
                let (exact, magnitude) = self.field.exact(unit, &[]);
                value = if exact.abs() <= EPS * magnitude { 0.0 } else { exact };
            }
            *out = i8::from(value > 0.0) - i8::from(value < 0.0);
        }
        Ok(())
    }
}

/// For every cue (a row of -1 and +1) the sign of sum w F'(o) x for each of the units read out, 0 where it is a tie: a row of
/// `out`. The patterns' table must be one with the units' own contribution.
pub fn signs(context: &Context, level: Level, patterns: &Patterns, cues: &[i8], out: &mut [i8]) -> Result<(), Error> {
    assert!(patterns.own);
    let (n, units) = (cues.len() / patterns.width, patterns.units);
    assert_eq!(out.len(), n * units);
    let cost = patterns.cost().saturating_mul(n);
    let out = &Shared(out.as_mut_ptr());
    let body = |field: &mut Overlaps, row: usize, stop: &Stop| {
        let cue = &cues[row * patterns.width..][..patterns.width];
        // SAFETY: every cue has a row of its own.
        let out = unsafe { std::slice::from_raw_parts_mut(out.0.add(row * units), units) };
        level.run(Read { field, cue, out, stop })
    };
    map(context, n, cost, || patterns.field(), body)?;
    Ok(())
}
