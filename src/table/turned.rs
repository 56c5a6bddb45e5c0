//! Bits of patterns turned into bits of columns: what is a row of 64 columns' bits becomes, of 64 patterns, a word a column.

use crate::error::Error;
use crate::error::room;
use crate::parallel::{Context, Shared, Stop, map, pieces};
use crate::simd::{Isa, Level, Words, Work};
use crate::table::{Dtype, Rows};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Patterns of which an element is a bit.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// Eight elements a byte, the first in the highest bit, zeros behind the last; and how many elements a row has.
    Packed(Rows<'a>, usize),
    /// Signed bytes 1 and -1.
    Bytes(Rows<'a>),
}

impl Source<'_> {
    /// Patterns.
    pub fn len(&self) -> usize {
        match self {
            Source::Packed(rows, _) | Source::Bytes(rows) => rows.len(),
        }
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Elements of a pattern.
    pub fn width(&self) -> usize {
        match self {
            Source::Packed(_, width) => *width,
            Source::Bytes(rows) => rows.width(),
        }
    }

    /// Packs pattern `i`, zeros behind it; false if an element is neither 1 nor -1.
    #[inline(always)]
    unsafe fn pack<W: Words>(&self, i: usize, out: &mut [u64]) -> bool {
        match self {
            Source::Packed(rows, _) => {
                let bytes = rows.width();
                out.fill(0);
                std::ptr::copy_nonoverlapping(rows.row(i), out.as_mut_ptr().cast(), bytes);
                true
            }
            Source::Bytes(rows) => pack_signs::<W>(std::slice::from_raw_parts(rows.row(i), rows.width()), out),
        }
    }
}

/// Packs bytes 1 and -1 as `numpy.packbits` would pack their being positive; false if there is another byte.
#[inline(always)]
unsafe fn pack_signs<W: Words>(row: &[u8], out: &mut [u64]) -> bool {
    let mut fine = true;
    let mut words = out.iter_mut();
    let mut pack = |word: &mut u64, bytes: &[u8; 64]| {
        let (packed, signs) = W::signs(bytes.as_ptr());
        *word = packed;
        fine &= signs;
    };
    let (full, rest) = row.as_chunks();
    for (bytes, word) in full.iter().zip(words.by_ref()) {
        pack(word, bytes);
    }
    if let Some(word) = words.next() {
        let mut padded = [0xff; 64];
        padded[..rest.len()].copy_from_slice(rest);
        pack(word, &padded);
    }
    fine
}

/// 64 columns of bits, a word each.
pub struct Square([u64; 64]);

impl Square {
    /// Of 64 patterns' eight bytes each, as they lie in memory.
    #[inline(always)]
    pub fn of(mut rows: [u64; 64]) -> Self {
        for row in &mut rows {
            *row = u64::from_le(*row);
        }
        transpose(&mut rows);
        Square(rows)
    }
    /// A column's bits, the first pattern's the lowest.
    #[inline(always)]
    pub fn column(&self, c: usize) -> u64 {
        // The first element of a byte is its highest bit.
        self.0[c ^ 7]
    }
}

/// Transposes a square of bits by swapping ever smaller blocks (Warren, *Hacker's Delight*, section 7-3): bit j of row i becomes
/// bit i of row j.
#[inline(always)]
fn transpose(rows: &mut [u64; 64]) {
    let mut mask = 0x0000_0000_ffff_ffffu64;
    let mut half = 32;
    while half > 0 {
        for block in rows.chunks_exact_mut(2 * half) {
            let (top, bottom) = block.split_at_mut(half);
            for (a, b) in top.iter_mut().zip(bottom) {
                let t = ((*a >> half) ^ *b) & mask;
                *a ^= t << half;
                *b ^= t;
            }
        }
        half /= 2;
        mask ^= mask << half;
    }
}

/// Patterns that a task turns, a multiple of 64.
const STRIPE: usize = 512;

/// The bits of `patterns`, turned: row k of the answer has, for every column, the bits of the 64 patterns from 64 k on, the
/// first in the lowest bit. Patterns beyond the last are zeros, patterns in `minus` have their bits flipped. Nothing is
/// returned if an element is not a sign.
pub fn turned(
    context: &Context,
    level: Level,
    source: Source,
    patterns: Range<usize>,
    minus: Option<&[bool]>,
) -> Result<Option<Vec<u64>>, Error> {
    if let Source::Bytes(rows) = source {
        assert!(rows.dtype() == Dtype::I8);
    }
    let (width, words) = (source.width(), patterns.len().div_ceil(64));
    let mut out: Vec<u64> = room::list(words * width)?;
    let stripes = pieces(patterns.len(), STRIPE);
    let (shared, odd) = (Shared(out.as_mut_ptr()), AtomicBool::new(false));
    let body = |scratch: &mut Vec<u64>, task: usize, stop: &Stop| {
        let stripe = &stripes[task];
        let (first, patterns) = (stripe.start / 64, patterns.start + stripe.start..patterns.start + stripe.end);
        let to = &shared;
        let out = to.0.wrapping_add(first * width); // Stripes have rows of their own.
        stop.check()?;
        if !odd.load(Ordering::Relaxed) && !level.run(Turn { source, patterns, minus, scratch, out }) {
            odd.store(true, Ordering::Relaxed);
        }
        Ok(())
    };
    let init = || room::filled(64 * width.div_ceil(64), 0);
    map(context, stripes.len(), patterns.len().saturating_mul(width) / 64, init, body)?;
    if odd.into_inner() {
        return Ok(None);
    }
    // SAFETY: no task was stopped and none passed over, so every row was written.
    unsafe { out.set_len(words * width) };
    Ok(Some(out))
}

struct Turn<'a> {
    source: Source<'a>,
    patterns: Range<usize>,
    minus: Option<&'a [bool]>,
    /// A packed row for each of 64 patterns.
    scratch: &'a mut [u64],
    out: *mut u64,
}

impl Work for Turn<'_> {
    type Out = bool;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> bool {
        let Turn { source, patterns, minus, scratch, out } = self;
        let width = source.width();
        let across = width.div_ceil(64);
        let mut fine = true;
        for (k, first) in patterns.clone().step_by(64).enumerate() {
            let n = (patterns.end - first).min(64);
            for (i, row) in scratch.chunks_exact_mut(across).enumerate() {
                if i < n {
                    fine &= source.pack::<I::Words>(first + i, row);
                } else {
                    row.fill(0);
                }
            }
            let bit = |i: usize| minus.is_some_and(|minus| minus[first + i]) as u64;
            let flip = (0..n).fold(0, |flip, i| flip | bit(i) << i);
            for block in 0..across {
                let mut square = [0; 64];
                for (i, word) in square.iter_mut().enumerate() {
                    *word = scratch[i * across + block];
                }
                let square = Square::of(square);
                let columns = (width - block * 64).min(64);
                for c in 0..columns {
                    *out.add(k * width + block * 64 + c) = square.column(c) ^ flip;
                }
            }
        }
        fine
    }
}
