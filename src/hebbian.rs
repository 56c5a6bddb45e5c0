//! Hebbian sums of outer products, sum over patterns of w y x^T: the product metric between the columns of two tables.

use crate::error::{Error, Side};
use crate::metric::MetricName;
use crate::pack::{Columns, Keys, Scored, Table};
use crate::parallel::{Context, pieces};
use crate::simd::Level;
use crate::sink::sum::{Entry, Scale, Sums, Total, sum};
use crate::table::turned::{Source, turned};
use crate::table::{Dtype, Rows};
use std::marker::PhantomData;
use std::ops::Range;

/// What is summed up.
#[derive(Clone, Copy)]
pub struct Patterns<'a> {
    /// The patterns.
    pub x: Rows<'a>,
    /// Their partners, as many; none for the patterns themselves.
    pub y: Option<Rows<'a>>,
    /// Their weights.
    pub weights: Option<&'a [f64]>,
}

impl Patterns<'_> {
    /// Rows and columns of the sum.
    pub fn shape(&self) -> (usize, usize) {
        (self.y.unwrap_or(self.x).width(), self.x.width())
    }
}

/// Patterns in a chunk: as many as the metric adds up in one go.
const CHUNK: usize = 256;

/// The sum: products and sums of `CHUNK` patterns in T, sums over more patterns in A. If A is an integer, the caller has seen
/// to it that T holds those exactly.
pub fn hebbian<T, A, O>(
    context: &Context,
    level: Level,
    patterns: Patterns,
    out: &mut [O],
    add: bool,
) -> Result<(), Error>
where
    T: Scored,
    A: Total<T>,
    O: Entry<A>,
{
    let Patterns { x, y, weights } = patterns;
    let n = x.len();
    assert!(y.is_none_or(|y| y.len() == n));
    let chunks = pieces(n, CHUNK);
    let keys: Vec<_> = chunks.iter().map(|chunk| Columns::new(x, chunk.clone(), None)).collect();
    let sums = Sums {
        kernel: T::kernel(level, MetricName::Dot, Dtype::F64, Dtype::F64, CHUNK),
        shape: patterns.shape(),
        symmetric: y.is_none(),
        chunks: chunks.len(),
        words: n,
        search: |k: usize| {
            let queries = Columns::new(y.unwrap_or(x), chunks[k].clone(), weights);
            (Table::Columns(queries), Keys::Columns(&keys[k]))
        },
        scale: Scale { factor: 1, offset: 0 },
        add,
        lifetime: PhantomData,
    };
    if sum::<T, A, O, _>(context, level, &sums, out)? {
        return Ok(());
    }
    if let Some(row) = x.first_non_finite() {
        return Err(Error::NonFinite(Side::Key, row));
    }
    if let Some(row) = y.and_then(|y| y.first_non_finite()) {
        return Err(Error::NonFinite(Side::Query, row));
    }
    Err(Error::ScoreOverflow)
}

/// Patterns of -1 and +1.
#[derive(Clone, Copy)]
pub struct Signs<'a> {
    /// The patterns.
    pub x: Source<'a>,
    /// Their partners, as many; none for the patterns themselves.
    pub y: Option<Source<'a>>,
    /// Which patterns count as -1; none of them if there is nothing.
    pub minus: Option<&'a [bool]>,
}

/// Words of 64 patterns in a chunk: a kilobyte a column.
const WORDS: usize = 128;
/// Bytes of columns' bits that are held at a time, about.
const HELD: usize = 64 << 20;

/// The sum of patterns of -1 and +1: where they differ counts -1, where not +1. False if another value was met; `out` is then
/// undefined, as it is if an error is returned. The caller has seen to it that sums fit.
pub fn hebbian_signs(context: &Context, level: Level, signs: Signs, out: &mut [i32], add: bool) -> Result<bool, Error> {
    hebbian_signs_in(context, level, signs, out, add, HELD)
}

/// The same, and about how many bytes of columns' bits are held at a time; it changes nothing in the sum.
pub fn hebbian_signs_in(
    context: &Context,
    level: Level,
    signs: Signs,
    out: &mut [i32],
    add: bool,
    held: usize,
) -> Result<bool, Error> {
    let Signs { x, y, minus } = signs;
    let shape = (y.unwrap_or(x).width(), x.width());
    let step = (held * 8 / (shape.0 + shape.1)).max(1).next_multiple_of(64 * WORDS);
    for part in pieces(x.len(), step) {
        let turn = |source, minus| turned(context, level, source, part.clone(), minus);
        let Some(keys) = turn(x, None)? else { return Ok(false) };
        let queries = if y.is_none() && minus.is_none() { None } else { Some(turn(y.unwrap_or(x), minus)?) };
        let queries = match &queries {
            None => &keys,
            Some(Some(queries)) => queries,
            Some(None) => return Ok(false),
        };
        let chunks = pieces(part.len().div_ceil(64), WORDS);
        let columns = |chunk: &Range<usize>| Columns::of_bits(&keys, shape.1, chunk.clone());
        let columns: Vec<_> = chunks.iter().map(columns).collect();
        let sums = Sums {
            kernel: i32::kernel(level, MetricName::Hamming, Dtype::U8, Dtype::U8, 8 * WORDS),
            shape,
            symmetric: y.is_none(),
            chunks: chunks.len(),
            words: part.len().div_ceil(64),
            search: |k: usize| {
                let queries = Columns::of_bits(queries, shape.0, chunks[k].clone());
                (Table::Columns(queries), Keys::Columns(&columns[k]))
            },
            scale: Scale { factor: -2, offset: part.len() as i64 },
            add: add || part.start > 0,
            lifetime: PhantomData,
        };
        if !sum::<i32, i64, i32, _>(context, level, &sums, out)? {
            return Err(Error::ScoreOverflow);
        }
    }
    Ok(true)
}
