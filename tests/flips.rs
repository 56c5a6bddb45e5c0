//! The dynamics of binary units against a loop written down plainly, with fields in exact integers.

mod common;

use _core::error::Error;
use _core::flips::chance::{Chance, key, keys};
use _core::flips::matrix::{Coupling, Matrix};
use _core::flips::overlaps::{Patterns, Table, signs};
use _core::flips::real::{Interaction, RealOverlaps};
use _core::flips::{Cues, Exact, Field, Rest, Rules, Update, run};
use _core::parallel::Context;
use _core::simd::Level;
use common::{Random, cases};
use proptest::prelude::*;

/// A power or a rectified power of an overlap, exactly.
fn worth(o: i64, n: u32, rectified: bool) -> i128 {
    if rectified && o < 0 { 0 } else { i128::from(o).pow(n) }
}

/// A memory and cues in plain form.
#[derive(Clone, Debug)]
struct Case {
    width: usize,
    patterns: Vec<Vec<i8>>,
    weights: Vec<i64>,
    states: Vec<Vec<i8>>,
    clamp: Option<Vec<bool>>,
    bias: Option<Vec<f64>>,
    n: u32,
    rectified: bool,
    own: bool,
    rules: Rules,
}

fn signs_of(random: &mut Random, n: usize) -> Vec<i8> {
    (0..n).map(|_| if random.below(2) == 0 { -1 } else { 1 }).collect()
}

fn random_case(random: &mut Random, width: usize, len: usize) -> Case {
    let patterns: Vec<Vec<i8>> = (0..len).map(|_| signs_of(random, width)).collect();
    let n_states = 1 + random.below(4);
    let mut states: Vec<Vec<i8>> = (0..n_states).map(|_| signs_of(random, width)).collect();
    states[0] = patterns[random.below(len)].clone();
    let clamp = (random.below(3) == 0).then(|| {
        let rows = if random.below(2) == 0 { 1 } else { n_states };
        (0..rows * width).map(|_| random.below(3) == 0).collect()
    });
    let update = [Update::Shuffled, Update::InOrder, Update::Together][random.below(3)];
    Case {
        width,
        weights: (0..len).map(|_| [1, 1, 2, 3, 0][random.below(5)]).collect(),
        patterns,
        states,
        clamp,
        bias: (random.below(3) == 0).then(|| (0..width).map(|_| random.below(9) as f64 - 4.0).collect()),
        n: 1 + random.below(5) as u32,
        rectified: random.below(2) == 0,
        own: random.below(4) == 0,
        rules: Rules {
            update,
            tie: random.below(3) as i8 - 1,
            temperature: [0.0, 0.0, 3.0][random.below(3)],
            max_sweeps: random.below(9),
            seed: random.bits(),
            energies: true,
        },
    }
}

impl Case {
    /// Twice the field, an integer; with `own` the derivative of the power counts.
    fn field(&self, state: &[i8], unit: usize) -> i128 {
        let mut sum = 0;
        for (x, &w) in self.patterns.iter().zip(&self.weights) {
            let o: i64 = x.iter().zip(state).map(|(&x, &s)| i64::from(x * s)).sum();
            let xi = i64::from(x[unit]);
            let term = if self.own {
                i128::from(xi) * derivative(o, self.n, self.rectified) * 2
            } else {
                let rest = o - xi * i64::from(state[unit]);
                worth(rest + xi, self.n, self.rectified) - worth(rest - xi, self.n, self.rectified)
            };
            sum += i128::from(w) * term;
        }
        sum + self.bias.as_ref().map_or(0, |b| 2 * b[unit] as i128)
    }
    fn energy(&self, state: &[i8]) -> i128 {
        let mut sum = 0;
        for (x, &w) in self.patterns.iter().zip(&self.weights) {
            let o: i64 = x.iter().zip(state).map(|(&x, &s)| i64::from(x * s)).sum();
            sum -= i128::from(w) * worth(o, self.n, self.rectified);
        }
        for (&b, &s) in self.bias.iter().flatten().zip(state) {
            sum -= b as i128 * i128::from(s);
        }
        sum
    }

    /// The loop, plainly.
    fn plain(&self, row: usize) -> Rest {
        let (d, rules) = (self.width, &self.rules);
        let mut state = self.states[row].clone();
        let free: Vec<u32> = (0..d as u32)
            .filter(|&i| {
                let clamped = |c: &Vec<bool>| c[if c.len() == d { 0 } else { row * d } + i as usize];
                !self.clamp.as_ref().is_some_and(clamped)
            })
            .collect();
        let mut rest = Rest {
            state: vec![],
            sweeps: 0,
            period: 0,
            undecided: vec![false; d],
            energies: vec![self.energy(&state) as f64],
        };
        let mut before: Vec<i8> = vec![];
        let own = keys(&self.states.concat(), d, rules.temperature > 0.0).unwrap()[row];
        while rest.sweeps < rules.max_sweeps && rest.period == 0 {
            let chance = Chance::new(rules.seed, own, rest.sweeps);
            let mut order = free.clone();
            if rules.update == Update::Shuffled {
                chance.shuffle(&mut order);
            }
            let old = state.clone();
            for (place, &unit) in order.iter().enumerate() {
                let unit = unit as usize;
                let twice = self.field(if rules.update == Update::Together { &old } else { &state }, unit);
                let s = old[unit];
                state[unit] = if rules.temperature > 0.0 {
                    let odds = (twice as f64 * f64::from(s) / rules.temperature).exp();
                    if chance.unit(d, place) < 1.0 / (1.0 + odds) { -s } else { s }
                } else {
                    match twice.signum() {
                        0 if rules.tie == 0 => s,
                        0 => rules.tie,
                        sign => sign as i8,
                    }
                };
            }
            if rules.temperature == 0.0 {
                if state == old {
                    rest.period = 1;
                } else if rules.update == Update::Together && state == before {
                    rest.period = 2;
                }
            }
            before = old;
            rest.sweeps += 1;
            rest.energies.push(self.energy(&state) as f64);
        }
        for &unit in &free {
            rest.undecided[unit as usize] = self.field(&state, unit as usize) == 0;
        }
        rest.state = state;
        rest
    }

    fn flat(&self) -> Vec<i8> {
        self.states.concat()
    }
    fn run<F: Field>(
        &self,
        level: Level,
        threads: usize,
        field: impl Fn() -> Result<F, Error> + Sync,
    ) -> Result<Vec<Rest>, Error> {
        let states = self.flat();
        let cues = Cues {
            states: &states,
            width: self.width,
            clamp: self.clamp.as_deref(),
            bias: self.bias.as_deref(),
            scale: 1.0,
        };
        run(&Context { threads, poll: &|| false }, level, &cues, &self.rules, 1 << 16, field)
    }
    /// G at -(d-1), ..., d-1, or the derivative at -d, ..., d.
    fn table(&self) -> Vec<f64> {
        let (d, n) = (self.width as i64, self.n);
        if self.own {
            return (0..=d).map(|a| derivative(2 * a - d, n, self.rectified) as f64).collect();
        }
        let step = |o| worth(o + 1, n, self.rectified) - worth(o - 1, n, self.rectified);
        (0..d).map(|j| step(2 * j - d + 1) as f64 / 2.0).collect()
    }
    fn overlaps(&self, level: Level, threads: usize) -> Vec<Rest> {
        let bits = packed(&self.patterns);
        let weights: Vec<f64> = self.weights.iter().map(|&w| w as f64).collect();
        let values = self.table();
        let table = if self.own { Table::With(&values) } else { Table::Without(&values) };
        let d = self.width as i64;
        let energy: Vec<f64> = (0..=d).map(|a| worth(2 * a - d, self.n, self.rectified) as f64).collect();
        let patterns =
            Patterns::new(&bits, self.patterns.len(), self.width, &weights, &table, Some(&energy), None).unwrap();
        self.run(level, threads, || patterns.field()).unwrap()
    }
    fn check(&self, got: &[Rest], what: &str) {
        assert_eq!(got.len(), self.states.len());
        for (row, got) in got.iter().enumerate() {
            let want = self.plain(row);
            assert_eq!(got.state, want.state, "{what} state of row {row}: {self:?}");
            assert_eq!((got.sweeps, got.period), (want.sweeps, want.period), "{what} row {row}: {self:?}");
            assert_eq!(got.undecided, want.undecided, "{what} undecided of row {row}: {self:?}");
            assert_eq!(got.energies, want.energies, "{what} energies of row {row}: {self:?}");
        }
    }
}

fn derivative(o: i64, n: u32, rectified: bool) -> i128 {
    if rectified && o < 0 { 0 } else { i128::from(n) * i128::from(o).pow(n - 1) }
}

/// Eight bits a byte, the first in the highest.
fn packed(rows: &[Vec<i8>]) -> Vec<u8> {
    let byte = |bits: &[i8]| bits.iter().enumerate().fold(0, |b, (i, &x)| b | u8::from(x > 0) << (7 - i));
    rows.iter().flat_map(|row| row.chunks(8).map(byte).collect::<Vec<_>>()).collect()
}

const WIDTHS: [usize; 12] = [1, 2, 3, 7, 8, 9, 31, 63, 64, 65, 100, 130];
const LENGTHS: [usize; 9] = [1, 2, 3, 31, 33, 63, 64, 65, 200];

#[test]
fn overlaps_follow_the_plain_loop() {
    let random = &mut Random(1);
    for round in 0..cases(3) {
        for (i, &width) in WIDTHS.iter().enumerate() {
            for j in (round % 2..LENGTHS.len()).step_by(2) {
                let case = random_case(random, width, LENGTHS[(i + j) % LENGTHS.len()]);
                for level in Level::available() {
                    case.check(&case.overlaps(level, 1 + j % 2), level.name());
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn small_ones_too(seed: u64, width in 1usize..6, len in 1usize..5) {
        // Here nearly every field meets ties.
        let case = random_case(&mut Random(seed), width, len);
        for level in Level::available() {
            case.check(&case.overlaps(level, 1), level.name());
        }
    }
}

fn matrix<T: Coupling>(case: &Case, of: impl Fn(i64) -> T) {
    let d = case.width;
    let couplings: Vec<T> = (0..d * d)
        .map(|ij| {
            let terms = case.patterns.iter().zip(&case.weights);
            of(terms.map(|(x, &w)| w * i64::from(x[ij / d] * x[ij % d])).sum())
        })
        .collect();
    for level in Level::available() {
        for (row, got) in case.run(level, 2, || Matrix::new(&couplings, d, case.own)).unwrap().into_iter().enumerate() {
            let want = case.plain(row);
            assert_eq!(got.state, want.state, "{} row {row}: {case:?}", level.name());
            assert_eq!((got.sweeps, got.period), (want.sweeps, want.period));
            assert_eq!(got.undecided, want.undecided, "{} row {row}: {case:?}", level.name());
            // Without the diagonal the energies are a constant apart.
            let apart = |rest: &Rest, i: usize| rest.energies[i] - rest.energies[0];
            for i in 0..got.energies.len() {
                assert_eq!(apart(&got, i), apart(&want, i));
            }
        }
    }
}

#[test]
fn a_matrix_is_the_second_power() {
    let random = &mut Random(2);
    for &width in &WIDTHS {
        for _ in 0..cases(4) {
            let len = 1 + random.below(40);
            let mut case = random_case(random, width, len);
            // With F(o) = o^2 couplings are twice the sums of products.
            (case.n, case.rectified) = (2, false);
            matrix(&case, |w| 2 * w as i32);
            matrix(&case, |w| 2.0 * w as f32);
            matrix(&case, |w| 2.0 * w as f64);
        }
    }
}

#[test]
fn ties_of_a_float_matrix_survive_many_flips() {
    // Rows of tenths that cancel exactly for some states; sums of tenths are not exact.
    let random = &mut Random(3);
    let d = 24;
    let mut couplings = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..i {
            let w = 0.1 * (random.below(7) as f64 - 3.0);
            (couplings[i * d + j], couplings[j * d + i]) = (w, w);
        }
    }
    let states = signs_of(random, 40 * d);
    let rules = Rules { update: Update::Shuffled, tie: 1, temperature: 0.0, max_sweeps: 50, seed: 5, energies: false };
    let cues = Cues { states: &states, width: d, clamp: None, bias: None, scale: 1.0 };
    let context = Context { threads: 1, poll: &|| false };
    let mut ties = 0;
    for level in Level::available() {
        let rests = run(&context, level, &cues, &rules, 1, || Matrix::new(&couplings, d, false)).unwrap();
        for rest in rests {
            for i in 0..d {
                let tenths: i64 =
                    (0..d).map(|j| (10.0 * couplings[i * d + j]).round() as i64 * i64::from(rest.state[j])).sum();
                assert_eq!(rest.undecided[i], tenths == 0);
                assert!(tenths == 0 || i64::from(rest.state[i]) * tenths > 0);
                ties += usize::from(tenths == 0);
            }
        }
    }
    assert!(ties > 0);
}

#[test]
fn real_patterns_of_ones_are_binary_ones() {
    let random = &mut Random(4);
    for &width in &WIDTHS {
        for _ in 0..cases(4) {
            let len = 1 + random.below(40);
            let mut case = random_case(random, width, len);
            case.own = false;
            let columns: Vec<f64> =
                (0..width).flat_map(|i| case.patterns.iter().map(move |x| f64::from(x[i]))).collect();
            let weights: Vec<f64> = case.weights.iter().map(|&w| w as f64).collect();
            let power = if case.rectified { Interaction::Rectified(case.n) } else { Interaction::Power(case.n) };
            for level in Level::available() {
                let rests = case.run(level, 1, || RealOverlaps::new(&columns, &weights, power)).unwrap();
                case.check(&rests, level.name());
            }
        }
    }
}

#[test]
fn the_exponential_is_exact_at_any_overlap() {
    let random = &mut Random(5);
    let beta = 0.7;
    for &width in WIDTHS.iter().chain(&[3000]) {
        let mut case = random_case(random, width, 20);
        (case.bias, case.rules.temperature, case.own) = (None, 0.0, width % 2 == 0);
        let bits = packed(&case.patterns);
        let weights: Vec<f64> = case.weights.iter().map(|&w| w as f64).collect();
        let columns: Vec<f64> = (0..width).flat_map(|i| case.patterns.iter().map(move |x| f64::from(x[i]))).collect();
        let table = Table::Exponential { beta, own: case.own };
        let patterns = Patterns::new(&bits, 20, width, &weights, &table, None, None).unwrap();
        for level in Level::available() {
            let rests = case.run(level, 1, || patterns.field()).unwrap();
            for rest in &rests {
                // Where it rests, no unit has a field against it.
                for unit in (0..width).filter(|_| rest.period == 1 && case.clamp.is_none()) {
                    let overlaps = case.patterns.iter().map(|x| {
                        let o: i64 = x.iter().zip(&rest.state).map(|(&x, &s)| i64::from(x * s)).sum();
                        if case.own { o } else { o - i64::from(x[unit] * rest.state[unit]) }
                    });
                    let overlaps: Vec<i64> = overlaps.collect();
                    let most = overlaps.iter().zip(&case.weights).filter(|(_, w)| **w > 0).map(|(o, _)| *o).max();
                    let mut sum = Exact::default();
                    for ((x, &w), &o) in case.patterns.iter().zip(&weights).zip(&overlaps) {
                        sum.add(w * f64::from(x[unit]) * (beta * (o - most.unwrap_or(0)) as f64).exp().min(1e300));
                    }
                    let (h, magnitude) = sum.parts();
                    if h.abs() > 1e-12 * magnitude {
                        assert!(h * f64::from(rest.state[unit]) > 0.0, "{} {unit}: {h} {case:?}", level.name());
                        assert!(!rest.undecided[unit]);
                    }
                }
                assert!(rest.energies.iter().all(|e| e.is_finite() || case.weights.iter().all(|&w| w == 0)));
            }
            if !case.own {
                let real = Interaction::Exponential(beta);
                let twins = case.run(level, 1, || RealOverlaps::new(&columns, &weights, real)).unwrap();
                for (a, b) in rests.iter().zip(&twins) {
                    assert_eq!((&a.state, a.sweeps, a.period), (&b.state, b.sweeps, b.period));
                    for (x, y) in a.energies.iter().zip(&b.energies) {
                        assert!(x == y || (x - y).abs() <= 1e-12 * x.abs().max(1.0));
                    }
                }
            }
        }
    }
}

#[test]
fn one_step_signs_are_those_of_the_sum() {
    let random = &mut Random(6);
    for &width in &WIDTHS {
        for _ in 0..cases(6) {
            let len = 1 + random.below(140);
            let mut case = random_case(random, width, len);
            (case.bias, case.own) = (None, true);
            let units = 1 + random.below(70);
            let values: Vec<Vec<i8>> = case.patterns.iter().map(|_| signs_of(random, units)).collect();
            let (bits, readout, f) = (packed(&case.patterns), packed(&values), case.table());
            let weights: Vec<f64> = case.weights.iter().map(|&w| w as f64).collect();
            let n = case.patterns.len();
            let table = Table::With(&f);
            let patterns = Patterns::new(&bits, n, width, &weights, &table, None, Some((&readout, units))).unwrap();
            let (case_, values_) = (&case, &values);
            let want: Vec<i8> = case
                .states
                .iter()
                .flat_map(|state| {
                    (0..units).map(move |j| {
                        let sum: i128 = (0..n)
                            .map(|mu| {
                                let o = case_.patterns[mu].iter().zip(state).map(|(&x, &s)| i64::from(x * s)).sum();
                                let vote = i128::from(values_[mu][j]) * i128::from(case_.weights[mu]);
                                vote * derivative(o, case_.n, case_.rectified)
                            })
                            .sum();
                        sum.signum() as i8
                    })
                })
                .collect();
            for level in Level::available() {
                let context = Context { threads: 2, poll: &|| false };
                let mut got = vec![7; want.len()];
                signs(&context, level, &patterns, &case.flat(), &mut got).unwrap();
                assert_eq!(got, want, "{case:?}");
            }
        }
    }
}

#[test]
fn a_wish_to_stop_is_heard() {
    let random = &mut Random(7);
    let mut case = random_case(random, 2000, 300);
    (case.rules.temperature, case.rules.max_sweeps, case.rules.energies) = (1e3, usize::MAX, false);
    (case.clamp, case.bias, case.own, case.n, case.rectified) = (None, None, false, 2, false);
    let (bits, table) = (packed(&case.patterns), case.table());
    let patterns = Patterns::new(&bits, 300, 2000, &[], &Table::Without(&table), None, None).unwrap();
    let states = case.flat();
    let cues = Cues { states: &states, width: 2000, clamp: None, bias: None, scale: 1.0 };
    let context = Context { threads: 1, poll: &|| true };
    let result = run(&context, Level::available()[0], &cues, &case.rules, patterns.cost(), || patterns.field());
    assert!(matches!(result, Err(Error::Interrupted)));
}

#[test]
fn every_order_is_drawn() {
    // 24 orders of four units, each about as often as the others.
    let mut counts = std::collections::HashMap::new();
    for sweep in 0..24_000 {
        let mut units = [0, 1, 2, 3];
        Chance::new(9, sweep as u64 % 7, sweep / 7).shuffle(&mut units);
        *counts.entry(units).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 24);
    assert!(counts.values().all(|&n| (850..1150).contains(&n)), "{counts:?}");
}

/// Equal cues end alike, wherever they stand; other cues meet other chance. At a temperature copies are samples.
#[test]
fn copies_of_a_cue_settle_alike() {
    let random = &mut Random(77);
    for (width, temperature) in [(5, 0.0), (64, 0.0), (67, 2.0), (130, 0.0)] {
        let mut couplings = vec![0f64; width * width];
        for i in 0..width {
            for j in 0..i {
                let x = random.between(-1.0, 1.0);
                (couplings[i * width + j], couplings[j * width + i]) = (x, x);
            }
        }
        let cue: Vec<i8> = (0..width).map(|_| if random.below(2) == 0 { -1 } else { 1 }).collect();
        let mut states: Vec<i8> = cue.iter().map(|s| -s).collect();
        for _ in 0..8 {
            states.extend(&cue);
        }
        let rules = Rules { update: Update::Shuffled, tie: 0, temperature, max_sweeps: 3, seed: 5, energies: false };
        let cues = Cues { states: &states, width, clamp: None, bias: None, scale: 1.0 };
        let context = Context { threads: 2, poll: &|| false };
        let field = || Matrix::new(&couplings, width, false);
        let rests = run(&context, Level::available()[0], &cues, &rules, 1 << 20, field).unwrap();
        let alike = rests[2..].iter().all(|rest| rest.state == rests[1].state);
        assert_eq!(alike, temperature == 0.0, "{width} {temperature}");
        let alone = Cues { states: &cue, ..cues };
        let rest = run(&context, Level::available()[0], &alone, &rules, 1, field).unwrap();
        assert_eq!(rest[0].state, rests[1].state, "{width} {temperature}");
    }
    let (one, mut other) = (vec![1i8; 65], vec![1i8; 65]);
    other[64] = -1;
    assert_ne!(key(&one), key(&other));
    assert_ne!(key(&one[..64]), key(&one));
}
