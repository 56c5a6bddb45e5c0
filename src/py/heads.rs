//! Softmax retrieval by many heads in one call, and its derivatives. Arrays have three dimensions, the first of which is the head.

use super::edge::{Out, data, dtype, elements, engine, level, metric};
use crate::metric::MetricName;
use crate::pack::{Keys, Scored};
use crate::projection::BLOCK;
use crate::separation::{Real, Separation};
use crate::sink::retrieve::{Retrieval, retrieve_heads};
use crate::sink::slopes::{Head, Slopes, slopes};
use crate::sweep::Search;
use crate::table::{Dtype, Rows};
use numpy::ndarray::{Dimension, Ix1, Ix2, Ix3};
use numpy::{Element, PyArray, PyArray1, PyArray2, PyUntypedArray, PyUntypedArrayMethods};
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
    let data = data(array, of, name)?;
    let head = of.bytes(len * width);
    // SAFETY: NumPy describes the array, which lives as long as the borrowed handle; the heads stand one after another.
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

/// An array of that type and shape, to be written to.
fn room<'a, 'py, T: Element, D: Dimension>(
    array: &'a Bound<'py, PyUntypedArray>,
    shape: &[usize],
    name: &str,
) -> PyResult<Out<'a, 'py, T, D>> {
    let wrong = || PyValueError::new_err(format!("{name} must have shape {shape:?} and the right type"));
    let array = array.cast::<PyArray<T, D>>().map_err(|_| wrong())?;
    if array.shape() == shape { Out::new(array, name) } else { Err(wrong()) }
}

/// Runs a generic call for the type of the cues.
macro_rules! by_type {
    ($asked:expr, $call:ident($($argument:expr),*)) => {
        match $asked.cues[0].dtype() {
            Dtype::F32 => $call::<f32>($($argument),*),
            Dtype::F64 => $call::<f64>($($argument),*),
            other => Err(PyTypeError::new_err(format!("heads take float32 and float64, got {other:?}"))),
        }
    };
}

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
    out: &Bound<'py, PyUntypedArray>,
    log_scale: &Bound<'py, PyUntypedArray>,
) -> PyResult<()> {
    fn run<E: Scored + Real + Element>(
        py: Python<'_>,
        asked: &Asked<'_>,
        causal: bool,
        threads: usize,
        [out, log_scale]: [&Bound<'_, PyUntypedArray>; 2],
    ) -> PyResult<()> {
        let (count, q, width) = (asked.cues.len(), asked.cues[0].len(), asked.values[0].width());
        let dtype = asked.cues[0].dtype();
        let kernel = E::kernel(level(), asked.metric, dtype, dtype, asked.cues[0].width());
        let sign = if asked.metric.larger_is_better() { 1.0 } else { -1.0 };
        let mut searches = Vec::new();
        for head in 0..count {
            let keys = Keys::Rows(asked.keys[head]);
            let separation = Separation::parse("softmax", asked.beta[head])?;
            let retrieval = Retrieval::new(separation, asked.values[head], asked.weights(head), sign)?;
            let search = Search::new(kernel, asked.cues[head], keys, width * size_of::<E>(), BLOCK);
            searches.push((search, retrieval.causal(causal)));
        }
        let heads: Vec<_> = searches.iter().map(|(search, retrieval)| (search, retrieval)).collect();
        let mut out = room::<E, Ix3>(out, &[count, q, width], "out")?;
        let mut scale = room::<f64, Ix2>(log_scale, &[count, q], "log_scale")?;
        let (rows, scales) = (out.slice()?, scale.slice()?);
        engine(py, threads, |context| retrieve_heads(context, level(), &heads, rows, scales))
    }
    let asked = Asked::new([cues, keys, values], metric, beta, log_weight)?;
    by_type!(asked, run(py, &asked, causal, threads, [out, log_scale]))
}

/// Where derivatives go: by cues, keys, values, beta and log-weights.
type Into<'py> = [Bound<'py, PyUntypedArray>; 5];

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
    into: Into<'py>,
) -> PyResult<()> {
    fn run<E: Scored + Real + Element>(
        py: Python<'_>,
        metric: MetricName,
        heads: &[Head<'_>],
        causal: bool,
        threads: usize,
        into: &Into<'_>,
    ) -> PyResult<()> {
        let Head { cues, keys, values, .. } = heads[0];
        let (count, q, n) = (heads.len(), cues.len(), keys.len());
        let [to_cues, to_keys, to_values, to_beta, to_log_weight] = into;
        let mut to_cues = room::<E, Ix3>(to_cues, &[count, q, cues.width()], "the gradient of cues")?;
        let mut to_keys = room::<E, Ix3>(to_keys, &[count, n, keys.width()], "the gradient of keys")?;
        let mut to_values = room::<E, Ix3>(to_values, &[count, n, values.width()], "the gradient of values")?;
        let mut to_beta = room::<f64, Ix1>(to_beta, &[count], "the gradient of beta")?;
        let mut to_log_weight = room::<f64, Ix2>(to_log_weight, &[count, n], "the gradient of log_weight")?;
        let into = Slopes {
            cues: to_cues.slice()?,
            keys: to_keys.slice()?,
            values: to_values.slice()?,
            beta: to_beta.slice()?,
            log_weight: to_log_weight.slice()?,
        };
        engine(py, threads, |context| slopes(context, level(), metric, heads, causal, into))
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
    by_type!(asked, run(py, asked.metric, &all, causal, threads, &into))
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(retrieve_heads_py, module)?)?;
    module.add_function(wrap_pyfunction!(retrieve_heads_backward_py, module)?)
}
