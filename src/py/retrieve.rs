//! Scores, weights and weighted values in one call.

use super::edge::{bipolar, elements, engine, fresh, level, rows, zeros};
use super::keys::{AnyKeys, AnyPanels, Of, Request};
use crate::metric::{Given, Kind};
use crate::pack::Scored;
use crate::projection::BLOCK;
use crate::separation::{Real, Separation, Threshold};
use crate::sink::retrieve::{Retrieval, retrieve};
use crate::table::{Dtype, Rows};
use numpy::{Element, PyArray1, PyUntypedArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The longest rows of packed bits whose counts are all exact in an f32.
const EXACT_BYTES: usize = (1 << 24) / 8;

pub(super) type Answer<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<f64>>);

#[pyfunction(name = "retrieve")]
#[allow(clippy::too_many_arguments)] // The Python signature.
#[pyo3(signature = (cues, keys, values, metric, separation, param, log_weight, threads, value_bits=None, known=None))]
fn retrieve_py<'py>(
    py: Python<'py>,
    cues: &Bound<'py, PyUntypedArray>,
    keys: AnyKeys<'py>,
    values: Option<&Bound<'py, PyUntypedArray>>,
    metric: &str,
    separation: &str,
    param: f64,
    log_weight: Option<&Bound<'py, PyArray1<f64>>>,
    threads: usize,
    value_bits: Option<usize>,
    known: Option<&Bound<'py, PyUntypedArray>>,
) -> PyResult<Answer<'py>> {
    fn run<'py, E: Scored + Real + Element>(
        py: Python<'py>,
        request: &Request<'_>,
        values: Rows<'_>,
        separation: Separation,
        log_weight: Option<&[f64]>,
        threads: usize,
    ) -> PyResult<Answer<'py>>
    where
        AnyPanels: Of<E>,
    {
        let search = request.search::<E>(values.width() * size_of::<E>(), BLOCK);
        if values.len() != search.keys.len() || log_weight.is_some_and(|w| w.len() != search.keys.len()) {
            return Err(PyValueError::new_err("values and log_weight must have as many rows as keys"));
        }
        let sign = if request.metric.larger_is_better() { 1.0 } else { -1.0 };
        let retrieval = Retrieval::<E>::new(separation, values, log_weight, sign)?;
        let out = zeros::<E, 2>(py, [search.queries.len(), values.width()])?;
        let scale = zeros::<f64, 1>(py, [search.queries.len()])?;
        let (rows, scales) = (fresh(&out)?, fresh(&scale)?);
        engine(py, threads, |context| retrieve(context, level(), &search, &retrieval, rows, scales))?;
        Ok((out.into_any(), scale))
    }
    let request = Request::new(cues, &keys, metric)?.knowing(known)?;
    let own = match &keys {
        AnyKeys::Rows(array) if request.metric.kind() != Kind::Bits => Some(array),
        _ => None,
    };
    let Some(values) = values.or(own) else {
        return Err(PyValueError::new_err("packed keys and bits need values"));
    };
    let values = match value_bits {
        Some(n_bits) => bipolar(values, n_bits)?,
        None => rows(values, "values")?,
    };
    let separation = match Separation::parse(separation, param)? {
        // Inside is what is given out as such.
        Separation::Threshold(Threshold(radius)) if request.narrows() => {
            Threshold(<f64 as Given<f32>>::given_above(radius).next_down()).into()
        }
        other => other,
    };
    let log_weight = log_weight.map(|w| elements(w, "log_weight")).transpose()?;
    let dtype = match request.queries.dtype() {
        // Counts are floats from here on: of the values' type, if that holds every count.
        Dtype::U8 if request.exact && request.metric.kind() == Kind::Bits => {
            let wide = values.dtype() == Dtype::F64 || request.queries.width() > EXACT_BYTES;
            if wide { Dtype::F64 } else { Dtype::F32 }
        }
        other => other,
    };
    match dtype {
        Dtype::F32 => run::<f32>(py, &request, values, separation, log_weight, threads),
        Dtype::F64 => run::<f64>(py, &request, values, separation, log_weight, threads),
        // Bytes, whose exact scores f64 holds.
        Dtype::U8 | Dtype::I8 => run::<f64>(py, &request, values, separation, log_weight, threads),
        other => Err(PyTypeError::new_err(format!("retrieval takes no {other:?} cues"))),
    }
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(retrieve_py, module)?)
}
