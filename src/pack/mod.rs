//! From rows as NumPy holds them to panels as the tile reads them.
//!
//! A *block* is a stretch of keys whose panels fit the second-level cache. Keys that are used once are packed block by block
//! while they are read; a memory packs its keys once and keeps the panels ([`Panels`]). What packing and scoring do with a
//! metric stands in its [`Kernel`], a table of functions that is looked up once a call. Columns of a table can stand for
//! rows ([`Columns`]), which makes sums of outer products of it.

mod columns;
mod kernel;
mod keys;
mod panels;
mod queries;
mod turn;

pub use columns::{Columns, Strided};
pub use kernel::{Kernel, Layout, Scored};
pub use keys::{Block, Keys};
pub use panels::{CACHED, PackBuffer, Packed, Panels, Source};
pub use queries::{Part, Queries, Table};
