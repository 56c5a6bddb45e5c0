//! How memories learn that complete the units of classes: the energies they save, and what pulls them.
//!
//! A memory's overlap x with an input grows by what switching a class's unit on adds. With F(x) = x^n, and 0 below 0 where it
//! is rectified, class a saves the energy z_a = sum over the memories of F(x + s_a) - F(x). Given how strongly a loss pulls
//! each z, the pulls of the overlaps and of the units follow from F' = n x^(n-1), without the factor n.
//!
//! Powers are taken in registers, a few inputs and a register of memories at a time, and taken again for the slopes: they are
//! never stored. An input's energies are summed over the memories in order, a memory's pulls over the inputs in order, so
//! nothing depends on the number of threads.

use crate::error::Error;
use crate::error::room;
use crate::parallel::{Context, Shared, map, pieces};
use crate::separation::Real;
use crate::simd::{Float, Isa, Level, Vector, Work, math};
use std::ops::Range;

/// Inputs whose powers are taken at a time.
const ROWS: usize = 4;
/// Inputs in a task, a multiple of [`ROWS`].
const INPUTS: usize = 16;
/// Memories in a task whose pulls stay in the first-level cache.
const MEMORIES: usize = 128;

/// What makes overlaps of the products of inputs and memories, and powers of overlaps.
#[derive(Clone, Copy)]
pub struct Overlaps<'a, E> {
    /// What overlaps are multiplied by, one an input.
    pub scale: &'a [E],
    /// What the units add that are off, one a memory.
    pub off: &'a [E],
    /// What switching a class on adds to that, classes by memories.
    pub switched: &'a [E],
    /// n of x^n.
    pub order: u32,
    /// Whether x^n is 0 below 0.
    pub rectified: bool,
}

impl<E: Real> Overlaps<'_, E> {
    fn memories(&self) -> usize {
        self.off.len()
    }
    fn classes(&self) -> usize {
        self.switched.len() / self.memories()
    }
    fn inputs(&self) -> usize {
        self.scale.len()
    }
    /// Steps of a register that a pass takes.
    fn cost(&self) -> usize {
        self.inputs() * self.switched.len() / 16
    }
}

/// A power with its rectification, in registers.
#[derive(Clone, Copy)]
struct Power<V> {
    exponent: u32,
    rectified: bool,
    /// Up to this magnitude an overlap counts as 0: its power would be too small for the type, and slow.
    floor: V,
}

impl<V: Vector<E: Real>> Power<V> {
    /// x^n for results of at least `least`.
    #[inline(always)]
    unsafe fn new(exponent: u32, rectified: bool, least: f64) -> Self {
        let floor = if exponent == 0 { 0.0 } else { least.powf(1.0 / exponent as f64) };
        Power { exponent, rectified, floor: V::splat(V::E::from_f64(floor)) }
    }

    #[inline(always)]
    unsafe fn of<const R: usize>(self, mut x: [V; R]) -> [V; R] {
        let (zero, one) = (V::splat(V::E::ZERO), V::splat(V::E::ONE));
        for x in &mut x {
            let size = if self.rectified { *x } else { x.abs() };
            *x = match self.exponent {
                0 if self.rectified => V::select_lt(zero, size, one, zero),
                0 => one,
                _ => V::select_lt(self.floor, size, *x, zero),
            };
        }
        if self.exponent > 1 { math::powers(x, self.exponent) } else { x }
    }
}

/// Scales of R inputs, and their overlaps, classes off, with the `n` memories from `first` on.
#[inline(always)]
unsafe fn overlaps<V: Vector<E: Real>, const R: usize>(
    of: &Overlaps<V::E>,
    products: *const V::E,
    input: usize,
    first: usize,
    n: usize,
) -> ([V; R], [V; R]) {
    let off = V::load_up_to(of.off.as_ptr().add(first), n);
    let (mut scale, mut x) = ([off; R], [off; R]);
    for r in 0..R {
        scale[r] = V::splat(of.scale[input + r]);
        let product = V::load_up_to(products.add((input + r) * of.memories() + first), n);
        x[r] = product.add(off).mul(scale[r]);
    }
    (scale, x)
}

/// The overlaps when a class is on that adds `switched`.
#[inline(always)]
unsafe fn on<V: Vector, const R: usize>(scale: [V; R], mut x: [V; R], switched: V) -> [V; R] {
    for r in 0..R {
        x[r] = switched.fma(scale[r], x[r]);
    }
    x
}

/// Energies of some inputs.
struct Saved<'a, E> {
    of: &'a Overlaps<'a, E>,
    /// Inputs by memories.
    products: &'a [E],
    /// Registers of sums, for [`ROWS`] inputs and each class.
    sums: &'a mut [E],
    /// Inputs by classes.
    out: *mut E,
    inputs: Range<usize>,
}

impl<E: Real> Work for Saved<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Saved { of, products, sums, out, inputs } = self;
        let mut input = inputs.start;
        while input < inputs.end {
            let (products, sums) = (products.as_ptr(), sums.as_mut_ptr());
            let whole = inputs.end - input >= ROWS;
            if whole {
                saved_by::<E::Register<I>, ROWS>(of, products, input, sums, out);
            } else {
                saved_by::<E::Register<I>, 1>(of, products, input, sums, out);
            }
            input += if whole { ROWS } else { 1 };
        }
    }
}

#[inline(always)]
unsafe fn saved_by<V: Vector<E: Real>, const R: usize>(
    of: &Overlaps<V::E>,
    products: *const V::E,
    input: usize,
    sums: *mut V::E,
    out: *mut V::E,
) {
    let power = Power::<V>::new(of.order, of.rectified, V::E::MIN_POSITIVE.to_f64());
    let sum = |class: usize, r: usize| sums.wrapping_add((class * R + r) * V::LANES);
    for i in 0..of.classes() * R {
        V::splat(V::E::ZERO).store(sum(0, i));
    }
    for first in (0..of.memories()).step_by(V::LANES) {
        let n = of.memories() - first;
        let (scale, off) = overlaps::<V, R>(of, products, input, first, n);
        let before = power.of(off);
        for class in 0..of.classes() {
            let switched = V::load_up_to(of.switched.as_ptr().add(class * of.memories() + first), n);
            let after = power.of(on(scale, off, switched));
            for r in 0..R {
                V::load(sum(class, r)).add(after[r].sub(before[r])).store(sum(class, r));
            }
        }
    }
    for class in 0..of.classes() {
        for r in 0..R {
            *out.add((input + r) * of.classes() + class) = V::load(sum(class, r)).sum();
        }
    }
}

/// The energy that each class saves when it is switched on, for every row of `products`: `out` is inputs by classes.
pub fn saved<E: Real>(
    context: &Context,
    level: Level,
    of: &Overlaps<E>,
    products: &[E],
    out: &mut [E],
) -> Result<(), Error> {
    assert!(products.len() == of.inputs() * of.memories() && out.len() == of.inputs() * of.classes());
    let (parts, to) = (pieces(of.inputs(), INPUTS), Shared(out.as_mut_ptr()));
    let room = || room::filled(of.classes() * ROWS * 16, E::ZERO);
    map(context, parts.len(), of.cost(), room, |sums, task, stop| {
        stop.check()?;
        let out = &to;
        level.run(Saved { of, products, sums, out: out.0, inputs: parts[task].clone() });
        Ok(())
    })?;
    Ok(())
}

/// Pulls of some memories.
struct Pulled<'a, E> {
    of: &'a Overlaps<'a, E>,
    /// Inputs by classes.
    pull: &'a [E],
    /// Inputs by memories, of which those of this task become the pulls of their overlaps.
    products: *mut E,
    /// Classes by memories.
    units: *mut E,
    memories: Range<usize>,
}

impl<E: Real> Work for Pulled<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Pulled { of, pull, products, units, memories } = self;
        let mut input = 0;
        while input < of.inputs() {
            let (pull, some) = (pull.as_ptr(), memories.clone());
            let whole = of.inputs() - input >= ROWS;
            if whole {
                pulled_by::<E::Register<I>, ROWS>(of, pull, products, units, input, some);
            } else {
                pulled_by::<E::Register<I>, 1>(of, pull, products, units, input, some);
            }
            input += if whole { ROWS } else { 1 };
        }
    }
}

#[inline(always)]
unsafe fn pulled_by<V: Vector<E: Real>, const R: usize>(
    of: &Overlaps<V::E>,
    pull: *const V::E,
    products: *mut V::E,
    units: *mut V::E,
    input: usize,
    memories: Range<usize>,
) {
    // Both factors of a product are at least this, or 0.
    let power = Power::<V>::new(of.order - 1, of.rectified, V::E::MIN_POSITIVE.to_f64().sqrt());
    let two = V::splat(V::E::from_f64(2.0));
    for first in memories.clone().step_by(V::LANES) {
        let n = memories.end - first;
        let (scale, off) = overlaps::<V, R>(of, products, input, first, n);
        let before = power.of(off);
        let mut shared = [V::splat(V::E::ZERO); R];
        for class in 0..of.classes() {
            let at = class * of.memories() + first;
            let slope = power.of(on(scale, off, V::load_up_to(of.switched.as_ptr().add(at), n)));
            let mut unit = V::splat(V::E::ZERO);
            for r in 0..R {
                let pull = V::splat(*pull.add((input + r) * of.classes() + class));
                unit = pull.fma(slope[r], unit);
                shared[r] = pull.fma(slope[r].sub(before[r]), shared[r]);
            }
            two.fma(unit, V::load_up_to(units.add(at), n)).store_up_to(units.add(at), n);
        }
        let mut all = V::splat(V::E::ZERO);
        for (r, shared) in shared.into_iter().enumerate() {
            shared.store_up_to(products.add((input + r) * of.memories() + first), n);
            all = all.add(shared);
        }
        for class in 0..of.classes() {
            let unit = units.add(class * of.memories() + first);
            V::load_up_to(unit, n).sub(all).store_up_to(unit, n);
        }
    }
}

/// What pulls the overlaps, in place of the products, and what pulls the units of the classes, classes by memories, when each
/// energy is pulled as `pull` says, inputs by classes. Magnitudes of pulls are 0 or at least the root of the smallest number.
pub fn pulled<E: Real>(
    context: &Context,
    level: Level,
    of: &Overlaps<E>,
    pull: &[E],
    products: &mut [E],
    units: &mut [E],
) -> Result<(), Error> {
    assert!(products.len() == of.inputs() * of.memories() && pull.len() == of.inputs() * of.classes());
    assert!(units.len() == of.switched.len() && of.order > 0);
    units.fill(E::ZERO);
    let parts = pieces(of.memories(), MEMORIES);
    let to = (Shared(products.as_mut_ptr()), Shared(units.as_mut_ptr()));
    map(
        context,
        parts.len(),
        of.cost(),
        || Ok(()),
        |(), task, stop| {
            stop.check()?;
            let (products, units) = (&to.0, &to.1);
            let memories = parts[task].clone();
            level.run(Pulled { of, pull, products: products.0, units: units.0, memories });
            Ok(())
        },
    )?;
    Ok(())
}

/// How memories move.
#[derive(Clone, Copy)]
pub struct Step<E> {
    /// What a velocity keeps of itself.
    pub momentum: E,
    /// What gradients are multiplied by.
    pub unit: E,
    /// How far the entry moves that has the largest velocity of its memory.
    pub rate: E,
    /// The least that counts as the largest velocity.
    pub least: E,
}

/// Some memories that move.
struct Moved<'a, E> {
    step: Step<E>,
    gradient: &'a [E],
    memories: *mut E,
    velocity: *mut E,
    width: usize,
    rows: Range<usize>,
}

impl<E: Real> Work for Moved<'_, E> {
    type Out = E;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> E {
        let Moved { step, gradient, memories, velocity, width, rows } = self;
        let mut largest = E::ZERO;
        for row in rows {
            let at = row * width;
            let pulled =
                moved::<E::Register<I>>(step, gradient.as_ptr().add(at), memories.add(at), velocity.add(at), width);
            largest = if largest < pulled { pulled } else { largest };
        }
        largest
    }
}

/// Moves a memory; returns the largest entry of its gradient.
#[inline(always)]
unsafe fn moved<V: Vector<E: Real>>(
    step: Step<V::E>,
    gradient: *const V::E,
    memory: *mut V::E,
    velocity: *mut V::E,
    width: usize,
) -> V::E {
    let zero = V::splat(V::E::ZERO);
    let (momentum, unit) = (V::splat(step.momentum), V::splat(step.unit));
    // A velocity that nothing feeds fades away, and is slow once it is below the normal numbers.
    let tiny = V::splat(V::E::MIN_POSITIVE);
    let (mut fastest, mut largest) = (zero, zero);
    for i in (0..width).step_by(V::LANES) {
        let n = width - i;
        let pull = V::load_up_to(gradient.add(i), n).mul(unit);
        let speed = momentum.fma(V::load_up_to(velocity.add(i), n), pull);
        let speed = V::select_lt(speed.abs(), tiny, zero, speed);
        speed.store_up_to(velocity.add(i), n);
        fastest = fastest.max(speed.abs());
        largest = largest.max(pull.abs());
    }
    let (fastest, largest) = (fastest.largest(), largest.largest());
    // A memory that nothing pulls stays: old velocity blown up to a full step means nothing.
    if largest > V::E::ZERO {
        let rate = step.rate / if fastest < step.least { step.least } else { fastest };
        let (rate, one) = (V::splat(rate), V::splat(V::E::ONE));
        for i in (0..width).step_by(V::LANES) {
            let n = width - i;
            let to = rate.fma(V::load_up_to(velocity.add(i), n), V::load_up_to(memory.add(i), n));
            to.min(one).max(zero.sub(one)).store_up_to(memory.add(i), n);
        }
    }
    largest
}

/// Lets each memory go along its velocity, its largest entry by the rate, and no entry beyond -1..1; returns the largest entry
/// of the gradient, times its unit. The three are of one shape, rows of `width`.
pub fn follow<E: Real>(
    context: &Context,
    level: Level,
    step: Step<E>,
    gradient: &[E],
    memories: &mut [E],
    velocity: &mut [E],
    width: usize,
) -> Result<E, Error> {
    assert!(gradient.len() == memories.len() && gradient.len() == velocity.len());
    assert!(width > 0 && gradient.len().is_multiple_of(width));
    let parts = pieces(gradient.len() / width, INPUTS);
    let to = (Shared(memories.as_mut_ptr()), Shared(velocity.as_mut_ptr()));
    // Half a step would be neither made nor not: nothing stops it.
    let context = &Context { threads: context.threads, poll: &|| false };
    let found = map(
        context,
        parts.len(),
        gradient.len() / 8,
        || Ok(()),
        |(), task, _| {
            let (memories, velocity) = (&to.0, &to.1);
            let rows = parts[task].clone();
            Ok(level.run(Moved { step, gradient, memories: memories.0, velocity: velocity.0, width, rows }))
        },
    )?;
    Ok(found.into_iter().fold(E::ZERO, |a, b| if a < b { b } else { a }))
}
