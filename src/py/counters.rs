//! Binding of [`crate::counters`]: hard locations are packed [`PyKeys`], counters an array of Python's.

use super::edge::{Out, elements, engine, fresh, level, listed, rows, zeros};
use super::keys::{ANY, AnyKeys, AnyPanels, PyKeys, Request};
use crate::counters::{Counter, Counters, Items, activate, read, write};
use crate::parallel::{Context, Stop};
use numpy::{Element, PyArray1, PyArray2, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// Runs one generic call for the element type of the counters.
macro_rules! by_counter {
    ($counters:expr, $call:ident($($argument:expr),*)) => {{
        let counters = $counters;
        if let Ok(counters) = counters.cast::<PyArray2<i8>>() {
            $call(counters, $($argument),*)
        } else if let Ok(counters) = counters.cast::<PyArray2<i16>>() {
            $call(counters, $($argument),*)
        } else if let Ok(counters) = counters.cast::<PyArray2<i32>>() {
            $call(counters, $($argument),*)
        } else {
            Err(PyTypeError::new_err("counters must be a 2-d array of int8, int16 or int32"))
        }
    }};
}

/// The locations that each word activates.
fn activated(
    py: Python<'_>,
    words: &Bound<'_, PyUntypedArray>,
    locations: &Bound<'_, PyKeys>,
    radius: usize,
    threads: usize,
) -> PyResult<Vec<Vec<u32>>> {
    let keys = AnyKeys::Packed(locations.clone());
    let request = Request::new(words, &keys, &locations.get().metric_name)?;
    if !request.exact {
        return Err(PyTypeError::new_err("hard locations must be packed bits"));
    }
    let search = request.search::<i32>(0, ANY);
    engine(py, threads, |context| activate(context, level(), &search, radius))
}

fn counts<'py>(py: Python<'py>, active: &[Vec<u32>]) -> PyResult<Bound<'py, PyArray1<i64>>> {
    listed(py, active.iter().map(|row| row.len() as i64))
}

fn same_length<T>(counters: &Bound<'_, PyArray2<T>>, locations: &Bound<'_, PyKeys>) -> PyResult<usize> {
    let (rows, width) = (counters.shape()[0], counters.shape()[1]);
    if rows != locations.get().__len__() || width == 0 {
        return Err(PyValueError::new_err("counters must have a row for each location and at least one column"));
    }
    Ok(width)
}

/// Adds words to the counters of the locations that their addresses activate; returns how many each activated. All words
/// are added and counted in `written`, or, when the call is interrupted, none: a signal that comes late is seen by Python
/// once the call has returned, when it could not tell.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn sdm_write<'py>(
    py: Python<'py>,
    addresses: &Bound<'py, PyUntypedArray>,
    locations: &Bound<'py, PyKeys>,
    radius: usize,
    words: &Bound<'py, PyUntypedArray>,
    weights: &Bound<'py, PyArray1<i64>>,
    counters: &Bound<'py, PyUntypedArray>,
    written: &Bound<'py, PyArray1<i64>>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    fn add<'py, C: Counter + Element>(
        counters: &Bound<'py, PyArray2<C>>,
        py: Python<'py>,
        locations: &Bound<'_, PyKeys>,
        items: &Items<'_>,
        find: impl FnOnce() -> PyResult<Vec<Vec<u32>>>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let width = same_length(counters, locations)?;
        let bytes = width.div_ceil(8);
        if items.words.len() != bytes * items.weights.len() {
            return Err(PyValueError::new_err("words must have as many bits as the counters have columns"));
        }
        let active = find()?;
        // Whatever can fail comes before the counters change.
        let counts = counts(py, &active)?;
        if active.len() != items.weights.len() {
            return Err(PyValueError::new_err("addresses, words and weights must have as many rows"));
        }
        let mut counters = Out::new(counters, "counters")?;
        let cells = counters.slice()?;
        // Half a write would be neither stored nor not: from here on nothing stops it.
        engine(py, threads, |context| {
            let context = Context { threads: context.threads, poll: &|| false };
            write(&context, level(), &active, items, Counters { cells, width })
        })?;
        Ok(counts)
    }
    let find = || activated(py, addresses, locations, radius, threads);
    let words = rows(words, "words")?;
    let items = Items { words: words.memory(0..words.len()), weights: elements(weights, "weights")? };
    let mut written = Out::new(written, "written")?;
    let [written] = written.slice()? else {
        return Err(PyValueError::new_err("written must have one element"));
    };
    let counts = by_counter!(counters, add(py, locations, &items, find, threads))?;
    *written += items.weights.len() as i64;
    Ok(counts)
}

/// Sums the counters of the locations that each cue activates into `sums`; returns how many each activated.
#[pyfunction]
fn sdm_read<'py>(
    py: Python<'py>,
    cues: &Bound<'py, PyUntypedArray>,
    locations: &Bound<'py, PyKeys>,
    radius: usize,
    counters: &Bound<'py, PyUntypedArray>,
    sums: &Bound<'py, PyArray2<i64>>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    fn sum<C: Counter + Element>(
        counters: &Bound<'_, PyArray2<C>>,
        py: Python<'_>,
        locations: &Bound<'_, PyKeys>,
        active: &[Vec<u32>],
        sums: &Bound<'_, PyArray2<i64>>,
        threads: usize,
    ) -> PyResult<()> {
        let width = same_length(counters, locations)?;
        if sums.shape() != [active.len(), width] {
            return Err(PyValueError::new_err("sums must have a row for each cue and a column for each counter"));
        }
        let (cells, mut sums) = (elements(counters, "counters")?, Out::new(sums, "sums")?);
        let sums = sums.slice()?;
        engine(py, threads, |context| read(context, level(), active, cells, width, sums))
    }
    let active = activated(py, cues, locations, radius, threads)?;
    by_counter!(counters, sum(py, locations, &active, sums, threads))?;
    counts(py, &active)
}

/// Rows `start .. stop` of packed keys, as bytes.
#[pyfunction]
fn sdm_locations<'py>(
    py: Python<'py>,
    locations: &Bound<'py, PyKeys>,
    start: usize,
    stop: usize,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let keys = locations.get();
    let AnyPanels::I32(panels) = &keys.panels else {
        return Err(PyTypeError::new_err("hard locations must be packed bits"));
    };
    if start > stop || stop > panels.len() {
        return Err(PyValueError::new_err(format!("rows {start}..{stop} of {}", panels.len())));
    }
    let out = zeros::<u8, 2>(py, [stop - start, keys.width])?;
    let bytes = fresh(&out)?;
    engine(py, 1, |context| {
        let asking = Stop::asking(context);
        for (i, row) in (start..stop).zip(bytes.chunks_exact_mut(keys.width)) {
            asking.check()?;
            panels.unpack(i, row);
        }
        Ok(())
    })?;
    Ok(out)
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sdm_write, module)?)?;
    module.add_function(wrap_pyfunction!(sdm_read, module)?)?;
    module.add_function(wrap_pyfunction!(sdm_locations, module)?)
}
