//! Decoding errors under a sparse constraint matrix: peeling with a work queue.
//!
//! A stored pattern x obeys A x = 0; every column of A has nonzero entries in a few rows, the *checks* of that coordinate.
//! From a cue y = x + e the sums s = A y = A e, the *gaps*, say what the errors do to the checks. While one and the same
//! error g of some coordinate explains more than half of its checks, that is, their nonzero gaps are g times the entries,
//! g is that coordinate's error: what it does is subtracted from the coordinate's checks. More checks then become zero than
//! stop being zero, so no cue takes more steps than there are checks, and only the coordinates that share a check with the
//! corrected one need another look: O(n d) in all for errors that stay local, instead of O(n d) per step.
//!
//! (Sipser and Spielman's decoding in the real-valued form of Xu and Hassibi, *Efficient compressive sensing with
//! deterministic guarantees using expander graphs*, 2007.)

use crate::error::Error;
use crate::error::room;
use crate::parallel::{Context, Shared, Stop, map};
use std::collections::VecDeque;

/// Which checks each coordinate is in, and back.
pub struct Graph<'a> {
    starts: &'a [i64],
    checks: &'a [i64],
    entries: &'a [f64],
    check_starts: Vec<usize>,
    members: Vec<u32>,
}

impl<'a> Graph<'a> {
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
        let mut check_starts = room::filled(n_checks.saturating_add(1), 0)?;
        for &check in checks {
            check_starts[check as usize + 1] += 1;
        }
        for i in 0..n_checks {
            check_starts[i + 1] += check_starts[i];
        }
        let mut next = room::copied(&check_starts)?;
        let mut members = room::filled(checks.len(), 0)?;
        for j in 0..starts.len() - 1 {
            for &check in &checks[starts[j] as usize..starts[j + 1] as usize] {
                members[next[check as usize]] = j as u32;
                next[check as usize] += 1;
            }
        }
        Ok(Graph { starts, checks, entries, check_starts, members })
    }

    /// Coordinates.
    pub fn width(&self) -> usize {
        self.starts.len() - 1
    }

    /// Rows of the constraint matrix.
    pub fn n_checks(&self) -> usize {
        self.check_starts.len() - 1
    }

    /// The checks of a coordinate with its entries there.
    fn column(&self, coordinate: usize) -> impl ExactSizeIterator<Item = (usize, f64)> + Clone {
        let own = self.starts[coordinate] as usize..self.starts[coordinate + 1] as usize;
        self.checks[own.clone()].iter().zip(&self.entries[own]).map(|(&check, &a)| (check as usize, a))
    }

    fn members(&self, check: usize) -> &[u32] {
        &self.members[self.check_starts[check]..self.check_starts[check + 1]]
    }

    /// The error that explains more than half of a coordinate's checks, if there is one, up to `tolerance` in each.
    fn majority(&self, coordinate: usize, gaps: &[f64], tolerance: f64) -> Option<f64> {
        let column = self.column(coordinate);
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
    let width = graph.width();
    assert!(cues.len() == tolerances.len() * width && errors.len() == cues.len(), "rows of the graph's width");
    let out = Shared(errors.as_mut_ptr());
    let desk = || {
        let (gaps, queued) = (room::filled(graph.n_checks(), 0.0)?, room::filled(width, true)?);
        // A coordinate is in the queue once at most.
        Ok(Desk { gaps, queue: VecDeque::from(room::list(width)?), queued })
    };
    let cost = tolerances.len() * (width + graph.checks.len());
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
    gaps.fill(0.0);
    for (j, &x) in cue.iter().enumerate() {
        for (check, a) in graph.column(j) {
            gaps[check] += a * x;
        }
    }
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
        for (check, a) in graph.column(j) {
            gaps[check] -= a * error;
        }
        for (check, _) in graph.column(j) {
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
