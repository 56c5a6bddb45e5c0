//! Sums of outer products: by their definition on every instruction set, exact where they are whole, the same bits for any
//! number of threads.

mod common;

use _core::error::{Error, Side};
use _core::hebbian::{Patterns, Signs, hebbian, hebbian_signs, hebbian_signs_in};
use _core::parallel::Context;
use _core::simd::Level;
use _core::table::turned::Source;
use _core::table::{Dtype, Rows};
use common::*;

/// Patterns, columns of Y, columns of X: around registers, tiles, regions, chunks and stretches of chunks.
fn sizes() -> Vec<(usize, usize, usize)> {
    let sizes = [
        (1, 1, 1),
        (2, 13, 7),
        (7, 12, 64),
        (8, 5, 65),
        (255, 24, 15),
        (256, 11, 17),
        (257, 31, 9),
        (300, 263, 40),
        (70, 40, 330),
        (65, 530, 260),
        (6000, 3, 5),
    ];
    if quick() { sizes[..8].to_vec() } else { sizes.to_vec() }
}

fn context(threads: usize) -> Context<'static> {
    Context { threads, poll: &|| false }
}

/// sum w y x^T in double precision, and of the magnitudes.
fn definition(x: &Rows, y: &Rows, weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (o, d) = (y.width(), x.width());
    let (mut sum, mut size) = (vec![0.0; o * d], vec![0.0; o * d]);
    for (p, w) in weights.iter().enumerate() {
        let (x, y) = (doubles(x, p), doubles(y, p));
        for i in 0..o {
            for j in 0..d {
                sum[i * d + j] += w * y[i] * x[j];
                size[i * d + j] += (w * y[i] * x[j]).abs();
            }
        }
    }
    (sum, size)
}

fn floats<E>()
where
    E: Real + _core::sink::sum::Total<E> + _core::sink::sum::Entry<E>,
    f64: _core::sink::sum::Total<E>,
{
    for (n, o, d) in sizes() {
        let random = &mut Random((n * 1009 + o * 31 + d) as u64);
        let (x, y): (Vec<E>, Vec<E>) = (random.floats(n * d, -1.0, 1.0), random.floats(n * o, -1.0, 1.0));
        let (x, y) = (Rows::of(&x, d), Rows::of(&y, o));
        let weights: Vec<f64> = random.floats(n, -2.0, 2.0);
        let ones = vec![1.0; n];
        for (y, weights) in [(None, None), (Some(y), None), (None, Some(&weights)), (Some(y), Some(&weights))] {
            let partner = y.unwrap_or(x);
            let (want, size) = definition(&x, &partner, weights.unwrap_or(&ones));
            let patterns = Patterns { x, y, weights: weights.map(|w| &w[..]) };
            for level in Level::available() {
                let run = |threads, add: bool| {
                    let mut out: Vec<E> =
                        (0..want.len()).map(|i| <E as Real>::of(if add { i as f64 } else { f64::NAN })).collect();
                    hebbian::<E, E, E>(&context(threads), level, patterns, &mut out, add).unwrap();
                    let mut wide = vec![0.0; want.len()];
                    hebbian::<E, f64, f64>(&context(threads), level, patterns, &mut wide, true).unwrap();
                    (out, wide)
                };
                let (got, wide) = run(1, false);
                let (added, _) = run(1, true);
                for i in 0..want.len() {
                    let off = (roundings(n) + 4.0) * E::UNIT * size[i] + 1e-300;
                    let at = &(level, (n, o, d), i);
                    close(got[i].double(), want[i], off, at);
                    close(wide[i], want[i], off, at);
                    close(added[i].double(), want[i] + i as f64, off + 2.0 * E::UNIT * (size[i] + i as f64), at);
                    if y.is_none() {
                        assert_eq!(got[i].pattern(), got[i % d * d + i / d].pattern(), "{at:?}");
                    }
                }
                for threads in [2, 3] {
                    let (other, other_wide) = run(threads, false);
                    assert_eq!(bits(&got), bits(&other));
                    assert_eq!(bits(&wide), bits(&other_wide));
                }
            }
        }
    }
}

#[test]
fn floats_f32() {
    floats::<f32>();
}

#[test]
fn floats_f64() {
    floats::<f64>();
}

#[test]
fn bytes_are_exact() {
    for (n, o, d) in sizes() {
        let random = &mut Random(n as u64);
        let (x, y) = (random.bytes(n * d), random.bytes(n * o));
        let signed: Vec<i8> = x.iter().map(|&x| x as i8).collect();
        let (unsigned, x, y) = (Rows::of(&x, d), Rows::of(&signed, d), Rows::of(&y, o));
        for (x, y) in [(x, None), (unsigned, None), (x, Some(y)), (unsigned, Some(x))] {
            let (want, _) = definition(&x, &y.unwrap_or(x), &vec![1.0; n]);
            for level in Level::available() {
                for threads in [1, 2] {
                    let mut out = vec![7; want.len()];
                    let patterns = Patterns { x, y, weights: None };
                    hebbian::<f32, i64, i32>(&context(threads), level, patterns, &mut out, false).unwrap();
                    assert!(out.iter().zip(&want).all(|(&got, &want)| got as f64 == want), "{level:?} {n} {d}");
                }
            }
        }
    }
}

/// Bits as `numpy.packbits` packs them.
fn packed(signs: &[i8], width: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for row in signs.chunks(width) {
        let byte = |bits: &[i8]| bits.iter().enumerate().fold(0, |byte, (i, &x)| byte | ((x > 0) as u8) << (7 - i));
        out.extend(row.chunks(8).map(byte));
    }
    out
}

#[test]
fn signs_are_exact() {
    // Also more than a chunk of 8192 patterns.
    let more = if quick() { vec![] } else { vec![(8193, 9, 65), (20_000, 70, 3)] };
    for (n, o, d) in sizes().into_iter().chain(more) {
        let random = &mut Random((n + d) as u64);
        let mut draw = |n: usize| -> Vec<i8> { (0..n).map(|_| 2 * random.below(2) as i8 - 1).collect() };
        let (x, y, weights) = (draw(n * d), draw(n * o), draw(n));
        let (bits_x, bits_y) = (packed(&x, d), packed(&y, o));
        let minus: Vec<bool> = weights.iter().map(|&w| w < 0).collect();
        let weights: Vec<f64> = weights.iter().map(|&w| w.into()).collect();
        let (rows_x, rows_y) = (Rows::of(&x, d), Rows::of(&y, o));
        let from_bits_x = Source::Packed(Rows::of(&bits_x, d.div_ceil(8)), d);
        let from_bits_y = Source::Packed(Rows::of(&bits_y, o.div_ceil(8)), o);
        for (x, y) in [
            (from_bits_x, None),
            (Source::Bytes(rows_x), None),
            (from_bits_x, Some(Source::Bytes(rows_y))),
            (Source::Bytes(rows_x), Some(from_bits_y)),
        ] {
            for (minus, weights) in [(None, &vec![1.0; n]), (Some(&minus[..]), &weights)] {
                let (want, _) = definition(&rows_x, if y.is_some() { &rows_y } else { &rows_x }, weights);
                for level in Level::available() {
                    for (threads, add) in [(1, false), (2, false), (3, true)] {
                        let mut out = vec![if add { 5 } else { i32::MIN }; want.len()];
                        let signs = Signs { x, y, minus };
                        // Held whole, or so few at a time that parts of the least size, 8192 patterns, are summed up.
                        let held = if add { 1 } else { 1 << 20 };
                        assert!(hebbian_signs_in(&context(threads), level, signs, &mut out, add, held).unwrap());
                        let base = if add { 5.0 } else { 0.0 };
                        assert!(out.iter().zip(&want).all(|(&got, &want)| got as f64 == base + want), "{level:?} {n}");
                    }
                }
            }
        }
    }
}

#[test]
fn other_bytes_are_no_signs() {
    for level in Level::available() {
        for n in [1, 64, 700] {
            for bad in [0, 2, -2, 127, -128] {
                for d in [1, 8, 63, 64, 77] {
                    let mut x = vec![-1i8; n * d];
                    x[n * d - 1] = bad;
                    let signs = Signs { x: Source::Bytes(Rows::of(&x, d)), y: None, minus: None };
                    let mut out = vec![0; d * d];
                    assert!(!hebbian_signs(&context(2), level, signs, &mut out, false).unwrap());
                }
            }
        }
    }
}

/// One other byte anywhere in a row or a pattern is seen.
#[test]
fn another_byte_is_seen_wherever_it_is() {
    for level in Level::available() {
        for d in [1, 20, 64, 70, 130] {
            for n in [1, 3] {
                for at in 0..n * d {
                    let mut x = vec![1i8; n * d];
                    x[at] = 3;
                    let signs = Signs { x: Source::Bytes(Rows::of(&x, d)), y: None, minus: None };
                    let mut out = vec![0; d * d];
                    assert!(!hebbian_signs(&context(1), level, signs, &mut out, false).unwrap(), "{level:?} {d} {at}");
                }
            }
        }
    }
}

/// Parts of the patterns, with and without a sum before them.
#[test]
fn signs_in_parts_are_exact() {
    let (n, d) = (3 * 8192 + 100, 9);
    let random = &mut Random(77);
    let x: Vec<i8> = (0..n * d).map(|_| 2 * random.below(2) as i8 - 1).collect();
    let rows = Rows::of(&x, d);
    let (want, _) = definition(&rows, &rows, &vec![1.0; n]);
    for level in Level::available() {
        for (add, base) in [(false, 0.0), (true, 5.0)] {
            for held in [1, 64 << 20] {
                let signs = Signs { x: Source::Bytes(rows), y: None, minus: None };
                let mut out = vec![if add { 5 } else { i32::MIN }; d * d];
                assert!(hebbian_signs_in(&context(2), level, signs, &mut out, add, held).unwrap());
                assert!(out.iter().zip(&want).all(|(&got, &want)| got as f64 == base + want), "{level:?} {add} {held}");
            }
        }
    }
}

#[test]
fn odd_patterns_are_named() {
    for level in Level::available() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for row in [0, 255, 256, 699] {
                let (mut x, y) = (vec![1.0f32; 700 * 9], vec![1.0f32; 700 * 5]);
                x[row * 9 + 8] = bad;
                let (x, y) = (Rows::of(&x, 9), Rows::of(&y, 5));
                let run = |patterns, n| {
                    let mut out = vec![0.0f32; n];
                    hebbian::<f32, f32, f32>(&context(2), level, patterns, &mut out, false)
                };
                assert_eq!(run(Patterns { x, y: None, weights: None }, 81), Err(Error::NonFinite(Side::Key, row)));
                assert_eq!(run(Patterns { x, y: Some(y), weights: None }, 45), Err(Error::NonFinite(Side::Key, row)));
                let swapped = Patterns { x: y, y: Some(x), weights: Some(&[0.0; 700]) };
                assert_eq!(run(swapped, 45), Err(Error::NonFinite(Side::Query, row)));
            }
        }
        let big = [3e19f32; 4];
        let patterns = Patterns { x: Rows::of(&big, 2), y: None, weights: None };
        let mut out = [0.0f32; 4];
        let result = hebbian::<f32, f32, f32>(&context(1), level, patterns, &mut out, false);
        assert_eq!(result, Err(Error::ScoreOverflow));
        let ones = [1i8; 2];
        let patterns = Patterns { x: Rows::of(&ones, 1), y: None, weights: None };
        let mut out = [i32::MAX - 1];
        let result = hebbian::<f32, i64, i32>(&context(1), level, patterns, &mut out, true);
        assert_eq!(result, Err(Error::ScoreOverflow));
        assert_eq!(patterns.x.dtype(), Dtype::I8);
    }
}
