//! Binding of `flips`: states in, where they come to rest out.

use super::edge::{engine, level};
use crate::error::Error;
use crate::flips::matrix::{Coupling, Matrix};
use crate::flips::overlaps::{Patterns, Table, signs};
use crate::flips::real::{Interaction, RealOverlaps};
use crate::flips::{Cues, Rest, Rules, Update, run};
use crate::parallel::Context;
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The attributes of the rules that Python hands over.
#[derive(FromPyObject)]
struct GivenRules {
    update: String,
    order: String,
    tie: i8,
    temperature: f64,
    max_sweeps: usize,
    energies: bool,
}

fn wrong<T>(text: String) -> PyResult<T> {
    Err(PyValueError::new_err(text))
}

impl GivenRules {
    fn read(&self) -> PyResult<Rules> {
        let update = match (self.update.as_str(), self.order.as_str()) {
            ("sync", _) => Update::Together,
            ("async", "random") => Update::Shuffled,
            ("async", "fixed") => Update::InOrder,
            ("async", order) => return wrong(format!("order {order:?} is unknown")),
            (update, _) => return wrong(format!("update {update:?} is unknown")),
        };
        let &GivenRules { tie, temperature, max_sweeps, energies, .. } = self;
        if !(-1..=1).contains(&tie) {
            return wrong(format!("tie must be -1, 0 or 1, got {tie}"));
        }
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return wrong(format!("temperature must be finite and at least 0, got {temperature}"));
        }
        Ok(Rules { update, tie, temperature, max_sweeps, energies })
    }
}

type Signs<'py> = PyReadonlyArray2<'py, i8>;

/// Rows of -1 and +1.
fn states<'a>(array: &'a Signs<'_>, name: &str) -> PyResult<(&'a [i8], usize)> {
    let width = array.shape()[1];
    if width == 0 || width > u32::MAX as usize / 2 {
        return wrong(format!("{name} have {width} columns"));
    }
    let values = array.as_slice()?;
    if values.iter().any(|&s| s != 1 && s != -1) {
        return wrong(format!("{name} must be -1 or +1"));
    }
    Ok((values, width))
}

fn wide(got: usize, want: usize, name: &str) -> PyResult<()> {
    if got == want { Ok(()) } else { wrong(format!("{name} have {got} entries, expected {want}")) }
}

type Floats<'py> = Option<PyReadonlyArray1<'py, f64>>;

fn floats<'a>(array: &'a Floats<'_>) -> PyResult<Option<&'a [f64]>> {
    Ok(array.as_ref().map(|x| x.as_slice()).transpose()?)
}

type Chances<'py> = PyReadonlyArray1<'py, u64>;

/// What every call takes: states, a number for each of them, scale, bias and clamped units.
struct Common<'a> {
    cues: Cues<'a>,
    rules: Rules,
    threads: usize,
}

impl<'a> Common<'a> {
    fn new(
        given: &'a Signs<'_>,
        chance: &'a Chances<'_>,
        scale: f64,
        bias: &'a Floats<'_>,
        clamp: &'a Option<PyReadonlyArray2<'_, bool>>,
        rules: &GivenRules,
        threads: usize,
    ) -> PyResult<Self> {
        let (states, width) = states(given, "states")?;
        let n = given.shape()[0];
        let (chance, bias, rules) = (chance.as_slice()?, floats(bias)?, rules.read()?);
        wide(chance.len(), n, "numbers of chance")?;
        if let Some(bias) = bias {
            wide(bias.len(), width, "bias")?;
        }
        let clamp = match clamp {
            Some(clamp) if clamp.shape() != [1, width] && clamp.shape() != [n, width] => {
                return wrong(format!("clamp has shape {:?}, expected [1, {width}] or [{n}, {width}]", clamp.shape()));
            }
            Some(clamp) => Some(clamp.as_slice()?),
            None => None,
        };
        if !(scale > 0.0 && scale.is_finite()) {
            return wrong(format!("scale must be finite and above 0, got {scale}"));
        }
        Ok(Common { cues: Cues { states, chance, width, clamp, bias, scale }, rules, threads })
    }

    fn call<'py>(
        &self,
        py: Python<'py>,
        call: impl FnOnce(&Context) -> Result<Vec<Rest>, Error> + Send,
    ) -> PyResult<Flipped<'py>> {
        let rests = engine(py, self.threads, call)?;
        let (n, width) = (rests.len(), self.cues.width);
        let most = rests.iter().map(|rest| rest.energies.len()).max().unwrap_or(0);
        let out = PyArray2::<i8>::zeros(py, [n, width], false);
        let undecided = PyArray2::<bool>::zeros(py, [n, width], false);
        let energies = self.rules.energies.then(|| PyArray2::<f64>::zeros(py, [n, most], false));
        {
            let (mut out, mut undecided) = (out.readwrite(), undecided.readwrite());
            for (row, rest) in out.as_slice_mut()?.chunks_exact_mut(width).zip(&rests) {
                row.copy_from_slice(&rest.state);
            }
            for (row, rest) in undecided.as_slice_mut()?.chunks_exact_mut(width).zip(&rests) {
                row.copy_from_slice(&rest.undecided);
            }
        }
        if let Some(energies) = energies.as_ref().filter(|_| most > 0) {
            for (row, rest) in energies.readwrite().as_slice_mut()?.chunks_exact_mut(most).zip(&rests) {
                row.fill(f64::NAN);
                row[..rest.energies.len()].copy_from_slice(&rest.energies);
            }
        }
        let sweeps = PyArray1::from_iter(py, rests.iter().map(|rest| rest.sweeps as i64));
        let period = PyArray1::from_iter(py, rests.iter().map(|rest| i64::from(rest.period)));
        Ok((out, sweeps, period, undecided, energies))
    }
}

type Flipped<'py> = (
    Bound<'py, PyArray2<i8>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray2<bool>>,
    Option<Bound<'py, PyArray2<f64>>>,
);

/// Packed rows of `width` bits.
fn packed<'a>(array: &'a PyReadonlyArray2<'_, u8>, width: usize, name: &str) -> PyResult<&'a [u8]> {
    wide(array.shape()[1], width.div_ceil(8), &format!("rows of {name}"))?;
    Ok(array.as_slice()?)
}

fn table<'a>(given: Option<&'a [f64]>, beta: Option<f64>, own: bool, width: usize) -> PyResult<Table<'a>> {
    match (given, beta) {
        (None, Some(beta)) if beta > 0.0 && beta.is_finite() => Ok(Table::Exponential { beta, own }),
        (None, Some(beta)) => wrong(format!("beta must be finite and above 0, got {beta}")),
        (Some(table), None) => {
            wide(table.len(), width + usize::from(own), "table")?;
            Ok(if own { Table::With(table) } else { Table::Without(table) })
        }
        _ => wrong("give either table or beta".into()),
    }
}

/// Flips under the energy of packed patterns; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (states, chance, patterns, weights, table, energy, beta, scale, self_term, bias, clamp, rules, threads))]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn flip_overlaps<'py>(
    py: Python<'py>,
    states: Signs<'py>,
    chance: Chances<'py>,
    patterns: PyReadonlyArray2<'py, u8>,
    weights: Floats<'py>,
    table: Floats<'py>,
    energy: Floats<'py>,
    beta: Option<f64>,
    scale: f64,
    self_term: bool,
    bias: Floats<'py>,
    clamp: Option<PyReadonlyArray2<'py, bool>>,
    rules: GivenRules,
    threads: usize,
) -> PyResult<Flipped<'py>> {
    let common = Common::new(&states, &chance, scale, &bias, &clamp, &rules, threads)?;
    let (width, len) = (common.cues.width, patterns.shape()[0]);
    let rows = packed(&patterns, width, "patterns")?;
    let weights = floats(&weights)?;
    if let Some(weights) = weights {
        wide(weights.len(), len, "weights")?;
    }
    let energy = floats(&energy)?;
    match energy {
        Some(energy) => wide(energy.len(), width + 1, "energy")?,
        None if rules.energies && beta.is_none() => return wrong("energies need the table energy".into()),
        None => {}
    }
    if beta.is_some() && (bias.is_some() || scale != 1.0) {
        return wrong("the exponential interaction has no scale for bias".into());
    }
    let table = self::table(floats(&table)?, beta, self_term, width)?;
    common.call(py, |context| {
        let patterns = Patterns::new(rows, len, width, weights.unwrap_or_default(), &table, energy, None)?;
        run(context, level(), &common.cues, &common.rules, patterns.cost(), || patterns.field())
    })
}

/// Signs of one-step fields; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (cues, patterns, weights, table, beta, values, n_values, threads))]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn overlap_signs<'py>(
    py: Python<'py>,
    cues: Signs<'py>,
    patterns: PyReadonlyArray2<'py, u8>,
    weights: Floats<'py>,
    table: Floats<'py>,
    beta: Option<f64>,
    values: PyReadonlyArray2<'py, u8>,
    n_values: usize,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<i8>>> {
    let (states, width) = states(&cues, "cues")?;
    let len = patterns.shape()[0];
    let rows = packed(&patterns, width, "patterns")?;
    let readout = packed(&values, n_values, "values")?;
    wide(values.shape()[0], len, "values")?;
    let weights = floats(&weights)?;
    if let Some(weights) = weights {
        wide(weights.len(), len, "weights")?;
    }
    let table = self::table(floats(&table)?, beta, true, width)?;
    let found = engine(py, threads, |context| {
        let weights = weights.unwrap_or_default();
        let patterns = Patterns::new(rows, len, width, weights, &table, None, Some((readout, n_values)))?;
        signs(context, level(), &patterns, states)
    })?;
    PyArray1::from_vec(py, found).reshape([cues.shape()[0], n_values])
}

/// Flips under a symmetric matrix; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (states, chance, matrix, scale, self_term, bias, clamp, rules, threads))]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn flip_matrix<'py>(
    py: Python<'py>,
    states: Signs<'py>,
    chance: Chances<'py>,
    matrix: &Bound<'py, PyAny>,
    scale: f64,
    self_term: bool,
    bias: Floats<'py>,
    clamp: Option<PyReadonlyArray2<'py, bool>>,
    rules: GivenRules,
    threads: usize,
) -> PyResult<Flipped<'py>> {
    fn go<'py, T: Coupling + Element>(
        py: Python<'py>,
        common: &Common,
        matrix: &Bound<'py, PyArray2<T>>,
        own: bool,
    ) -> PyResult<Flipped<'py>> {
        let matrix = matrix.readonly();
        let width = common.cues.width;
        if matrix.shape() != [width, width] {
            return wrong(format!("matrix has shape {:?}, expected [{width}, {width}]", matrix.shape()));
        }
        let couplings = matrix.as_slice()?;
        common.call(py, |context| {
            let cost = couplings.len() / 4;
            run(context, level(), &common.cues, &common.rules, cost, || Matrix::new(couplings, width, own))
        })
    }
    let common = Common::new(&states, &chance, scale, &bias, &clamp, &rules, threads)?;
    if let Ok(matrix) = matrix.cast::<PyArray2<i32>>() {
        go(py, &common, matrix, self_term)
    } else if let Ok(matrix) = matrix.cast::<PyArray2<f32>>() {
        go(py, &common, matrix, self_term)
    } else if let Ok(matrix) = matrix.cast::<PyArray2<f64>>() {
        go(py, &common, matrix, self_term)
    } else {
        Err(PyTypeError::new_err("matrix must be a 2-d int32, float32 or float64 array"))
    }
}

/// Flips under the energy of real patterns; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (states, chance, columns, weights, interaction, parameter, scale, bias, clamp, rules, threads))]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn flip_real<'py>(
    py: Python<'py>,
    states: Signs<'py>,
    chance: Chances<'py>,
    columns: PyReadonlyArray2<'py, f64>,
    weights: PyReadonlyArray1<'py, f64>,
    interaction: &str,
    parameter: f64,
    scale: f64,
    bias: Floats<'py>,
    clamp: Option<PyReadonlyArray2<'py, bool>>,
    rules: GivenRules,
    threads: usize,
) -> PyResult<Flipped<'py>> {
    let common = Common::new(&states, &chance, scale, &bias, &clamp, &rules, threads)?;
    let weights = weights.as_slice()?;
    wide(columns.shape()[0], common.cues.width, "columns")?;
    wide(columns.shape()[1], weights.len(), "rows of columns")?;
    let columns = columns.as_slice()?;
    let whole = (1.0..=1000.0).contains(&parameter) && parameter.fract() == 0.0;
    let interaction = match interaction {
        "power" if whole => Interaction::Power(parameter as u32),
        "rectified" if whole => Interaction::Rectified(parameter as u32),
        "exponential" if parameter > 0.0 && parameter.is_finite() => Interaction::Exponential(parameter),
        other => return wrong(format!("interaction {other:?} with {parameter} is unknown")),
    };
    if matches!(interaction, Interaction::Exponential(_)) && (bias.is_some() || scale != 1.0) {
        return wrong("the exponential interaction has no scale for bias".into());
    }
    common.call(py, |context| {
        let field = || RealOverlaps::new(columns, weights, interaction);
        run(context, level(), &common.cues, &common.rules, columns.len() / 4, field)
    })
}

/// Registers what is here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(flip_overlaps, module)?)?;
    module.add_function(wrap_pyfunction!(flip_matrix, module)?)?;
    module.add_function(wrap_pyfunction!(flip_real, module)?)?;
    module.add_function(wrap_pyfunction!(overlap_signs, module)?)
}
