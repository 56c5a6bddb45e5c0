//! What every call does at the edge: arrays read, the engine called with the interpreter released, errors told.

use crate::error::Error;
use crate::metric::MetricName;
use crate::parallel::Context;
use crate::simd::Level;
use crate::table::{Dtype, Rows};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::cell::RefCell;
use std::sync::OnceLock;

static LEVEL: OnceLock<Level> = OnceLock::new();

/// Chooses the instruction set, once and for all calls: the best one, or that which `AMFAST_ISA` names.
pub(super) fn choose() -> PyResult<()> {
    let level = Level::detect(std::env::var("AMFAST_ISA").ok().as_deref())?;
    LEVEL.get_or_init(|| level);
    Ok(())
}

/// The instruction set of all calls.
pub(super) fn level() -> Level {
    LEVEL.get().copied().unwrap_or(Level::Portable)
}

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        match error {
            Error::OutOfMemory(_) => PyMemoryError::new_err(error.to_string()),
            _ => PyValueError::new_err(error.to_string()),
        }
    }
}

/// Calls the engine with the interpreter released. Signals are looked at while it works; what a handler raises ends the call.
pub(super) fn engine<R: Send>(
    py: Python<'_>,
    threads: usize,
    call: impl FnOnce(&Context) -> Result<R, Error> + Send,
) -> PyResult<R> {
    if threads == 0 {
        return Err(PyValueError::new_err("threads must be at least 1, got 0"));
    }
    let (result, raised) = py.detach(|| {
        let raised: RefCell<Option<PyErr>> = RefCell::new(None);
        let poll = || match Python::attach(|py| py.check_signals()) {
            Ok(()) => false,
            Err(error) => {
                raised.borrow_mut().get_or_insert(error);
                true
            }
        };
        let result = call(&Context { threads, poll: &poll });
        (result, raised.into_inner())
    });
    match (result, raised) {
        (Err(Error::Interrupted), Some(error)) => Err(error),
        (result, None) => Ok(result?),
        (_, Some(error)) => Err(error),
    }
}

/// How an array stores its elements.
pub(super) fn dtype(array: &Bound<'_, PyUntypedArray>) -> PyResult<Dtype> {
    let descr = array.dtype();
    match (descr.kind(), descr.itemsize()) {
        (b'f', 4) => Ok(Dtype::F32),
        (b'f', 8) => Ok(Dtype::F64),
        (b'f', 2) => Ok(Dtype::F16),
        (b'u', 1) => Ok(Dtype::U8),
        (b'i', 1) => Ok(Dtype::I8),
        _ => Err(PyTypeError::new_err(format!(
            "the engine takes float16, float32, float64, uint8 and int8 arrays, got {descr}"
        ))),
    }
}

/// An array that Python keeps alive and, having handed it to a call, does not change until the call returns: the same
/// understanding that NumPy's own functions have with threads that write to their inputs.
pub(super) fn rows<'a>(array: &'a Bound<'_, PyUntypedArray>, name: &str) -> PyResult<Rows<'a>> {
    if array.ndim() != 2 || !array.is_c_contiguous() {
        return Err(PyValueError::new_err(format!("{name} must be a C-contiguous array of two dimensions")));
    }
    let (len, width) = (array.shape()[0], array.shape()[1]);
    if width == 0 {
        return Err(PyValueError::new_err(format!("{name} have 0 columns, expected at least 1")));
    }
    let dtype = dtype(array)?;
    // SAFETY: NumPy describes the array; it lives as long as the borrowed handle.
    unsafe {
        let data = (*array.as_array_ptr()).data.cast::<u8>();
        if !(data as usize).is_multiple_of(dtype.align()) {
            return Err(PyValueError::new_err(format!("{name} must be aligned")));
        }
        Ok(Rows::new(data, dtype, len, width))
    }
}

/// Rows of packed bits as the numbers -1 and 1.
pub(super) fn bipolar<'a>(array: &'a Bound<'_, PyUntypedArray>, n_bits: usize) -> PyResult<Rows<'a>> {
    let bytes = rows(array, "values")?;
    if bytes.dtype() != Dtype::U8 || bytes.width() != n_bits.div_ceil(8) {
        return Err(PyValueError::new_err(format!(
            "values of {n_bits} bits must be uint8 in {} columns, got {:?} in {}",
            n_bits.div_ceil(8),
            bytes.dtype(),
            bytes.width()
        )));
    }
    // SAFETY: the same memory, of which every row has the bytes that its bits take.
    Ok(unsafe { Rows::new(bytes.row(0), Dtype::Bipolar, bytes.len(), n_bits) })
}

/// The metric of that name.
pub(super) fn metric(name: &str) -> PyResult<MetricName> {
    MetricName::parse(name).ok_or_else(|| PyValueError::new_err(format!("metric {name:?} is unknown")))
}
