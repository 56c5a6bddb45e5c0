//! The elementary functions of registers against those of the standard library, on every instruction set.

mod common;

use _core::simd::{Float, Isa, Level, Vector, Work, math};
use common::{Random, Real, cases, close, jensen_shannon_term};
use proptest::prelude::*;

unsafe fn lanes<V: Vector>(x: V) -> Vec<V::E> {
    let mut out = vec![V::E::ZERO; V::LANES];
    x.store(out.as_mut_ptr());
    out
}

/// Runs an elementary function over a list.
struct Mapped<'a, E> {
    function: Function,
    x: &'a [E],
    y: &'a [E],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Exp,
    Ln,
    JensenShannon,
    Power(u32),
}

impl<E: Real> Work for Mapped<'_, E> {
    type Out = Vec<E>;
    unsafe fn run<I: Isa>(self) -> Vec<E> {
        type Register<E, I> = <E as _core::separation::Real>::Register<I>;
        let n = Register::<E, I>::LANES;
        let mut out = vec![E::ZERO; self.x.len()];
        for start in (0..self.x.len()).step_by(n) {
            let rest = (self.x.len() - start).min(n);
            let load = |x: &[E]| {
                let mut padded = [E::ONE; 16];
                padded[..rest].copy_from_slice(&x[start..start + rest]);
                Register::<E, I>::load(padded.as_ptr())
            };
            let x = load(self.x);
            let result = match self.function {
                Function::Exp => math::exp(x),
                Function::Ln => math::ln(x),
                Function::JensenShannon => math::jensen_shannon(x, load(self.y)),
                Function::Power(n) => math::power(x, n),
            };
            out[start..start + rest].copy_from_slice(&lanes(result)[..rest]);
        }
        out
    }
}

/// The largest error in units of the last place, and where it is.
fn worst<E: Real>(level: Level, function: Function, x: &[E], y: &[E], want: impl Fn(usize) -> f64) -> (f64, usize) {
    let got = level.run(Mapped { function, x, y });
    let mut worst = (0.0, 0);
    for (i, got) in got.iter().enumerate() {
        let want = want(i);
        let error = (got.double() - want).abs() / E::ulp(want);
        assert!(error.is_finite(), "{function:?} of {:?}: {got:?}", x[i]);
        if error > worst.0 {
            worst = (error, i);
        }
    }
    worst
}

#[track_caller]
fn within_ulp<E: Real>(function: Function, x: &[E], y: &[E], limit: f64, want: impl Fn(usize) -> f64) {
    for level in Level::available() {
        let (error, i) = worst(level, function, x, y, &want);
        let name = std::any::type_name::<E>();
        println!("{} {name} {function:?}: {error:.2} ulp at {:?} {:?}", level.name(), x[i], y.get(i));
        assert!(error <= limit, "{} {name} {function:?} of {:?} {:?}: {error} ulp", level.name(), x[i], y.get(i));
    }
}

fn exp_everywhere<E: Real>() {
    let random = &mut Random(4);
    let lowest = E::EXP_MIN.double();
    let mut x = vec![E::ZERO, -E::ZERO, E::EXP_MIN, E::of(-f64::MIN_POSITIVE), E::of(-1e-20)];
    let n = cases(200_000);
    x.extend((0..n).map(|i| E::of(lowest * i as f64 / n as f64)));
    x.extend((0..n).map(|_| E::of(-2f64.powf(random.between(-60.0, (-lowest).log2())))));
    // Around the half-way points of the reduction.
    x.extend((1..250).map(|i| E::of(-(i as f64 - 0.5) * std::f64::consts::LN_2)).filter(|x| x.double() > lowest));
    within_ulp(Function::Exp, &x, &[], 2.0, |i| x[i].double().exp());
    let none = [E::of(lowest * 1.0001), E::of(2.0 * lowest), E::of(-1e30), -E::INFINITY];
    for level in Level::available() {
        let zeros = level.run(Mapped { function: Function::Exp, x: &none, y: &[] });
        assert!(zeros.iter().all(|y| y.pattern() == 0), "{zeros:?}");
    }
}

#[test]
fn exp() {
    exp_everywhere::<f32>();
    exp_everywhere::<f64>();
}

fn ln_everywhere<E: Real>() {
    let random = &mut Random(5);
    let (low, high) = (E::MIN_POSITIVE.pattern(), E::INFINITY.pattern());
    let n = cases(200_000) as u64;
    let mut x: Vec<E> = (0..n).map(|i| E::from_pattern(low + (high - low) / n * i)).collect();
    x.extend((0..n).map(|_| E::of(random.between(0.5, 2.0))));
    x.extend(
        (0..n)
            .map(|_| E::of(1.0 + random.between(-1.0, 1.0) * 2f64.powi(-(random.below(30) as i32))))
            .filter(|x| *x > E::ZERO),
    );
    x.extend([E::ONE, E::from_pattern(low), E::from_pattern(high - 1)]);
    for near in [1.0, std::f64::consts::SQRT_2, std::f64::consts::FRAC_1_SQRT_2] {
        let at = E::of(near).pattern();
        x.extend((at - 500..at + 500).map(E::from_pattern));
    }
    within_ulp(Function::Ln, &x, &[], 2.0, |i| x[i].double().ln());
}

#[test]
fn ln() {
    ln_everywhere::<f32>();
    ln_everywhere::<f64>();
}

/// Where the logarithms take over from the series their terms cancel to a sixteenth, and so their errors weigh more.
const JENSEN_SHANNON_ULP: f64 = 64.0;

fn jensen_shannon_everywhere<E: Real>() {
    let random = &mut Random(6);
    let (mut p, mut q) =
        (vec![E::ZERO, E::ZERO, E::ONE, E::ONE, E::of(1e-30)], vec![E::ZERO, E::ONE, E::ZERO, E::ONE, E::ONE]);
    for _ in 0..cases(100_000) {
        let size = 2f64.powi(-(random.below(40) as i32));
        let x = random.unit() * size;
        p.push(E::of(x));
        q.push(E::of(match random.below(3) {
            0 => random.unit() * size,
            1 => x * (1.0 + random.between(-1.0, 1.0) * 2f64.powi(-(random.below(24) as i32))),
            // About where series and logarithms meet: r = 1/4.
            _ => x * random.between(0.55, 0.65),
        }));
    }
    let want = |i: usize| jensen_shannon_term(p[i].double(), q[i].double());
    within_ulp(Function::JensenShannon, &p, &q, JENSEN_SHANNON_ULP, want);
    within_ulp(Function::JensenShannon, &q, &p, JENSEN_SHANNON_ULP, want);
}

#[test]
fn jensen_shannon() {
    jensen_shannon_everywhere::<f32>();
    jensen_shannon_everywhere::<f64>();
}

#[test]
fn jensen_shannon_of_nan() {
    for level in Level::available() {
        let (odd, one) = ([f32::NAN; 5], [0.5f32; 5]);
        for (x, y) in [(odd, one), (one, odd), (odd, odd)] {
            let got = level.run(Mapped { function: Function::JensenShannon, x: &x, y: &y });
            assert!(got.iter().all(|y| y.is_nan()), "{} {x:?} {y:?}: {got:?}", level.name());
        }
    }
}

#[test]
fn power() {
    let x: Vec<f64> = Random(7).floats(100, -1.0, 1.0);
    let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    for level in Level::available() {
        for n in [1, 2, 3, 4, 5, 7, 16, 31, 100] {
            for (x, y) in x.iter().zip(level.run(Mapped { function: Function::Power(n), x: &x, y: &[] })) {
                close(y, x.powi(n as i32), 2.0 * n as f64 * f64::EPSILON * y.abs(), &(level, n, x));
            }
            for (x, y) in single.iter().zip(level.run(Mapped { function: Function::Power(n), x: &single, y: &[] })) {
                let want = (*x as f64).powi(n as i32);
                let tolerance = n as f64 * f32::EPSILON as f64 * want.abs() + f32::MIN_POSITIVE as f64;
                close(y as f64, want, tolerance, &(level, n, x));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if common::quick() { 32 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exp_of_any(x in prop::collection::vec(-87.33f64..=0.0, 1..40)) {
        let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let large: Vec<f64> = x.iter().map(|x| x * 8.1).collect();
        within_ulp(Function::Exp, &single, &[], 2.0, |i| (single[i] as f64).exp());
        within_ulp(Function::Exp, &large, &[], 2.0, |i| large[i].exp());
    }

    #[test]
    fn ln_of_any(
        x in prop::collection::vec(prop::num::f32::POSITIVE | prop::num::f32::NORMAL, 1..40),
        y in prop::collection::vec(prop::num::f64::POSITIVE | prop::num::f64::NORMAL, 1..40),
    ) {
        let (x, y): (Vec<f32>, Vec<f64>) = (x.iter().map(|x| x.abs()).collect(), y.iter().map(|y| y.abs()).collect());
        within_ulp(Function::Ln, &x, &[], 2.0, |i| (x[i] as f64).ln());
        within_ulp(Function::Ln, &y, &[], 2.0, |i| y[i].ln());
    }

    #[test]
    fn jensen_shannon_of_any(pairs in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0), 1..40)) {
        let (p, q): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        within_ulp(Function::JensenShannon, &p, &q, JENSEN_SHANNON_ULP, |i| jensen_shannon_term(p[i], q[i]));
    }
}
