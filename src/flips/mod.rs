//! Dynamics of networks of units that are -1 or +1: one loop over interchangeable fields.
//!
//! The field of unit i is half of what the energy gains if the unit goes from +1 to -1, so the unit takes the field's sign.
//! A [`Field`] knows the energy: patterns and a table of their overlaps ([`overlaps`]: Hopfield, dense and exponential
//! memories), a matrix ([`matrix`]), or patterns of real numbers ([`real`]). What is here knows orders, ties, clamped units,
//! temperature and when to stop; [`chance`] has the random numbers.
//!
//! **Ties.** A field is a sum of rounded terms. It counts as a tie, and is zero from then on, where its magnitude is at most
//! 2^-52 times the sum of the magnitudes of its terms: what rounding each term once or twice can leave of terms that cancel.
//! A quick sum decides where it is certain; where it may be wrong, the terms are added once more in double-double precision
//! in the order of the patterns. So neither the instruction set nor the number of threads decides a tie.

pub mod chance;
pub mod matrix;
pub mod overlaps;
pub mod real;

use crate::error::Error;
use crate::error::room;
use crate::parallel::{Context, Stop, map};
use crate::simd::{Isa, Level, Work};
use chance::Chance;

/// 2^-52: two roundings.
const EPS: f64 = f64::EPSILON;

/// When units are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// One after the other, in a new random order each sweep.
    Shuffled,
    /// One after the other, the first unit first.
    InOrder,
    /// All at once.
    Together,
}

/// How the units move.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// When units are updated.
    pub update: Update,
    /// What a tied unit takes: -1 or +1; 0 keeps what it has.
    pub tie: i8,
    /// Zero: a unit takes its field's sign. Else it flips with probability 1/(1 + exp(2 h s / T)).
    pub temperature: f64,
    /// Sweeps at most.
    pub max_sweeps: usize,
    /// Of the orders and of chance.
    pub seed: u64,
    /// Whether to compute the energy before and after every sweep.
    pub energies: bool,
}

/// States to start from and what holds for all of them.
pub struct Cues<'a> {
    /// Rows of -1 and +1.
    pub states: &'a [i8],
    /// Units.
    pub width: usize,
    /// One row for all cues or one for each: units that never flip.
    pub clamp: Option<&'a [bool]>,
    /// Added to the fields.
    pub bias: Option<&'a [f64]>,
    /// Multiplies what the field type computes; finite and above zero.
    pub scale: f64,
}

/// Where one cue ended.
pub struct Rest {
    /// The state.
    pub state: Vec<i8>,
    /// Sweeps done.
    pub sweeps: usize,
    /// 1: a fixed point; 2: two states in turn; 0: neither within the sweeps allowed.
    pub period: u8,
    /// Free units whose field is a tie in the final state.
    pub undecided: Vec<bool>,
    /// Energies of the cue and after every sweep, if asked for.
    pub energies: Vec<f64>,
}

/// A field by the quick sum.
#[derive(Clone, Copy)]
pub struct Sum {
    /// The sum.
    pub value: f64,
    /// At most this far from the true one.
    pub slack: f64,
    /// The field is the sum times exp of this.
    pub log_scale: f64,
}

/// An energy, seen through what one unit's flip would change. A field type stays at the state it was given, and follows flips.
#[allow(clippy::missing_safety_doc)] // All `unsafe` here means: only below [`Isa::call`].
pub trait Field {
    /// Goes to a state.
    unsafe fn load<I: Isa>(&mut self, state: &[i8]);
    /// Forgets the rounding errors of many flips, if it has any.
    unsafe fn refresh<I: Isa>(&mut self, _state: &[i8]) {}
    /// The unit's field, quickly.
    unsafe fn sum<I: Isa>(&mut self, unit: usize, s: i8) -> Sum;
    /// The unit's field in double-double precision, and the sum of the magnitudes of its terms.
    fn exact(&self, unit: usize, state: &[i8]) -> (f64, f64);
    /// The unit leaves `s`.
    unsafe fn flip<I: Isa>(&mut self, unit: usize, s: i8);
    /// The energy without bias, before it is scaled.
    fn energy(&self, state: &[i8]) -> f64;
}

/// A sum in double-double precision.
#[derive(Clone, Copy, Default)]
pub struct Exact {
    high: f64,
    low: f64,
    magnitude: f64,
}

impl Exact {
    /// Adds a term.
    #[inline]
    pub fn add(&mut self, x: f64) {
        let sum = self.high + x;
        let part = sum - self.high;
        self.low += (self.high - (sum - part)) + (x - part);
        self.high = sum;
        self.magnitude += x.abs();
    }
    /// The sum.
    pub fn value(&self) -> f64 {
        self.high + self.low
    }
    /// The sum and that of the magnitudes.
    pub fn parts(&self) -> (f64, f64) {
        (self.value(), self.magnitude)
    }
}

/// One cue on its way.
struct Walk<'a, F> {
    field: &'a mut F,
    cues: &'a Cues<'a>,
    rules: &'a Rules,
    /// Of the cue, see [`chance`].
    key: u64,
    row: usize,
    stop: &'a Stop<'a>,
}

impl<F: Field> Walk<'_, F> {
    /// The unit's field, zero where it is a tie, and the logarithm of its scale.
    #[inline(always)]
    unsafe fn local<I: Isa>(&mut self, unit: usize, state: &[i8]) -> (f64, f64) {
        let bias = self.cues.bias.map_or(0.0, |bias| bias[unit]);
        let sum = self.field.sum::<I>(unit, state[unit]);
        let field = self.cues.scale * sum.value + bias;
        let slack = 2.0 * (self.cues.scale * sum.slack + EPS * (field.abs() + bias.abs()));
        if field.abs() > slack {
            return (field, sum.log_scale);
        }
        let (value, magnitude) = self.field.exact(unit, state);
        let field = self.cues.scale * value + bias;
        let tie = field.abs() <= EPS * (self.cues.scale * magnitude + bias.abs());
        (if tie { 0.0 } else { field }, sum.log_scale)
    }

    /// What a unit at `s` becomes in its field.
    #[inline(always)]
    fn next(&self, s: i8, field: (f64, f64), chance: Chance, place: usize) -> i8 {
        let (h, log_scale) = field;
        let temperature = self.rules.temperature;
        if temperature > 0.0 {
            let ratio = 2.0 * h * f64::from(s) / temperature;
            let ratio = if log_scale == 0.0 || h == 0.0 {
                ratio
            } else {
                // The scale may be beyond numbers, where the field times the scale is not.
                ((2.0 * h.abs()).ln() - temperature.ln() + log_scale).exp().copysign(ratio)
            };
            let flips = chance.unit(self.cues.width, place) < 1.0 / (1.0 + ratio.exp());
            return if flips { -s } else { s };
        }
        match h {
            h if h > 0.0 => 1,
            h if h < 0.0 => -1,
            _ if self.rules.tie == 0 => s,
            _ => self.rules.tie,
        }
    }

    fn energy(&self, state: &[i8]) -> f64 {
        let mut sum = Exact::default();
        for (&b, &s) in self.cues.bias.unwrap_or_default().iter().zip(state) {
            sum.add(-b * f64::from(s));
        }
        sum.add(self.cues.scale * self.field.energy(state));
        sum.value()
    }

    /// One unit after the other; whether none flipped.
    #[inline(always)]
    unsafe fn sweep<I: Isa>(
        &mut self,
        order: &[u32],
        chance: Chance,
        state: &mut [i8],
        undecided: &mut [bool],
    ) -> Result<bool, Error> {
        let mut still = true;
        self.field.refresh::<I>(state);
        for (place, &unit) in order.iter().enumerate() {
            self.stop.check()?;
            let (unit, s) = (unit as usize, state[unit as usize]);
            let field = self.local::<I>(unit, state);
            undecided[unit] = field.0 == 0.0;
            if self.next(s, field, chance, place) != s {
                self.field.flip::<I>(unit, s);
                state[unit] = -s;
                still = false;
            }
        }
        Ok(still)
    }

    /// All units at once; the new state goes to `next`. Whether it is the old one.
    #[inline(always)]
    unsafe fn step<I: Isa>(
        &mut self,
        free: &[u32],
        chance: Chance,
        state: &[i8],
        next: &mut [i8],
        undecided: &mut [bool],
    ) -> Result<bool, Error> {
        let mut still = true;
        for (place, &unit) in free.iter().enumerate() {
            self.stop.check()?;
            let unit = unit as usize;
            let field = self.local::<I>(unit, state);
            undecided[unit] = field.0 == 0.0;
            next[unit] = self.next(state[unit], field, chance, place);
            still &= next[unit] == state[unit];
        }
        Ok(still)
    }
}

impl<F: Field> Work for Walk<'_, F> {
    type Out = Result<Rest, Error>;
    #[inline(always)]
    unsafe fn run<I: Isa>(mut self) -> Self::Out {
        let (width, rules) = (self.cues.width, self.rules);
        let mut state = room::copied(&self.cues.states[self.row * width..][..width])?;
        let clamped = self.cues.clamp.map(|clamp| match clamp.len() == width {
            true => clamp,
            false => &clamp[self.row * width..][..width],
        });
        let mut free: Vec<u32> = room::list(width)?;
        free.extend((0..width).filter(|&i| clamped.is_none_or(|c| !c[i])).map(|i| i as u32));
        let mut order = room::copied(&free)?;
        let mut undecided = room::filled(width, false)?;
        let (mut sweeps, mut period) = (0, 0);
        let mut energies: Vec<f64> = Vec::new();
        // The states before and after in a synchronous step; the one before that is left in `next`.
        let together = rules.update == Update::Together;
        let (mut next, mut before) =
            if together { (room::copied(&state)?, room::list(width)?) } else { Default::default() };
        self.stop.check()?;
        self.field.load::<I>(&state);
        if rules.energies {
            room::push(&mut energies, self.energy(&state))?;
        }
        let certain = rules.temperature == 0.0;
        while sweeps < rules.max_sweeps && period == 0 {
            self.stop.check()?; // With every unit clamped a sweep does nothing else.
            let chance = Chance::new(rules.seed, self.key, sweeps);
            if together {
                let still = self.step::<I>(&free, chance, &state, &mut next, &mut undecided)?;
                if certain && still {
                    period = 1;
                } else {
                    if certain && before == next {
                        period = 2;
                    }
                    self.field.load::<I>(&next);
                    before.clone_from(&state);
                    state.copy_from_slice(&next);
                }
            } else {
                if rules.update == Update::Shuffled {
                    order.copy_from_slice(&free);
                    chance.shuffle(&mut order);
                }
                let still = self.sweep::<I>(&order, chance, &mut state, &mut undecided)?;
                period = u8::from(certain && still);
            }
            sweeps += 1;
            if rules.energies {
                room::push(&mut energies, self.energy(&state))?;
            }
        }
        if period != 1 {
            // The ties seen on the way belong to other states.
            for &unit in &free {
                self.stop.check()?;
                undecided[unit as usize] = self.local::<I>(unit as usize, &state).0 == 0.0;
            }
        }
        Ok(Rest { state, sweeps, period, undecided, energies })
    }
}

/// Lets every cue go its way, each in a field of its own that `field` makes for a worker. `cost` is what one sweep of one cue
/// costs in tile steps (see [`map`]).
pub fn run<F: Field>(
    context: &Context,
    level: Level,
    cues: &Cues,
    rules: &Rules,
    cost: usize,
    field: impl Fn() -> Result<F, Error> + Sync,
) -> Result<Vec<Rest>, Error> {
    let n = cues.states.len() / cues.width;
    let cost = cost.saturating_mul(n).saturating_mul(rules.max_sweeps.clamp(1, 4));
    let keys = chance::keys(cues.states, cues.width, rules.temperature > 0.0)?;
    map(context, n, cost, field, |field, row, stop| level.run(Walk { field, cues, rules, key: keys[row], row, stop }))
}
