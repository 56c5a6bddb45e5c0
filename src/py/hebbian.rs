//! Sums of outer products.

use super::edge::{Out, elements, engine, level, rows};
use crate::error::{Error, Side};
use crate::hebbian::{Patterns, Signs, hebbian, hebbian_signs};
use crate::pack::Scored;
use crate::sink::sum::{Entry, Total};
use crate::table::turned::Source;
use crate::table::{Dtype, Rows};
use numpy::{Element, PyArray1, PyArray2, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// Says what was wrong in the words of this call's arguments.
fn told(error: Error, integers: bool) -> Error {
    match error {
        Error::NonFinite(side, row) => {
            let name = if side == Side::Key { "X" } else { "Y" };
            Error::Argument(format!("{name} row {row} has a NaN or infinite entry"))
        }
        Error::ScoreOverflow if integers => Error::Argument(
            "an entry of the sum leaves int32, -2147483648 to 2147483647; pass X.astype(float) for a sum in float64".to_owned(),
        ),
        Error::ScoreOverflow => Error::Argument(
            "an entry of the sum is too large for its type, although X, Y and weights are finite; scale them or use float64"
                .to_owned(),
        ),
        other => other,
    }
}

/// Adds up in double precision if `double` says so, and over chunks in the type of `out`.
#[pyfunction(name = "hebbian")]
#[allow(clippy::too_many_arguments)] // The Python signature.
#[pyo3(signature = (x, y, weights, out, add, double, threads))]
fn hebbian_py(
    py: Python<'_>,
    x: &Bound<'_, PyUntypedArray>,
    y: Option<&Bound<'_, PyUntypedArray>>,
    weights: Option<&Bound<'_, PyArray1<f64>>>,
    out: &Bound<'_, PyUntypedArray>,
    add: bool,
    double: bool,
    threads: usize,
) -> PyResult<()> {
    let x = rows(x, "X")?;
    let y = y.map(|y| rows(y, "Y")).transpose()?;
    let weights = weights.map(|w| elements(w, "weights")).transpose()?;
    if y.is_some_and(|y| y.len() != x.len()) || weights.is_some_and(|w| w.len() != x.len()) {
        return Err(PyValueError::new_err("Y and weights must have as many rows as X"));
    }
    let is_double = |rows: Rows<'_>| rows.dtype() == Dtype::F64;
    if !double && (is_double(x) || y.is_some_and(is_double)) {
        return Err(PyTypeError::new_err("float64 is not added up in float32"));
    }
    let call = Call { patterns: Patterns { x, y, weights }, out, add, threads };
    let descr = out.dtype();
    match (double, descr.kind(), descr.itemsize()) {
        (false, b'f', 4) => call.run::<f32, f32, f32>(py),
        (false, b'f', 8) => call.run::<f32, f64, f64>(py),
        (false, b'i', 4) => call.run::<f32, i64, i32>(py),
        (true, b'f', 8) => call.run::<f64, f64, f64>(py),
        (true, b'i', 4) => call.run::<f64, i64, i32>(py),
        _ => Err(PyTypeError::new_err(format!("out has the wrong dtype {descr}"))),
    }
}

struct Call<'a, 'py> {
    patterns: Patterns<'a>,
    out: &'a Bound<'py, PyUntypedArray>,
    add: bool,
    threads: usize,
}

impl Call<'_, '_> {
    fn run<T: Scored, A: Total<T>, O: Element + Entry<A>>(&self, py: Python<'_>) -> PyResult<()> {
        let out = self.out.cast::<PyArray2<O>>().map_err(|_| PyTypeError::new_err("out has the wrong dtype"))?;
        let (o, d) = self.patterns.shape();
        if out.shape() != [o, d] {
            return Err(PyValueError::new_err("out has the wrong shape"));
        }
        let mut out = Out::new(out, "out")?;
        let out = out.slice()?;
        let &Call { patterns, add, threads, .. } = self;
        let integers = self.out.dtype().kind() == b'i';
        let told = |error| told(error, integers);
        engine(py, threads, |context| hebbian::<T, A, O>(context, level(), patterns, out, add).map_err(told))
    }
}

/// Patterns of signs: packed bits if their number is told, else int8.
fn signs<'a>(array: &'a Bound<'_, PyUntypedArray>, n_bits: Option<usize>, name: &str) -> PyResult<Source<'a>> {
    let rows = rows(array, name)?;
    match (rows.dtype(), n_bits) {
        (Dtype::U8, Some(n_bits)) if rows.width() == n_bits.div_ceil(8) => Ok(Source::Packed(rows, n_bits)),
        (Dtype::I8, None) => Ok(Source::Bytes(rows)),
        (dtype, _) => Err(PyTypeError::new_err(format!("{name} must be packed bits or int8, got {dtype:?}"))),
    }
}

/// False, with `out` undefined, if int8 patterns have other values than -1 and 1. The caller has seen to it that sums fit.
#[pyfunction(name = "hebbian_signs")]
#[allow(clippy::too_many_arguments)] // The Python signature.
#[pyo3(signature = (x, x_bits, y, y_bits, minus, out, add, threads))]
fn hebbian_signs_py(
    py: Python<'_>,
    x: &Bound<'_, PyUntypedArray>,
    x_bits: Option<usize>,
    y: Option<&Bound<'_, PyUntypedArray>>,
    y_bits: Option<usize>,
    minus: Option<&Bound<'_, PyArray1<bool>>>,
    out: &Bound<'_, PyArray2<i32>>,
    add: bool,
    threads: usize,
) -> PyResult<bool> {
    let x = signs(x, x_bits, "X")?;
    let y = y.map(|y| signs(y, y_bits, "Y")).transpose()?;
    let minus = minus.map(|m| elements(m, "minus")).transpose()?;
    if y.is_some_and(|y| y.len() != x.len()) || minus.is_some_and(|m| m.len() != x.len()) {
        return Err(PyValueError::new_err("Y and minus must have as many rows as X"));
    }
    if out.shape() != [y.unwrap_or(x).width(), x.width()] {
        return Err(PyValueError::new_err("out has the wrong shape"));
    }
    let mut out = Out::new(out, "out")?;
    let out = out.slice()?;
    let signs = Signs { x, y, minus };
    engine(py, threads, |context| hebbian_signs(context, level(), signs, out, add).map_err(|error| told(error, true)))
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(hebbian_py, module)?)?;
    module.add_function(wrap_pyfunction!(hebbian_signs_py, module)?)
}
