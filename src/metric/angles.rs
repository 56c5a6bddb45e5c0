//! The cosine distance of rows of bytes.

use super::bytes::{BYTE_WIDTH, ByteProduct, LANES, OfBytes, OnBytes, Products, missing, moments};
use super::{Facing, OfMetric};
use crate::simd::{Isa, Vector, Words};

/// 1 - x . k / (|x| |k|) of bytes, from the exact numbers x . k, |x|^2 and |k|^2.
///
/// A term holds two numbers of 32 bits: |k|^2, and what the row adds to the product. They travel as the bits of a float that
/// nobody reads as a number.
pub struct ByteCosine;

fn pair(norm: i64, product: i64) -> f64 {
    f64::from_bits((norm as u64) << 32 | product as i32 as u32 as u64)
}

fn unpair(term: f64) -> (f64, i32) {
    ((term.to_bits() >> 32) as f64, term.to_bits() as i32)
}

impl ByteProduct<f64> for ByteCosine {
    #[inline(always)]
    fn term(row: &[u8], facing: Facing) -> f64 {
        let (sum, squares) = moments(row, facing.own);
        pair(squares, missing(row, sum, facing))
    }
    #[inline(always)]
    unsafe fn finish<I: Isa>(acc: <I::Words as Words>::Dot, key_terms: *const f64, query_term: f64, out: *mut f64) {
        let (none, mut sums) = ([0i32; LANES], [0i32; LANES]);
        I::Words::dot_store(acc, 1, none.as_ptr(), 0, sums.as_mut_ptr());
        let (a, more) = unpair(query_term);
        let (mut squares, mut dots, mut long) = ([0.0; LANES], [0.0; LANES], false);
        for i in 0..I::F32::LANES {
            let (b, other) = unpair(*key_terms.add(i));
            sums[i] = sums[i].wrapping_add(more).wrapping_add(other);
            (squares[i], dots[i]) = (b, sums[i] as f64);
            long |= a * b > EXACT;
        }
        for i in (0..I::F32::LANES).step_by(I::F64::LANES) {
            let (b, dot) = (I::F64::load(squares.as_ptr().add(i)), I::F64::load(dots.as_ptr().add(i)));
            cosines(I::F64::splat(a), b, dot).store(out.add(i));
        }
        if long {
            for i in (0..I::F32::LANES).filter(|&i| a * squares[i] > EXACT) {
                *out.add(i) = long_cosine(a, squares[i], sums[i]);
            }
        }
    }
}

/// Whole numbers to here are f64.
const EXACT: f64 = (1u64 << 53) as f64;

/// The distances by a = |x|^2, b = |k|^2 and their products, where a b is exact.
///
/// `a b - (x.k)^2` is exact too, so nothing cancels, and the quotient by b is that of two whole numbers, rounded: keys in the
/// same direction, however long, have the same bits. Every step rounds in order, so that no two keys change places.
#[inline(always)]
unsafe fn cosines<V: Vector<E = f64>>(a: V, b: V, dot: V) -> V {
    let (zero, one) = (V::splat(0.0), V::splat(1.0));
    let (all, square) = (a.mul(b), dot.mul(dot));
    let double = square.add(square);
    let near = all.sub(square).div(b).div(a);
    let mut distance = near.div(one.add(one.sub(near).sqrt()));
    // Most are this near, or few are.
    let every = ((1u64 << V::LANES) - 1) as u32;
    if double.lt(all) & every != 0 || zero.lt(dot) & every != every {
        let far = square.div(b).div(a).sqrt();
        let wide = V::select_lt(dot, zero, one.add(far), one.sub(far));
        distance = V::select_lt(zero, dot, V::select_lt(double, all, wide, distance), wide);
    }
    V::select_lt(zero, all, distance, one)
}

/// The same if a b is not.
#[cold]
#[inline(never)]
fn long_cosine(a: f64, b: f64, dot: i32) -> f64 {
    let (whole, square) = (a as u64 * b as u64, (dot as i64 * dot as i64) as u64);
    // The quotient's whole part is below 2^31, so that its fraction alone is rounded.
    let quotient = |n: u64| ((n / b as u64) as f64 + (n % b as u64) as f64 / b) / a;
    if dot > 0 && square >= whole - square {
        let near = quotient(whole - square);
        return near / (1.0 + (1.0 - near).sqrt());
    }
    let far = quotient(square).sqrt();
    if dot < 0 { 1.0 + far } else { 1.0 - far }
}

impl OfBytes for ByteCosine {
    const ROUNDS: bool = true;
    fn width(_mixed: bool) -> usize {
        BYTE_WIDTH
    }
    fn exactly<I: Isa, K: OfMetric<i32>>(_mixed: bool) -> Option<K> {
        None
    }
    fn widely<I: Isa, K: OfMetric<f64>>(_mixed: bool) -> K {
        K::of::<I, OnBytes<Products<ByteCosine, f64>>>()
    }
}
