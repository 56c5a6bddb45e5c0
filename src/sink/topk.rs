//! Keeps the best k, ties to the lowest index.
//!
//! Candidates better than the k-th best so far go into a buffer with room for more than k; when it is full, a selection
//! throws the worse part away. So an insertion costs the same for any k and any order of the scores.

use super::filter::{Collect, filter, length};
use crate::error::Error;
use crate::error::room;
use crate::metric::{Given, Score};
use crate::parallel::{Context, Shared, Stop, map, pieces};
use crate::simd::Level;
use crate::sweep::Search;
use std::cmp::Ordering;

/// By score, then by index. A score that is no number (finite inputs can overflow to one) sorts behind all others.
pub(crate) fn order<T: Score>(a: &(T, u32), b: &(T, u32)) -> Ordering {
    #[allow(clippy::eq_op)] // The test for a NaN.
    let odd = |x: T| x != x;
    a.0.partial_cmp(&b.0).unwrap_or_else(|| odd(a.0).cmp(&odd(b.0))).then(a.1.cmp(&b.1))
}

struct Best<T> {
    found: Vec<(T, u32)>,
    k: usize,
    bound: Option<T>,
}

impl<T: Score> Best<T> {
    #[cold]
    fn grow(&mut self) -> bool {
        let more = self.found.len().clamp(8, room_for(self.k)).min(room_for(self.k) - self.found.len()).max(1);
        self.found.try_reserve_exact(more).is_ok()
    }
    #[cold]
    fn trim(&mut self) {
        if self.found.len() >= self.k {
            let (_, worst, _) = self.found.select_nth_unstable_by(self.k - 1, order);
            let worst = worst.0;
            self.found.truncate(self.k);
            // Nothing compares below a NaN, so it cannot serve as a bound.
            self.bound = (worst.partial_cmp(&worst).is_some()).then_some(worst);
        }
    }
}

impl<T: Score> Collect<T> for Best<T> {
    #[inline(always)]
    fn bound(&self) -> Option<T> {
        self.bound
    }
    #[inline(always)]
    fn push(&mut self, score: T, index: u32) -> bool {
        if self.found.len() == self.found.capacity() && !self.grow() {
            return false;
        }
        self.found.push((score, index));
        if self.found.len() >= room_for(self.k) {
            self.trim();
        }
        true
    }
    fn lacking(&self) -> Error {
        room::lacking::<(T, u32)>(room_for(self.k).min(2 * self.found.len()))
    }
}

/// Candidates that are kept until the worse are thrown away.
fn room_for(k: usize) -> usize {
    2 * k + 32
}

/// Rows of so many results in all are put in order by one task.
const SORTED: usize = 4096;

/// Scores and indices of the best k keys of every query, best first. `larger` says which scores are better.
pub fn topk<T: Given<O>, O>(
    context: &Context,
    level: Level,
    search: &Search<T>,
    k: usize,
    larger: bool,
    scores: &mut [O],
    indices: &mut [i64],
) -> Result<(), Error> {
    let (q, n) = (search.queries.len(), search.keys.len());
    assert!(1 <= k && k <= n && scores.len() == q * k && indices.len() == q * k);
    let empty = |_| Best { found: Vec::new(), k, bound: None };
    let best = filter(context, level, search, length(context, search, 4 * k), larger, empty)?;
    let tasks = pieces(q, SORTED / k);
    let (scores, indices) = (&Shared(scores.as_mut_ptr()), &Shared(indices.as_mut_ptr()));
    let body = |found: &mut Vec<(T, u32)>, task: usize, stop: &Stop| {
        for row in tasks[task].clone() {
            stop.check()?;
            found.clear();
            for chunk in best.of(row) {
                room::reserve(found, chunk.found.len())?;
                found.extend_from_slice(&chunk.found);
            }
            found.select_nth_unstable_by(k - 1, order);
            found.truncate(k);
            found.sort_unstable_by(order);
            // SAFETY: a task has rows of its own, each of k places.
            let (scores, indices) = unsafe {
                let (scores, indices) = (scores.0.add(row * k), indices.0.add(row * k));
                (std::slice::from_raw_parts_mut(scores, k), std::slice::from_raw_parts_mut(indices, k))
            };
            for ((to, at), &(score, index)) in scores.iter_mut().zip(indices).zip(found.iter()) {
                *to = if larger { score.flip() } else { score }.given();
                *at = index as i64;
            }
        }
        Ok(())
    };
    // About as many steps of a tile as it takes to find the place of a result.
    map(context, tasks.len(), (q * k).saturating_mul(32), || Ok(Vec::new()), body)?;
    Ok(())
}
