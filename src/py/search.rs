//! All scores, the best k, and what lies within a radius.

use super::edge::{Out, dtype, engine, fresh, level, listed, zeros};
use super::keys::{ANY, AnyKeys, AnyPanels, Of, Request, by_score};
use crate::error::Error;
use crate::metric::{Given, Kind, Score};
use crate::pack::Scored;
use crate::parallel::Context;
use crate::sink::matrix::matrix;
use crate::sink::topk::topk;
use crate::sink::within::{Hits, within};
use crate::table::Dtype;
use numpy::{Element, PyArray1, PyArray2, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

#[pyfunction]
#[pyo3(signature = (queries, keys, metric, out, threads, known=None))]
fn pairwise(
    py: Python<'_>,
    queries: &Bound<'_, PyUntypedArray>,
    keys: AnyKeys<'_>,
    metric: &str,
    out: &Bound<'_, PyUntypedArray>,
    threads: usize,
    known: Option<&Bound<'_, PyUntypedArray>>,
) -> PyResult<()> {
    fn run<T: Scored + Given<O>, O: Element + Copy>(
        py: Python<'_>,
        request: &Request<'_>,
        out: &Bound<'_, PyUntypedArray>,
        threads: usize,
    ) -> PyResult<()>
    where
        AnyPanels: Of<T>,
    {
        let search = request.search::<T>(0, ANY);
        let out = out.cast::<PyArray2<O>>().map_err(|_| PyTypeError::new_err("out has the wrong dtype"))?;
        if out.shape() != [search.queries.len(), search.keys.len()] {
            return Err(PyValueError::new_err("out has the wrong shape"));
        }
        let mut out = Out::new(out, "out")?;
        let out = out.slice()?;
        engine(py, threads, |context| matrix(context, level(), &search, out))
    }
    let request = Request::new(queries, &keys, metric)?.knowing(known)?;
    // Counts and other whole numbers are written as floats too, for who computes with them.
    match dtype(out) {
        Ok(Dtype::F32) if request.metric.kind() == Kind::Bits => run::<f32, f32>(py, &request, out, threads),
        Ok(Dtype::F64) if request.exact || request.narrows() => run::<f64, f64>(py, &request, out, threads),
        _ => by_score!(request, run(py, &request, out, threads)),
    }
}

pub(super) type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

#[pyfunction(name = "topk")]
#[pyo3(signature = (queries, keys, k, metric, threads, unrounded=false, known=None))]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn topk_py<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyUntypedArray>,
    keys: AnyKeys<'py>,
    k: usize,
    metric: &str,
    threads: usize,
    unrounded: bool,
    known: Option<&Bound<'py, PyUntypedArray>>,
) -> PyResult<Pair<'py>> {
    fn run<'py, T: Scored + Given<O>, O: Element>(
        py: Python<'py>,
        request: &Request<'_>,
        k: usize,
        threads: usize,
    ) -> PyResult<Pair<'py>>
    where
        AnyPanels: Of<T>,
    {
        let search = request.search::<T>(0, ANY);
        if k == 0 || k > search.keys.len() {
            return Err(PyValueError::new_err(format!("k must be between 1 and {}, got {k}", search.keys.len())));
        }
        let scores = zeros::<O, 2>(py, [search.queries.len(), k])?;
        let indices = zeros::<i64, 2>(py, [search.queries.len(), k])?;
        let larger = request.metric.larger_is_better();
        let (best, at) = (fresh(&scores)?, fresh(&indices)?);
        engine(py, threads, |context| topk(context, level(), &search, k, larger, best, at))?;
        Ok((scores.into_any(), indices.into_any()))
    }
    let request = Request::new(queries, &keys, metric)?.knowing(known)?;
    // Who computes with the scores of bytes wants them as they were before they became f32.
    if unrounded && request.narrows() {
        return run::<f64, f64>(py, &request, k, threads);
    }
    by_score!(request, run(py, &request, k, threads))
}

pub(super) type Csr<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyAny>);

/// What a search within a radius finds, as arrays.
pub(super) fn csr<'py, T: Given<O>, O: Element + Score>(
    py: Python<'py>,
    threads: usize,
    found: impl FnOnce(&Context) -> Result<Hits<T>, Error> + Send,
) -> PyResult<Csr<'py>> {
    let (hits, ends) = engine(py, threads, |context| {
        let hits = found(context)?;
        let starts = hits.starts()?;
        Ok((hits, starts))
    })?;
    let starts = listed(py, ends.iter().copied())?;
    let n = ends.last().copied().unwrap_or(0) as usize;
    let (indices, scores) = (zeros::<i64, 1>(py, [n])?, zeros::<O, 1>(py, [n])?);
    let (at, near) = (fresh(&indices)?, fresh(&scores)?);
    // The hits are let go where they were found: many small pieces take a while, too.
    engine(py, threads, move |context| hits.write(context, &ends, at, near))?;
    Ok((starts, indices, scores.into_any()))
}

#[pyfunction(name = "within")]
#[pyo3(signature = (queries, keys, radius, metric, threads, known=None))]
fn within_py<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyUntypedArray>,
    keys: AnyKeys<'py>,
    radius: f64,
    metric: &str,
    threads: usize,
    known: Option<&Bound<'py, PyUntypedArray>>,
) -> PyResult<Csr<'py>> {
    fn run<'py, T: Scored + Given<O>, O: Element + Score>(
        py: Python<'py>,
        request: &Request<'_>,
        radius: f64,
        threads: usize,
    ) -> PyResult<Csr<'py>>
    where
        AnyPanels: Of<T>,
    {
        let search = request.search::<T>(0, ANY);
        let larger = request.metric.larger_is_better();
        csr(py, threads, |context| within::<T, O>(context, level(), &search, radius, larger))
    }
    let request = Request::new(queries, &keys, metric)?.knowing(known)?;
    by_score!(request, run(py, &request, radius, threads))
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pairwise, module)?)?;
    module.add_function(wrap_pyfunction!(topk_py, module)?)?;
    module.add_function(wrap_pyfunction!(within_py, module)?)
}
