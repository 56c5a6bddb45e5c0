//! Every operation of every instruction set against plain arithmetic.

mod common;

use _core::simd::math;
use _core::simd::{Bits, Float, Vector, Words};
use _core::simd::{Isa, Level, Work, second_level};
use common::{Random, Real, cases};

/// A check that any register must pass.
trait Check {
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn check<V: Vector>(&self)
    where
        V::E: Real;
}

struct OnBoth<'a, C>(&'a C);
impl<C: Check> Work for OnBoth<'_, C> {
    type Out = ();
    unsafe fn run<I: Isa>(self) {
        self.0.check::<I::F32>();
        self.0.check::<I::F64>();
    }
}

fn everywhere(check: impl Check) {
    for level in Level::available() {
        println!("{}", level.name());
        level.run(OnBoth(&check));
    }
}

unsafe fn lanes<V: Vector>(x: V) -> Vec<V::E> {
    let mut out = vec![V::E::ZERO; V::LANES];
    x.store(out.as_mut_ptr());
    out
}

/// Numbers of every kind that the operations meet, signs and sizes mixed.
fn numbers<E: Real>(random: &mut Random, n: usize) -> Vec<E> {
    let special = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.5, 1e-30, -1e30, 4096.0, f64::INFINITY, f64::NEG_INFINITY];
    (0..n)
        .map(|_| match random.below(4) {
            0 => E::of(special[random.below(special.len())]),
            1 => E::of(random.between(-8.0, 8.0)),
            2 => E::of(random.between(-1.0, 1.0) * 2f64.powi(random.below(60) as i32 - 30)),
            _ => E::of((random.below(41) as f64 - 20.0) / 2.0),
        })
        .collect()
}

#[track_caller]
fn same<E: Real>(got: E, want: E, what: &str) {
    let both_odd = got.double().is_nan() && want.double().is_nan();
    assert!(both_odd || got.pattern() == want.pattern(), "{what}: got {got:?}, want {want:?}");
}

struct Arithmetic;
impl Check for Arithmetic {
    unsafe fn check<V: Vector>(&self)
    where
        V::E: Real,
    {
        let random = &mut Random(1);
        // In double precision the four operations and the root of floats lose nothing that a second rounding could show.
        let via = |f: &dyn Fn(f64) -> f64, x: V::E| V::E::of(f(x.double()));
        for _ in 0..cases(2000) {
            let (a, b, c) = (
                numbers::<V::E>(random, V::LANES),
                numbers::<V::E>(random, V::LANES),
                numbers::<V::E>(random, V::LANES),
            );
            let (x, y, z) = (V::load(a.as_ptr()), V::load(b.as_ptr()), V::load(c.as_ptr()));
            let sums = lanes(x.add(y));
            let mask = random.bits() as u32;
            let some = lanes(x.add_where(mask, y));
            let differences = lanes(x.sub(y));
            let products = lanes(x.mul(y));
            let quotients = lanes(x.div(y));
            let fused = lanes(x.fma(y, z));
            let negated = lanes(x.fnma(y, z));
            let (smaller, larger) = (lanes(x.min(y)), lanes(x.max(y)));
            let (magnitudes, roots) = (lanes(x.abs()), lanes(x.sqrt()));
            let below = x.lt(y);
            let chosen = lanes(V::select_lt(x, y, z, x));
            assert_eq!(below >> (V::LANES - 1) >> 1, 0, "bits beyond the lanes");
            for i in 0..V::LANES {
                let (a, b, c) = (a[i], b[i], c[i]);
                same(sums[i], a + b, "add");
                let some_want = if mask >> i & 1 == 1 { a + b } else { a };
                same(some[i] + V::E::ZERO, some_want + V::E::ZERO, "add_where");
                same(differences[i], a - b, "sub");
                same(products[i], a * b, "mul");
                same(quotients[i], a / b, "div");
                if fused[i].pattern() != (a * b + c).pattern() {
                    same(fused[i], a.fused(b, c), "fma");
                }
                if negated[i].pattern() != (c - a * b).pattern() {
                    same(negated[i], (-a).fused(b, c), "fnma");
                }
                assert_eq!(smaller[i].double(), a.double().min(b.double()), "min {a:?} {b:?}");
                assert_eq!(larger[i].double(), a.double().max(b.double()), "max {a:?} {b:?}");
                same(magnitudes[i], via(&f64::abs, a), "abs");
                same(roots[i], via(&f64::sqrt, a), "sqrt");
                assert_eq!(below >> i & 1 == 1, a < b, "lt {a:?} {b:?}");
                same(chosen[i], if a < b { c } else { a }, "select_lt");
            }
        }
    }
}

#[test]
fn arithmetic() {
    everywhere(Arithmetic);
}

struct NoNumber;
impl Check for NoNumber {
    unsafe fn check<V: Vector>(&self)
    where
        V::E: Real,
    {
        let (odd, two) = (V::splat(V::E::of(f64::NAN)), V::splat(V::E::of(2.0)));
        for (a, b) in [(odd, two), (two, odd), (odd, odd)] {
            assert_eq!(a.lt(b), 0);
            same(lanes(V::select_lt(a, b, two, V::splat(V::E::ONE)))[0], V::E::ONE, "select_lt of a NaN");
        }
        // What exp and the softmax rely on: the second operand wins, or the NaN.
        assert!(lanes(two.max(odd))[V::LANES - 1].double().is_nan());
        assert!(lanes(two.min(odd))[V::LANES - 1].double().is_nan());
        assert!(lanes(math::exp(odd)).iter().all(|x| x.double().is_nan()));
        for i in 0..V::LANES {
            let mut x = vec![V::E::ONE; V::LANES];
            x[i] = V::E::of(f64::NAN);
            assert!(V::load(x.as_ptr()).largest().double().is_nan());
            assert!(V::load(x.as_ptr()).sum().double().is_nan());
        }
    }
}

#[test]
fn nan() {
    everywhere(NoNumber);
}

struct Memory;
impl Check for Memory {
    unsafe fn check<V: Vector>(&self)
    where
        V::E: Real,
    {
        let n = V::LANES;
        let source: Vec<V::E> = (0..3 * n).map(|i| V::E::of(i as f64 + 1.0)).collect();
        let mark = V::E::of(-7.0);
        for start in 0..n {
            assert_eq!(lanes(V::load(source[start..].as_ptr())), source[start..start + n]);
            for first in 0..n {
                // The end of the buffer is the end of what may be read and written.
                let tail = source[..start + first].to_vec();
                let x = lanes(V::load_first(tail[start..].as_ptr(), first));
                assert_eq!(x[..first], tail[start..]);
                assert!(x[first..].iter().all(|&x| x == V::E::ZERO));
                let mut to = vec![mark; start + n];
                V::load(source.as_ptr()).store_first(to[start..].as_mut_ptr(), first);
                assert_eq!(to[start..start + first], source[..first]);
                assert!(to[..start].iter().chain(&to[start + first..]).all(|&x| x == mark));
            }
        }
        assert_eq!(lanes(V::splat(mark)), vec![mark; n]);
        assert_eq!(lanes(V::lanes()), (0..n).map(|i| V::E::of(i as f64)).collect::<Vec<_>>());
        assert_eq!(V::load(source.as_ptr()).sum(), V::E::of((n * (n + 1) / 2) as f64));
        assert_eq!(V::load(source.as_ptr()).largest(), V::E::of(n as f64));
        assert_eq!(V::splat(mark).largest(), mark);
        assert_eq!(V::splat(-V::E::INFINITY).largest(), -V::E::INFINITY);
    }
}

#[test]
fn memory() {
    everywhere(Memory);
}

struct Exponents;
impl Check for Exponents {
    unsafe fn check<V: Vector>(&self)
    where
        V::E: Real,
    {
        let random = &mut Random(2);
        let lowest = Float::to_f64(V::E::MIN_POSITIVE).log2() as i32;
        for n in lowest..=0 {
            // The result is a normal number: from 2^-126 on a factor of at least one is needed.
            let low = if n == lowest { 1.0 } else { 2f64.powi(lowest - n).max(0.7) };
            let x = V::E::of(random.between(low, 1.42));
            let got = lanes(V::splat(x).scale(V::splat(V::E::of(n as f64))));
            assert!(got.iter().all(|y| y.double() == x.double() * 2f64.powi(n)), "scale {x:?} by {n}: {got:?}");
        }
        for exponent in lowest..-lowest + 2 {
            let mantissa = V::E::of(random.between(1.0, 2.0));
            let mantissa = if mantissa.double() < 2.0 { mantissa } else { V::E::ONE };
            for m in [mantissa, V::E::ONE] {
                let (e, got) = V::splat(V::E::of(m.double() * 2f64.powi(exponent))).split();
                assert_eq!(lanes(e), vec![V::E::of(exponent as f64); V::LANES]);
                assert_eq!(lanes(got), vec![m; V::LANES]);
            }
        }
        for _ in 0..cases(2000) {
            // The range of exponents, halves included.
            let x: Vec<V::E> = (0..V::LANES)
                .map(|_| match random.below(2) {
                    0 => V::E::of(random.below(300) as f64 / 2.0 - 140.0),
                    _ => V::E::of(random.between(1.5 * lowest as f64, 10.0)),
                })
                .collect();
            for (x, y) in x.iter().zip(lanes(V::load(x.as_ptr()).round())) {
                assert_eq!(y.double(), x.double().round_ties_even());
            }
        }
    }
}

#[test]
fn exponents() {
    everywhere(Exponents);
}

struct Transpose;
impl Check for Transpose {
    unsafe fn check<V: Vector>(&self)
    where
        V::E: Real,
    {
        let size = size_of::<V::E>();
        for (offset, gap) in [(0, 0), (1, 0), (3, 1), (0, 5), (7, 64)] {
            let stride = V::LANES * size + gap;
            // All bytes, so that patterns of NaNs pass too, signalling ones included.
            let mut source = Random(3).bytes(offset + V::LANES * stride);
            let signalling: &[u8] = if size == 4 { &[1, 0, 0x80, 0x7f] } else { &[1, 0, 0, 0, 0, 0, 0xf0, 0x7f] };
            source[offset..offset + size].copy_from_slice(signalling);
            source[offset + stride + size..][..size].copy_from_slice(signalling);
            let mut out = vec![0u8; V::LANES * V::LANES * size];
            // Aligned for its elements, as `dst` is.
            let mut aligned = vec![V::E::ZERO; V::LANES * V::LANES];
            V::transpose(source.as_ptr().add(offset), stride, aligned.as_mut_ptr());
            std::ptr::copy_nonoverlapping(aligned.as_ptr().cast(), out.as_mut_ptr(), out.len());
            for i in 0..V::LANES {
                for j in 0..V::LANES {
                    let got = &out[(j * V::LANES + i) * size..][..size];
                    assert_eq!(got, &source[offset + i * stride + j * size..][..size], "row {i} column {j}");
                }
            }
        }
    }
}

#[test]
fn transpose() {
    everywhere(Transpose);
}

struct Bytes;
impl Work for Bytes {
    type Out = ();
    unsafe fn run<I: Isa>(self) {
        let random = &mut Random(8);
        let (sads, dots) = (<I::F64 as Vector>::LANES, <I::F32 as Vector>::LANES);
        let extremes = [0u8, 255, 127, 128, 1];
        for case in 0..cases(300) {
            let words = 1 + case % 40;
            let mut fill = |n: usize| match case % 4 {
                // The largest sums that there are.
                0 => vec![extremes[random.below(5)]; n],
                _ => random.bytes(n),
            };
            let (keys, query) = (fill(words * 8 * sads), fill(words * 8));
            let mut acc = I::Words::sad_zero();
            for w in 0..words {
                let q = u64::from_ne_bytes(query[8 * w..][..8].try_into().unwrap());
                acc = I::Words::sad(acc, keys[8 * w * sads..].as_ptr(), q);
            }
            let mut got = vec![-1i32; sads + 1];
            I::Words::sad_store(acc, got.as_mut_ptr());
            for (lane, &got) in got[..sads].iter().enumerate() {
                let key = |j: usize| keys[8 * (j / 8 * sads + lane) + j % 8];
                let want: i32 = (0..8 * words).map(|j| (key(j) as i32 - query[j] as i32).abs()).sum();
                assert_eq!(got, want, "sad");
            }
            assert_eq!(got[sads], -1, "sad_store wrote too far");

            let (keys, query) = (fill(words * 4 * dots), fill(words * 4));
            let mut acc = I::Words::dot_zero();
            for w in 0..words {
                let q = u32::from_ne_bytes(query[4 * w..][..4].try_into().unwrap());
                acc = I::Words::dot(acc, keys[4 * w * dots..].as_ptr(), q);
            }
            let terms: Vec<i32> = (0..dots).map(|_| random.bits() as i32 / 4).collect();
            for (factor, term) in [(1, 0), (-2, 12345), (1, -77)] {
                let mut got = vec![-1i32; dots + 1];
                I::Words::dot_store(acc, factor, terms.as_ptr(), term, got.as_mut_ptr());
                for (lane, &got) in got[..dots].iter().enumerate() {
                    let key = |j: usize| keys[4 * (j / 4 * dots + lane) + j % 4];
                    let sum: i32 = (0..4 * words).map(|j| key(j) as i32 * query[j] as i8 as i32).sum();
                    assert_eq!(got, terms[lane] + term + factor * sum, "dot");
                }
                assert_eq!(got[dots], -1, "dot_store wrote too far");
            }

            let near: Vec<i32> = (0..dots).map(|_| random.below(7) as i32 - 3).collect();
            for than in [-3, 0, 3, i32::MIN, i32::MAX] {
                let want = near.iter().enumerate().fold(0, |mask, (i, &x)| mask | ((x < than) as u32) << i);
                assert_eq!(I::Words::less(near.as_ptr(), than), want, "less");
            }
            let ends = vec![if case % 2 == 0 { i32::MIN } else { i32::MAX }; dots];
            assert_eq!(
                I::Words::less(ends.as_ptr(), i32::MAX).count_ones() as usize,
                if case % 2 == 0 { dots } else { 0 }
            );
        }
    }
}

#[test]
fn bytes() {
    for level in Level::available() {
        level.run(Bytes);
    }
}

/// Counts of differing bits, by the instruction set's own code and by that for CPUs with newer instructions.
struct Counts<const NEWER: bool>;
impl<const NEWER: bool> Work for Counts<NEWER> {
    type Out = ();
    unsafe fn run<I: Isa>(self) {
        let random = &mut Random(9);
        let lanes = <I::F64 as Vector>::LANES;
        for case in 0..cases(200) {
            let words = 1 + case % 70;
            let mut fill = |n: usize| -> Vec<u64> {
                match case % 4 {
                    0 => vec![0; n],
                    1 => vec![u64::MAX; n],
                    _ => (0..n).map(|_| random.bits()).collect(),
                }
            };
            let (keys, mut query) = (fill(words * lanes), fill(words));
            if case % 8 < 4 {
                query.iter_mut().for_each(|q| *q = !*q);
            }
            let mut acc = I::Bits::zero();
            for (w, &q) in query.iter().enumerate() {
                acc = I::Bits::differing(acc, keys[w * lanes..].as_ptr().cast(), q);
            }
            let mut got = vec![-1i32; lanes + 1];
            I::Bits::store(acc, got.as_mut_ptr());
            for (lane, &got) in got[..lanes].iter().enumerate() {
                let want: u32 = (0..words).map(|w| (keys[w * lanes + lane] ^ query[w]).count_ones()).sum();
                assert_eq!(got, want as i32, "{words} words");
            }
            let mut across = vec![0i32; lanes];
            if words >= lanes {
                let acc = I::Bits::across(I::Bits::zero(), keys.as_ptr().cast(), query.as_ptr().cast());
                let acc = I::Bits::across(acc, keys[lanes * (words - 1)..].as_ptr().cast(), query.as_ptr().cast());
                I::Bits::store(acc, across.as_mut_ptr());
                for (lane, &got) in across.iter().enumerate() {
                    let both = [keys[lane], keys[lanes * (words - 1) + lane]];
                    let want: u32 = both.iter().map(|key| (key ^ query[lane]).count_ones()).sum();
                    assert_eq!(got, want as i32, "across");
                }
            }
            assert_eq!(got[lanes], -1, "store wrote too far");
        }
        if NEWER && I::counting() {
            I::Counting::call(Counts::<false>);
        }
    }
}

#[test]
fn counts() {
    for level in Level::available() {
        level.run(Counts::<true>);
    }
}

#[test]
fn wishes() {
    let best = Level::available()[0];
    assert_eq!(Level::detect(None).unwrap(), best);
    assert_eq!(Level::detect(Some("")).unwrap(), best);
    for level in Level::available() {
        assert_eq!(Level::detect(Some(level.name())).unwrap(), level);
    }
    let error = Level::detect(Some("mmx")).unwrap_err().to_string();
    assert!(error.contains("mmx") && error.contains("portable"), "{error}");
}

#[test]
fn the_second_level_of_caches_has_a_likely_size() {
    let bytes = second_level();
    assert!((1 << 20..=64 << 20).contains(&bytes) && bytes.is_multiple_of(64 << 10), "{bytes}");
}
