//! What the engine knows and what it runs on.

use super::edge::{chosen, engine};
use crate::metric::MetricName;
use crate::separation::Separation;
use crate::simd::Level;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What the extension is and runs on.
#[pyfunction]
fn cpu_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("isa", chosen()?.name())?;
    info.set_item("available", Level::available().iter().map(|level| level.name()).collect::<Vec<_>>())?;
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("cores", std::thread::available_parallelism().map_or(1, |n| n.get()))?;
    info.set_item("metrics", MetricName::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>())?;
    info.set_item("separations", Separation::NAMES)?;
    info.set_item("profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    Ok(info)
}

/// Clock and read bandwidth of this machine, measured now.
#[pyfunction]
fn probe(py: Python<'_>, threads: usize) -> PyResult<Bound<'_, PyDict>> {
    let bandwidth = engine(py, threads, crate::probe::bandwidth)?;
    let clock = py.detach(crate::probe::clock);
    let info = PyDict::new(py);
    info.set_item("ghz", clock)?;
    info.set_item("read_gb_s", bandwidth)?;
    Ok(info)
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cpu_info, module)?)?;
    module.add_function(wrap_pyfunction!(probe, module)?)
}
