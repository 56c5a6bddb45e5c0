//! What every call does at the edge: arrays read, the engine called with the interpreter released, errors told.

use crate::error::Error;
use crate::metric::MetricName;
use crate::parallel::Context;
use crate::simd::Level;
use crate::table::{Dtype, Rows};
use numpy::ndarray::{Dim, Dimension, IntoDimension};
use numpy::npyffi::{_PyArray_GET_ITEM_DATA, NPY_ARRAY_WRITEABLE, PY_ARRAY_API, npy_intp};
use numpy::{Element, PyArray, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, OnceLock};

/// The instruction set, or what is wrong with the one that was asked for.
static LEVEL: OnceLock<Result<Level, Error>> = OnceLock::new();

/// Chooses the instruction set, once and for all calls: the best one, or that which `AMFAST_ISA` names. A name that is none
/// is told by the first call, not to who only imports.
pub(super) fn chosen() -> PyResult<Level> {
    LEVEL.get_or_init(|| Level::detect(std::env::var("AMFAST_ISA").ok().as_deref())).clone().map_err(PyErr::from)
}

/// The instruction set of all calls, of which [`engine`] lets none begin without one.
pub(super) fn level() -> Level {
    chosen().unwrap_or(Level::Portable)
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
    chosen()?;
    if threads == 0 {
        return Err(PyValueError::new_err("threads must be at least 1, got 0"));
    }
    let (result, raised) = py.detach(|| {
        let raised: Mutex<Option<PyErr>> = Mutex::new(None);
        let poll = || match Python::attach(|py| py.check_signals()) {
            Ok(()) => false,
            Err(error) => {
                locked(&raised).get_or_insert(error);
                true
            }
        };
        let result = call(&Context { threads, poll: &poll });
        (result, raised.into_inner().unwrap_or_else(|e| e.into_inner()))
    });
    match (result, raised) {
        (Err(Error::Interrupted), Some(error)) => Err(error),
        (result, None) => Ok(result?),
        (_, Some(error)) => Err(error),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// A new array of zeros, which NumPy may have no memory for.
pub(super) fn zeros<T: Element, const N: usize>(
    py: Python<'_>,
    shape: [usize; N],
) -> PyResult<Bound<'_, PyArray<T, Dim<[usize; N]>>>>
where
    [usize; N]: IntoDimension<Dim = Dim<[usize; N]>>,
    Dim<[usize; N]>: Dimension,
{
    // Products of sizes are checked by NumPy, sizes beyond its integers are nowhere to be had.
    let Ok(mut lengths) = shape.iter().map(|&n| npy_intp::try_from(n)).collect::<Result<Vec<_>, _>>() else {
        return Err(PyMemoryError::new_err(format!("an array of shape {shape:?} could not be allocated")));
    };
    // SAFETY: NumPy takes the type over, and gives an array of that type and shape or an error.
    unsafe {
        let dtype = T::get_dtype(py).into_dtype_ptr();
        let array = PY_ARRAY_API.PyArray_Zeros(py, N as i32, lengths.as_mut_ptr(), dtype, 0);
        Ok(Bound::from_owned_ptr_or_err(py, array)?.cast_into_unchecked())
    }
}

/// The elements of an array that nobody else has seen yet; asked for once.
#[allow(clippy::mut_from_ref)] // What is borrowed is the handle, not the memory.
pub(super) fn fresh<'a, T: Element, D: Dimension>(array: &'a Bound<'_, PyArray<T, D>>) -> PyResult<&'a mut [T]> {
    // SAFETY: the array was made in this call.
    Ok(unsafe { array.as_slice_mut()? })
}

/// A new array of what an iterator of known length yields.
pub(super) fn listed<T: Element>(
    py: Python<'_>,
    values: impl ExactSizeIterator<Item = T>,
) -> PyResult<Bound<'_, PyArray<T, Dim<[usize; 1]>>>> {
    let array = zeros::<T, 1>(py, [values.len()])?;
    for (to, value) in fresh(&array)?.iter_mut().zip(values) {
        *to = value;
    }
    Ok(array)
}

/// The elements of an array that is read; as for [`rows`], nobody is expected to change it meanwhile.
pub(super) fn elements<'a, T: Element, D: Dimension>(
    array: &'a Bound<'_, PyArray<T, D>>,
    name: &str,
) -> PyResult<&'a [T]> {
    // SAFETY: NumPy describes the array, of which `as_slice` asks that it is contiguous and aligned; it lives as long as the
    // borrowed handle.
    unsafe { array.as_slice() }.map_err(|_| PyValueError::new_err(format!("{name} must be C-contiguous and aligned")))
}

/// Memory that calls of this process are writing to. Who holds this lock is attached to the interpreter and does not detach
/// meanwhile: a fork, which holds Python's own lock or waits until all others are detached, finds it open.
static WRITTEN: Mutex<(u32, Vec<Range<usize>>)> = Mutex::new((0, Vec::new()));

/// An array that a call writes to, and no other call meanwhile.
pub(super) struct Out<'a, 'py, T, D> {
    array: &'a Bound<'py, PyArray<T, D>>,
    memory: Range<usize>,
}

impl<'a, 'py, T: Element, D: Dimension> Out<'a, 'py, T, D> {
    pub(super) fn new(array: &'a Bound<'py, PyArray<T, D>>, name: &str) -> PyResult<Self> {
        let wrong = |text: &str| Err(PyValueError::new_err(format!("{name} {text}")));
        // SAFETY: NumPy describes the array.
        let flags = unsafe { (*_PyArray_GET_ITEM_DATA(array.as_array_ptr())).flags };
        if flags & NPY_ARRAY_WRITEABLE == 0 {
            return wrong("must be writeable");
        }
        let start = elements(array, name)?.as_ptr() as usize;
        let memory = start..start + array.len() * size_of::<T>();
        let mut written = locked(&WRITTEN);
        // What threads of the parent were writing to when it forked is nobody's here.
        let process = std::process::id();
        if written.0 != process {
            *written = (process, Vec::new());
        }
        if written.1.iter().any(|other| other.start < memory.end && memory.start < other.end) {
            return wrong("is being written to by another call; give each call an array of its own");
        }
        written.1.push(memory.clone());
        Ok(Out { array, memory })
    }

    pub(super) fn slice(&mut self) -> PyResult<&mut [T]> {
        // SAFETY: nobody else writes here, by WRITTEN, and reading it meanwhile is against the understanding of `rows`.
        Ok(unsafe { self.array.as_slice_mut()? })
    }
}

impl<T, D> Drop for Out<'_, '_, T, D> {
    fn drop(&mut self) {
        let mut written = locked(&WRITTEN);
        if let Some(at) = written.1.iter().position(|memory| *memory == self.memory) {
            written.1.swap_remove(at);
        }
    }
}

/// How an array stores its elements.
pub(super) fn dtype(array: &Bound<'_, PyUntypedArray>) -> PyResult<Dtype> {
    let descr = array.dtype();
    match (descr.kind(), descr.itemsize()) {
        (b'f', 4) => Ok(Dtype::F32),
        (b'f', 8) => Ok(Dtype::F64),
        (b'f', 2) => Ok(Dtype::F16),
        // NumPy has no bfloat16; its bits come as whole numbers, which the engine scores nowhere.
        (b'u', 2) => Ok(Dtype::BF16),
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
    let data = data(array, dtype, name)?;
    // SAFETY: NumPy describes the array; it lives as long as the borrowed handle.
    Ok(unsafe { Rows::new(data, dtype, len, width) })
}

/// Where the elements of an array begin, in step with their type.
pub(super) fn data(array: &Bound<'_, PyUntypedArray>, dtype: Dtype, name: &str) -> PyResult<*mut u8> {
    // SAFETY: the interpreter is attached, and the handle is that of an array.
    let data = unsafe { (*_PyArray_GET_ITEM_DATA(array.as_array_ptr())).data.cast::<u8>() };
    if !(data as usize).is_multiple_of(dtype.align()) {
        return Err(PyValueError::new_err(format!("{name} must be aligned")));
    }
    Ok(data)
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
