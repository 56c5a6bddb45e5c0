//! Learning of dense associative memories: by its formulas on every instruction set, and what must not change a bit.

mod common;

use _core::dense::{Overlaps, Step, follow, pulled, saved};
use _core::parallel::Context;
use _core::simd::Level;
use common::*;

/// Some inputs, memories and classes.
struct Case<E> {
    shape: [usize; 3],
    products: Vec<E>,
    scale: Vec<E>,
    off: Vec<E>,
    switched: Vec<E>,
    pull: Vec<E>,
    order: u32,
    rectified: bool,
}

impl<E: Real> Case<E> {
    fn new(shape: [usize; 3], order: u32, rectified: bool) -> Self {
        let random = &mut Random(order as u64 + 8 * shape[1] as u64);
        let [q, k, c] = shape;
        Case {
            shape,
            products: random.floats(q * k, -1.0, 1.0),
            scale: random.floats(q, 0.4, 0.6),
            off: random.floats(k, -0.4, 0.4),
            switched: random.floats(c * k, -0.4, 0.4),
            pull: random.floats(q * c, -1.0, 1.0),
            order,
            rectified,
        }
    }

    /// Energies, what pulls the overlaps, what pulls the units.
    fn run(&self, level: Level, threads: usize) -> [Vec<E>; 3] {
        let context = Context { threads, poll: &|| false };
        let Case { scale, off, switched, order, rectified, .. } = self;
        let of = Overlaps { scale, off, switched, order: *order, rectified: *rectified };
        let nothing = |n: usize| vec![E::of(7.0); n];
        let [mut energies, mut units] = [nothing(self.pull.len()), nothing(switched.len())];
        saved(&context, level, &of, &self.products, &mut energies).unwrap();
        let mut shared = self.products.clone();
        pulled(&context, level, &of, &self.pull, &mut shared, &mut units).unwrap();
        [energies, shared, units]
    }

    fn power(&self, x: f64, n: u32) -> f64 {
        if self.rectified && x <= 0.0 { 0.0 } else { x.powi(n as i32) }
    }

    fn expected(&self) -> [Vec<f64>; 3] {
        let [q, k, c] = self.shape;
        let mut out = [vec![0.0; q * c], vec![0.0; q * k], vec![0.0; c * k]];
        let [energies, shared, units] = &mut out;
        for (i, j, a) in (0..q).flat_map(|i| (0..k).flat_map(move |j| (0..c).map(move |a| (i, j, a)))) {
            let scale = self.scale[i].double();
            let off = scale * (self.products[i * k + j].double() + self.off[j].double());
            let on = off + scale * self.switched[a * k + j].double();
            energies[i * c + a] += self.power(on, self.order) - self.power(off, self.order);
            let pull = self.pull[i * c + a].double();
            let [before, after] = [off, on].map(|x| self.power(x, self.order - 1));
            shared[i * k + j] += pull * (after - before);
            units[a * k + j] += 2.0 * pull * after;
        }
        for (i, j, a) in (0..q).flat_map(|i| (0..k).flat_map(move |j| (0..c).map(move |a| (i, j, a)))) {
            units[a * k + j] -= shared[i * k + j];
        }
        out
    }

    fn check(&self) {
        let expected = self.expected();
        for level in Level::available() {
            let found = self.run(level, 1);
            for (got, expected) in found.iter().zip(&expected) {
                let size = expected.iter().fold(self.order as f64, |a, x| a.max(x.abs()));
                for (x, y) in got.iter().zip(expected) {
                    assert!(
                        (x.double() - y).abs() <= 64.0 * E::UNIT * size,
                        "{x:?}, not {y}: {level:?} {:?}",
                        self.shape
                    );
                }
            }
            for threads in [2, 3] {
                assert_eq!(self.run(level, threads), found);
            }
        }
    }
}

#[test]
fn energies_and_pulls_are_the_formulas() {
    for shape in [[1, 1, 1], [3, 7, 2], [4, 8, 3], [5, 17, 1], [18, 33, 10], [20, 130, 3]] {
        for (order, rectified) in [(1, true), (1, false), (2, true), (3, false), (20, true), (29, true)] {
            Case::<f32>::new(shape, order, rectified).check();
            Case::<f64>::new(shape, order, rectified).check();
        }
    }
    // Large enough for threads.
    Case::<f32>::new([70, 2000, 10], 3, true).check();
}

fn steps<E: Real>() {
    for [rows, width] in [[1, 1], [3, 15], [17, 33], [40, 100]] {
        let random = &mut Random(width as u64);
        let mut gradient: Vec<E> = random.floats(rows * width, -1.0, 1.0);
        gradient[..width].fill(E::of(0.0));
        let (memories, velocity): (Vec<E>, Vec<E>) =
            (random.floats(rows * width, -1.0, 1.0), random.floats(rows * width, -1.0, 1.0));
        let step = Step { momentum: E::of(0.5), unit: E::of(2.0), rate: E::of(0.25), least: E::of(1e-30) };
        for level in Level::available() {
            let run = |threads| {
                let context = Context { threads, poll: &|| false };
                let (mut memories, mut velocity) = (memories.clone(), velocity.clone());
                let largest = follow(&context, level, step, &gradient, &mut memories, &mut velocity, width).unwrap();
                (memories, velocity, largest)
            };
            let found = run(1);
            let top = gradient.iter().fold(0.0, |a: f64, x| a.max(2.0 * x.double().abs()));
            assert_eq!(found.2.double(), top);
            for row in 0..rows {
                let place = row * width..(row + 1) * width;
                let speed: Vec<f64> =
                    place.clone().map(|i| 0.5 * velocity[i].double() + 2.0 * gradient[i].double()).collect();
                let fastest = speed.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
                for (i, speed) in place.zip(speed) {
                    let moved = if row == 0 { 0.0 } else { 0.25 * speed / fastest };
                    let to = (memories[i].double() + moved).clamp(-1.0, 1.0);
                    assert!((found.0[i].double() - to).abs() <= 8.0 * E::UNIT, "{level:?}");
                    assert!((found.1[i].double() - speed).abs() <= 8.0 * E::UNIT, "{level:?}");
                }
            }
            assert_eq!(run(2), found);
        }
    }
}

#[test]
fn memories_follow_their_velocity() {
    steps::<f32>();
    steps::<f64>();
}
