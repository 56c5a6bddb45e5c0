//! Keeps everything within a radius, by index.

use super::filter::{Collect, Found, filter};
use crate::error::Error;
use crate::error::room;
use crate::metric::Score;
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
    pub fn write(&self, context: &Context, starts: &[i64], indices: &mut [i64], scores: &mut [T]) -> Result<(), Error> {
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
                            *to.0.add(place) = if self.larger { score.flip() } else { score };
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

/// For every query the keys at most (`larger`: at least) `radius` away.
pub fn within<T: Score>(
    context: &Context,
    level: Level,
    search: &Search<T>,
    radius: f64,
    larger: bool,
) -> Result<Hits<T>, Error> {
    let bound = T::above(if larger { -radius } else { radius });
    let found = filter(context, level, search, 1, larger, || Near { found: Vec::new(), bound })?;
    Ok(Hits { found, queries: search.queries.len(), larger })
}
