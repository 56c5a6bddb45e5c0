//! The one error type of the engine.

pub mod room;

use std::fmt;

/// Which argument of a call a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The rows that ask.
    Query,
    /// The rows that are searched.
    Key,
    /// The rows that are mixed into the answer.
    Value,
    /// The rows that say how much each entry of an answer matters.
    Gradient,
}

/// Everything that can go wrong below the Python edge.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// A row holds a NaN or an infinity.
    NonFinite(Side, usize),
    /// A divergence needs rows that can be read as a distribution: (side, row, what is wrong).
    NotADistribution(Side, usize, &'static str),
    /// `sqrt`, `log` and fractional powers need scores of at least zero: the first row of cues with a negative one.
    NegativeScore(usize),
    /// Finite inputs gave a score that the score's type cannot hold: the first such row of cues.
    Overflow(usize),
    /// Finite inputs gave a score that the score's type cannot hold.
    ScoreOverflow,
    /// The weighted sum of the values is beyond their type: the row of cues.
    ValueOverflow(usize),
    /// An argument has a value that the engine does not know.
    Argument(String),
    /// The caller asked to stop.
    Interrupted,
    /// A buffer of that many bytes could not be had.
    OutOfMemory(usize),
    /// What went wrong with one of several heads.
    Head(usize, Box<Error>),
}

impl Error {
    /// The same error, with the head that it is about where there are several.
    pub fn of_head(self, head: usize, heads: usize) -> Error {
        match self {
            Error::Interrupted | Error::OutOfMemory(_) => self,
            _ if heads == 1 => self,
            _ => Error::Head(head, Box::new(self)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |side: &Side| match side {
            Side::Query => "queries",
            Side::Key => "keys",
            Side::Value => "values",
            Side::Gradient => "gradients",
        };
        match self {
            Error::NonFinite(side, row) => {
                write!(f, "{} row {row} has a NaN or infinite entry", name(side))
            }
            Error::NotADistribution(side, row, what) => {
                write!(
                    f,
                    "{} row {row} {what}: a divergence compares rows as distributions, so entries must be >= 0 and not all 0",
                    name(side)
                )
            }
            Error::NegativeScore(row) => write!(
                f,
                "cues row {row} has a negative score, which the 'sqrt' and 'log' separations and fractional powers do not \
                 take; use a similarity without negative scores, a rectified power or convention='paper'"
            ),
            Error::Overflow(row) => {
                write!(f, "cues row {row} has a score too large for its type; scale the data or use float64")
            }
            Error::ScoreOverflow => f.write_str(
                "a score is too large for its type, although queries and keys are finite; scale the data or use float64",
            ),
            Error::ValueOverflow(row) => write!(
                f,
                "cues row {row} recalls values too large for their type; scale the values or use float64"
            ),
            Error::Argument(text) => f.write_str(text),
            Error::Interrupted => f.write_str("interrupted"),
            Error::Head(head, error) => write!(f, "head {head}: {error}"),
            Error::OutOfMemory(bytes) => write!(f, "a buffer of {bytes} bytes could not be allocated"),
        }
    }
}

impl std::error::Error for Error {}
