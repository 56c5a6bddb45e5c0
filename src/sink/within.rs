//! Keeps everything within a radius, by index.

use super::filter::{Collect, filter};
use crate::error::Error;
use crate::metric::{Given, Score};
use crate::parallel::Context;
use crate::simd::Level;
use crate::sweep::Search;

struct Near<T> {
    found: Vec<(T, u32)>,
    bound: T,
}

impl<T: Score> Collect<T> for Near<T> {
    #[inline(always)]
    fn bound(&self) -> Option<T> {
        Some(self.bound)
    }
    #[inline(always)]
    fn push(&mut self, score: T, index: u32) {
        self.found.push((score, index));
    }
    fn append(&mut self, mut later: Self) {
        self.found.append(&mut later.found);
    }
}

/// For every query the (score, index) of the keys at most (`larger`: at least) `radius` away, as the scores are given out.
pub fn within<T: Given<O>, O: Score>(
    context: &Context,
    level: Level,
    search: &Search<T>,
    radius: f64,
    larger: bool,
) -> Result<Vec<Vec<(O, u32)>>, Error> {
    let bound = T::given_above(if larger { -radius } else { radius });
    let near = filter(context, level, search, 1, larger, || Near { found: Vec::new(), bound })?;
    Ok(near
        .into_iter()
        .map(|row| row.found.into_iter().map(|(x, i)| (T::given(if larger { x.flip() } else { x }), i)).collect())
        .collect())
}
