//! Keeps what separation and projection make of the scores: sum w v / sum |w|, without ever holding the weights of more than a
//! block of keys.
//!
//! Keys are cut into chunks that depend on the shapes alone; the states of the chunks are joined in order, by one worker or by
//! many, to the same bits.

use crate::error::room;
use crate::error::{Error, Side};
use crate::parallel::{Context, Shared, Stop, map, pieces};
use crate::projection::{Room, STRIDE, project};
use crate::separation::{Real, Running, Separation, Weighing};
use crate::simd::{Float, Isa, Level, Vector, Work, second_level};
use crate::sweep::{Search, Sink, Worker};
use crate::table::Rows;
use std::marker::PhantomData;
use std::ops::Range;

/// A retrieval's arguments besides the search itself.
pub struct Retrieval<'a, E> {
    weighing: Weighing<E>,
    values: Rows<'a>,
    /// Whether cue i meets keys 0 to i only.
    causal: bool,
}

impl<'a, E: Real> Retrieval<'a, E> {
    /// `sign` is 1 for similarities and -1 for distances.
    pub fn new(separation: Separation, values: Rows<'a>, log_weight: Option<&[f64]>, sign: f64) -> Result<Self, Error> {
        Ok(Retrieval { weighing: Weighing::new(separation, log_weight, sign)?, values, causal: false })
    }

    /// The same, or that in which cue i meets keys 0 to i only.
    pub fn causal(self, causal: bool) -> Self {
        Retrieval { causal, ..self }
    }
}

/// How many of the keys of a block a cue meets, where cue i meets keys 0 to i.
pub(super) fn met(cue: usize, keys: &Range<usize>) -> usize {
    (cue + 1).saturating_sub(keys.start).min(keys.len())
}

/// The keys of a range that some cue of a group meets: all or, where cue i meets keys 0 to i, up to the last cue's.
pub(super) fn met_by_some(group: &Range<usize>, keys: &Range<usize>, causal: bool) -> Range<usize> {
    let end = if causal { keys.end.min(group.end).max(keys.start) } else { keys.end };
    keys.start..end
}

/// What a group of queries has gathered from some keys.
struct State<E> {
    /// What their weights have come to.
    weights: Vec<Running<E>>,
    /// Sums of weights times values.
    sums: Vec<E>,
}

impl<E: Real> State<E> {
    fn new(retrieval: &Retrieval<E>, rows: usize) -> Result<Self, Error> {
        Ok(State {
            weights: room::filled(rows, retrieval.weighing.nothing())?,
            sums: room::filled(rows * retrieval.values.width(), E::ZERO)?,
        })
    }

    /// Takes in the state of the next chunk.
    fn join(&mut self, retrieval: &Retrieval<E>, later: &State<E>) {
        let width = retrieval.values.width();
        for (r, (weights, more)) in self.weights.iter_mut().zip(&later.weights).enumerate() {
            let (a, b) = retrieval.weighing.join(weights, more);
            let (to, from) = (&mut self.sums[r * width..][..width], &later.sums[r * width..][..width]);
            for (x, &y) in to.iter_mut().zip(from) {
                *x = *x * a + y * b;
            }
        }
    }

    /// Divides by the masses into `out` and tells their logarithms.
    fn finish(
        self,
        retrieval: &Retrieval<E>,
        group: Range<usize>,
        out: *mut E,
        log_scale: *mut f64,
    ) -> Result<(), Error> {
        let width = retrieval.values.width();
        for (r, row) in group.enumerate() {
            let (mass, log) = retrieval.weighing.mass(&self.weights[r], row)?;
            for (j, &x) in self.sums[r * width..][..width].iter().enumerate() {
                // SAFETY: each row belongs to one group, and the caller's arrays hold all rows.
                unsafe { *out.add(row * width + j) = if mass > E::ZERO { x / mass } else { E::ZERO } };
            }
            // SAFETY: as above.
            unsafe { *log_scale.add(row) = log };
        }
        Ok(())
    }
}

struct Retrieve<'a, 'b, I, V: Vector> {
    retrieval: &'a Retrieval<'b, V::E>,
    state: &'a mut State<V::E>,
    group: Range<usize>,
    scores: &'a mut Buffers<V::E>,
    /// First key of the block at hand.
    start: usize,
    registers: PhantomData<(I, V)>,
}

/// What a worker keeps from task to task, and the head that its queries are of.
pub(crate) struct Hand<E> {
    worker: Worker<E>,
    buffers: Buffers<E>,
    head: usize,
}

impl<E: Real> Hand<E> {
    pub(crate) fn new() -> Self {
        Hand { worker: Worker::default(), buffers: Buffers::default(), head: 0 }
    }
}

/// Scores of a block and room for its projection.
struct Buffers<E> {
    scores: Vec<E>,
    /// Rows in which no weight is zero, as far as that was seen without looking for it.
    dense: Vec<bool>,
    room: Room<E>,
}

impl<E: Real> Default for Buffers<E> {
    fn default() -> Self {
        Buffers { scores: Vec::new(), dense: Vec::new(), room: Room::default() }
    }
}

impl<I: Isa, V: Vector + 'static> Sink<V::E> for Retrieve<'_, '_, I, V>
where
    V::E: Real,
{
    #[inline(always)]
    unsafe fn place(
        &mut self,
        query: usize,
        rows: usize,
        key: usize,
        _keys: usize,
        _width: usize,
    ) -> (*mut V::E, usize) {
        debug_assert!((query - self.group.start + rows) * STRIDE <= self.scores.scores.len());
        let at = (query - self.group.start) * STRIDE + key - self.start;
        (self.scores.scores.as_mut_ptr().add(at), STRIDE)
    }
    #[inline(always)]
    unsafe fn tile(&mut self, _query: usize, _rows: usize, _key: usize, _keys: usize) {}

    fn reads(&self, keys: Range<usize>) -> &[u8] {
        self.retrieval.values.memory(keys)
    }

    #[inline(always)]
    unsafe fn block(&mut self, keys: Range<usize>) -> Result<(), Error> {
        let n = keys.len();
        let width = self.retrieval.values.width();
        self.scores.dense.clear();
        self.scores.dense.resize(self.group.len(), false);
        for r in 0..self.group.len() {
            let row = self.scores.scores.as_mut_ptr().add(r * STRIDE);
            let (weights, dense) = (&mut self.state.weights[r], &mut self.scores.dense[r]);
            let met = if self.retrieval.causal { met(self.group.start + r, &keys) } else { n };
            let rescale = self.retrieval.weighing.weigh::<V>(row, keys.start, met, weights, dense);
            if met < n {
                std::slice::from_raw_parts_mut(row.add(met), n - met).fill(V::E::ZERO);
                *dense = false;
            }
            if rescale != V::E::ONE {
                for x in &mut self.state.sums[r * width..][..width] {
                    *x *= rescale;
                }
            }
        }
        let buffers = &mut *self.scores;
        project::<I, V>(
            buffers.scores.as_ptr(),
            &buffers.dense,
            &self.retrieval.values,
            keys.start,
            n,
            self.state.sums.as_mut_ptr(),
            &mut buffers.room,
        )?;
        self.start = keys.end;
        Ok(())
    }
}

struct Task<'a, 'b, E: Real> {
    search: &'a Search<'b, E>,
    retrieval: &'a Retrieval<'b, E>,
    hand: &'a mut Hand<E>,
    state: &'a mut State<E>,
    group: Range<usize>,
    chunk: Range<usize>,
    stop: &'a Stop<'a>,
}

impl<E: Real> Work for Task<'_, '_, E> {
    type Out = Result<(), Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        let Hand { worker, buffers, .. } = self.hand;
        // The last tile may be taller than what is left for it.
        let rows = self.group.len() + self.search.kernel.tiles.0[0].rows;
        room::resize(&mut buffers.scores, rows * STRIDE, E::ZERO)?;
        let mut sink = Retrieve::<I, E::Register<I>> {
            retrieval: self.retrieval,
            state: self.state,
            group: self.group.clone(),
            scores: buffers,
            start: self.chunk.start,
            registers: PhantomData,
        };
        let chunk = met_by_some(&self.group, &self.chunk, self.retrieval.causal);
        self.search.sweep::<I, _>(worker, self.group, chunk, &mut sink, self.stop)
    }
}

/// The length of the chunks of a search, by shapes alone.
pub(crate) fn length<E: Real>(search: &Search<E>) -> usize {
    search.keys.len().div_ceil(CHUNKS).max(2 * search.block).div_ceil(search.block) * search.block
}

/// One query among some of the keys of a larger search, in `search`: `runs` says of keys that stand in one block there which
/// chunk that is in. The same sums as there, where all others have weights of zero.
pub(crate) fn retrieve_some<E: Real>(
    level: Level,
    (search, retrieval): (&Search<E>, &Retrieval<E>),
    runs: &[(Range<usize>, usize)],
    hand: &mut Hand<E>,
    (out, log_scale): (*mut E, *mut f64),
    stop: &Stop,
) -> Result<(), Error> {
    hand.worker.renew();
    let mut all: Option<State<E>> = None;
    for chunk in runs.chunk_by(|a, b| a.1 == b.1) {
        let mut state = State::new(retrieval, 1)?;
        for (keys, _) in chunk {
            let state = &mut state;
            level.run(Task { search, retrieval, hand, state, group: 0..1, chunk: keys.clone(), stop })?;
        }
        match &mut all {
            Some(all) => all.join(retrieval, &state),
            None => all = Some(state),
        }
    }
    let all = all.map_or_else(|| State::new(retrieval, 1), Ok)?;
    all.finish(retrieval, 0..1, out, log_scale)
}

/// What the heights of the common tiles divide.
const TILE: usize = 12;
/// The most queries in a group.
const GROUP: usize = 21 * TILE;
/// Into how many chunks many keys are cut: so many workers can share one query.
const CHUNKS: usize = 16;

/// Retrieves into `out` (queries by width of the values) and tells for every query the logarithm of its weights' mass.
pub fn retrieve<E: Real>(
    context: &Context,
    level: Level,
    search: &Search<E>,
    retrieval: &Retrieval<E>,
    out: &mut [E],
    log_scale: &mut [f64],
) -> Result<(), Error> {
    retrieve_heads(context, level, &[(search, retrieval)], out, log_scale)
}

/// The same for heads of one shape, whose answers stand one after another.
pub fn retrieve_heads<E: Real>(
    context: &Context,
    level: Level,
    heads: &[(&Search<E>, &Retrieval<E>)],
    out: &mut [E],
    log_scale: &mut [f64],
) -> Result<(), Error> {
    let Some(&(first, retrieval)) = heads.first() else { return Ok(()) };
    let (q, n, width) = (first.queries.len(), first.keys.len(), retrieval.values.width());
    assert!(out.len() == heads.len() * q * width && log_scale.len() == heads.len() * q);
    for (search, retrieval) in heads {
        assert!(search.queries.len() == q && search.keys.len() == n && search.block == first.block);
        assert!(retrieval.values.len() == n && retrieval.values.width() == width && retrieval.weighing.fits(n));
    }
    // Queries and sums of a group take four fifths of the cache at most.
    let fit = 4 * (second_level() / 5) / ((first.keys.width() + width) * size_of::<E>()).max(1);
    let most = (fit / TILE * TILE).clamp(60, GROUP);
    // The same number of groups for every thread, all about as large. Which groups there are changes no bit.
    let count = q.div_ceil(most).next_multiple_of(if q > most { context.threads } else { 1 });
    let groups = pieces(q, q.div_ceil(count.max(1)).next_multiple_of(4).min(most));
    let chunks = pieces(n, length(first));
    let cost = 2 * heads.len() * first.cost();
    let init = || Ok(Hand::new());
    let state = |hand: &mut Hand<E>, head: usize, group: &Range<usize>, chunk: &Range<usize>, stop: &Stop| {
        if hand.head != head {
            hand.worker.renew();
            hand.head = head;
        }
        let (search, retrieval) = heads[head];
        let mut state = State::new(retrieval, group.len())?;
        let (group, chunk) = (group.clone(), chunk.clone());
        level.run(Task { search, retrieval, hand, state: &mut state, group, chunk, stop })?;
        Ok(state)
    };
    let (answers, scales) = (Shared(out.as_mut_ptr()), Shared(log_scale.as_mut_ptr()));
    let (answers, scales) = (&answers, &scales);
    let finish = |all: State<E>, head: usize, group: &Range<usize>| {
        let (answers, scales) = (answers.0.wrapping_add(head * q * width), scales.0.wrapping_add(head * q));
        all.finish(heads[head].1, group.clone(), answers, scales).map_err(|error| error.of_head(head, heads.len()))
    };
    let places = heads.len() * groups.len();
    let place = |task: usize| (task / groups.len(), &groups[task % groups.len()]);
    let finished = if places >= 2 * context.threads || chunks.len() == 1 {
        map(context, places, cost, init, |hand, task, stop| {
            let (head, group) = place(task);
            let mut all = state(hand, head, group, &chunks[0], stop)?;
            for chunk in &chunks[1..] {
                all.join(heads[head].1, &state(hand, head, group, chunk, stop)?);
            }
            finish(all, head, group)
        })
        .map(|_| ())
    } else {
        map(context, places * chunks.len(), cost, init, |hand, task, stop| {
            let (head, group) = place(task / chunks.len());
            state(hand, head, group, &chunks[task % chunks.len()], stop)
        })
        .and_then(|states| {
            let mut states = states.into_iter();
            for task in 0..places {
                let (head, group) = place(task);
                let Some(mut all) = states.next() else { break };
                for later in states.by_ref().take(chunks.len() - 1) {
                    all.join(heads[head].1, &later);
                }
                finish(all, head, group)?;
            }
            Ok(())
        })
    };
    // An input that is no number is the cause of whatever else went wrong with the scores.
    for (head, (search, _)) in heads.iter().enumerate() {
        search.check_inputs().map_err(|error| error.of_head(head, heads.len()))?;
    }
    finished?;
    for (head, (search, _)) in heads.iter().enumerate() {
        search.check().map_err(|error| error.of_head(head, heads.len()))?;
    }
    if let Some(at) = out.iter().position(|x| !x.to_f64().is_finite()) {
        let (head, row) = (at / width / q, at / width % q);
        let error = match heads[head].1.values.first_non_finite() {
            Some(row) => Error::NonFinite(Side::Value, row),
            None => Error::ValueOverflow(row),
        };
        return Err(error.of_head(head, heads.len()));
    }
    Ok(())
}
