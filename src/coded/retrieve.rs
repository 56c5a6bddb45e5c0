//! Weights of the keys that have any to speak of, and what they make of the values.

use super::exact::{Bounded, Coded, Wanted, gathered};
use crate::error::Error;
use crate::error::room;
use crate::parallel::{Context, Shared};
use crate::projection::BLOCK;
use crate::separation::{Separation, Softmax, Threshold};
use crate::simd::Level;
use crate::sink::retrieve::{self as plain, Retrieval, length, retrieve_some};
use crate::sink::within::bound;
use crate::sweep::Search;
use crate::table::Rows;
use std::ops::Range;

/// ln 2^26: weights whose sum is beyond this below that of all are left out.
const NATS: f64 = 18.021_826_694_558_577;

/// [`plain::retrieve`] with codes: exactly the same of a threshold, and of a softmax without weights that come to less than
/// 2^-26 of all together. Other separations weigh every key, and are read without codes. Returns how many queries were.
pub fn retrieve<E: Bounded>(
    context: &Context,
    level: Level,
    coded: &Coded<E>,
    (separation, values): (Separation, Rows),
    out: &mut [E],
    log_scale: &mut [f64],
) -> Result<usize, Error> {
    let (q, n, width) = (coded.queries.len(), coded.rows.len(), values.width());
    assert!(values.len() == n && out.len() == q * width && log_scale.len() == q);
    let larger = coded.larger();
    let sign = if larger { 1.0 } else { -1.0 };
    let search = |queries| Search::new(coded.kernel, queries, coded.keys, width * size_of::<E>(), BLOCK);
    let wanted = match separation {
        Separation::Softmax(Softmax(beta)) if beta > 0.0 => {
            Some(Wanted { k: 1, margin: (NATS + (n as f64).ln()) / beta, radius: None, steady: true })
        }
        Separation::Threshold(Threshold(radius)) => {
            Some(Wanted { k: 0, margin: 0.0, radius: Some(bound::<E, E>(radius, larger)), steady: true })
        }
        _ => None,
    };
    let all = |out: &mut [E], log_scale: &mut [f64]| {
        let retrieval = Retrieval::new(separation, values, None, sign)?;
        plain::retrieve(context, level, &search(coded.queries), &retrieval, out, log_scale)?;
        Ok(q)
    };
    let Some(wanted) = wanted else { return all(out, log_scale) };
    let whole = search(coded.queries);
    let (block, chunk) = (whole.block, length(&whole));
    let (to, scales) = (&Shared(out.as_mut_ptr()), &Shared(log_scale.as_mut_ptr()));
    let left = coded.all(context, level, &wanted, &|hand, query, _, stop| {
        let m = hand.candidates.len();
        if !coded.score(level, hand, query, 0..m, stop)? {
            return Ok(false);
        }
        // By exact scores, so that what is left out does not depend on the bounds.
        let scores = &hand.scores[..m];
        let best = scores.iter().fold(f64::INFINITY, |best, score| best.min(score.to_f64()));
        let inside = |score: E| wanted.radius.map_or(score.to_f64() - best <= wanted.margin, |radius| score < radius);
        let mut keys: Vec<usize> = room::list(m)?;
        let found = scores.iter().zip(&hand.candidates).filter(|(score, _)| inside(**score));
        keys.extend(found.map(|(_, candidate)| candidate.key as usize));
        keys.sort_unstable();
        let mut runs: Vec<(Range<usize>, usize)> = room::list(keys.len())?;
        for run in keys.chunk_by(|a, b| a / block == b / block) {
            let start = runs.last().map_or(0, |(run, _)| run.end);
            runs.push((start..start + run.len(), run[0] / chunk));
        }
        let (mut lines, mut more) = (Vec::new(), Vec::new());
        let rows = gathered(&coded.rows, keys.iter().copied(), &mut lines)?;
        let retrieval = Retrieval::new(separation, gathered(&values, keys.into_iter(), &mut more)?, None, sign)?;
        let some = coded.over(level, query, rows, width * size_of::<E>(), BLOCK);
        let (row, scale) = (to.0.wrapping_add(query * width), scales.0.wrapping_add(query));
        match retrieve_some(level, (&some, &retrieval), &runs, &mut hand.reading, (row, scale), stop) {
            Err(error @ (Error::OutOfMemory(_) | Error::Interrupted)) => Err(error),
            Err(_) => Ok(false),
            // SAFETY: every query has a row of its own.
            Ok(()) => Ok(unsafe { std::slice::from_raw_parts(row, width) }.iter().all(|x| x.to_f64().is_finite())),
        }
    })?;
    if left.len() == q {
        return all(out, log_scale);
    }
    if left.is_empty() {
        return Ok(0);
    }
    let mut lines = Vec::new();
    let queries = gathered(&coded.queries, left.iter().copied(), &mut lines)?;
    let (mut rows, mut scales) = (room::filled(left.len() * width, E::ZERO)?, room::filled(left.len(), 0.0)?);
    let retrieval = Retrieval::new(separation, values, None, sign)?;
    match plain::retrieve(context, level, &search(queries), &retrieval, &mut rows, &mut scales) {
        Err(error @ (Error::OutOfMemory(_) | Error::Interrupted)) => return Err(error),
        // Told with the row that it has among all.
        Err(_) => return all(out, log_scale),
        Ok(()) => {}
    }
    for (i, &query) in left.iter().enumerate() {
        out[query * width..][..width].copy_from_slice(&rows[i * width..][..width]);
        log_scale[query] = scales[i];
    }
    Ok(left.len())
}
