//! Hebbian sums of outer products, sum over patterns of w y x^T: the product metric between the columns of two tables.

use crate::columns::Columns;
use crate::error::{Error, Side};
use crate::isa::Level;
use crate::metric::MetricName;
use crate::pack::{Keys, Scored, Table};
use crate::parallel::Context;
use crate::rows::Rows;
use crate::sink::sum::{Entry, Scale, Sums, Total, sum};
use crate::sweep::pieces;
use std::marker::PhantomData;

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

/// The sum: products and sums of [`CHUNK`] patterns in T, sums over more patterns in A. If A is an integer, the caller has seen
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
        kernel: T::kernel(level, MetricName::Dot, x.dtype()),
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
