//! `_core.peel` and `_core.sparse_products`: errors of cues under a sparse constraint matrix, and products with it.

use super::edge::{Out, elements, engine, listed};
use crate::peel::{Graph, Matrix, peel, products};
use numpy::{PyArray1, PyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Writes the errors into `errors` and returns the steps taken per cue.
#[pyfunction(name = "peel")]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn peel_py<'py>(
    py: Python<'py>,
    cues: &Bound<'py, PyArray2<f64>>,
    starts: &Bound<'py, PyArray1<i64>>,
    checks: &Bound<'py, PyArray1<i64>>,
    entries: &Bound<'py, PyArray1<f64>>,
    n_checks: usize,
    tolerances: &Bound<'py, PyArray1<f64>>,
    errors: &Bound<'py, PyArray2<f64>>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let (starts, checks) = (elements(starts, "starts")?, elements(checks, "checks")?);
    let (entries, tolerances) = (elements(entries, "entries")?, elements(tolerances, "tolerances")?);
    let shape = [tolerances.len(), starts.len().wrapping_sub(1)];
    if cues.shape() != shape || errors.shape() != shape {
        return Err(PyValueError::new_err("cues and errors must have a row per tolerance and a column per coordinate"));
    }
    let graph = Graph::new(Matrix::new(starts, checks, entries, n_checks)?)?;
    let (cues, mut errors) = (elements(cues, "cues")?, Out::new(errors, "errors")?);
    let errors = errors.slice()?;
    let steps = engine(py, threads, |context| peel(context, &graph, cues, tolerances, errors))?;
    listed(py, steps.into_iter())
}

/// Writes the products of rows with the matrix, or with its transpose if `back`, into `out`.
#[pyfunction(name = "sparse_products")]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn products_py(
    py: Python<'_>,
    rows: &Bound<'_, PyArray2<f64>>,
    starts: &Bound<'_, PyArray1<i64>>,
    checks: &Bound<'_, PyArray1<i64>>,
    entries: &Bound<'_, PyArray1<f64>>,
    n_checks: usize,
    back: bool,
    out: &Bound<'_, PyArray2<f64>>,
    threads: usize,
) -> PyResult<()> {
    let (starts, checks) = (elements(starts, "starts")?, elements(checks, "checks")?);
    let matrix = Matrix::new(starts, checks, elements(entries, "entries")?, n_checks)?;
    let (from, to) = if back { (n_checks, matrix.width()) } else { (matrix.width(), n_checks) };
    if rows.shape()[1] != from || out.shape() != [rows.shape()[0], to] {
        return Err(PyValueError::new_err("rows and their products must have the matrix's shape"));
    }
    let (rows, mut out) = (elements(rows, "rows")?, Out::new(out, "out")?);
    let out = out.slice()?;
    engine(py, threads, |context| products(context, &matrix, rows, back, out))
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(peel_py, module)?)?;
    module.add_function(wrap_pyfunction!(products_py, module)?)
}
