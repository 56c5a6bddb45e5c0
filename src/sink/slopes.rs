//! How a softmax retrieval changes with its inputs: derivatives of sum(g . out) by cues, keys, values, beta and log-weights.
//!
//! With weights w = exp(beta s + b - log mass), taken again tile by tile, and ds = w (g . v - g . out), values are pulled by
//! w, log-weights by ds, beta by ds s, cues and keys by beta ds times the slope of their score ([`pull`](crate::pull)). No
//! more than a block of weights is ever held.
//!
//! A head with many cues or keys is cut along the longer of both; what the pieces say of the shorter one is added in order.
//! The cut depends on the shapes alone, so derivatives have the same bits for any number of threads.

use super::retrieve::{met, met_by_some};
use crate::error::room;
use crate::error::{Error, Side};
use crate::metric::MetricName;
use crate::pack::{Keys, Scored, Strided};
use crate::parallel::{Context, Shared, Stop, map, pieces};
use crate::projection::{BLOCK, List, STRIDE};
use crate::pull::{Pull, STEP, Stripes, pull};
use crate::separation::Real;
use crate::simd::{Float, Isa, Level, Vector, Work, math};
use crate::sweep::{Search, Sink, Worker};
use crate::table::Rows;
use std::ops::Range;

/// A retrieval by softmax, what it gave, and how much each entry of that matters.
#[derive(Clone, Copy)]
#[allow(missing_docs)] // The module says it.
pub struct Head<'a> {
    pub cues: Rows<'a>,
    pub keys: Rows<'a>,
    pub values: Rows<'a>,
    pub beta: f64,
    pub log_weight: Option<&'a [f64]>,
    /// What was retrieved, a row a cue.
    pub out: Rows<'a>,
    /// The logarithms of the cues' masses.
    pub log_scale: &'a [f64],
    /// The gradient by `out`.
    pub grad: Rows<'a>,
}

/// Room for the derivatives of heads of one shape, one after another, whatever it holds.
pub struct Slopes<'a, E> {
    /// Queries by width.
    pub cues: &'a mut [E],
    /// Keys by width.
    pub keys: &'a mut [E],
    /// Keys by width of the values.
    pub values: &'a mut [E],
    /// One a head.
    pub beta: &'a mut [f64],
    /// One a key.
    pub log_weight: &'a mut [f64],
}

/// The most cues in a group; a multiple of the heights of the common tiles.
const GROUP: usize = 120;
/// Rows that the largest tile may write behind those of a group.
const BEHIND: usize = 20;
/// Tasks that a call is cut into, at the least, where there is so much to do.
const TASKS: usize = 16;
/// Bytes of a head's derivatives that its pieces may hold until they are added.
const HELD: usize = 256 << 20;

/// Puts the scores of one group and one block where the other half of the work finds them.
struct Held<'a, E> {
    scores: &'a mut [E],
    group: usize,
    block: usize,
    follows: [Strided; 2],
}

impl<E: Real> Sink<E> for Held<'_, E> {
    #[inline(always)]
    unsafe fn place(&mut self, query: usize, rows: usize, key: usize, _keys: usize, width: usize) -> (*mut E, usize) {
        let at = (query - self.group) * STRIDE + key - self.block;
        debug_assert!(at + (rows - 1) * STRIDE + width <= self.scores.len());
        (self.scores.as_mut_ptr().add(at), STRIDE)
    }
    #[inline(always)]
    unsafe fn tile(&mut self, _query: usize, _rows: usize, _key: usize, _keys: usize) {}

    fn follows(&self) -> [Strided; 2] {
        self.follows
    }
}

/// A head with the two products of rows that it takes.
struct Prepared<'a, E> {
    head: Head<'a>,
    /// Cues and keys.
    scores: Search<'a, E>,
    /// Gradients and values.
    gains: Search<'a, E>,
    log_weight: Vec<E>,
    sign: E,
    /// What pulls cues and keys, and what pulls values.
    pulls: [Pull<E>; 2],
}

impl<'a, E: Scored + Real> Prepared<'a, E> {
    fn new(level: Level, metric: MetricName, head: Head<'a>) -> Result<Self, Error> {
        let kernel = |metric, rows: &Rows| E::kernel(level, metric, E::DTYPE, E::DTYPE, rows.width());
        // A block's keys and values stand there as stripes, too.
        let extra = (head.keys.width() + head.values.width()) * size_of::<E>();
        let unknown = || Error::Argument(format!("the slope of {metric:?} is not known"));
        let of_metric = kernel(metric, &head.keys);
        let product = kernel(MetricName::Dot, &head.values);
        let log_weight = head.log_weight.unwrap_or(&[]);
        Ok(Prepared {
            head,
            scores: Search::new(of_metric, head.cues, Keys::Rows(head.keys), extra, BLOCK),
            gains: Search::new(product, head.grad, Keys::Rows(head.values), extra, BLOCK),
            log_weight: room::collected(log_weight.iter().map(|&b| E::from_f64(b)))?,
            sign: E::from_f64(if metric.larger_is_better() { 1.0 } else { -1.0 }),
            pulls: Pull::by(level, metric).ok_or_else(unknown)?,
        })
    }

    /// Says what is wrong with an input, or that finite ones gave a score which is not.
    fn check(&self) -> Result<(), Error> {
        self.scores.check_inputs()?;
        self.gains.check_inputs().map_err(|error| match error {
            Error::NonFinite(Side::Query, row) => Error::NonFinite(Side::Gradient, row),
            Error::NonFinite(_, row) => Error::NonFinite(Side::Value, row),
            other => other,
        })?;
        self.scores.check()?;
        self.gains.check()
    }
}

/// What a worker keeps from task to task.
struct Hand<E> {
    scores: (Worker<E>, Vec<E>),
    gains: (Worker<E>, Vec<E>),
    cues: Stripes<E>,
    keys: Stripes<E>,
    values: Stripes<E>,
    grads: Stripes<E>,
    to_cues: Stripes<E>,
    to_keys: Stripes<E>,
    to_values: Stripes<E>,
    /// Of the cues at hand: what weights are relative to, in two parts, and g . out.
    relative: Vec<[E; 3]>,
    to_log_weight: Vec<E>,
    list: List,
}

impl<E: Real> Hand<E> {
    fn new() -> Result<Self, Error> {
        let room = || room::filled((GROUP + BEHIND) * STRIDE, E::ZERO);
        Ok(Hand {
            scores: (Worker::default(), room()?),
            gains: (Worker::default(), room()?),
            cues: Stripes::default(),
            keys: Stripes::default(),
            values: Stripes::default(),
            grads: Stripes::default(),
            to_cues: Stripes::default(),
            to_keys: Stripes::default(),
            to_values: Stripes::default(),
            relative: Vec::new(),
            to_log_weight: room::filled(STRIDE, E::ZERO)?,
            list: List::default(),
        })
    }
}

/// Where a task puts what it finds: the first cue's and the first key's place, which nobody else writes to.
#[derive(Clone, Copy)]
struct To<E> {
    cues: *mut E,
    keys: *mut E,
    values: *mut E,
    log_weight: *mut f64,
}

/// Some cues of a head against some of its keys.
struct Task<'a, 'b, E> {
    of: &'a Prepared<'b, E>,
    hand: &'a mut Hand<E>,
    cues: Range<usize>,
    keys: Range<usize>,
    causal: bool,
    to: To<E>,
    /// Memory that is likely to be read next: keys and values, cues and gradients.
    next: [[Strided; 2]; 2],
    stop: &'a Stop<'a>,
}

impl<E: Scored + Real> Work for Task<'_, '_, E> {
    /// The derivative by beta, and whether all others are finite.
    type Out = Result<(f64, bool), Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Self::Out {
        let Task { of, hand, cues, keys, causal, to, next, stop } = self;
        let head = &of.head;
        let (width, out_width) = (head.keys.width(), head.values.width());
        hand.cues.load::<E::Register<I>>(&head.cues, cues.clone())?;
        hand.grads.load::<E::Register<I>>(&head.grad, cues.clone())?;
        hand.to_cues.clear::<E::Register<I>>(cues.len(), width)?;
        hand.relative.clear();
        room::reserve(&mut hand.relative, cues.len())?;
        hand.relative.extend(cues.clone().map(|cue| relative::<E::Register<I>>(head, cue)));
        hand.scores.0.renew();
        hand.gains.0.renew();
        std::slice::from_raw_parts_mut(to.log_weight, keys.len()).fill(0.0);
        let groups = pieces(cues.len(), GROUP);
        let (mut beta, mut finite) = (0.0, true);
        for block in pieces(keys.len(), of.scores.block) {
            let block = keys.start + block.start..keys.start + block.end;
            let place = block.start - keys.start;
            if met_by_some(&cues, &block, causal).is_empty() {
                std::slice::from_raw_parts_mut(to.keys.add(place * width), block.len() * width).fill(E::ZERO);
                std::slice::from_raw_parts_mut(to.values.add(place * out_width), block.len() * out_width).fill(E::ZERO);
                continue;
            }
            hand.keys.load::<E::Register<I>>(&head.keys, block.clone())?;
            hand.values.load::<E::Register<I>>(&head.values, block.clone())?;
            hand.to_keys.clear::<E::Register<I>>(block.len(), width)?;
            hand.to_values.clear::<E::Register<I>>(block.len(), out_width)?;
            for group in &groups {
                let own = cues.start + group.start..cues.start + group.end;
                let met = met_by_some(&own, &block, causal);
                if met.is_empty() {
                    continue;
                }
                let n = met.len();
                let last = met.end == keys.end && own.end == cues.end;
                let searches = [(&of.scores, &mut hand.scores), (&of.gains, &mut hand.gains)];
                for ((search, (worker, scores)), next) in searches.into_iter().zip(next) {
                    let follows = if last { next } else { [Strided::of(&[]); 2] };
                    let mut sink = Held { scores, group: own.start, block: block.start, follows };
                    search.sweep::<I, _>(worker, own.clone(), met.clone(), &mut sink, stop)?;
                }
                beta += weighed::<E::Register<I>>(of, hand, cues.start, own, &met, causal);
                for (i, sum) in hand.to_log_weight[..n].iter_mut().enumerate() {
                    *to.log_weight.add(place + i) += sum.to_f64();
                    *sum = E::ZERO;
                }
                let [slope, onto] = &of.pulls;
                pull::<E::Register<I>>(
                    onto,
                    hand.scores.1.as_ptr(),
                    group.clone(),
                    n,
                    [&mut hand.grads, &mut hand.values],
                    [&mut Stripes::default(), &mut hand.to_values],
                    &mut hand.list,
                );
                pull::<E::Register<I>>(
                    slope,
                    hand.gains.1.as_ptr(),
                    group.clone(),
                    n,
                    [&mut hand.cues, &mut hand.keys],
                    [&mut hand.to_cues, &mut hand.to_keys],
                    &mut hand.list,
                );
            }
            for i in 0..block.len() {
                finite &= hand.to_keys.give::<E::Register<I>>(i, to.keys.add((place + i) * width));
                finite &= hand.to_values.give::<E::Register<I>>(i, to.values.add((place + i) * out_width));
            }
        }
        for i in 0..cues.len() {
            finite &= hand.to_cues.give::<E::Register<I>>(i, to.cues.add(i * width));
        }
        Ok((beta, finite))
    }
}

/// What the weights of a cue are relative to, in two parts that add up to the logarithm of their mass, and g . out.
#[inline(always)]
unsafe fn relative<V: Vector<E: Real>>(head: &Head, cue: usize) -> [V::E; 3] {
    let scale = head.log_scale[cue];
    if scale == f64::NEG_INFINITY {
        // Without a mass all weights are exp(-inf).
        return [V::E::INFINITY, V::E::ZERO, V::E::ZERO];
    }
    let (width, mut gain) = (head.out.width(), V::splat(V::E::ZERO));
    let (grad, out) = (head.grad.row(cue).cast::<V::E>(), head.out.row(cue).cast::<V::E>());
    for i in (0..width).step_by(V::LANES) {
        gain = V::load_up_to(grad.add(i), width - i).fma(V::load_up_to(out.add(i), width - i), gain);
    }
    let most = V::E::from_f64(scale);
    [most, V::E::from_f64(scale - most.to_f64()), gain.sum()]
}

/// Turns scores and gains of a group and some keys into weights, where the scores were, and into what cues and keys are pulled
/// by, where the gains were. Adds to the derivatives by log-weights and returns that by beta.
#[inline(always)]
unsafe fn weighed<V: Vector<E: Real>>(
    of: &Prepared<V::E>,
    hand: &mut Hand<V::E>,
    first: usize,
    group: Range<usize>,
    keys: &Range<usize>,
    causal: bool,
) -> f64 {
    let zero = V::splat(V::E::ZERO);
    let (sign, beta) = (V::splat(of.sign), V::splat(V::E::from_f64(of.head.beta)));
    let Pull { factor, by_length, .. } = of.pulls[0];
    let steep = V::splat(V::E::from_f64(of.head.beta * factor));
    let tiny = V::splat(V::E::MIN_POSITIVE);
    let terms = of.log_weight.get(keys.start..).filter(|terms| !terms.is_empty());
    let mut by_beta = 0.0;
    for r in 0..group.len().next_multiple_of(STEP) {
        let (scores, gains) = (&mut hand.scores.1[r * STRIDE..], &mut hand.gains.1[r * STRIDE..]);
        let n = match r {
            r if r >= group.len() => 0,
            r if causal => met(group.start + r, keys),
            _ => keys.len(),
        };
        if n > 0 {
            let [most, rest, mean] = hand.relative[group.start + r - first].map(|x| V::splat(x));
            let (scores, gains) = (scores.as_mut_ptr(), gains.as_mut_ptr());
            let mut sum = zero;
            for i in (0..n).step_by(V::LANES) {
                let end = V::splat(V::E::from_f64((n - i) as f64));
                let real = |x: V| V::select_lt(V::lanes(), end, x, zero);
                let (score, gain) = (real(V::load(scores.add(i))), real(V::load(gains.add(i))));
                let term = terms.map_or(zero, |terms| V::load_up_to(terms.as_ptr().add(i), n - i));
                let level = score.mul(sign).fma(beta, zero.sub(most)).add(term.sub(rest));
                // A weight is no more than 1, whatever was rounded.
                let weight = real(math::exp(level.min(zero)));
                let slope = weight.mul(gain.sub(mean));
                let to = hand.to_log_weight.as_mut_ptr().add(i);
                V::load(to).add(slope).store(to);
                sum = slope.fma(score, sum);
                let mut pulled = slope.mul(steep);
                if by_length {
                    pulled = V::select_lt(score, tiny, zero, pulled.div(tiny.max(score)));
                }
                weight.store(scores.add(i));
                pulled.store(gains.add(i));
            }
            by_beta += sum.sum().to_f64();
        }
        scores[n..keys.len()].fill(V::E::ZERO);
        gains[n..keys.len()].fill(V::E::ZERO);
    }
    by_beta * of.sign.to_f64()
}

/// Derivatives of softmax retrievals by a metric, in `into`; causal: cue i met keys 0 to i.
pub fn slopes<E: Scored + Real>(
    context: &Context,
    level: Level,
    metric: MetricName,
    heads: &[Head],
    causal: bool,
    into: Slopes<E>,
) -> Result<(), Error> {
    let mut prepared = room::list(heads.len())?;
    for &head in heads {
        prepared.push(Prepared::new(level, metric, head)?);
    }
    run(context, level, &prepared, causal, into)
}

/// What a task has found of rows that other tasks have found something of, too.
struct Piece<E> {
    cues: Vec<E>,
    keys: Vec<E>,
    values: Vec<E>,
    log_weight: Vec<f64>,
    beta: f64,
    finite: bool,
}

fn run<E: Scored + Real>(
    context: &Context,
    level: Level,
    heads: &[Prepared<E>],
    causal: bool,
    into: Slopes<E>,
) -> Result<(), Error> {
    let Some(first) = heads.first() else { return Ok(()) };
    let Head { cues, keys, values, .. } = first.head;
    let (q, n, width, out_width) = (cues.len(), keys.len(), keys.width(), values.width());
    for Prepared { head, log_weight, .. } in heads {
        assert!(head.cues.len() == q && head.out.len() == q && head.grad.len() == q && head.log_scale.len() == q);
        assert!(head.keys.len() == n && head.values.len() == n && (log_weight.is_empty() || log_weight.len() == n));
        assert!(head.cues.width() == width && head.keys.width() == width && head.values.width() == out_width);
        assert!(head.out.width() == out_width && head.grad.width() == out_width && head.out.dtype() == E::DTYPE);
    }
    assert!(into.cues.len() == heads.len() * q * width && into.keys.len() == heads.len() * n * width);
    assert!(into.values.len() == heads.len() * n * out_width && into.log_weight.len() == heads.len() * n);
    assert!(into.beta.len() == heads.len());

    let by_cues = q > n;
    let shorter = if by_cues { n * (width + out_width) } else { q * width } * size_of::<E>();
    let count = TASKS.div_ceil(heads.len()).min((HELD / shorter.max(1)).max(1));
    let cut =
        |n: usize, by: bool, step: usize| pieces(n, if by { n.div_ceil(count).next_multiple_of(step) } else { n });
    let (cues, keys) = (cut(q, by_cues, GROUP), cut(n, !by_cues, first.scores.block));
    let places: Vec<_> = cues.iter().flat_map(|cues| keys.iter().map(move |keys| (cues, keys))).collect();
    let shared = (
        Shared(into.cues.as_mut_ptr()),
        Shared(into.keys.as_mut_ptr()),
        Shared(into.values.as_mut_ptr()),
        Shared(into.log_weight.as_mut_ptr()),
    );
    let body = |hand: &mut Hand<E>, task: usize, stop: &Stop| {
        let shared = &shared;
        let (head, (some, met)) = (task / places.len(), places[task % places.len()]);
        let own = |rows: usize, by: bool, width: usize| room::filled(if by { rows * width } else { 0 }, E::ZERO);
        let mut piece = Piece {
            cues: own(some.len(), keys.len() > 1, width)?,
            keys: own(met.len(), cues.len() > 1, width)?,
            values: own(met.len(), cues.len() > 1, out_width)?,
            log_weight: room::filled(if cues.len() > 1 { met.len() } else { 0 }, 0.0)?,
            beta: 0.0,
            finite: true,
        };
        let (cue, key) = (head * q + some.start, head * n + met.start);
        let to = To {
            cues: place(&mut piece.cues, &shared.0, cue * width),
            keys: place(&mut piece.keys, &shared.1, key * width),
            values: place(&mut piece.values, &shared.2, key * out_width),
            log_weight: place(&mut piece.log_weight, &shared.3, key),
        };
        let then = task + context.threads;
        let next = heads.get(then / places.len()).map(|next| {
            let (cues, keys) = places[then % places.len()];
            let of = |rows: Rows, range: &Range<usize>| Strided::of(rows.memory(range.clone()));
            let Head { cues: q, keys: k, values: v, grad: g, .. } = next.head;
            [[of(k, keys), of(v, keys)], [of(q, cues), of(g, cues)]]
        });
        let (of, next) = (&heads[head], next.unwrap_or([[Strided::of(&[]); 2]; 2]));
        let (cues, keys) = (some.clone(), met.clone());
        (piece.beta, piece.finite) = level.run(Task { of, hand, cues, keys, causal, to, next, stop })?;
        Ok(piece)
    };
    let cost = 3 * heads.len() * (first.scores.cost() + first.gains.cost());
    let found = map(context, heads.len() * places.len(), cost, Hand::new, body)?;
    for (at, head) in heads.iter().enumerate() {
        head.check().map_err(|error| error.of_head(at, heads.len()))?;
    }
    into.beta.fill(0.0);
    if cues.len() > 1 {
        into.keys.fill(E::ZERO);
        into.values.fill(E::ZERO);
        into.log_weight.fill(0.0);
    }
    if keys.len() > 1 {
        into.cues.fill(E::ZERO);
    }
    let mut finite = true;
    for (task, piece) in found.iter().enumerate() {
        let (head, (some, met)) = (task / places.len(), places[task % places.len()]);
        let (cue, key) = (head * q + some.start, head * n + met.start);
        add(&mut into.cues[cue * width..], &piece.cues);
        add(&mut into.keys[key * width..], &piece.keys);
        add(&mut into.values[key * out_width..], &piece.values);
        add(&mut into.log_weight[key..], &piece.log_weight);
        into.beta[head] += piece.beta;
        finite &= piece.finite;
    }
    // What was added here may be beyond the type, too.
    finite &= cues.len() == 1 || all_finite(into.keys) && all_finite(into.values);
    finite &= keys.len() == 1 || all_finite(into.cues);
    if finite && all_finite(into.beta) && all_finite(into.log_weight) {
        return Ok(());
    }
    Err(Error::Argument("a gradient is too large for its type; scale the loss or the data, or use float64".into()))
}

/// Where a task puts what it finds: into what it keeps or, where it keeps nothing, its own part of the whole.
fn place<T>(own: &mut [T], whole: &Shared<T>, at: usize) -> *mut T {
    if own.is_empty() { whole.0.wrapping_add(at) } else { own.as_mut_ptr() }
}

fn add<T: Copy + std::ops::AddAssign>(to: &mut [T], more: &[T]) {
    for (to, &more) in to.iter_mut().zip(more) {
        *to += more;
    }
}

/// Whether all numbers are finite, looked at many at a time.
fn all_finite<E: Real>(x: &[E]) -> bool {
    x.chunks(256).all(|some| some.iter().fold(true, |all, &x| all & x.to_f64().is_finite()))
}
