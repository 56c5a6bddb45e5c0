//! Associative memory as four nouns and one loop.
//!
//! A **metric** ([`metric`]) says how one key scores against one cue, a **separation** ([`separation`]) what a score weighs, a
//! **sink** ([`sink`]) what is kept, an **instruction set** ([`simd`]) which registers do it. The tile loop ([`tile`]) scores
//! a few cues against a few registers of keys; [`sweep`] walks it over packed blocks of keys ([`table`], [`pack`]),
//! [`parallel`] over threads. Where weights meet values stands in [`projection`], and where they
//! meet slopes in [`pull`]; memory is asked for in [`error::room`].
//!
//! [`hebbian`] sums products of columns with the same loop, [`counters`] adds up counters at what a radius search finds.
//! [`coded`] finds the same best keys by a first pass over bytes. [`flips`] lets units of -1 and +1 settle, one at a time or
//! together, under energies of interchangeable kinds; [`peel`] decodes sparse errors, [`dense`] is how memories of a dense
//! associative memory learn.
//!
//! A folder or file names only what stands below it, from the ground up: `error`; `parallel`, `simd`; `table`, `peel`, `probe`;
//! `metric`, `flips`; `tile`; `pack`; `separation`, `projection`, `sweep`; `pull`; `sink`; `hebbian`, `counters`, `coded`,
//! `dense`; `py`.
//!
//! None of this knows Python; `py/` (feature `python`) checks arguments, releases the interpreter and calls in here.

pub mod coded;
pub mod counters;
pub mod dense;
pub mod error;
pub mod flips;
pub mod hebbian;
pub mod metric;
pub mod pack;
pub mod parallel;
pub mod peel;
pub mod probe;
pub mod projection;
pub mod pull;
#[cfg(feature = "python")]
mod py;
pub mod separation;
pub mod simd;
pub mod sink;
pub mod sweep;
pub mod table;
pub mod tile;
