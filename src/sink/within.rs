//! Keeps everything within a radius, by index.

use super::filter::{Collect, Found, filter, length};
use crate::error::Error;
use crate::error::room;
use crate::metric::{Given, Score};
use crate::parallel::{Context, Shared, Stop, map};
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
    fn push(&mut self, score: T, index: u32) -> bool {
        room::push(&mut self.found, (score, index)).is_ok()
    }
    fn lacking(&self) -> Error {
        room::lacking::<(T, u32)>(2 * self.found.len())
    }
}

/// What lies within the radius of every query.
pub struct Hits<T> {
    found: Found<Near<T>>,
    queries: usize,
    larger: bool,
}

impl<T: Score> Hits<T> {
    /// Those of every query, by index.
    pub(crate) fn of(hits: Vec<Vec<(T, u32)>>, larger: bool) -> Result<Self, Error> {
        let queries = hits.len();
        // No score is compared with the bound any more.
        let near = room::collected(hits.into_iter().map(|found| Near { found, bound: T::WORST }))?;
        let parts = room::collected(std::iter::once(near))?;
        Ok(Hits { found: Found { parts, group: queries.max(1), chunks: 1 }, queries, larger })
    }

    /// The same as lists, each score with smaller being better.
    pub(crate) fn into_lists(self) -> Result<Vec<Vec<(T, u32)>>, Error> {
        let mut lists = room::list(self.queries)?;
        for query in 0..self.queries {
            let mut list = Vec::new();
            for chunk in self.found.of(query) {
                room::reserve(&mut list, chunk.found.len())?;
                list.extend_from_slice(&chunk.found);
            }
            lists.push(list);
        }
        Ok(lists)
    }

    /// Where the hits of every query begin if they stand one behind the other, and where the last end.
    pub fn starts(&self) -> Result<Vec<i64>, Error> {
        let mut starts = room::list(self.queries + 1)?;
        let mut at = 0;
        starts.push(at);
        for query in 0..self.queries {
            at += self.found.of(query).map(|chunk| chunk.found.len() as i64).sum::<i64>();
            starts.push(at);
        }
        Ok(starts)
    }

    /// Writes them to these places, by index.
    pub fn write<O: Send + Sync>(
        &self,
        context: &Context,
        starts: &[i64],
        indices: &mut [i64],
        scores: &mut [O],
    ) -> Result<(), Error>
    where
        T: Given<O>,
    {
        let hits = *starts.last().unwrap_or(&0) as usize;
        assert!(starts.len() == self.queries + 1 && indices.len() == hits && scores.len() == hits);
        let (to, at) = (&Shared(scores.as_mut_ptr()), &Shared(indices.as_mut_ptr()));
        let body = |_: &mut (), query: usize, stop: &Stop| {
            let mut place = starts[query] as usize;
            for chunk in self.found.of(query) {
                for some in chunk.found.chunks(1 << 16) {
                    stop.check()?;
                    for &(score, index) in some {
                        // SAFETY: every query has places of its own, as many as it has hits.
                        unsafe {
                            *to.0.add(place) = if self.larger { score.flip() } else { score }.given();
                            *at.0.add(place) = index as i64;
                        }
                        place += 1;
                    }
                }
            }
            Ok(())
        };
        map(context, self.queries, hits.saturating_mul(4), || Ok(()), body)?;
        Ok(())
    }
}

/// What scores must be below for a radius, turned so that smaller is better.
pub(crate) fn bound<T: Given<O>, O>(radius: f64, larger: bool) -> T {
    T::given_above(if larger { -radius } else { radius })
}

/// For every query the keys at most (`larger`: at least) `radius` away, as the scores are given out.
pub fn within<T: Given<O>, O>(
    context: &Context,
    level: Level,
    search: &Search<T>,
    radius: f64,
    larger: bool,
) -> Result<Hits<T>, Error> {
    let bound = bound::<T, O>(radius, larger);
    let length = length(context, search, 1);
    let found = filter(context, level, search, length, larger, |_| Near { found: Vec::new(), bound })?;
    Ok(Hits { found, queries: search.queries.len(), larger })
}
