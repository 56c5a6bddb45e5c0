//! Keeps the best k, ties to the lowest index.
//!
//! Candidates better than the k-th best so far go into a buffer with room for more than k; when it is full, a selection
//! throws the worse part away. So an insertion costs the same for any k and any order of the scores.

use super::filter::{Collect, filter};
use crate::error::Error;
use crate::metric::{Given, Score};
use crate::parallel::Context;
use crate::simd::Level;
use crate::sweep::Search;
use std::cmp::Ordering;

/// By score, then by index. A score that is no number (finite inputs can overflow to one) sorts behind all others.
fn order<T: Score>(a: &(T, u32), b: &(T, u32)) -> Ordering {
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
    fn push(&mut self, score: T, index: u32) {
        self.found.push((score, index));
        if self.found.len() >= 2 * self.k + 32 {
            self.trim();
        }
    }
    fn append(&mut self, mut later: Self) {
        later.trim();
        self.found.append(&mut later.found);
        self.trim();
    }
}

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
    let empty = || Best { found: Vec::new(), k, bound: None };
    let best = filter(context, level, search, 4 * k, larger, empty)?;
    for (row, mut best) in best.into_iter().enumerate() {
        best.trim();
        best.found.sort_unstable_by(order);
        for (j, (score, index)) in best.found.into_iter().enumerate() {
            scores[row * k + j] = if larger { score.flip() } else { score }.given();
            indices[row * k + j] = index as i64;
        }
    }
    Ok(())
}
