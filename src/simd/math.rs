//! Elementary functions of registers.

use super::{Float, Vector};

/// Horner's rule, coefficients highest first.
#[inline(always)]
unsafe fn polynomial<V: Vector>(x: V, coefficients: &'static [V::E]) -> V {
    let mut sum = V::splat(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = sum.fma(x, V::splat(c));
    }
    sum
}

/// exp(x) for x <= 0 to 2 ulp; 0 where the result would be below the smallest normal number. NaN stays NaN.
///
/// x = n ln 2 + r with |r| <= ln(2) / 2, exp(x) = 2^n exp(r).
///
/// # Safety
/// Only below [`Isa::call`](super::Isa::call).
#[inline(always)]
pub unsafe fn exp<V: Vector>(x: V) -> V {
    let floor = V::splat(V::E::EXP_MIN);
    // The floor comes first: a register maximum answers with its second operand where one is NaN.
    let clamped = floor.max(x);
    let n = clamped.mul(V::splat(V::E::from_f64(std::f64::consts::LOG2_E))).round();
    let r = n.fnma(V::splat(V::E::LN2.0), clamped);
    let r = n.fnma(V::splat(V::E::LN2.1), r);
    let y = polynomial(r, V::E::EXP).scale(n);
    V::select_lt(x, floor, V::splat(V::E::ZERO), y)
}

/// ln(x) for positive normal x to 2 ulp.
///
/// x = 2^n m with m in [sqrt(1/2), sqrt(2)), ln(m) = 2 artanh(s) with s = (m - 1) / (m + 1).
///
/// # Safety
/// Only below [`Isa::call`](super::Isa::call).
#[inline(always)]
pub unsafe fn ln<V: Vector>(x: V) -> V {
    let (n, m) = x.split();
    let one = V::splat(V::E::ONE);
    let root2 = V::splat(V::E::from_f64(std::f64::consts::SQRT_2));
    let n = V::select_lt(m, root2, n, n.add(one));
    let m = V::select_lt(m, root2, m, m.mul(V::splat(V::E::from_f64(0.5))));
    // 2s = f - s f with f = m - 1, which is exact: the rest is small beside it and so are its errors.
    let f = m.sub(one);
    let s = f.div(m.add(one));
    let square = s.mul(s);
    let (rest, _two) = V::E::LOG.split_at(V::E::LOG.len() - 1);
    let y = s.fnma(f.sub(polynomial(square, rest).mul(square)), f);
    n.fma(V::splat(V::E::LN2.0), n.fma(V::splat(V::E::LN2.1), y))
}

/// ln(x) for any positive x, also one below the smallest normal number.
///
/// # Safety
/// Only below [`Isa::call`](super::Isa::call).
#[inline(always)]
pub unsafe fn ln_any<V: Vector>(x: V) -> V {
    let tiny = V::splat(V::E::MIN_POSITIVE);
    let lifted = ln(tiny.max(x.mul(V::splat(V::E::LIFT)))).sub(V::splat(V::E::from_f64(V::E::LIFT.to_f64().ln())));
    V::select_lt(x, tiny, lifted, ln(tiny.max(x)))
}

/// p ln(2p/(p+q)) + q ln(2q/(p+q)) for p, q >= 0: twice one term of the Jensen-Shannon divergence.
///
/// With r = |p-q|/(p+q) this is (p+q)/2 [(1+r)ln(1+r) + (1-r)ln(1-r)], whose power series in r^2 has no cancellation;
/// from r = 1/4
/// on the logarithms serve, which lose up to six bits there and none towards r = 1.
///
/// # Safety
/// Only below [`Isa::call`](super::Isa::call).
#[inline(always)]
pub unsafe fn jensen_shannon<V: Vector>(p: V, q: V) -> V {
    let tiny = V::splat(V::E::MIN_POSITIVE);
    let sum = p.add(q);
    let safe = tiny.max(sum);
    let (large, small) = (p.max(q), p.min(q));
    let r = large.sub(small).div(safe);
    let half = sum.mul(V::splat(V::E::from_f64(0.5)));
    let square = r.mul(r);
    let near = polynomial(square, V::E::ENTROPY).mul(square).mul(half);
    let one = V::splat(V::E::ONE);
    let (above, below) = (one.add(r), one.sub(r));
    let far = above.mul(ln(above)).add(below.mul(ln(tiny.max(below)))).mul(half);
    // In this order a NaN takes the series, which keeps it; the logarithms may lose it.
    V::select_lt(V::splat(V::E::from_f64(0.25)), r, far, near)
}

/// x^n by repeated squaring, n >= 1.
///
/// # Safety
/// Only below [`Isa::call`](super::Isa::call).
#[inline(always)]
pub unsafe fn power<V: Vector>(x: V, n: u32) -> V {
    powers([x], n)[0]
}

/// The same of several registers at a time, none of which waits for another.
///
/// # Safety
/// Only below [`Isa::call`](super::Isa::call).
#[inline(always)]
pub unsafe fn powers<V: Vector, const R: usize>(x: [V; R], n: u32) -> [V; R] {
    if n == 0 {
        return [V::splat(V::E::ONE); R];
    }
    let (mut square, mut left) = (x, n);
    while left & 1 == 0 {
        square = times(square, square);
        left >>= 1;
    }
    let mut result = square;
    while left > 1 {
        square = times(square, square);
        left >>= 1;
        if left & 1 == 1 {
            result = times(result, square);
        }
    }
    result
}

/// Products of registers.
#[inline(always)]
unsafe fn times<V: Vector, const R: usize>(mut a: [V; R], b: [V; R]) -> [V; R] {
    for r in 0..R {
        a[r] = a[r].mul(b[r]);
    }
    a
}
