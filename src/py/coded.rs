//! Keys as bytes, for searches that begin with those: the same answers, sooner.

use super::edge::{engine, fresh, level, metric, rows, zeros};
use super::keys::{ANY, AnyKeys, AnyPanels, Of, Request};
use super::retrieve::Answer;
use super::search::{Csr, Pair, csr};
use crate::coded::{Bounded, Coded, Codes, retrieve, topk, within};
use crate::separation::Separation;
use crate::table::{Dtype, Rows};
use numpy::{Element, PyUntypedArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The codes of some rows. They never change; those of more rows are other codes.
#[pyclass(frozen, name = "Codes", module = "amfast._core")]
pub(super) struct PyCodes {
    pub(super) codes: Codes,
}

#[pymethods]
impl PyCodes {
    /// Codes of these rows and more behind them, `array` being all of them; None where they have none.
    fn extended(&self, array: &Bound<'_, PyUntypedArray>, threads: usize) -> PyResult<Option<Self>> {
        let rows = rows(array, "keys")?;
        if rows.width() != self.codes.width() || rows.len() < self.codes.len() {
            return Err(PyValueError::new_err("keys must be those that are coded and more"));
        }
        let codes = engine(array.py(), threads, |context| self.codes.extended(context, level(), &rows))?;
        Ok(codes.map(|codes| PyCodes { codes }))
    }

    fn __len__(&self) -> usize {
        self.codes.len()
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.codes.bytes()
    }
}

/// Codes of rows for a metric; None where they have none that bound its scores.
#[pyfunction]
fn coded(array: &Bound<'_, PyUntypedArray>, metric: &str, threads: usize) -> PyResult<Option<PyCodes>> {
    let (rows, metric) = (rows(array, "keys")?, self::metric(metric)?);
    let codes = engine(array.py(), threads, |context| Codes::new(context, level(), metric, &rows))?;
    Ok(codes.map(|codes| PyCodes { codes }))
}

/// A request and what goes with it.
struct Asked<'a> {
    request: Request<'a>,
    rows: Rows<'a>,
    codes: &'a Codes,
}

impl<'a> Asked<'a> {
    fn new(request: Request<'a>, array: &'a Bound<'_, PyUntypedArray>, codes: &'a PyCodes) -> PyResult<Self> {
        let (rows, codes) = (rows(array, "rows")?, &codes.codes);
        let len = request.len();
        if [rows.width(), codes.width()] != [request.queries.width(); 2] || [rows.len(), codes.len()] != [len; 2] {
            return Err(PyValueError::new_err("keys, rows and codes must be of the same rows"));
        }
        if codes.metric() != request.metric || request.exact || request.narrows() {
            return Err(PyTypeError::new_err("the codes are of another metric, or keys of no floats"));
        }
        Ok(Asked { request, rows, codes })
    }

    fn coded<T: Bounded>(&self) -> Coded<'_, T>
    where
        AnyPanels: Of<T>,
    {
        let search = self.request.search::<T>(0, ANY);
        Coded {
            queries: self.request.queries,
            rows: self.rows,
            keys: search.keys,
            kernel: search.kernel,
            codes: self.codes,
        }
    }
}

/// Runs one generic call for the score type of a request.
macro_rules! by_float {
    ($asked:expr, $call:ident($($argument:expr),*)) => {
        if $asked.request.queries.dtype() == Dtype::F32 {
            $call::<f32>($($argument),*)
        } else {
            $call::<f64>($($argument),*)
        }
    };
}

#[pyfunction(name = "topk_coded")]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn topk_py<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyUntypedArray>,
    keys: AnyKeys<'py>,
    rows: &Bound<'py, PyUntypedArray>,
    codes: &Bound<'py, PyCodes>,
    k: usize,
    metric: &str,
    threads: usize,
) -> PyResult<Pair<'py>> {
    fn run<'py, T: Bounded + Element>(
        py: Python<'py>,
        asked: &Asked<'_>,
        k: usize,
        threads: usize,
    ) -> PyResult<Pair<'py>>
    where
        AnyPanels: Of<T>,
    {
        let coded = asked.coded::<T>();
        let (q, n) = (coded.queries.len(), coded.rows.len());
        if k == 0 || k > n {
            return Err(PyValueError::new_err(format!("k must be between 1 and {n}, got {k}")));
        }
        let (scores, indices) = (zeros::<T, 2>(py, [q, k])?, zeros::<i64, 2>(py, [q, k])?);
        let (best, at) = (fresh(&scores)?, fresh(&indices)?);
        engine(py, threads, |context| topk(context, level(), &coded, k, best, at))?;
        Ok((scores.into_any(), indices.into_any()))
    }
    let asked = Asked::new(Request::new(queries, &keys, metric)?, rows, codes.get())?;
    by_float!(asked, run(py, &asked, k, threads))
}

#[pyfunction(name = "within_coded")]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn within_py<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyUntypedArray>,
    keys: AnyKeys<'py>,
    rows: &Bound<'py, PyUntypedArray>,
    codes: &Bound<'py, PyCodes>,
    radius: f64,
    metric: &str,
    threads: usize,
) -> PyResult<Csr<'py>> {
    fn run<'py, T: Bounded + Element>(
        py: Python<'py>,
        asked: &Asked<'_>,
        radius: f64,
        threads: usize,
    ) -> PyResult<Csr<'py>>
    where
        AnyPanels: Of<T>,
    {
        let coded = asked.coded::<T>();
        csr::<T, T>(py, threads, |context| within(context, level(), &coded, radius))
    }
    let asked = Asked::new(Request::new(queries, &keys, metric)?, rows, codes.get())?;
    by_float!(asked, run(py, &asked, radius, threads))
}

#[pyfunction(name = "retrieve_coded")]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn retrieve_py<'py>(
    py: Python<'py>,
    cues: &Bound<'py, PyUntypedArray>,
    keys: AnyKeys<'py>,
    rows: &Bound<'py, PyUntypedArray>,
    codes: &Bound<'py, PyCodes>,
    values: &Bound<'py, PyUntypedArray>,
    metric: &str,
    separation: &str,
    param: f64,
    threads: usize,
) -> PyResult<Answer<'py>> {
    fn run<'py, E: Bounded + Element>(
        py: Python<'py>,
        asked: &Asked<'_>,
        reading: (Separation, Rows<'_>),
        threads: usize,
    ) -> PyResult<Answer<'py>>
    where
        AnyPanels: Of<E>,
    {
        let coded = asked.coded::<E>();
        let (q, width) = (coded.queries.len(), reading.1.width());
        let (out, scale) = (zeros::<E, 2>(py, [q, width])?, zeros::<f64, 1>(py, [q])?);
        let (means, scales) = (fresh(&out)?, fresh(&scale)?);
        engine(py, threads, |context| retrieve(context, level(), &coded, reading, means, scales))?;
        Ok((out.into_any(), scale))
    }
    let asked = Asked::new(Request::new(cues, &keys, metric)?, rows, codes.get())?;
    let values = super::edge::rows(values, "values")?;
    if values.len() != asked.rows.len() {
        return Err(PyValueError::new_err("values must have as many rows as keys"));
    }
    let reading = (Separation::parse(separation, param)?, values);
    by_float!(asked, run(py, &asked, reading, threads))
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyCodes>()?;
    module.add_function(wrap_pyfunction!(coded, module)?)?;
    module.add_function(wrap_pyfunction!(topk_py, module)?)?;
    module.add_function(wrap_pyfunction!(within_py, module)?)?;
    module.add_function(wrap_pyfunction!(retrieve_py, module)?)
}
