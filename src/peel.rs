//! Decoding errors under a sparse constraint matrix: peeling with a work queue.
//!
//! A stored pattern x obeys A x = 0; every column of A has nonzero entries in a few rows, the *checks* of that coordinate.
//! From a cue y = x + e the sums s = A y = A e, the *gaps*, say what the errors do to the checks. While one and the same
//! error g of some coordinate explains more than half of its checks, that is, their nonzero gaps are g times the entries,
//! g is that coordinate's error: what it does is subtracted from the coordinate's checks. More checks then become zero than
//! stop being zero, so no cue takes more steps than there are checks, and only the coordinates that share a check with the
//! corrected one need another look: O(n d) in all for errors that stay local, instead of O(n d) per step. (Sipser and
//! Spielman's decoding in the real-valued form of Xu and Hassibi, *Efficient compressive sensing with deterministic guarantees
//! using expander graphs*, 2007.)
//!
//! [`products`] by the matrix alone serve other decoders.

use crate::error::Error;
use crate::error::room;
use crate::parallel::{Context, Shared, Stop, map};
use std::collections::VecDeque;

/// Which checks each coordinate is in: the matrix by columns.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    starts: &'a [i64],
    checks: &'a [i64],
    entries: &'a [f64],
    n_checks: usize,
}

impl<'a> Matrix<'a> {
    /// Coordinate j is in the checks `checks[starts[j]..starts[j + 1]]`, each in 0..n_checks, with the `entries` beside them.
    pub fn new(starts: &'a [i64], checks: &'a [i64], entries: &'a [f64], n_checks: usize) -> Result<Self, Error> {
        let ordered = starts.windows(2).all(|pair| pair[0] <= pair[1]);
        let ends = starts.first() == Some(&0) && starts.last() == Some(&(checks.len() as i64));
        if !ordered
            || !ends
            || entries.len() != checks.len()
            || entries.iter().any(|&a| a == 0.0 || !a.is_finite())
            || checks.iter().any(|&c| c < 0 || c >= n_checks as i64)
            || starts.len() > u32::MAX as usize
        {
            return Err(Error::Argument(format!(
                "the constraints are not a sparse matrix of {n_checks} rows in column order"
            )));
        }
        Ok(Matrix { starts, checks, entries, n_checks })
    }

    /// Coordinates.
    pub fn width(&self) -> usize {
        self.starts.len() - 1
    }

    /// Rows of the constraint matrix.
    pub fn n_checks(&self) -> usize {
        self.n_checks
    }

    /// The checks of a coordinate with its entries there.
    fn column(&self, coordinate: usize) -> impl ExactSizeIterator<Item = (usize, f64)> + Clone {
        let own = self.starts[coordinate] as usize..self.starts[coordinate + 1] as usize;
        self.checks[own.clone()].iter().zip(&self.entries[own]).map(|(&check, &a)| (check as usize, a))
    }

    /// A x, which `out` has room for.
    fn forward(&self, x: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (j, &x) in x.iter().enumerate() {
            for (check, a) in self.column(j) {
                out[check] += a * x;
            }
        }
    }

    /// A^T z, which `out` has room for.
    fn back(&self, z: &[f64], out: &mut [f64]) {
        for (j, out) in out.iter_mut().enumerate() {
            *out = self.column(j).map(|(check, a)| a * z[check]).sum();
        }
    }
}

/// The matrix, and which coordinates are in each check.
pub struct Graph<'a> {
    matrix: Matrix<'a>,
    check_starts: Vec<usize>,
    members: Vec<u32>,
}

impl<'a> Graph<'a> {
    /// Looks for the coordinates of each check.
    pub fn new(matrix: Matrix<'a>) -> Result<Self, Error> {
        let n_checks = matrix.n_checks;
        let mut check_starts = room::filled(n_checks.saturating_add(1), 0)?;
        for &check in matrix.checks {
            check_starts[check as usize + 1] += 1;
        }
        for i in 0..n_checks {
            check_starts[i + 1] += check_starts[i];
        }
        let mut next = room::copied(&check_starts)?;
        let mut members = room::filled(matrix.checks.len(), 0)?;
        for j in 0..matrix.width() {
            for (check, _) in matrix.column(j) {
                members[next[check]] = j as u32;
                next[check] += 1;
            }
        }
        Ok(Graph { matrix, check_starts, members })
    }

    fn members(&self, check: usize) -> &[u32] {
        &self.members[self.check_starts[check]..self.check_starts[check + 1]]
    }

    /// The error that explains more than half of a coordinate's checks, if there is one, up to `tolerance` in each.
    fn majority(&self, coordinate: usize, gaps: &[f64], tolerance: f64) -> Option<f64> {
        let column = self.matrix.column(coordinate);
        let needed = column.len() / 2 + 1;
        // Of more than half, one is among the first half and one.
        for (candidate, a) in column.clone().take(column.len() - column.len() / 2) {
            let gap = gaps[candidate];
            if gap.abs() > tolerance {
                let error = gap / a;
                // Of small gaps only those that are not zero count, so that a step always leaves fewer checks open.
                let explained = |&(check, a): &(usize, f64)| {
                    gaps[check].abs() > tolerance && (gaps[check] - a * error).abs() <= tolerance
                };
                if column.clone().filter(explained).count() >= needed {
                    return Some(error);
                }
            }
        }
        None
    }
}

/// Multiplies rows by a sparse matrix A: `out` becomes A x for every row x, or A^T z for every row z if `back`.
pub fn products(context: &Context, matrix: &Matrix, rows: &[f64], back: bool, out: &mut [f64]) -> Result<(), Error> {
    let (width, n_checks) = (matrix.width(), matrix.n_checks);
    let (from, to) = if back { (n_checks, width) } else { (width, n_checks) };
    // A matrix without rows or columns leaves one of the two empty.
    let n = (rows.len() / from.max(1)).max(out.len() / to.max(1));
    assert!(rows.len() == n * from && out.len() == n * to, "rows of the matrix's shape");
    let shared = Shared(out.as_mut_ptr());
    map(
        context,
        n,
        n * matrix.checks.len(),
        || Ok(()),
        |_, row, _| {
            let shared = &shared;
            // SAFETY: every task has a row of its own, within `out` by the assertion above.
            let out = unsafe { std::slice::from_raw_parts_mut(shared.0.add(row * to), to) };
            let row = &rows[row * from..][..from];
            if back {
                matrix.back(row, out)
            } else {
                matrix.forward(row, out)
            }
            Ok(())
        },
    )?;
    Ok(())
}

/// Buffers of one worker.
struct Desk {
    gaps: Vec<f64>,
    queue: VecDeque<u32>,
    queued: Vec<bool>,
}

/// Decodes the errors of all cues, rows of the graph's width. `tolerances` has one number per cue: gaps up to it are zero.
/// Returns for each cue the steps taken.
pub fn peel(
    context: &Context,
    graph: &Graph,
    cues: &[f64],
    tolerances: &[f64],
    errors: &mut [f64],
) -> Result<Vec<i64>, Error> {
    let width = graph.matrix.width();
    assert!(cues.len() == tolerances.len() * width && errors.len() == cues.len(), "rows of the graph's width");
    let out = Shared(errors.as_mut_ptr());
    let desk = || {
        let (gaps, queued) = (room::filled(graph.matrix.n_checks, 0.0)?, room::filled(width, true)?);
        // A coordinate is in the queue once at most.
        Ok(Desk { gaps, queue: VecDeque::from(room::list(width)?), queued })
    };
    let cost = tolerances.len() * (width + graph.matrix.checks.len());
    map(context, tolerances.len(), cost, desk, |desk, row, stop| {
        let out = &out;
        // SAFETY: every task has a row of its own, within `errors` by the assertion above.
        let errors = unsafe { std::slice::from_raw_parts_mut(out.0.add(row * width), width) };
        stop.check()?;
        decode(graph, &cues[row * width..][..width], tolerances[row], errors, desk, stop)
    })
}

fn decode(
    graph: &Graph,
    cue: &[f64],
    tolerance: f64,
    errors: &mut [f64],
    desk: &mut Desk,
    stop: &Stop,
) -> Result<i64, Error> {
    let Desk { gaps, queue, queued } = desk;
    graph.matrix.forward(cue, gaps);
    errors.fill(0.0);
    queued.fill(true);
    queue.clear();
    queue.extend(0..cue.len() as u32);
    let mut steps = 0;
    while let Some(j) = queue.pop_front() {
        stop.check()?;
        let j = j as usize;
        queued[j] = false;
        let Some(error) = graph.majority(j, gaps, tolerance) else { continue };
        steps += 1;
        errors[j] += error;
        for (check, a) in graph.matrix.column(j) {
            gaps[check] -= a * error;
        }
        for (check, _) in graph.matrix.column(j) {
            for &other in graph.members(check) {
                if !queued[other as usize] {
                    queued[other as usize] = true;
                    queue.push_back(other);
                }
            }
        }
    }
    Ok(steps)
}
