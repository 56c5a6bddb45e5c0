//! Tables as they come from outside, read without a copy where that is possible: numbers in rows ([`Rows`]), and bits of
//! patterns turned into bits of columns ([`turned`]).

mod rows;
pub mod turned;

pub use rows::{Dtype, Element, Numeric, Rows};
