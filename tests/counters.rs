//! Sparse distributed memory against its definition, bit by bit and item by item.

mod common;

use _core::counters::{Counter, Counters, Items, activate, read, write};
use _core::error::Error;
use _core::metric::MetricName;
use _core::pack::{Keys, Panels, Scored};
use _core::parallel::Context;
use _core::simd::Level;
use _core::sweep::Search;
use _core::table::{Dtype, Rows};
use common::*;
use std::fmt::Debug;

/// What tests need of counters besides.
trait Cell: Counter + Debug + PartialEq + Default {
    const MIN: i64;
    fn wide(self) -> i64;
}
macro_rules! cell {
    ($($t:ty),*) => {$(
        impl Cell for $t {
            const MIN: i64 = <$t>::MIN as i64;
            fn wide(self) -> i64 {
                self as i64
            }
        }
    )*};
}
cell!(i8, i16, i32);

/// `n` packed words of `width` bits, tails zero.
fn words(random: &mut Random, n: usize, width: usize) -> Vec<u8> {
    let bytes = width.div_ceil(8);
    let mut out: Vec<u8> = (0..n * bytes).map(|_| random.bits() as u8).collect();
    if !width.is_multiple_of(8) {
        for row in out.chunks_mut(bytes) {
            row[bytes - 1] &= 0xff << (8 - width % 8);
        }
    }
    out
}

fn bit(word: &[u8], j: usize) -> bool {
    word[j / 8] >> (7 - j % 8) & 1 == 1
}

fn context(threads: usize) -> Context<'static> {
    Context { threads, poll: &|| false }
}

fn activated(
    level: Level,
    threads: usize,
    cues: &[u8],
    locations: &[u8],
    bytes: usize,
    radius: usize,
) -> Vec<Vec<u32>> {
    let kernel = i32::kernel(level, MetricName::Hamming, Dtype::U8);
    let panels = Panels::new(kernel, bytes).extended(&context(threads), &Rows::of(locations, bytes)).unwrap();
    let mut row = vec![0; bytes];
    for (i, location) in locations.chunks(bytes).enumerate() {
        panels.unpack(i, &mut row);
        assert_eq!(row, location, "location {i} comes back from the panels");
    }
    let search = Search::new(kernel, Rows::of(cues, bytes), Keys::Packed(panels.all()), 0, usize::MAX / 2);
    activate(&context(threads), level, &search, radius).unwrap()
}

/// The definition: every location, bit by bit.
fn near(cues: &[u8], locations: &[u8], bytes: usize, radius: usize) -> Vec<Vec<u32>> {
    let apart = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones() as usize).sum::<usize>();
    let row =
        |cue| (0u32..).zip(locations.chunks(bytes)).filter(|(_, l)| apart(cue, l) <= radius).map(|(i, _)| i).collect();
    cues.chunks(bytes).map(row).collect()
}

#[test]
fn activation() {
    let random = &mut Random(41);
    for (n, m, width) in [(1, 1, 1usize), (3, 65, 7), (5, 700, 64), (21, 1500, 65), (2, 5000, 1000)] {
        let bytes = width.div_ceil(8);
        let locations = words(random, m, width);
        let mut cues = words(random, n, width);
        cues[..bytes].copy_from_slice(&locations[(m - 1) * bytes..]);
        for radius in [0, width / 3, width / 2, width] {
            let want = near(&cues, &locations, bytes, radius);
            assert_eq!(want[0].last(), Some(&(m as u32 - 1)));
            for level in Level::available() {
                for threads in [1, 3] {
                    let got = activated(level, threads, &cues, &locations, bytes, radius);
                    assert_eq!(got, want, "{level:?} {threads} {:?}", (n, m, width, radius));
                }
            }
        }
    }
}

/// Some items activate some of the locations, one of them all.
fn lists(random: &mut Random, n: usize, m: usize) -> Vec<Vec<u32>> {
    (0..n)
        .map(|i| match i % 4 {
            0 => (0..m as u32).collect(),
            1 => Vec::new(),
            _ => (0..m as u32).filter(|_| random.below(3) == 0).collect(),
        })
        .collect()
}

fn writes<C: Cell>() {
    let random = &mut Random(42);
    let weights = [1, -1, 3, 0, C::MAX, -C::MAX, C::MAX + 1, C::MIN - 1, 2 * C::MAX + 1, i64::MAX, i64::MIN, -2];
    for (n, m, width) in [(1, 1, 1usize), (12, 3, 7), (30, 40, 8), (25, 33, 65), (13, 70, 1000)] {
        let active = lists(random, n, m);
        let (words, bytes) = (words(random, n, width), width.div_ceil(8));
        let weights: Vec<i64> = (0..n).map(|i| weights[(i * 5 + width) % weights.len()]).collect();
        let before: Vec<C> =
            (0..m * width).map(|_| C::from_i64(random.between(C::MIN as f64, C::MAX as f64) as i64)).collect();
        let mut want: Vec<i128> = before.iter().map(|c| c.wide() as i128).collect();
        for (i, locations) in active.iter().enumerate() {
            for &l in locations {
                for j in 0..width {
                    let step = if bit(&words[i * bytes..], j) { weights[i] as i128 } else { -(weights[i] as i128) };
                    let cell = &mut want[l as usize * width + j];
                    *cell = (*cell + step).clamp(C::MIN as i128, C::MAX as i128);
                }
            }
        }
        for level in Level::available() {
            for threads in [1, 2, 3] {
                let mut cells = before.clone();
                let items = Items { words: &words, weights: &weights };
                write(&context(threads), level, &active, &items, Counters { cells: &mut cells, width }).unwrap();
                let got: Vec<i128> = cells.iter().map(|c| c.wide() as i128).collect();
                assert_eq!(got, want, "{level:?} {threads} {:?}", (n, m, width));
            }
        }
    }
}

#[test]
fn writes_saturate_in_order() {
    writes::<i8>();
    writes::<i16>();
    writes::<i32>();
}

fn reads<C: Cell>() {
    let random = &mut Random(43);
    for (n, m, width) in [(1, 1, 1usize), (12, 3, 7), (5, 40, 65), (9, 70, 1000)] {
        let active = lists(random, n, m);
        let cells: Vec<C> =
            (0..m * width).map(|_| C::from_i64(random.between(C::MIN as f64, C::MAX as f64) as i64)).collect();
        let mut want = vec![0i64; n * width];
        for (i, locations) in active.iter().enumerate() {
            for &l in locations {
                for j in 0..width {
                    want[i * width + j] += cells[l as usize * width + j].wide();
                }
            }
        }
        for level in Level::available() {
            for threads in [1, 3] {
                let mut sums = vec![-1; n * width];
                read(&context(threads), level, &active, &cells, width, &mut sums).unwrap();
                assert_eq!(sums, want, "{level:?} {threads} {:?}", (n, m, width));
            }
        }
    }
}

#[test]
fn reads_sum() {
    reads::<i8>();
    reads::<i16>();
    reads::<i32>();
}

/// More extreme counters than 32 bits hold the sum of.
#[test]
fn sums_outgrow_32_bits() {
    fn extreme<C: Cell>(value: i64, m: usize) {
        let cells = vec![C::from_i64(value); m];
        let all: Vec<u32> = (0..m as u32).collect();
        let mut sums = [0; 1];
        for level in Level::available() {
            read(&context(1), level, std::slice::from_ref(&all), &cells, 1, &mut sums).unwrap();
            assert_eq!(sums[0], value * m as i64);
        }
    }
    extreme::<i16>(i16::MIN as i64, 3 * 65_535 + 7);
    extreme::<i16>(i16::MAX as i64, 65_536);
    extreme::<i32>(i32::MIN as i64, 70_000);
    extreme::<i8>(i8::MIN as i64, 70_000);
}

/// A search that its caller no longer wants ends.
#[test]
fn interruption() {
    let random = &mut Random(44);
    let (locations, cues) = (words(random, 60_000, 512), words(random, 4000, 512));
    let level = Level::available()[0];
    let kernel = i32::kernel(level, MetricName::Hamming, Dtype::U8);
    let panels = Panels::new(kernel, 64).extended(&context(1), &Rows::of(&locations, 64)).unwrap();
    let search = Search::new(kernel, Rows::of(&cues, 64), Keys::Packed(panels.all()), 0, usize::MAX / 2);
    let result = activate(&Context { threads: 2, poll: &|| true }, level, &search, 200);
    assert_eq!(result.err(), Some(Error::Interrupted));
}
