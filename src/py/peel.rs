//! `_core.peel`: errors of cues under a sparse constraint matrix.

use super::edge::engine;
use crate::peel::{Graph, peel};
use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Writes the errors into `errors` and returns the steps taken per cue.
#[pyfunction(name = "peel")]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn peel_py<'py>(
    py: Python<'py>,
    cues: PyReadonlyArray2<'py, f64>,
    starts: PyReadonlyArray1<'py, i64>,
    checks: PyReadonlyArray1<'py, i64>,
    n_checks: usize,
    tolerances: PyReadonlyArray1<'py, f64>,
    mut errors: PyReadwriteArray2<'py, f64>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let (starts, checks, tolerances) = (starts.as_slice()?, checks.as_slice()?, tolerances.as_slice()?);
    let shape = [tolerances.len(), starts.len().wrapping_sub(1)];
    if cues.shape() != shape || errors.shape() != shape {
        return Err(PyValueError::new_err("cues and errors must have a row per tolerance and a column per coordinate"));
    }
    let graph = Graph::new(starts, checks, n_checks)?;
    let (cues, errors) = (cues.as_slice()?, errors.as_slice_mut()?);
    let steps = engine(py, threads, |context| peel(context, &graph, cues, tolerances, errors))?;
    Ok(PyArray1::from_vec(py, steps))
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(peel_py, module)?)
}
