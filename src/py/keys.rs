//! Keys as they come, an array or panels packed before ([`PyKeys`]), and what queries and keys of a call come to ([`Request`]).

use super::edge::{engine, level, metric, rows};
use crate::metric::{Kind, MetricName};
use crate::pack::{Keys, Packed, Panels, Scored, Table};
use crate::sweep::Search;
use crate::table::{Dtype, Rows};
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The panels of one score type.
pub(super) enum AnyPanels {
    F32(Panels<f32>),
    F64(Panels<f64>),
    I32(Panels<i32>),
}

/// Keys packed once for one metric. They never change, so that nothing has to be locked: more keys are other `Keys`, which
/// share with these what both have.
#[pyclass(frozen, name = "Keys", module = "amfast._core")]
pub(super) struct PyKeys {
    pub(super) panels: AnyPanels,
    metric: MetricName,
    pub(super) metric_name: String,
    dtype: Dtype,
    pub(super) width: usize,
}

impl PyKeys {
    /// These keys and more.
    fn with(&self, array: &Bound<'_, PyUntypedArray>) -> PyResult<Self> {
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
        let panels = engine(array.py(), 1, |context| {
            Ok(match &self.panels {
                AnyPanels::F32(p) => AnyPanels::F32(p.extended(context, &rows)?),
                AnyPanels::F64(p) => AnyPanels::F64(p.extended(context, &rows)?),
                AnyPanels::I32(p) => AnyPanels::I32(p.extended(context, &rows)?),
            })
        })?;
        let &PyKeys { metric, dtype, width, .. } = self;
        Ok(PyKeys { panels, metric, metric_name: self.metric_name.clone(), dtype, width })
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
            _ if metric.kind() == Kind::Bits && dtype != Dtype::U8 => {
                return Err(PyTypeError::new_err(format!("{name} keys are packed bits in uint8")));
            }
            Dtype::F32 => AnyPanels::F32(Panels::new(f32::kernel(level(), metric, dtype, dtype, width), width)),
            Dtype::F64 => AnyPanels::F64(Panels::new(f64::kernel(level(), metric, dtype, dtype, width), width)),
            _ if dtype.is_short() && f32::short(level(), metric, dtype).is_some() => {
                let kernel = f32::short(level(), metric, dtype);
                AnyPanels::F32(Panels::new(kernel.unwrap_or_else(|| unreachable!("there is one")), width))
            }
            _ if metric.exact(dtype, dtype, width) => {
                AnyPanels::I32(Panels::new(i32::kernel(level(), metric, dtype, dtype, width), width))
            }
            _ if metric.from_integers(dtype, dtype, width) => {
                AnyPanels::F64(Panels::new(f64::kernel(level(), metric, dtype, dtype, width), width))
            }
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "keys of dtype {dtype:?} are not packed for metric {name:?}; pass the array itself"
                )));
            }
        };
        PyKeys { panels, metric, metric_name: name, dtype, width }.with(array)
    }

    /// These keys and more behind them.
    fn extended(&self, array: &Bound<'_, PyUntypedArray>) -> PyResult<Self> {
        self.with(array)
    }

    pub(super) fn __len__(&self) -> usize {
        match &self.panels {
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
            Dtype::BF16 => "bfloat16",
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
        match &self.panels {
            AnyPanels::F32(p) => p.bytes(),
            AnyPanels::F64(p) => p.bytes(),
            AnyPanels::I32(p) => p.bytes(),
        }
    }
}

/// Keys as they come: an array, or panels.
pub(super) enum AnyKeys<'py> {
    Packed(Bound<'py, PyKeys>),
    Rows(Bound<'py, PyUntypedArray>),
}

// Not derived: that makes an error, in words, of every form which the argument has not.
impl<'py> FromPyObject<'_, 'py> for AnyKeys<'py> {
    type Error = PyErr;
    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match given.cast::<PyKeys>() {
            Ok(keys) => Ok(AnyKeys::Packed(keys.to_owned())),
            Err(_) => Ok(AnyKeys::Rows(given.cast::<PyUntypedArray>()?.to_owned())),
        }
    }
}

/// Keys for the length of a call.
enum Held<'a> {
    Rows(Rows<'a>),
    Panels(&'a AnyPanels),
}

/// What a call's arguments come to.
pub(super) struct Request<'a> {
    pub(super) queries: Rows<'a>,
    held: Held<'a>,
    pub(super) metric: MetricName,
    pub(super) exact: bool,
    /// How the keys are stored.
    keys: Dtype,
    /// What the columns of queries count, one row of it or one per query.
    known: Option<Rows<'a>>,
}

impl<'a> Request<'a> {
    pub(super) fn new(queries: &'a Bound<'_, PyUntypedArray>, keys: &'a AnyKeys<'_>, name: &str) -> PyResult<Self> {
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
                (Held::Panels(&keys.panels), keys.dtype, keys.width, keys.__len__())
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
            _ if metric.kind() == Kind::Bits => exact,
            Dtype::F64 => !matches!(&held, Held::Panels(_)) || dtype == Dtype::F64,
            Dtype::F32 => dtype != Dtype::F64,
            _ => {
                dtype.is_byte()
                    && metric.scores_bytes()
                    && (dtype == queries.dtype() || !matches!(&held, Held::Panels(_)))
            }
        };
        if !lossless {
            return Err(PyTypeError::new_err(format!(
                "{:?} queries cannot be scored against {dtype:?} keys",
                queries.dtype()
            )));
        }
        Ok(Request { queries, held, metric, exact, keys: dtype, known: None })
    }

    /// The same with weights of the queries' columns, if there are any.
    pub(super) fn knowing(self, known: Option<&'a Bound<'_, PyUntypedArray>>) -> PyResult<Self> {
        let Some(known) = known else { return Ok(self) };
        let known = rows(known, "mask")?;
        let (own, len) = (&self.queries, known.len());
        if known.dtype() != own.dtype() || known.width() != own.width() || (len != 1 && len != own.len()) {
            return Err(PyValueError::new_err("mask must be of the queries' dtype, one row or as many as they have"));
        }
        if let (Held::Panels(_), true) = (&self.held, self.keys.is_short()) {
            return Err(PyTypeError::new_err("packed keys of 16 bits have no masks; pass the keys as rows"));
        }
        if own.dtype().is_byte() && self.metric.kind() != Kind::Bits {
            return Err(PyTypeError::new_err("bytes have no masks; widen the queries"));
        }
        if f32::known(level(), self.metric, (own.dtype(), self.keys), true).is_none() {
            return Err(PyValueError::new_err("this metric has no masks"));
        }
        Ok(Request { known: Some(known), ..self })
    }

    /// Keys.
    pub(super) fn len(&self) -> usize {
        match &self.held {
            Held::Rows(rows) => rows.len(),
            Held::Panels(AnyPanels::F32(panels)) => panels.len(),
            Held::Panels(AnyPanels::F64(panels)) => panels.len(),
            Held::Panels(AnyPanels::I32(panels)) => panels.len(),
        }
    }

    /// Whether scores that are taken in f64 are given out as f32.
    pub(super) fn narrows(&self) -> bool {
        self.metric.narrows(self.queries.dtype(), self.keys)
    }

    pub(super) fn search<T: Scored>(&self, extra: usize, most: usize) -> Search<'_, T>
    where
        AnyPanels: Of<T>,
    {
        let keys = match &self.held {
            Held::Rows(rows) => Keys::Rows(*rows),
            Held::Panels(panels) => Keys::Packed(panels.of()),
        };
        let stored = (self.queries.dtype(), self.keys);
        if let (Held::Panels(_), true) = (&self.held, self.keys.is_short()) {
            let kernel = T::short(level(), self.metric, self.keys);
            let kernel = kernel.unwrap_or_else(|| unreachable!("the keys are packed for it"));
            return Search::new(kernel, self.queries, keys, extra, most);
        }
        let Some(known) = self.known else {
            let kernel = T::kernel(level(), self.metric, stored.0, stored.1, self.queries.width());
            return Search::new(kernel, self.queries, keys, extra, most);
        };
        let kernel = T::known(level(), self.metric, stored, known.whole());
        let kernel = kernel.unwrap_or_else(|| unreachable!("`knowing` has asked"));
        Search::new(kernel, Table::Known(self.queries, known), keys, extra, most)
    }
}

/// The panels of one score type; the dtypes were compared before.
pub(super) trait Of<T> {
    fn of(&self) -> Packed<'_, T>;
}
macro_rules! of {
    ($t:ty, $variant:ident) => {
        impl Of<$t> for AnyPanels {
            fn of(&self) -> Packed<'_, $t> {
                match self {
                    AnyPanels::$variant(panels) => panels.all(),
                    // Bits and bytes, which retrieval scores as floats.
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

/// Runs one generic call for the score type of a request and the type that scores are given out in.
macro_rules! by_score {
    ($request:expr, $call:ident($($argument:expr),*)) => {
        match ($request.exact, $request.queries.dtype()) {
            (true, _) => $call::<i32, i32>($($argument),*),
            (false, Dtype::F32) => $call::<f32, f32>($($argument),*),
            _ if $request.narrows() => $call::<f64, f32>($($argument),*),
            (false, _) => $call::<f64, f64>($($argument),*),
        }
    };
}
pub(super) use by_score;

/// As many keys in a block as the cache holds.
pub(super) const ANY: usize = usize::MAX / 2;

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyKeys>()
}
