//! The Python edge: arrays in, engine called with the interpreter released, errors out. The only place that names pyo3 or numpy.

mod flips;
mod hebbian;
mod peel;

use crate::error::Error;
use crate::metric::MetricName;
use crate::pack::{Keys, Packed, Panels, Scored};
use crate::parallel::Context;
use crate::projection::BLOCK;
use crate::separation::{Real, Separation};
use crate::simd::Level;
use crate::sink::matrix::matrix;
use crate::sink::retrieve::{Retrieval, retrieve};
use crate::sink::topk::topk;
use crate::sink::within::within;
use crate::sweep::Search;
use crate::table::{Dtype, Rows};
use numpy::{
    Element, PyArray1, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray1, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::{RwLock, RwLockReadGuard};

mod sdm;

static LEVEL: OnceLock<Level> = OnceLock::new();

fn level() -> Level {
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
fn engine<R: Send>(
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

/// An array that Python keeps alive and, having handed it to a call, does not change until the call returns: the same
/// understanding that NumPy's own functions have with threads that write to their inputs.
fn dtype(array: &Bound<'_, PyUntypedArray>) -> PyResult<Dtype> {
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

fn rows<'a>(array: &'a Bound<'_, PyUntypedArray>, name: &str) -> PyResult<Rows<'a>> {
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
fn bipolar<'a>(array: &'a Bound<'_, PyUntypedArray>, n_bits: usize) -> PyResult<Rows<'a>> {
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

fn metric(name: &str) -> PyResult<MetricName> {
    MetricName::parse(name).ok_or_else(|| PyValueError::new_err(format!("metric {name:?} is unknown")))
}

enum AnyPanels {
    F32(Panels<f32>),
    F64(Panels<f64>),
    I32(Panels<i32>),
}

/// Keys packed once for one metric.
#[pyclass(frozen, name = "Keys", module = "amfast._core")]
struct PyKeys {
    panels: RwLock<AnyPanels>,
    metric: MetricName,
    metric_name: String,
    dtype: Dtype,
    width: usize,
}

impl PyKeys {
    fn read(&self) -> RwLockReadGuard<'_, AnyPanels> {
        self.panels.read().unwrap_or_else(|e| e.into_inner())
    }
}

#[pymethods]
impl PyKeys {
    #[new]
    fn new(array: &Bound<'_, PyUntypedArray>, metric: &str) -> PyResult<Self> {
        let rows = rows(array, "keys")?;
        let (name, dtype, width) = (metric.to_owned(), rows.dtype(), rows.width());
        let metric = self::metric(metric)?;
        let panels = match dtype {
            _ if metric == MetricName::Hamming && dtype != Dtype::U8 => {
                return Err(PyTypeError::new_err("hamming keys are packed bits in uint8"));
            }
            Dtype::F32 => AnyPanels::F32(Panels::new(f32::kernel(level(), metric, dtype), width)),
            Dtype::F64 => AnyPanels::F64(Panels::new(f64::kernel(level(), metric, dtype), width)),
            _ if metric.exact(dtype, dtype, width) => {
                AnyPanels::I32(Panels::new(i32::kernel(level(), metric, dtype), width))
            }
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "keys of dtype {dtype:?} are not packed for metric {name:?}; pass the array itself"
                )));
            }
        };
        let keys = PyKeys { panels: RwLock::new(panels), metric, metric_name: name, dtype, width };
        keys.append(array)?;
        Ok(keys)
    }

    fn append(&self, array: &Bound<'_, PyUntypedArray>) -> PyResult<()> {
        let rows = rows(array, "keys")?;
        if rows.width() != self.width || rows.dtype() != self.dtype {
            return Err(PyValueError::new_err(format!(
                "keys have {} columns of {:?}, the store holds {} of {:?}",
                rows.width(),
                rows.dtype(),
                self.width,
                self.dtype
            )));
        }
        array.py().detach(|| {
            let mut panels = self.panels.write().unwrap_or_else(|e| e.into_inner());
            match &mut *panels {
                AnyPanels::F32(p) => p.append(&rows),
                AnyPanels::F64(p) => p.append(&rows),
                AnyPanels::I32(p) => p.append(&rows),
            }
        })?;
        Ok(())
    }

    fn __len__(&self) -> usize {
        match &*self.read() {
            AnyPanels::F32(p) => p.len(),
            AnyPanels::F64(p) => p.len(),
            AnyPanels::I32(p) => p.len(),
        }
    }

    #[getter]
    fn shape(&self) -> (usize, usize) {
        (self.__len__(), self.width)
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        match self.dtype {
            Dtype::F32 => "float32",
            Dtype::F64 => "float64",
            Dtype::F16 => "float16",
            Dtype::U8 | Dtype::Bipolar => "uint8",
            Dtype::I8 => "int8",
        }
    }

    #[getter]
    fn metric(&self) -> &str {
        &self.metric_name
    }

    #[getter]
    fn nbytes(&self) -> usize {
        match &*self.read() {
            AnyPanels::F32(p) => p.bytes(),
            AnyPanels::F64(p) => p.bytes(),
            AnyPanels::I32(p) => p.bytes(),
        }
    }
}

/// Keys as they come: an array, or panels.
#[derive(FromPyObject)]
enum AnyKeys<'py> {
    Packed(Bound<'py, PyKeys>),
    Rows(Bound<'py, PyUntypedArray>),
}

/// Keys for the length of a call; panels stay locked against `append` meanwhile.
enum Held<'a> {
    Rows(Rows<'a>),
    Panels(RwLockReadGuard<'a, AnyPanels>),
}

/// What a call's arguments come to.
struct Request<'a> {
    queries: Rows<'a>,
    held: Held<'a>,
    metric: MetricName,
    exact: bool,
}

impl<'a> Request<'a> {
    fn new(queries: &'a Bound<'_, PyUntypedArray>, keys: &'a AnyKeys<'_>, name: &str) -> PyResult<Self> {
        let metric = metric(name)?;
        let queries = rows(queries, "queries")?;
        let (held, dtype, width, len) = match keys {
            AnyKeys::Rows(array) => {
                let rows = rows(array, "keys")?;
                (Held::Rows(rows), rows.dtype(), rows.width(), rows.len())
            }
            AnyKeys::Packed(keys) => {
                let keys = keys.get();
                if keys.metric != metric {
                    return Err(PyValueError::new_err(format!(
                        "the keys were packed for metric {:?}, not for {name:?}",
                        keys.metric_name
                    )));
                }
                (Held::Panels(keys.read()), keys.dtype, keys.width, keys.__len__())
            }
        };
        if queries.width() != width {
            return Err(PyValueError::new_err(format!("queries have {} columns, keys have {width}", queries.width())));
        }
        if len == 0 {
            return Err(PyValueError::new_err("keys have 0 rows, expected at least 1"));
        }
        let exact = metric.exact(queries.dtype(), dtype, width);
        let lossless = match queries.dtype() {
            _ if metric == MetricName::Hamming => exact,
            Dtype::F64 => !matches!(&held, Held::Panels(_)) || dtype == Dtype::F64,
            Dtype::F32 => dtype != Dtype::F64,
            _ => exact,
        };
        if !lossless {
            return Err(PyTypeError::new_err(format!(
                "{:?} queries cannot be scored against {dtype:?} keys",
                queries.dtype()
            )));
        }
        Ok(Request { queries, held, metric, exact })
    }

    fn search<T: Scored>(&self, extra: usize, most: usize) -> Search<'_, T>
    where
        AnyPanels: Of<T>,
    {
        let keys = match &self.held {
            Held::Rows(rows) => Keys::Rows(*rows),
            Held::Panels(panels) => Keys::Packed(panels.of()),
        };
        Search::new(T::kernel(level(), self.metric, self.queries.dtype()), self.queries, keys, extra, most)
    }
}

/// The panels of one score type; the dtypes were compared before.
trait Of<T> {
    fn of(&self) -> Packed<'_, T>;
}
macro_rules! of {
    ($t:ty, $variant:ident) => {
        impl Of<$t> for AnyPanels {
            fn of(&self) -> Packed<'_, $t> {
                match self {
                    AnyPanels::$variant(panels) => panels.all(),
                    // Bits, which retrieval scores as floats.
                    AnyPanels::I32(panels) => panels.all_for(),
                    _ => unreachable!("dtypes were checked"),
                }
            }
        }
    };
}
of!(f32, F32);
of!(f64, F64);
impl Of<i32> for AnyPanels {
    fn of(&self) -> Packed<'_, i32> {
        match self {
            AnyPanels::I32(panels) => panels.all(),
            _ => unreachable!("dtypes were checked"),
        }
    }
}

/// Runs one generic call for the score type of a request.
macro_rules! by_score {
    ($request:expr, $call:ident($($argument:expr),*)) => {
        match ($request.exact, $request.queries.dtype()) {
            (true, _) => $call::<i32>($($argument),*),
            (false, Dtype::F32) => $call::<f32>($($argument),*),
            (false, _) => $call::<f64>($($argument),*),
        }
    };
}

/// The longest rows of packed bits whose counts are all exact in an f32.
const EXACT_BYTES: usize = (1 << 24) / 8;

const ANY: usize = usize::MAX / 2;

#[pyfunction]
fn pairwise(
    py: Python<'_>,
    queries: &Bound<'_, PyUntypedArray>,
    keys: AnyKeys<'_>,
    metric: &str,
    out: &Bound<'_, PyUntypedArray>,
    threads: usize,
) -> PyResult<()> {
    fn run<T: Scored + Element>(
        py: Python<'_>,
        request: &Request<'_>,
        out: &Bound<'_, PyUntypedArray>,
        threads: usize,
    ) -> PyResult<()>
    where
        AnyPanels: Of<T>,
    {
        let search = request.search::<T>(0, ANY);
        let out = out.cast::<PyArray2<T>>().map_err(|_| PyTypeError::new_err("out has the wrong dtype"))?;
        if out.shape() != [search.queries.len(), search.keys.len()] {
            return Err(PyValueError::new_err("out has the wrong shape"));
        }
        let mut out = out.readwrite();
        let out = out.as_slice_mut()?;
        engine(py, threads, |context| matrix(context, level(), &search, out))
    }
    let request = Request::new(queries, &keys, metric)?;
    // Counts are written as floats too, for who computes with them.
    match dtype(out) {
        Ok(Dtype::F32) if request.metric == MetricName::Hamming => run::<f32>(py, &request, out, threads),
        Ok(Dtype::F64) if request.metric == MetricName::Hamming => run::<f64>(py, &request, out, threads),
        _ => by_score!(request, run(py, &request, out, threads)),
    }
}

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

#[pyfunction(name = "topk")]
fn topk_py<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyUntypedArray>,
    keys: AnyKeys<'py>,
    k: usize,
    metric: &str,
    threads: usize,
) -> PyResult<Pair<'py>> {
    fn run<'py, T: Scored + Element>(
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
        let scores = PyArray2::<T>::zeros(py, [search.queries.len(), k], false);
        let indices = PyArray2::<i64>::zeros(py, [search.queries.len(), k], false);
        {
            let (mut scores, mut indices) = (scores.readwrite(), indices.readwrite());
            let (scores, indices) = (scores.as_slice_mut()?, indices.as_slice_mut()?);
            let larger = request.metric.larger_is_better();
            engine(py, threads, |context| topk(context, level(), &search, k, larger, scores, indices))?;
        }
        Ok((scores.into_any(), indices.into_any()))
    }
    let request = Request::new(queries, &keys, metric)?;
    by_score!(request, run(py, &request, k, threads))
}

type Csr<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyAny>);

#[pyfunction(name = "within")]
fn within_py<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyUntypedArray>,
    keys: AnyKeys<'py>,
    radius: f64,
    metric: &str,
    threads: usize,
) -> PyResult<Csr<'py>> {
    fn run<'py, T: Scored + Element>(
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
        let rows = engine(py, threads, |context| within(context, level(), &search, radius, larger))?;
        let mut starts = vec![0i64];
        let (mut indices, mut scores) = (Vec::new(), Vec::new());
        for row in rows {
            for (score, index) in row {
                indices.push(index as i64);
                scores.push(score);
            }
            starts.push(indices.len() as i64);
        }
        Ok((PyArray1::from_vec(py, starts), PyArray1::from_vec(py, indices), PyArray1::from_vec(py, scores).into_any()))
    }
    let request = Request::new(queries, &keys, metric)?;
    by_score!(request, run(py, &request, radius, threads))
}

type Answer<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<f64>>);

#[pyfunction(name = "retrieve")]
#[allow(clippy::too_many_arguments)] // The Python signature.
#[pyo3(signature = (cues, keys, values, metric, separation, param, log_weight, threads, value_bits=None))]
fn retrieve_py<'py>(
    py: Python<'py>,
    cues: &Bound<'py, PyUntypedArray>,
    keys: AnyKeys<'py>,
    values: Option<&Bound<'py, PyUntypedArray>>,
    metric: &str,
    separation: &str,
    param: f64,
    log_weight: Option<PyReadonlyArray1<'py, f64>>,
    threads: usize,
    value_bits: Option<usize>,
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
        let retrieval = Retrieval::<E>::new(separation, values, log_weight, sign);
        let out = PyArray2::<E>::zeros(py, [search.queries.len(), values.width()], false);
        let scale = PyArray1::<f64>::zeros(py, search.queries.len(), false);
        {
            let (mut out, mut scale) = (out.readwrite(), scale.readwrite());
            let (out, scale) = (out.as_slice_mut()?, scale.as_slice_mut()?);
            engine(py, threads, |context| retrieve(context, level(), &search, &retrieval, out, scale))?;
        }
        Ok((out.into_any(), scale))
    }
    let request = Request::new(cues, &keys, metric)?;
    let own = match &keys {
        AnyKeys::Rows(array) if request.metric != MetricName::Hamming => Some(array),
        _ => None,
    };
    let Some(values) = values.or(own) else {
        return Err(PyValueError::new_err("packed keys and bits need values"));
    };
    let values = match value_bits {
        Some(n_bits) => bipolar(values, n_bits)?,
        None => rows(values, "values")?,
    };
    let separation = Separation::parse(separation, param)?;
    let log_weight = log_weight.as_ref().map(|w| w.as_slice()).transpose()?;
    let dtype = match request.queries.dtype() {
        // Counts are floats from here on: of the values' type, if that holds every count.
        Dtype::U8 if request.exact && request.metric == MetricName::Hamming => {
            let wide = values.dtype() == Dtype::F64 || request.queries.width() > EXACT_BYTES;
            if wide { Dtype::F64 } else { Dtype::F32 }
        }
        other => other,
    };
    match dtype {
        Dtype::F32 => run::<f32>(py, &request, values, separation, log_weight, threads),
        Dtype::F64 => run::<f64>(py, &request, values, separation, log_weight, threads),
        other => Err(PyTypeError::new_err(format!("retrieval takes float32 or float64 cues, got {other:?}"))),
    }
}

/// What the extension is and runs on.
#[pyfunction]
fn cpu_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("isa", level().name())?;
    info.set_item("available", Level::available().iter().map(|level| level.name()).collect::<Vec<_>>())?;
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("cores", std::thread::available_parallelism().map_or(1, |n| n.get()))?;
    let metrics: Vec<_> = MetricName::ALL.iter().map(|(name, _)| *name).collect();
    info.set_item("features", metrics)?;
    info.set_item("profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    Ok(info)
}

/// Clock and read bandwidth of this machine, measured now.
#[pyfunction]
fn probe(py: Python<'_>, threads: usize) -> PyResult<Bound<'_, PyDict>> {
    let bandwidth = engine(py, threads, crate::probe::bandwidth)?;
    let clock = py.detach(crate::probe::clock);
    let info = PyDict::new(py);
    info.set_item("ghz", clock)?;
    info.set_item("read_gb_s", bandwidth)?;
    Ok(info)
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let level = Level::detect(std::env::var("AMFAST_ISA").ok().as_deref())?;
    LEVEL.get_or_init(|| level);
    module.add_class::<PyKeys>()?;
    module.add_function(wrap_pyfunction!(pairwise, module)?)?;
    module.add_function(wrap_pyfunction!(topk_py, module)?)?;
    module.add_function(wrap_pyfunction!(within_py, module)?)?;
    module.add_function(wrap_pyfunction!(retrieve_py, module)?)?;
    module.add_function(wrap_pyfunction!(hebbian::hebbian_py, module)?)?;
    module.add_function(wrap_pyfunction!(hebbian::hebbian_signs_py, module)?)?;
    module.add_function(wrap_pyfunction!(peel::peel_py, module)?)?;
    module.add_function(wrap_pyfunction!(cpu_info, module)?)?;
    module.add_function(wrap_pyfunction!(probe, module)?)?;
    flips::register(module)?;
    sdm::register(module)?;
    Ok(())
}
