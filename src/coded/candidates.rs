//! Keeps what may be among the answers: keys whose score may be as good as one that others surely have.

use super::asked::Asked;
use super::codes::Codes;
use crate::error::Error;
use crate::error::room;
use crate::simd::{Isa, Vector, Widen};
use crate::sink::filter::Collect;

/// A key that may be among the answers, in units of the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Its score is no better than this,
    pub(super) least: f32,
    /// and no worse than this.
    most: f32,
    pub(super) key: u32,
}

/// What one query keeps. A radius is a bound from the beginning; of a search for the best k, the bound is the k-th smallest
/// score that keys surely have.
pub(super) struct Candidates<'a> {
    codes: &'a Codes,
    asked: Asked,
    k: usize,
    /// How much worse than the best k a score may be.
    margin: f64,
    /// Nothing that surely has a larger score is kept.
    bound: f32,
    /// More than so many are not worth it.
    limit: usize,
    pub(super) found: Vec<Candidate>,
    /// The number of them at which the worse are thrown away.
    room: usize,
    /// Whether there were too many.
    pub(super) vain: bool,
}

impl<'a> Candidates<'a> {
    /// Of a query that is to be searched without codes, nothing is kept.
    pub(super) fn new(
        codes: &'a Codes,
        asked: Option<Asked>,
        (k, margin): (usize, f64),
        radius: f32,
        limit: usize,
    ) -> Self {
        let vain = asked.is_none();
        let (asked, bound) = (asked.unwrap_or_default(), if vain { f32::NEG_INFINITY } else { radius });
        Candidates { codes, asked, k, margin, bound, limit, found: Vec::new(), room: 0, vain }
    }

    #[cold]
    fn trim(&mut self) -> Result<(), Error> {
        if 0 < self.k && self.k <= self.found.len() {
            let by_most = |a: &Candidate, b: &Candidate| a.most.total_cmp(&b.most);
            let (_, worst, _) = self.found.select_nth_unstable_by(self.k - 1, by_most);
            let bound = self.codes.worse(&self.asked, worst.most, self.margin);
            self.bound = self.bound.min(bound);
            self.found.retain(|candidate| candidate.least <= self.bound);
        }
        if self.found.len() > self.limit {
            self.vain = true;
            self.bound = f32::NEG_INFINITY;
            self.found = Vec::new();
        }
        self.room = (2 * self.found.len()).max(2 * self.k + FIRST).min((self.limit + 1).max(self.found.len() + 1));
        let more = self.room - self.found.len();
        room::reserve(&mut self.found, more)
    }
}

/// Room at the beginning, beside that for the best.
const FIRST: usize = 96;

impl Collect<i32> for Candidates<'_> {
    #[inline(always)]
    fn bound(&self) -> Option<i32> {
        None
    }
    #[inline(always)]
    unsafe fn wanted<I: Isa>(&self, scores: *const i32, key: usize) -> u32 {
        let Asked { alpha, beta, share, own, .. } = self.asked;
        let (terms, losses) = self.codes.numbers(key);
        let lost = I::F32::load(losses.as_ptr()).mul(I::F32::splat(share));
        let score = I::F32::whole(scores).mul(I::F32::splat(beta));
        let least = I::F32::load(terms.as_ptr()).fma(I::F32::splat(alpha), score).sub(lost);
        !I::F32::splat(self.bound + own).lt(least)
    }
    #[inline(always)]
    fn push(&mut self, score: i32, key: u32) -> bool {
        if self.found.len() >= self.room && self.trim().is_err() {
            return false;
        }
        let Asked { alpha, beta, share, own, .. } = self.asked;
        let (terms, losses) = self.codes.numbers(key as usize);
        let (score, apart) = (alpha * terms[0] + beta * score as f32, share * losses[0] + own);
        let least = score - apart;
        if least <= self.bound {
            self.found.push(Candidate { least, most: score + apart, key });
        }
        true
    }
    fn lacking(&self) -> Error {
        room::lacking::<Candidate>(2 * self.found.len())
    }
}
