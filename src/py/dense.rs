//! Learning of dense associative memories.

use super::edge::{Out, elements, engine, level};
use crate::dense::{Overlaps, Step, follow, pulled, saved};
use crate::separation::Real;
use numpy::{Element, PyArray1, PyArray2, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// What makes powers of products: scale (Q,), off (K,), switched (C, K), n, and whether it is rectified.
type Given<'py> = (Bound<'py, PyUntypedArray>, Bound<'py, PyUntypedArray>, Bound<'py, PyUntypedArray>, u32, bool);

/// Runs a generic call for the element type of an array.
macro_rules! by_type {
    ($array:expr, $call:ident($($argument:expr),*)) => {{
        if $array.cast::<PyArray2<f32>>().is_ok() {
            $call::<f32>($($argument),*)
        } else if $array.cast::<PyArray2<f64>>().is_ok() {
            $call::<f64>($($argument),*)
        } else {
            Err(PyTypeError::new_err(format!("learning takes 2-d arrays of float32 or float64, got {}", $array.dtype())))
        }
    }};
}

/// A matrix of that type and shape.
fn matrix<'a, 'py, E: Element>(
    array: &'a Bound<'py, PyUntypedArray>,
    shape: [usize; 2],
    name: &str,
) -> PyResult<&'a Bound<'py, PyArray2<E>>> {
    match array.cast::<PyArray2<E>>() {
        Ok(array) if array.shape() == shape => Ok(array),
        _ => Err(PyValueError::new_err(format!("{name} must have shape {shape:?} and the type of the others"))),
    }
}

/// A vector of that type.
fn vector<'a, E: Element>(array: &'a Bound<'_, PyUntypedArray>, name: &str) -> PyResult<&'a [E]> {
    let wrong = |_| PyTypeError::new_err(format!("{name} must be a vector of the type of the products"));
    elements(array.cast::<PyArray1<E>>().map_err(wrong)?, name)
}

/// The overlaps, and the numbers of inputs, memories and classes.
fn read<'a, E: Real + Element>(given: &'a Given<'_>) -> PyResult<(Overlaps<'a, E>, [usize; 3])> {
    let (scale, off, switched, order, rectified) = given;
    let (scale, off) = (vector(scale, "scale")?, vector(off, "off")?);
    if switched.ndim() != 2 || off.is_empty() || switched.shape()[0] == 0 || *order == 0 {
        return Err(PyValueError::new_err("expected at least one memory and one class, and order >= 1"));
    }
    let classes = switched.shape()[0];
    let switched = elements(matrix::<E>(switched, [classes, off.len()], "switched")?, "switched")?;
    let of = Overlaps { scale, off, switched, order: *order, rectified: *rectified };
    Ok((of, [scale.len(), off.len(), classes]))
}

#[pyfunction]
fn dense_saved<'py>(
    py: Python<'py>,
    products: &Bound<'py, PyUntypedArray>,
    overlaps: Given<'py>,
    out: &Bound<'py, PyUntypedArray>,
    threads: usize,
) -> PyResult<()> {
    fn run<E: Real + Element>(
        py: Python<'_>,
        products: &Bound<'_, PyUntypedArray>,
        overlaps: &Given<'_>,
        out: &Bound<'_, PyUntypedArray>,
        threads: usize,
    ) -> PyResult<()> {
        let (of, [inputs, memories, classes]) = read::<E>(overlaps)?;
        let products = elements(matrix::<E>(products, [inputs, memories], "products")?, "products")?;
        let mut out = Out::new(matrix::<E>(out, [inputs, classes], "out")?, "out")?;
        let out = out.slice()?;
        engine(py, threads, |context| saved(context, level(), &of, products, out))
    }
    by_type!(products, run(py, products, &overlaps, out, threads))
}

#[pyfunction]
fn dense_pulled<'py>(
    py: Python<'py>,
    products: &Bound<'py, PyUntypedArray>,
    overlaps: Given<'py>,
    pull: &Bound<'py, PyUntypedArray>,
    units: &Bound<'py, PyUntypedArray>,
    threads: usize,
) -> PyResult<()> {
    fn run<E: Real + Element>(
        py: Python<'_>,
        products: &Bound<'_, PyUntypedArray>,
        overlaps: &Given<'_>,
        pull: &Bound<'_, PyUntypedArray>,
        units: &Bound<'_, PyUntypedArray>,
        threads: usize,
    ) -> PyResult<()> {
        let (of, [inputs, memories, classes]) = read::<E>(overlaps)?;
        let pull = elements(matrix::<E>(pull, [inputs, classes], "pull")?, "pull")?;
        let mut products = Out::new(matrix::<E>(products, [inputs, memories], "products")?, "products")?;
        let mut units = Out::new(matrix::<E>(units, [classes, memories], "units")?, "units")?;
        let (products, units) = (products.slice()?, units.slice()?);
        engine(py, threads, |context| pulled(context, level(), &of, pull, products, units))
    }
    by_type!(products, run(py, products, &overlaps, pull, units, threads))
}

/// The step: momentum, unit of the gradient, rate, least velocity.
type Pace = (f64, f64, f64, f64);

#[pyfunction]
fn dense_follow<'py>(
    py: Python<'py>,
    gradient: &Bound<'py, PyUntypedArray>,
    memories: &Bound<'py, PyUntypedArray>,
    velocity: &Bound<'py, PyUntypedArray>,
    pace: Pace,
    threads: usize,
) -> PyResult<f64> {
    fn run<E: Real + Element>(
        py: Python<'_>,
        [gradient, memories, velocity]: [&Bound<'_, PyUntypedArray>; 3],
        pace: Pace,
        threads: usize,
    ) -> PyResult<f64> {
        let shape = [gradient.shape()[0], gradient.shape()[1]];
        if shape[1] == 0 {
            return Err(PyValueError::new_err("memories must have at least one column"));
        }
        let gradient = elements(matrix::<E>(gradient, shape, "gradient")?, "gradient")?;
        let mut memories = Out::new(matrix::<E>(memories, shape, "memories")?, "memories")?;
        let mut velocity = Out::new(matrix::<E>(velocity, shape, "velocity")?, "velocity")?;
        let (memories, velocity) = (memories.slice()?, velocity.slice()?);
        let [momentum, unit, rate, least] = [pace.0, pace.1, pace.2, pace.3].map(E::from_f64);
        let step = Step { momentum, unit, rate, least };
        engine(py, threads, |context| {
            follow(context, level(), step, gradient, memories, velocity, shape[1]).map(|largest| largest.to_f64())
        })
    }
    by_type!(gradient, run(py, [gradient, memories, velocity], pace, threads))
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(dense_saved, module)?)?;
    module.add_function(wrap_pyfunction!(dense_pulled, module)?)?;
    module.add_function(wrap_pyfunction!(dense_follow, module)?)
}
