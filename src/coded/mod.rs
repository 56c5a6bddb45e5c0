//! The same answers from a first pass over bytes.
//!
//! Keys are coded once, a byte an element ([`coding`]), with what that loses of every key ([`codes`]). A query is coded beside
//! them ([`asked`]); exact integers of the ordinary byte metrics then bound its score with every key from below and above. What
//! may still be among the answers ([`candidates`]) is scored by the ordinary kernel of floats ([`exact`]), in the order of the
//! bounds and no longer than they allow. A score has the same bits in whatever company it is taken, so the answers are those of
//! a search without codes, ties included. A query whose bounds leave too much to do is searched without.
//!
//! Bounds hold for scores as they are *computed*: they are widened by all that roundings may have done.

mod asked;
mod candidates;
mod codes;
mod coding;
mod exact;
mod retrieve;

pub use codes::Codes;
pub use exact::{Bounded, Coded, topk, within};
pub use retrieve::retrieve;
