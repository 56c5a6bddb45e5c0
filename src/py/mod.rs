//! The Python edge: arrays in, engine called with the interpreter released, errors out. The only place that names pyo3 or numpy.
//!
//! A file has the functions of one part of the engine; [`edge`] is what all of them do with arrays, threads and errors,
//! [`keys`] what those do that search.

mod coded;
mod counters;
mod dense;
mod edge;
mod flips;
mod heads;
mod hebbian;
mod keys;
mod machine;
mod peel;
mod retrieve;
mod search;

use pyo3::prelude::*;

// Nothing here wants the lock of an interpreter that has one: what is shared never changes, or is behind a lock of its own.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    keys::register(module)?;
    search::register(module)?;
    coded::register(module)?;
    retrieve::register(module)?;
    heads::register(module)?;
    hebbian::register(module)?;
    flips::register(module)?;
    counters::register(module)?;
    peel::register(module)?;
    dense::register(module)?;
    machine::register(module)
}
