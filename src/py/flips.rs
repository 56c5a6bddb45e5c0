//! Binding of `flips`: states in, where they come to rest out.

use super::edge::{elements, engine, fresh, level, listed, zeros};
use crate::error::Error;
use crate::flips::matrix::{Coupling, Matrix};
use crate::flips::overlaps::{Patterns, Table, signs};
use crate::flips::real::{Interaction, RealOverlaps};
use crate::flips::{Cues, Rest, Rules, Update, run};
use crate::parallel::Context;
use numpy::{Element, PyArray1, PyArray2, PyUntypedArrayMethods};
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
    seed: u64,
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
        let &GivenRules { tie, temperature, max_sweeps, seed, energies, .. } = self;
        if !(-1..=1).contains(&tie) {
            return wrong(format!("tie must be -1, 0 or 1, got {tie}"));
        }
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return wrong(format!("temperature must be finite and at least 0, got {temperature}"));
        }
        Ok(Rules { update, tie, temperature, max_sweeps, seed, energies })
    }
}

type Signs<'a, 'py> = &'a Bound<'py, PyArray2<i8>>;

/// Rows of -1 and +1.
fn states<'a>(array: Signs<'a, '_>, name: &str) -> PyResult<(&'a [i8], usize)> {
    let width = array.shape()[1];
    if width == 0 || width > u32::MAX as usize / 2 {
        return wrong(format!("{name} have {width} columns"));
    }
    let values = elements(array, name)?;
    if values.iter().any(|&s| s != 1 && s != -1) {
        return wrong(format!("{name} must be -1 or +1"));
    }
    Ok((values, width))
}

fn wide(got: usize, want: usize, name: &str) -> PyResult<()> {
    if got == want { Ok(()) } else { wrong(format!("{name} have {got} entries, expected {want}")) }
}

type Floats<'a, 'py> = Option<&'a Bound<'py, PyArray1<f64>>>;
type Mask<'a, 'py> = Option<&'a Bound<'py, PyArray2<bool>>>;

fn floats<'a>(array: Floats<'a, '_>, name: &str) -> PyResult<Option<&'a [f64]>> {
    array.map(|x| elements(x, name)).transpose()
}

/// What every call takes: states, scale, bias and clamped units.
struct Common<'a> {
    cues: Cues<'a>,
    rules: Rules,
    threads: usize,
}

impl<'a> Common<'a> {
    fn new(
        given: Signs<'a, '_>,
        scale: f64,
        bias: Floats<'a, '_>,
        clamp: Mask<'a, '_>,
        rules: &GivenRules,
        threads: usize,
    ) -> PyResult<Self> {
        let (states, width) = states(given, "states")?;
        let n = given.shape()[0];
        let (bias, rules) = (floats(bias, "bias")?, rules.read()?);
        if let Some(bias) = bias {
            wide(bias.len(), width, "bias")?;
        }
        let clamp = match clamp {
            Some(clamp) if clamp.shape() != [1, width] && clamp.shape() != [n, width] => {
                return wrong(format!("clamp has shape {:?}, expected [1, {width}] or [{n}, {width}]", clamp.shape()));
            }
            Some(clamp) => Some(elements(clamp, "clamp")?),
            None => None,
        };
        if !(scale > 0.0 && scale.is_finite()) {
            return wrong(format!("scale must be finite and above 0, got {scale}"));
        }
        Ok(Common { cues: Cues { states, width, clamp, bias, scale }, rules, threads })
    }

    fn call<'py>(
        &self,
        py: Python<'py>,
        call: impl FnOnce(&Context) -> Result<Vec<Rest>, Error> + Send,
    ) -> PyResult<Flipped<'py>> {
        let rests = engine(py, self.threads, call)?;
        let (n, width) = (rests.len(), self.cues.width);
        let most = rests.iter().map(|rest| rest.energies.len()).max().unwrap_or(0);
        let (out, undecided) = (zeros::<i8, 2>(py, [n, width])?, zeros::<bool, 2>(py, [n, width])?);
        let energies = self.rules.energies.then(|| zeros::<f64, 2>(py, [n, most])).transpose()?;
        for (row, rest) in fresh(&out)?.chunks_exact_mut(width).zip(&rests) {
            row.copy_from_slice(&rest.state);
        }
        for (row, rest) in fresh(&undecided)?.chunks_exact_mut(width).zip(&rests) {
            row.copy_from_slice(&rest.undecided);
        }
        if let Some(energies) = energies.as_ref().filter(|_| most > 0) {
            for (row, rest) in fresh(energies)?.chunks_exact_mut(most).zip(&rests) {
                row.fill(f64::NAN);
                row[..rest.energies.len()].copy_from_slice(&rest.energies);
            }
        }
        let sweeps = listed(py, rests.iter().map(|rest| rest.sweeps as i64))?;
        let period = listed(py, rests.iter().map(|rest| i64::from(rest.period)))?;
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
fn packed<'a>(array: &'a Bound<'_, PyArray2<u8>>, width: usize, name: &str) -> PyResult<&'a [u8]> {
    wide(array.shape()[1], width.div_ceil(8), &format!("rows of {name}"))?;
    elements(array, name)
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
#[pyo3(signature = (states, patterns, weights, table, energy, beta, scale, self_term, bias, clamp, rules, threads))]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn flip_overlaps<'py>(
    py: Python<'py>,
    states: &Bound<'py, PyArray2<i8>>,
    patterns: &Bound<'py, PyArray2<u8>>,
    weights: Option<&Bound<'py, PyArray1<f64>>>,
    table: Option<&Bound<'py, PyArray1<f64>>>,
    energy: Option<&Bound<'py, PyArray1<f64>>>,
    beta: Option<f64>,
    scale: f64,
    self_term: bool,
    bias: Option<&Bound<'py, PyArray1<f64>>>,
    clamp: Option<&Bound<'py, PyArray2<bool>>>,
    rules: GivenRules,
    threads: usize,
) -> PyResult<Flipped<'py>> {
    let common = Common::new(states, scale, bias, clamp, &rules, threads)?;
    let (width, len) = (common.cues.width, patterns.shape()[0]);
    let rows = packed(patterns, width, "patterns")?;
    let weights = floats(weights, "weights")?;
    if let Some(weights) = weights {
        wide(weights.len(), len, "weights")?;
    }
    let energy = floats(energy, "energy")?;
    match energy {
        Some(energy) => wide(energy.len(), width + 1, "energy")?,
        None if rules.energies && beta.is_none() => return wrong("energies need the table energy".into()),
        None => {}
    }
    if beta.is_some() && (bias.is_some() || scale != 1.0) {
        return wrong("the exponential interaction has no scale for bias".into());
    }
    let table = self::table(floats(table, "table")?, beta, self_term, width)?;
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
    cues: &Bound<'py, PyArray2<i8>>,
    patterns: &Bound<'py, PyArray2<u8>>,
    weights: Option<&Bound<'py, PyArray1<f64>>>,
    table: Option<&Bound<'py, PyArray1<f64>>>,
    beta: Option<f64>,
    values: &Bound<'py, PyArray2<u8>>,
    n_values: usize,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<i8>>> {
    let (states, width) = states(cues, "cues")?;
    let len = patterns.shape()[0];
    let rows = packed(patterns, width, "patterns")?;
    let readout = packed(values, n_values, "values")?;
    wide(values.shape()[0], len, "values")?;
    let weights = floats(weights, "weights")?;
    if let Some(weights) = weights {
        wide(weights.len(), len, "weights")?;
    }
    let table = self::table(floats(table, "table")?, beta, true, width)?;
    let found = zeros::<i8, 2>(py, [cues.shape()[0], n_values])?;
    let out = fresh(&found)?;
    engine(py, threads, |context| {
        let weights = weights.unwrap_or_default();
        let patterns = Patterns::new(rows, len, width, weights, &table, None, Some((readout, n_values)))?;
        signs(context, level(), &patterns, states, out)
    })?;
    Ok(found)
}

/// Flips under a symmetric matrix; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (states, matrix, scale, self_term, bias, clamp, rules, threads))]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn flip_matrix<'py>(
    py: Python<'py>,
    states: &Bound<'py, PyArray2<i8>>,
    matrix: &Bound<'py, PyAny>,
    scale: f64,
    self_term: bool,
    bias: Option<&Bound<'py, PyArray1<f64>>>,
    clamp: Option<&Bound<'py, PyArray2<bool>>>,
    rules: GivenRules,
    threads: usize,
) -> PyResult<Flipped<'py>> {
    fn go<'py, T: Coupling + Element>(
        py: Python<'py>,
        common: &Common,
        matrix: &Bound<'py, PyArray2<T>>,
        own: bool,
    ) -> PyResult<Flipped<'py>> {
        let width = common.cues.width;
        if matrix.shape() != [width, width] {
            return wrong(format!("matrix has shape {:?}, expected [{width}, {width}]", matrix.shape()));
        }
        let couplings = elements(matrix, "matrix")?;
        common.call(py, |context| {
            let cost = couplings.len() / 4;
            run(context, level(), &common.cues, &common.rules, cost, || Matrix::new(couplings, width, own))
        })
    }
    let common = Common::new(states, scale, bias, clamp, &rules, threads)?;
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
#[pyo3(signature = (states, columns, weights, interaction, parameter, scale, bias, clamp, rules, threads))]
#[allow(clippy::too_many_arguments)] // The Python signature.
fn flip_real<'py>(
    py: Python<'py>,
    states: &Bound<'py, PyArray2<i8>>,
    columns: &Bound<'py, PyArray2<f64>>,
    weights: &Bound<'py, PyArray1<f64>>,
    interaction: &str,
    parameter: f64,
    scale: f64,
    bias: Option<&Bound<'py, PyArray1<f64>>>,
    clamp: Option<&Bound<'py, PyArray2<bool>>>,
    rules: GivenRules,
    threads: usize,
) -> PyResult<Flipped<'py>> {
    let common = Common::new(states, scale, bias, clamp, &rules, threads)?;
    let weights = elements(weights, "weights")?;
    wide(columns.shape()[0], common.cues.width, "columns")?;
    wide(columns.shape()[1], weights.len(), "rows of columns")?;
    let columns = elements(columns, "columns")?;
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
