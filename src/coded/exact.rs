//! Candidates scored as every key is scored elsewhere, and what is kept of that.

use super::asked::{Asked, Asking, Precision};
use super::candidates::{Candidate, Candidates};
use super::codes::Codes;
use crate::error::Error;
use crate::error::room;
use crate::metric::Given;
use crate::pack::{Kernel, Keys, Scored};
use crate::parallel::{Context, Shared, Stop, map};
use crate::separation::Real;
use crate::simd::{Level, Line};
use crate::sink::filter::{Found, filter, length};
use crate::sink::matrix;
use crate::sink::retrieve;
use crate::sink::topk::{self as best, order};
use crate::sink::within::{self as near, Hits};
use crate::sweep::{Search, Worker};
use crate::table::Rows;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// Scores that codes bound.
pub trait Bounded: Scored + Real + Given<Self> {
    /// How precise they are.
    #[doc(hidden)]
    const PRECISION: Precision;
}
impl Bounded for f32 {
    const PRECISION: Precision =
        Precision { rounding: f32::EPSILON as f64 / 2.0, least: f32::from_bits(1) as f64, most: f32::MAX as f64 };
}
impl Bounded for f64 {
    const PRECISION: Precision = Precision { rounding: f64::EPSILON / 2.0, least: f64::from_bits(1), most: f64::MAX };
}

/// A search with codes: the arguments of the same without.
pub struct Coded<'a, T> {
    /// Who asks.
    pub queries: Rows<'a>,
    /// The keys as rows.
    pub rows: Rows<'a>,
    /// The keys as a search without codes takes them.
    pub keys: Keys<'a, T>,
    /// The kernel of that search.
    pub kernel: Kernel<T>,
    /// The codes of the rows.
    pub codes: &'a Codes,
}

/// Queries that show whether the first pass helps, if many follow.
const FIRST: usize = 16;
/// Candidates of all queries of a pass at most, and such queries at least and at most.
const HELD: (usize, usize, usize) = (1 << 22, 64, 4096);
/// Calls that are not to try it after one for which it was in vain.
const REST: i32 = 15;
/// Candidates that are scored at a time.
const STEP: usize = 16;

/// Into how many chunks keys are cut where the threads must not matter.
const CHUNKS: usize = 8;

/// What is looked for.
pub(super) struct Wanted<T> {
    /// The best so many,
    pub(super) k: usize,
    /// and what is by so much worse,
    pub(super) margin: f64,
    /// or what is below this, smaller being better.
    pub(super) radius: Option<T>,
    /// Whether which queries are searched without codes must depend on nothing but the call's data.
    pub(super) steady: bool,
}

impl<T> Default for Wanted<T> {
    fn default() -> Self {
        Wanted { k: 0, margin: 0.0, radius: None, steady: false }
    }
}

/// Buffers of a worker.
pub(super) struct Hand<T> {
    worker: Worker<T>,
    lines: Vec<Line>,
    pub(super) scores: Vec<T>,
    pub(super) candidates: Vec<Candidate>,
    best: Vec<(T, u32)>,
    pub(super) reading: retrieve::Hand<T>,
}

impl<T: Real> Hand<T> {
    fn new() -> Self {
        Hand {
            worker: Worker::default(),
            lines: Vec::new(),
            scores: Vec::new(),
            candidates: Vec::new(),
            best: Vec::new(),
            reading: retrieve::Hand::new(),
        }
    }
}

/// What is made of the candidates of a query, which the worker holds; false if it has to be searched without codes. Behind a
/// pointer, so that the first pass is compiled once for all of them.
pub(super) type Answer<'a, T> = dyn Fn(&mut Hand<T>, usize, &Asked, &Stop) -> Result<bool, Error> + Sync + 'a;

/// Copies some rows behind one another.
pub(super) fn gathered<'a>(
    rows: &Rows,
    chosen: impl ExactSizeIterator<Item = usize>,
    lines: &'a mut Vec<Line>,
) -> Result<Rows<'a>, Error> {
    let (n, bytes) = (chosen.len(), rows.memory(0..1).len());
    room::resize(lines, (n * bytes).div_ceil(64), Line::ZERO)?;
    let to = lines.as_mut_ptr().cast::<u8>();
    for (i, row) in chosen.enumerate() {
        let from = rows.memory(row..row + 1);
        // SAFETY: there is room for so many rows.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.add(i * bytes), bytes) };
    }
    // SAFETY: the rows are there, and lines are aligned for any element.
    Ok(unsafe { Rows::new(to, rows.dtype(), n, rows.width()) })
}

impl<T: Bounded> Coded<'_, T> {
    pub(super) fn larger(&self) -> bool {
        self.codes.metric().larger_is_better()
    }

    /// A search without codes.
    fn plain<'b>(&'b self, queries: Rows<'b>) -> Search<'b, T> {
        Search::new(self.kernel, queries, self.keys, 0, usize::MAX / 2)
    }

    /// More candidates of a query than so many are not worth it.
    fn limit(&self, queries: usize) -> usize {
        // One among few is bound by memory, which scoring candidates is not so much.
        let share = if queries < FIRST { 20 } else { 100 };
        (self.rows.len() / share).max(64)
    }

    /// The candidates of every query of a range, then what `answer` makes of them one by one; returns those that have to be
    /// searched without codes.
    fn some(
        &self,
        context: &Context,
        level: Level,
        range: Range<usize>,
        wanted: &Wanted<T>,
        answer: &Answer<'_, T>,
    ) -> Result<Vec<usize>, Error> {
        let queries = self.part(range.clone());
        let asking = Asking::new(level, self.codes, &queries, T::PRECISION, &Stop::asking(context))?;
        let kernel = self.codes.coding.bound.kernel(level, self.rows.width());
        let panels = Keys::Packed(self.codes.panels.all());
        let search = Search::new(kernel, asking.rows(), panels, 2 * size_of::<f32>(), usize::MAX / 2);
        let limit = self.limit(range.len());
        let begin = |query: usize| {
            let asked = asking.asked[query];
            let radius = asked.as_ref().zip(wanted.radius).map_or(f32::INFINITY, |(asked, radius)| {
                let score = if self.larger() { radius.flip() } else { radius };
                self.codes.units_up(asked, score.to_f64())
            });
            Candidates::new(self.codes, asked, (wanted.k, wanted.margin), radius, limit)
        };
        let least = 4 * wanted.k.max(16);
        let length =
            if wanted.steady { (self.rows.len() / CHUNKS).max(least) } else { length(context, &search, least) };
        let begin: &(dyn Fn(usize) -> _ + Sync) = &begin;
        let found: Found<Candidates> = filter(context, level, &search, length, false, begin)?;
        let body = |hand: &mut Hand<T>, query: usize, stop: &Stop| {
            stop.check()?;
            let Some(asked) = &asking.asked[query] else { return Ok(false) };
            hand.candidates.clear();
            for chunk in found.of(query) {
                if chunk.vain {
                    return Ok(false);
                }
                room::reserve(&mut hand.candidates, chunk.found.len())?;
                hand.candidates.extend_from_slice(&chunk.found);
            }
            hand.candidates.sort_unstable_by(|a, b| a.least.total_cmp(&b.least).then(a.key.cmp(&b.key)));
            answer(hand, range.start + query, asked, stop)
        };
        let cost = range.len().saturating_mul(64 * self.rows.width());
        let done = map(context, range.len(), cost, || Ok(Hand::new()), body)?;
        let mut left = room::list(range.len())?;
        left.extend(range.zip(done).filter_map(|(query, done)| (!done).then_some(query)));
        Ok(left)
    }

    /// Some of the queries.
    pub(super) fn part(&self, range: Range<usize>) -> Rows<'_> {
        // SAFETY: they are among those that there are.
        unsafe { Rows::new(self.queries.row(range.start), self.queries.dtype(), range.len(), self.queries.width()) }
    }

    /// The same for all queries: first a few, and no more if the first pass is in vain for most of them.
    pub(super) fn all(
        &self,
        context: &Context,
        level: Level,
        wanted: &Wanted<T>,
        answer: &Answer<'_, T>,
    ) -> Result<Vec<usize>, Error> {
        let q = self.queries.len();
        let rest = &self.codes.rest;
        let tired = rest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left > 0).then(|| left - 1));
        // What is wrong with inputs is told by the search without codes.
        if (tired.is_ok() && !wanted.steady) || self.queries.first_non_finite().is_some() {
            return room::collected(0..q);
        }
        let (mut left, mut start) = (room::list(q)?, 0);
        let most = (HELD.0 / self.limit(q)).clamp(HELD.1, HELD.2);
        while start < q {
            let n = if start == 0 && q > 4 * FIRST { FIRST } else { most };
            let range = start..(start + n).min(q);
            let vain = self.some(context, level, range.clone(), wanted, answer)?;
            start = range.end;
            let mostly = 2 * vain.len() > range.len();
            left.extend(vain);
            if mostly {
                rest.store(REST, Ordering::Relaxed);
                left.extend(start..q);
                break;
            }
        }
        Ok(left)
    }

    /// A search for one of the queries among some of the rows; see [`Search::new`].
    pub(super) fn over<'b>(
        &'b self,
        level: Level,
        query: usize,
        rows: Rows<'b>,
        extra: usize,
        most: usize,
    ) -> Search<'b, T> {
        let (own, other) = (self.queries.dtype(), rows.dtype());
        let kernel = T::kernel(level, self.codes.metric(), own, other, rows.width());
        let search = Search::new(kernel, self.part(query..query + 1), Keys::Rows(rows), extra, most);
        Search { singly: true, ..search }
    }

    /// Scores the candidates at `range` of those that a worker holds; false if one is not finite after all.
    pub(super) fn score(
        &self,
        level: Level,
        hand: &mut Hand<T>,
        query: usize,
        range: Range<usize>,
        stop: &Stop,
    ) -> Result<bool, Error> {
        let n = range.len();
        let chosen = hand.candidates[range].iter().map(|candidate| candidate.key as usize);
        let rows = gathered(&self.rows, chosen, &mut hand.lines)?;
        let search = self.over(level, query, rows, 0, usize::MAX / 2);
        room::resize(&mut hand.scores, n, T::ZERO)?;
        hand.worker.renew();
        matrix::scores(level, &search, &mut hand.worker, &mut hand.scores[..n], stop)?;
        if self.larger() {
            hand.scores[..n].iter_mut().for_each(|score| *score = score.flip());
        }
        Ok(!search.odd.load(Ordering::Relaxed))
    }

    /// The best k of the candidates that a worker holds.
    fn best(
        &self,
        level: Level,
        hand: &mut Hand<T>,
        (query, asked): (usize, &Asked),
        k: usize,
        stop: &Stop,
    ) -> Result<bool, Error> {
        let (n, mut at, mut bound) = (hand.candidates.len(), 0, f64::INFINITY);
        hand.best.clear();
        while at < n && hand.candidates[at].least as f64 <= bound {
            let end = if at == 0 { k.next_multiple_of(STEP) } else { at + STEP }.min(n);
            if !self.score(level, hand, query, at..end, stop)? {
                return Ok(false);
            }
            room::reserve(&mut hand.best, end - at)?;
            let keys = hand.candidates[at..end].iter().map(|candidate| candidate.key);
            hand.best.extend(hand.scores[..end - at].iter().copied().zip(keys));
            let (_, worst, _) = hand.best.select_nth_unstable_by(k - 1, order);
            let worst = if self.larger() { worst.0.flip() } else { worst.0 };
            bound = self.codes.units(asked, worst.to_f64());
            hand.best.truncate(k);
            at = end;
        }
        hand.best.sort_unstable_by(order);
        Ok(true)
    }
}

/// [`best::topk`] with codes. Returns how many queries were searched without.
pub fn topk<T: Bounded>(
    context: &Context,
    level: Level,
    coded: &Coded<T>,
    k: usize,
    scores: &mut [T],
    indices: &mut [i64],
) -> Result<usize, Error> {
    let (q, larger) = (coded.queries.len(), coded.larger());
    assert!(1 <= k && k <= coded.rows.len() && scores.len() == q * k && indices.len() == q * k);
    let (to, at) = (&Shared(scores.as_mut_ptr()), &Shared(indices.as_mut_ptr()));
    let left = coded.all(context, level, &Wanted { k, ..Wanted::default() }, &|hand, query, asked, stop| {
        if !coded.best(level, hand, (query, asked), k, stop)? {
            return Ok(false);
        }
        for (i, &(score, key)) in hand.best.iter().enumerate() {
            // SAFETY: every query has k places of its own.
            unsafe {
                *to.0.add(query * k + i) = if larger { score.flip() } else { score };
                *at.0.add(query * k + i) = key as i64;
            }
        }
        Ok(true)
    })?;
    if left.len() == q {
        best::topk(context, level, &coded.plain(coded.queries), k, larger, scores, indices)?;
        return Ok(q);
    }
    let mut lines = Vec::new();
    let queries = gathered(&coded.queries, left.iter().copied(), &mut lines)?;
    let mut some = (room::filled(left.len() * k, T::ZERO)?, room::filled(left.len() * k, 0i64)?);
    if !left.is_empty() {
        best::topk(context, level, &coded.plain(queries), k, larger, &mut some.0, &mut some.1)?;
    }
    for (i, &query) in left.iter().enumerate() {
        scores[query * k..][..k].copy_from_slice(&some.0[i * k..][..k]);
        indices[query * k..][..k].copy_from_slice(&some.1[i * k..][..k]);
    }
    Ok(left.len())
}

/// [`near::within`] with codes.
pub fn within<T: Bounded>(context: &Context, level: Level, coded: &Coded<T>, radius: f64) -> Result<Hits<T>, Error> {
    let (q, larger) = (coded.queries.len(), coded.larger());
    let bound = near::bound::<T, T>(radius, larger);
    let mut hits: Vec<Vec<(T, u32)>> = room::collected((0..q).map(|_| Vec::new()))?;
    let to = &Shared(hits.as_mut_ptr());
    let left =
        coded.all(context, level, &Wanted { radius: Some(bound), ..Wanted::default() }, &|hand, query, _, stop| {
            let (n, mut found) = (hand.candidates.len(), Vec::new());
            for at in (0..n).step_by(STEP) {
                let end = (at + STEP).min(n);
                if !coded.score(level, hand, query, at..end, stop)? {
                    return Ok(false);
                }
                for (&score, candidate) in hand.scores.iter().zip(&hand.candidates[at..end]) {
                    if score < bound {
                        room::push(&mut found, (score, candidate.key))?;
                    }
                }
            }
            found.sort_unstable_by_key(|hit| hit.1);
            // SAFETY: every query has a place of its own, with an empty list in it.
            unsafe { *to.0.add(query) = found };
            Ok(true)
        })?;
    if left.len() == q {
        return near::within::<T, T>(context, level, &coded.plain(coded.queries), radius, larger);
    }
    let mut lines = Vec::new();
    let queries = gathered(&coded.queries, left.iter().copied(), &mut lines)?;
    if !left.is_empty() {
        let some = near::within::<T, T>(context, level, &coded.plain(queries), radius, larger)?;
        for (query, found) in left.into_iter().zip(some.into_lists()?) {
            hits[query] = found;
        }
    }
    Hits::of(hits, larger)
}
