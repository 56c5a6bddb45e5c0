//! Keeps what separation and projection make of the scores: sum w v / sum |w|, without ever holding the weights of more than a
//! block of keys.
//!
//! Softmax and powers are kept relative to the largest score so far and rescaled when a larger one comes, so that neither
//! overflows: exp(beta (s - m) + b - c) and (s / m)^n. Log-weights b stay apart from the scores until the difference is
//! taken: added to a large score they would be lost. Keys are cut into chunks that depend on the shapes alone; the states of the
//! chunks are joined in order, by one worker or by many, to the same bits.

pub use super::project::BLOCK;
use super::project::{Room, STRIDE, project};
use crate::error::{Error, Side};
use crate::metric::Score;
use crate::parallel::{Context, Shared, Stop, map, pieces};
use crate::simd::{Float, Isa, Level, Vector, Work, math};
use crate::sweep::{Search, Sink, Worker};
use crate::table::{Element, Rows};
use std::marker::PhantomData;
use std::ops::Range;

/// How scores become weights. A distance d counts as the score -d.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Separation {
    /// exp(beta s)
    Softmax(f64),
    /// s^n
    Power(u32),
    /// max(s, 0)^n
    Rectified(u32),
    /// Root of s, which must not be negative.
    Sqrt,
    /// ln s, of s >= 0; 0 counts as the smallest normal number.
    Log,
    /// 1 where the distance is at most the radius, or the similarity at least.
    Threshold(f64),
}

/// Elements that weights and values are computed in.
pub trait Real: Float + Score + Element {
    /// The register of an instruction set that holds them.
    type Register<I: Isa>: Vector<E = Self> + 'static;
}
impl Real for f32 {
    type Register<I: Isa> = I::F32;
}
impl Real for f64 {
    type Register<I: Isa> = I::F64;
}

/// A retrieval's arguments besides the search itself.
pub struct Retrieval<'a, E> {
    separation: Separation,
    values: Rows<'a>,
    /// What scores are multiplied by: -1 for distances.
    sign: E,
    /// beta
    gain: E,
    /// Per key: log-weights (softmax) or weights (the others), relative to the largest. Empty if all weigh the same.
    terms: Vec<E>,
    /// The logarithm of what the weights were divided by.
    log_unit: f64,
}

/// What weights are relative to: exp(gain * score + bias), or a power of the score.
#[derive(Clone, Copy, PartialEq)]
struct Top<E> {
    /// The largest score that has a weight.
    score: E,
    /// The largest logarithm of a weight relative to that score; 0 where there are no log-weights.
    bias: E,
}

impl<'a, E: Real> Retrieval<'a, E> {
    /// `sign` is 1 for similarities and -1 for distances.
    pub fn new(separation: Separation, values: Rows<'a>, log_weight: Option<&[f64]>, sign: f64) -> Self {
        // exp(0 s) is 1 whatever s, even where 0 s would be no number.
        let separation = match separation {
            Separation::Softmax(0.0) => Separation::Threshold(-sign * f64::INFINITY),
            other => other,
        };
        let log_weight = log_weight.unwrap_or(&[]);
        let largest = log_weight.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_unit = if largest.is_finite() { largest } else { 0.0 };
        let softmax = matches!(separation, Separation::Softmax(_));
        let term = |&w: &f64| E::from_f64(if softmax { w - log_unit } else { (w - log_unit).exp() });
        let gain = if let Separation::Softmax(beta) = separation { beta } else { 1.0 };
        let terms = log_weight.iter().map(term).collect();
        Retrieval { separation, values, sign: E::from_f64(sign), gain: E::from_f64(gain), terms, log_unit }
    }

    /// The weights of a state that was kept relative to `old` become relative to `new`.
    fn rescale(&self, old: Top<E>, new: Top<E>) -> E {
        if old == new {
            return E::ONE;
        }
        let (a, b) = (old.score.to_f64(), new.score.to_f64());
        match self.separation {
            Separation::Softmax(_) => {
                E::from_f64((self.gain.to_f64() * (a - b) + (old.bias.to_f64() - new.bias.to_f64())).exp())
            }
            Separation::Power(n) | Separation::Rectified(n) => E::from_f64((a / b).powi(n as i32)),
            _ => E::ONE,
        }
    }

    /// The higher of two references: the larger score, and what is then the larger bias.
    fn higher(&self, a: Top<E>, b: Top<E>) -> Top<E> {
        let score = larger(a.score, b.score);
        if self.terms.is_empty() || score == -E::INFINITY || !matches!(self.separation, Separation::Softmax(_)) {
            return Top { score, bias: E::ZERO };
        }
        let bias = |top: Top<E>| top.bias.to_f64() + self.gain.to_f64() * (top.score.to_f64() - score.to_f64());
        Top { score, bias: E::from_f64(bias(a).max(bias(b))) }
    }

    /// The reference that stands for "no score yet".
    fn nothing(&self) -> Top<E> {
        match self.separation {
            Separation::Softmax(_) => Top { score: -E::INFINITY, bias: E::ZERO },
            _ => Top { score: E::ZERO, bias: E::ZERO },
        }
    }
}

/// What a group of queries has gathered from some keys.
struct State<E> {
    /// What the weights are relative to.
    top: Vec<Top<E>>,
    /// Sums of the weights' magnitudes.
    mass: Vec<E>,
    /// Sums of weights times values.
    sums: Vec<E>,
    /// Whether a row met a negative score where there must be none.
    negative: Vec<bool>,
}

impl<E: Real> State<E> {
    fn new(retrieval: &Retrieval<E>, rows: usize) -> Self {
        State {
            top: vec![retrieval.nothing(); rows],
            mass: vec![E::ZERO; rows],
            sums: vec![E::ZERO; rows * retrieval.values.width()],
            negative: vec![false; rows],
        }
    }

    /// Takes in the state of the next chunk.
    fn join(&mut self, retrieval: &Retrieval<E>, later: &State<E>) {
        let width = retrieval.values.width();
        for r in 0..self.mass.len() {
            let (a, b) = (self.top[r], later.top[r]);
            let new = retrieval.higher(a, b);
            let (fa, fb) = (retrieval.rescale(a, new), retrieval.rescale(b, new));
            self.top[r] = new;
            self.mass[r] = self.mass[r] * fa + later.mass[r] * fb;
            self.negative[r] |= later.negative[r];
            let (to, from) = (&mut self.sums[r * width..][..width], &later.sums[r * width..][..width]);
            for (x, &y) in to.iter_mut().zip(from) {
                *x = *x * fa + y * fb;
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
            if self.negative[r] {
                return Err(Error::NegativeScore(row));
            }
            let (top, mass) = (self.top[r], self.mass[r]);
            if !(top.score < E::INFINITY && mass < E::INFINITY) {
                return Err(Error::Overflow(row));
            }
            for (j, &x) in self.sums[r * width..][..width].iter().enumerate() {
                // SAFETY: each row belongs to one group, and the caller's arrays hold all rows.
                unsafe { *out.add(row * width + j) = if mass > E::ZERO { x / mass } else { E::ZERO } };
            }
            let scale = match retrieval.separation {
                Separation::Softmax(_) => retrieval.gain.to_f64() * top.score.to_f64() + top.bias.to_f64(),
                Separation::Power(n) | Separation::Rectified(n) => n as f64 * top.score.to_f64().ln(),
                _ => 0.0,
            };
            let log = if mass > E::ZERO { mass.to_f64().ln() + scale + retrieval.log_unit } else { f64::NEG_INFINITY };
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

/// Scores of a block and room for its projection.
struct Buffers<E> {
    scores: Vec<E>,
    /// Rows in which no weight is zero, as far as that was seen without looking for it.
    dense: Vec<bool>,
    room: Room<E>,
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
    unsafe fn block(&mut self, keys: Range<usize>) {
        let n = keys.len();
        let width = self.retrieval.values.width();
        let terms = match self.retrieval.terms.is_empty() {
            true => None,
            false => Some(self.retrieval.terms[keys.start..].as_ptr()),
        };
        self.scores.dense.clear();
        self.scores.dense.resize(self.group.len(), false);
        for r in 0..self.group.len() {
            let row = self.scores.scores.as_mut_ptr().add(r * STRIDE);
            let rescale = separate::<V>(self.retrieval, row, n, terms, self.state, r, &mut self.scores.dense[r]);
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
        );
        self.start = keys.end;
    }
}

/// Replaces the first `n` numbers of a row by an expression of them and of their terms (0 without terms), and shows each
/// register of results to a second expression. What stands behind them in the last register reads as 0 and becomes `fill`.
/// A macro, because a closure is compiled without the instruction set's features unless it happens to be inlined.
macro_rules! each {
    ($v:ident, $row:expr, $n:expr, $terms:expr, $fill:expr, |$s:ident, $term:ident| $f:expr, |$w:ident| $g:expr) => {{
        let (row, n, terms): (*mut $v::E, usize, Option<*const $v::E>) = ($row, $n, $terms);
        let nothing = $v::splat($v::E::ZERO);
        let full = n / $v::LANES * $v::LANES;
        let mut i = 0;
        while i < full {
            let $s = $v::load(row.add(i));
            let $term = match terms {
                Some(p) => $v::load(p.add(i)),
                None => nothing,
            };
            let $w = $f;
            $g;
            $w.store(row.add(i));
            i += $v::LANES;
        }
        if i < n {
            let rest = n - i;
            let end = $v::splat($v::E::from_f64(rest as f64));
            let $s = $v::select_lt($v::lanes(), end, $v::load(row.add(i)), nothing);
            let $term = match terms {
                Some(p) => $v::load_first(p.add(i), rest),
                None => nothing,
            };
            let $w = $v::select_lt($v::lanes(), end, $f, $fill);
            $g;
            $w.store(row.add(i));
        }
    }};
}

/// Turns `n` scores of row `r` into weights, zeros behind them to the end of the register, and returns what the sums so far
/// must be multiplied by. `dense` is set if it shows that none of the weights is zero.
#[inline(always)]
unsafe fn separate<V: Vector>(
    retrieval: &Retrieval<V::E>,
    row: *mut V::E,
    n: usize,
    terms: Option<*const V::E>,
    state: &mut State<V::E>,
    r: usize,
    dense: &mut bool,
) -> V::E
where
    V::E: Real,
{
    let zero = V::splat(V::E::ZERO);
    let sign = V::splat(retrieval.sign);
    let old = state.top[r];
    match retrieval.separation {
        Separation::Softmax(_) => {
            let none = V::splat(-V::E::INFINITY);
            let (mut largest, mut smallest) = (none, V::splat(V::E::INFINITY));
            // The new score comes second: a register maximum answers with its second operand where one is NaN.
            // A key of weight zero counts as infinitely far.
            each!(V, row, n, terms, none, |s, term| V::select_lt(none, term, s.mul(sign), none), |s| {
                largest = largest.max(s);
                smallest = smallest.min(s);
            });
            let mut new = Top { score: largest.largest(), bias: V::E::ZERO };
            let lowest = -zero.sub(smallest).largest();
            let gain = V::splat(retrieval.gain);
            let mut mass = zero;
            // A row without any weight has no largest score; relative to 0 all its weights are exp(-inf) = 0.
            let above = |top: Top<V::E>| if top.score == -V::E::INFINITY { V::E::ZERO } else { top.score };
            if terms.is_none() {
                new = retrieval.higher(old, new);
                let reference = V::splat(above(new));
                each!(V, row, n, None, zero, |s, _none| math::exp(s.sub(reference).mul(gain)), |w| mass = mass.add(w));
                *dense = retrieval.gain * (lowest - new.score) > V::E::EXP_MIN + V::E::ONE;
            } else {
                let reference = V::splat(above(Top { score: larger(old.score, new.score), ..new }));
                let mut highest = none;
                each!(V, row, n, terms, none, |s, term| s.sub(reference).fma(gain, term), |y| highest = highest.max(y));
                new = Top { score: larger(old.score, new.score), bias: highest.largest() };
                new = retrieval.higher(old, new);
                let bias = V::splat(if new.bias == -V::E::INFINITY { V::E::ZERO } else { new.bias });
                each!(V, row, n, None, zero, |y, _none| math::exp(y.sub(bias)), |w| mass = mass.add(w));
            }
            settle::<V>(retrieval, state, r, new, mass)
        }
        Separation::Power(p) | Separation::Rectified(p) => {
            let rectified = matches!(retrieval.separation, Separation::Rectified(_));
            let mut largest = zero;
            let floor = V::splat(if rectified { V::E::ZERO } else { -V::E::INFINITY });
            each!(V, row, n, None, zero, |s, _none| floor.max(s.mul(sign)), |s| largest = largest.max(s.abs()));
            let new = Top { score: larger(old.score, largest.largest()), bias: V::E::ZERO };
            let reference = V::splat(if new.score == V::E::ZERO { V::E::ONE } else { new.score });
            let mut mass = zero;
            each!(
                V,
                row,
                n,
                terms,
                zero,
                |s, term| {
                    let w = math::power(s.div(reference), p);
                    if terms.is_some() { w.mul(term) } else { w }
                },
                |w| mass = mass.add(w.abs())
            );
            settle::<V>(retrieval, state, r, new, mass)
        }
        Separation::Sqrt | Separation::Log => {
            let log = retrieval.separation == Separation::Log;
            let tiny = V::splat(V::E::MIN_POSITIVE);
            let (mut mass, mut negative) = (zero, 0);
            each!(
                V,
                row,
                n,
                terms,
                zero,
                |s, term| {
                    let s = s.mul(sign);
                    negative |= s.lt(zero);
                    let w = if log { math::ln(tiny.max(s)) } else { s.sqrt() };
                    if terms.is_some() { w.mul(term) } else { w }
                },
                |w| mass = mass.add(w.abs())
            );
            state.negative[r] |= negative != 0;
            settle::<V>(retrieval, state, r, old, mass)
        }
        Separation::Threshold(radius) => {
            // Inside means d <= radius or s >= radius: the same test on scores whose sign was turned.
            let bound = V::splat(V::E::above(if retrieval.sign < V::E::ZERO { radius } else { -radius }));
            let one = V::splat(V::E::ONE);
            let mut mass = zero;
            each!(
                V,
                row,
                n,
                terms,
                zero,
                |s, term| {
                    let distance = zero.sub(s.mul(sign));
                    V::select_lt(distance, bound, if terms.is_some() { term } else { one }, zero)
                },
                |w| mass = mass.add(w)
            );
            settle::<V>(retrieval, state, r, old, mass)
        }
    }
}

/// The larger; a NaN if there is one.
#[inline(always)]
fn larger<E: Float>(a: E, b: E) -> E {
    if b < a { a } else { b }
}

/// Enters the mass of a block and the new reference, and returns what the sums so far must be multiplied by.
#[inline(always)]
unsafe fn settle<V: Vector>(
    retrieval: &Retrieval<V::E>,
    state: &mut State<V::E>,
    r: usize,
    new: Top<V::E>,
    mass: V,
) -> V::E
where
    V::E: Real,
{
    let rescale = retrieval.rescale(state.top[r], new);
    state.top[r] = new;
    state.mass[r] = state.mass[r] * rescale + mass.sum();
    rescale
}

struct Task<'a, 'b, E: Real> {
    search: &'a Search<'b, E>,
    retrieval: &'a Retrieval<'b, E>,
    worker: &'a mut (Worker<E>, Buffers<E>),
    group: Range<usize>,
    chunk: Range<usize>,
    stop: &'a Stop,
}

impl<E: Real> Work for Task<'_, '_, E> {
    type Out = Result<State<E>, Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        let mut state = State::new(self.retrieval, self.group.len());
        let (worker, scores) = self.worker;
        let mut sink = Retrieve::<I, E::Register<I>> {
            retrieval: self.retrieval,
            state: &mut state,
            group: self.group.clone(),
            scores,
            start: self.chunk.start,
            registers: PhantomData,
        };
        self.search.sweep::<I, _>(worker, self.group, self.chunk, &mut sink, self.stop)?;
        Ok(state)
    }
}

/// The most queries in a group; a multiple of the heights of the common tiles.
const GROUP: usize = 240;
/// Cache that a group's queries and sums may take.
const GROUP_BYTES: usize = 768 << 10;
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
    let (q, n, width) = (search.queries.len(), search.keys.len(), retrieval.values.width());
    assert!(out.len() == q * width && log_scale.len() == q && retrieval.values.len() == n);
    assert!(retrieval.terms.is_empty() || retrieval.terms.len() == n);
    let fit = GROUP_BYTES / ((search.keys.width() + width) * size_of::<E>()).max(1);
    let most = (fit / 60 * 60).clamp(60, GROUP);
    // The same number of groups for every thread, all about as large. Which groups there are changes no bit.
    let count = q.div_ceil(most).next_multiple_of(if q > most { context.threads } else { 1 });
    let groups = pieces(q, q.div_ceil(count.max(1)).next_multiple_of(4).min(most));
    let chunks = pieces(n, n.div_ceil(CHUNKS).max(2 * search.block).div_ceil(search.block) * search.block);
    let cost = 2 * search.cost();
    let init = || (Worker::default(), Buffers { scores: Vec::new(), dense: Vec::new(), room: Room::default() });
    let state = |worker: &mut (Worker<E>, Buffers<E>), group: &Range<usize>, chunk: &Range<usize>, stop: &Stop| {
        let rows = group.len().next_multiple_of(GROUP);
        worker.1.scores.resize(rows * STRIDE, E::ZERO);
        level.run(Task { search, retrieval, worker, group: group.clone(), chunk: chunk.clone(), stop })
    };
    let (answers, scales) = (Shared(out.as_mut_ptr()), Shared(log_scale.as_mut_ptr()));
    let (answers, scales) = (&answers, &scales);
    let finished = if groups.len() >= 2 * context.threads || chunks.len() == 1 {
        map(context, groups.len(), cost, init, |worker, task, stop| {
            let mut all = state(worker, &groups[task], &chunks[0], stop)?;
            for chunk in &chunks[1..] {
                all.join(retrieval, &state(worker, &groups[task], chunk, stop)?);
            }
            all.finish(retrieval, groups[task].clone(), answers.0, scales.0)
        })
        .map(|_| ())
    } else {
        map(context, groups.len() * chunks.len(), cost, init, |worker, task, stop| {
            state(worker, &groups[task / chunks.len()], &chunks[task % chunks.len()], stop)
        })
        .and_then(|states| {
            let mut states = states.into_iter();
            for group in &groups {
                let Some(mut all) = states.next() else { break };
                for later in states.by_ref().take(chunks.len() - 1) {
                    all.join(retrieval, &later);
                }
                all.finish(retrieval, group.clone(), answers.0, scales.0)?;
            }
            Ok(())
        })
    };
    // An input that is no number is the cause of whatever else went wrong with the scores.
    search.check_inputs()?;
    finished?;
    search.check()?;
    if let Some(at) = out.iter().position(|x| !x.to_f64().is_finite()) {
        return Err(match retrieval.values.first_non_finite() {
            Some(row) => Error::NonFinite(Side::Value, row),
            None => Error::ValueOverflow(at / width),
        });
    }
    Ok(())
}
