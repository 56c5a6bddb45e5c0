//! Softmax retrieval by many heads in one call, and its derivatives. Arrays have three dimensions, the first of which is the head.

use super::edge::{dtype, elements, engine, fresh, level, metric, zeros};
use crate::metric::MetricName;
use crate::pack::{Keys, Scored};
use crate::projection::BLOCK;
use crate::separation::{Real, Separation};
use crate::sink::retrieve::{Retrieval, retrieve_heads};
use crate::sink::slopes::{Head, Slopes, slopes};
use crate::sweep::Search;
use crate::table::{Dtype, Rows};
use numpy::{Element, PyArray1, PyArray2, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The heads' rows: those of an array (heads, rows, columns) of that type.
fn heads<'a>(array: &'a Bound<'_, PyUntypedArray>, name: &str, of: Dtype) -> PyResult<Vec<Rows<'a>>> {
    if array.ndim() != 3 || !array.is_c_contiguous() {
        return Err(PyValueError::new_err(format!("{name} must be a C-contiguous array of three dimensions")));
    }
    if dtype(array)? != of {
        return Err(PyTypeError::new_err(format!("{name} must have the type of the cues, {of:?}")));
    }
    let (count, len, width) = (array.shape()[0], array.shape()[1], array.shape()[2]);
    if count == 0 || len == 0 || width == 0 {
        return Err(PyValueError::new_err(format!("{name} have shape {:?}, expected no 0", array.shape())));
    }
    // SAFETY: NumPy describes the array; it lives as long as the borrowed handle.
    let data = unsafe { (*array.as_array_ptr()).data.cast::<u8>() };
    if !(data as usize).is_multiple_of(of.align()) {
        return Err(PyValueError::new_err(format!("{name} must be aligned")));
    }
    let head = of.bytes(len * width);
    // SAFETY: as above; the heads stand one after another.
    Ok((0..count).map(|h| unsafe { Rows::new(data.wrapping_add(h * head), of, len, width) }).collect())
}

/// What both calls take, checked.
struct Asked<'a> {
    cues: Vec<Rows<'a>>,
    keys: Vec<Rows<'a>>,
    values: Vec<Rows<'a>>,
    metric: MetricName,
    beta: &'a [f64],
    log_weight: Option<&'a [f64]>,
}

impl<'a> Asked<'a> {
    fn new(
        [cues, keys, values]: [&'a Bound<'_, PyUntypedArray>; 3],
        name: &str,
        beta: &'a Bound<'_, PyArray1<f64>>,
        log_weight: Option<&'a Bound<'_, PyArray2<f64>>>,
    ) -> PyResult<Self> {
        let of = dtype(cues)?;
        let (cues, keys, values) = (heads(cues, "cues", of)?, heads(keys, "keys", of)?, heads(values, "values", of)?);
        let beta = elements(beta, "beta")?;
        let log_weight = log_weight.map(|b| elements(b, "log_weight")).transpose()?;
        if cues.len() != keys.len() || cues.len() != values.len() || cues.len() != beta.len() {
            return Err(PyValueError::new_err("cues, keys, values and beta must have as many heads"));
        }
        let n = keys[0].len();
        if keys[0].width() != cues[0].width() || values[0].len() != n {
            return Err(PyValueError::new_err("keys must be as wide as cues and as many as values"));
        }
        if let Some(b) = log_weight {
            if b.len() != n * keys.len() {
                return Err(PyValueError::new_err("log_weight must have an entry for every key"));
            }
            if let Some(at) = b.iter().position(|&b| b.is_nan() || b == f64::INFINITY) {
                return Err(PyValueError::new_err(format!(
                    "log_weight must be finite or -inf, got {} for key {} of head {}",
                    b[at],
                    at % n,
                    at / n
                )));
            }
        }
        Ok(Asked { cues, keys, values, metric: metric(name)?, beta, log_weight })
    }

    /// The weights of a head's keys.
    fn weights(&self, head: usize) -> Option<&'a [f64]> {
        self.log_weight.map(|b| &b[head * self.keys[0].len()..][..self.keys[0].len()])
    }
}

type Read<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray2<f64>>);

#[pyfunction(name = "retrieve_heads")]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn retrieve_heads_py<'py>(
    py: Python<'py>,
    cues: &Bound<'py, PyUntypedArray>,
    keys: &Bound<'py, PyUntypedArray>,
    values: &Bound<'py, PyUntypedArray>,
    metric: &str,
    beta: &Bound<'py, PyArray1<f64>>,
    log_weight: Option<&Bound<'py, PyArray2<f64>>>,
    causal: bool,
    threads: usize,
) -> PyResult<Read<'py>> {
    fn run<'py, E: Scored + Real + Element>(
        py: Python<'py>,
        asked: &Asked<'_>,
        causal: bool,
        threads: usize,
    ) -> PyResult<Read<'py>> {
        let (q, width) = (asked.cues[0].len(), asked.values[0].width());
        let dtype = asked.cues[0].dtype();
        let kernel = E::kernel(level(), asked.metric, dtype, dtype, asked.cues[0].width());
        let sign = if asked.metric.larger_is_better() { 1.0 } else { -1.0 };
        let mut searches = Vec::new();
        for head in 0..asked.cues.len() {
            let keys = Keys::Rows(asked.keys[head]);
            let separation = Separation::parse("softmax", asked.beta[head])?;
            let retrieval = Retrieval::new(separation, asked.values[head], asked.weights(head), sign)?;
            let search = Search::new(kernel, asked.cues[head], keys, width * size_of::<E>(), BLOCK);
            searches.push((search, retrieval.causal(causal)));
        }
        let heads: Vec<_> = searches.iter().map(|(search, retrieval)| (search, retrieval)).collect();
        let out = zeros::<E, 3>(py, [heads.len(), q, width])?;
        let scale = zeros::<f64, 2>(py, [heads.len(), q])?;
        let (rows, scales) = (fresh(&out)?, fresh(&scale)?);
        engine(py, threads, |context| retrieve_heads(context, level(), &heads, rows, scales))?;
        Ok((out.into_any(), scale))
    }
    let asked = Asked::new([cues, keys, values], metric, beta, log_weight)?;
    match asked.cues[0].dtype() {
        Dtype::F32 => run::<f32>(py, &asked, causal, threads),
        Dtype::F64 => run::<f64>(py, &asked, causal, threads),
        other => Err(PyTypeError::new_err(format!("heads take float32 and float64, got {other:?}"))),
    }
}

type Derivatives<'py> =
    (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>);

#[pyfunction(name = "retrieve_heads_backward")]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn retrieve_heads_backward_py<'py>(
    py: Python<'py>,
    grad: &Bound<'py, PyUntypedArray>,
    out: &Bound<'py, PyUntypedArray>,
    log_scale: &Bound<'py, PyArray2<f64>>,
    cues: &Bound<'py, PyUntypedArray>,
    keys: &Bound<'py, PyUntypedArray>,
    values: &Bound<'py, PyUntypedArray>,
    metric: &str,
    beta: &Bound<'py, PyArray1<f64>>,
    log_weight: Option<&Bound<'py, PyArray2<f64>>>,
    causal: bool,
    threads: usize,
) -> PyResult<Derivatives<'py>> {
    fn run<'py, E: Scored + Real + Element>(
        py: Python<'py>,
        metric: MetricName,
        heads: &[Head<'_>],
        causal: bool,
        threads: usize,
    ) -> PyResult<Derivatives<'py>> {
        let Head { cues, keys, values, .. } = heads[0];
        let (count, n) = (heads.len(), keys.len());
        let to_cues = zeros::<E, 3>(py, [count, cues.len(), cues.width()])?;
        let to_keys = zeros::<E, 3>(py, [count, n, keys.width()])?;
        let to_values = zeros::<E, 3>(py, [count, n, values.width()])?;
        let (beta, log_weight) = (zeros::<f64, 1>(py, [count])?, zeros::<f64, 2>(py, [count, n])?);
        let into = Slopes {
            cues: fresh(&to_cues)?,
            keys: fresh(&to_keys)?,
            values: fresh(&to_values)?,
            beta: fresh(&beta)?,
            log_weight: fresh(&log_weight)?,
        };
        engine(py, threads, |context| slopes(context, level(), metric, heads, causal, into))?;
        Ok((to_cues.into_any(), to_keys.into_any(), to_values.into_any(), beta, log_weight))
    }
    let asked = Asked::new([cues, keys, values], metric, beta, log_weight)?;
    let (q, width, of) = (asked.cues[0].len(), asked.values[0].width(), asked.cues[0].dtype());
    let (out, grad) = (heads(out, "out", of)?, heads(grad, "grad", of)?);
    let scale = elements(log_scale, "log_scale")?;
    let same = |rows: &[Rows]| rows.len() == asked.cues.len() && rows[0].len() == q && rows[0].width() == width;
    if !same(&out) || !same(&grad) || scale.len() != q * asked.cues.len() {
        return Err(PyValueError::new_err("out, grad and log_scale must have the shape of what was read"));
    }
    let head = |h: usize| Head {
        cues: asked.cues[h],
        keys: asked.keys[h],
        values: asked.values[h],
        beta: asked.beta[h],
        log_weight: asked.weights(h),
        out: out[h],
        log_scale: &scale[h * q..][..q],
        grad: grad[h],
    };
    let all: Vec<_> = (0..asked.cues.len()).map(head).collect();
    match of {
        Dtype::F32 => run::<f32>(py, asked.metric, &all, causal, threads),
        Dtype::F64 => run::<f64>(py, asked.metric, &all, causal, threads),
        other => Err(PyTypeError::new_err(format!("heads take float32 and float64, got {other:?}"))),
    }
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(retrieve_heads_py, module)?)?;
    module.add_function(wrap_pyfunction!(retrieve_heads_backward_py, module)?)
}
