//! How one key scores against one cue. A metric is a step over the words of a row, and what is done before and after.
//!
//! A row reaches the tile as *words*, one per float, or per four or eight bytes; [`Metric::step`] takes a register with
//! that word of several keys and the same word of one query. Cosine and the divergences of Kullback and Leibler are dot
//! products of rows that were prepared once, so they cost what a dot product costs.

use crate::error::Side;
use crate::simd::{Bits, Float, Isa, Shaped, Vector, Words, math};
use crate::table::Element;
use std::marker::PhantomData;

/// The metrics by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it; API documentation is in Python.
pub enum MetricName {
    Dot,
    Cosine,
    SqEuclidean,
    Euclidean,
    Manhattan,
    Kl,
    ReverseKl,
    JensenShannon,
    Hamming,
}

impl MetricName {
    /// All of them.
    pub const ALL: [(&'static str, MetricName); 9] = [
        ("dot", MetricName::Dot),
        ("cosine", MetricName::Cosine),
        ("sqeuclidean", MetricName::SqEuclidean),
        ("euclidean", MetricName::Euclidean),
        ("manhattan", MetricName::Manhattan),
        ("kl", MetricName::Kl),
        ("reverse_kl", MetricName::ReverseKl),
        ("jensenshannon", MetricName::JensenShannon),
        ("hamming", MetricName::Hamming),
    ];

    /// The metric of that name.
    pub fn parse(name: &str) -> Option<MetricName> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, m)| *m)
    }

    /// Whether a larger score is a better match.
    pub fn larger_is_better(self) -> bool {
        self == MetricName::Dot
    }
}

/// What a metric says of a pair.
pub trait Score: Copy + Default + PartialOrd + Send + Sync + std::fmt::Debug + 'static {
    /// Worse than every score, when smaller is better.
    const WORST: Self;
    /// The score with its order turned round.
    fn flip(self) -> Self;
    /// The smallest score above `x` in this type, so that `score <= x` is `score < above(x)`.
    fn above(x: f64) -> Self;
    /// Lanes that [`Score::less`] looks at.
    fn lanes<I: Isa>() -> usize;
    /// Bit i is set where `p[i] < than`.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; `p` must be readable for [`Score::lanes`].
    unsafe fn less<I: Isa>(p: *const Self, than: Self) -> u32;
}

macro_rules! float_score {
    ($t:ty, $v:ident) => {
        impl Score for $t {
            const WORST: Self = <$t>::INFINITY;
            fn flip(self) -> Self {
                -self
            }
            fn above(x: f64) -> Self {
                (x as $t).next_up()
            }
            #[inline(always)]
            fn lanes<I: Isa>() -> usize {
                I::$v::LANES
            }
            #[inline(always)]
            unsafe fn less<I: Isa>(p: *const Self, than: Self) -> u32 {
                I::$v::load(p).lt(I::$v::splat(than))
            }
        }
    };
}
float_score!(f32, F32);
float_score!(f64, F64);

impl Score for i32 {
    const WORST: Self = i32::MAX;
    fn flip(self) -> Self {
        -self
    }
    fn above(x: f64) -> Self {
        (x.floor() + 1.0) as i32
    }
    #[inline(always)]
    fn lanes<I: Isa>() -> usize {
        I::F32::LANES
    }
    #[inline(always)]
    unsafe fn less<I: Isa>(p: *const Self, than: Self) -> u32 {
        I::Words::less(p, than)
    }
}

/// A metric on one instruction set.
pub trait Metric<I: Isa>: 'static {
    /// What a prepared row is made of.
    type Element: Element;
    /// What comes out.
    type Score: Score;
    /// Moves words of a row into lanes: as many lanes as keys in a register, as many bytes as a word.
    type Carrier: Vector;
    /// The running score of a register of keys.
    type Acc: Copy;
    /// A register of keys, or where it is.
    type Key: Copy;
    /// What every step needs besides its operands.
    type Constant: Copy;
    /// Steps after which the running score is put aside and a new one begun: floats lose less that way.
    const FOLD: usize;
    /// Whether [`Metric::prepare`] does anything.
    const PREPARES: bool;
    /// Whether [`Metric::finish`] reads the keys' own shares.
    const TERMS: bool;
    /// Whether a step takes a register of every row of a panel, the rows standing one behind the other as they came.
    const IN_PLACE: bool = false;
    /// Bytes in a word of a query.
    const WORD: usize =
        size_of::<<Self::Carrier as Vector>::E>() * if Self::IN_PLACE { Self::Carrier::LANES } else { 1 };
    /// Bytes from what one step reads of the keys to what the next does.
    const STEP: usize = size_of::<<Self::Carrier as Vector>::E>() * Self::Carrier::LANES;

    /// The shape of this metric's tiles.
    fn tiles<S: Shaped>() -> S::Out;
    /// Turns a row into what [`Metric::step`] reads and returns the row's own share of the score.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn prepare(row: &mut [Self::Element], side: Side) -> Result<Self::Score, &'static str>;
    /// Nothing scored yet.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn zero() -> Self::Acc;
    /// Made once a tile whose panels have so many bytes.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn constant(panel: usize) -> Self::Constant;
    /// Reads a register of keys.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; `p` must be readable for a register.
    unsafe fn key(p: *const u8) -> Self::Key;
    /// Takes one word of the keys and of a query into the score.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; `query` must be readable for a word.
    unsafe fn step(constant: Self::Constant, acc: Self::Acc, key: Self::Key, query: *const u8) -> Self::Acc;
    /// Adds a score that was put aside.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn fold(total: Self::Acc, acc: Self::Acc) -> Self::Acc;
    /// Writes the scores of a register of keys, and marks in `odd` if one is not finite.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; terms readable and out writable for the keys of a register.
    unsafe fn finish(
        acc: Self::Acc,
        key_terms: *const Self::Score,
        query_term: Self::Score,
        out: *mut Self::Score,
        odd: &mut Self::Acc,
    );
    /// Whether nothing was marked since `odd` was [`Metric::zero`].
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn finite(odd: Self::Acc) -> bool;
}

/// What a float metric adds to the frame that all float metrics share.
pub trait FloatMetric<V: Vector>: 'static {
    /// See [`Metric::PREPARES`].
    const PREPARES: bool = false;
    /// See [`Metric::tiles`].
    fn tiles<I: Isa, S: Shaped>() -> S::Out;
    /// See [`Metric::prepare`].
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    #[inline(always)]
    unsafe fn prepare(_row: &mut [V::E], _side: Side) -> Result<V::E, &'static str> {
        Ok(V::E::ZERO)
    }
    /// See [`Metric::step`]; `one` is 1 in all lanes.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn step(one: V, acc: V, key: V, query: V) -> V;
    /// The score from the sum of the steps and the rows' own terms.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        acc
    }
}

/// Frame of the float metrics: the rows are floats, a word is one of them.
pub struct OnFloats<V, F>(PhantomData<(V, F)>);

impl<I: Isa, V, F> Metric<I> for OnFloats<V, F>
where
    V: Vector + 'static,
    V::E: Element + Score,
    F: FloatMetric<V>,
{
    type Element = V::E;
    type Score = V::E;
    type Carrier = V;
    type Acc = V;
    type Key = V;
    type Constant = V;
    const FOLD: usize = 256;
    const PREPARES: bool = F::PREPARES;
    const TERMS: bool = true;

    #[inline(always)]
    fn tiles<S: Shaped>() -> S::Out {
        F::tiles::<I, S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], side: Side) -> Result<V::E, &'static str> {
        F::prepare(row, side)
    }
    #[inline(always)]
    unsafe fn zero() -> V {
        V::splat(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn key(p: *const u8) -> V {
        V::load(p.cast())
    }
    #[inline(always)]
    unsafe fn constant(_panel: usize) -> V {
        // Hidden from the compiler, which would else turn a product with it into nothing (see Manhattan).
        V::splat(std::hint::black_box(V::E::ONE))
    }
    #[inline(always)]
    unsafe fn step(one: V, acc: V, key: V, query: *const u8) -> V {
        F::step(one, acc, key, V::splat(query.cast::<V::E>().read()))
    }
    #[inline(always)]
    unsafe fn fold(total: V, acc: V) -> V {
        total.add(acc)
    }
    #[inline(always)]
    unsafe fn finish(acc: V, key_terms: *const V::E, query_term: V::E, out: *mut V::E, odd: &mut V) {
        // Zero times a finite number is zero, times anything else a NaN, and a NaN stays in a sum.
        *odd = acc.fma(V::splat(V::E::ZERO), *odd);
        F::finish(acc, V::load(key_terms).add(V::splat(query_term))).store(out);
    }
    #[inline(always)]
    unsafe fn finite(odd: V) -> bool {
        odd.lt(V::splat(V::E::ONE)) == ((1u64 << V::LANES) - 1) as u32
    }
}

/// x . k
pub struct Dot;
impl<V: Vector> FloatMetric<V> for Dot {
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn step(_one: V, acc: V, key: V, query: V) -> V {
        key.fma(query, acc)
    }
}

/// sum (x - k)^2, or its root: direct differences, so that close rows far from the origin keep their digits.
pub struct Euclidean<const ROOT: bool>;
impl<V: Vector, const ROOT: bool> FloatMetric<V> for Euclidean<ROOT> {
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::difference::<S>()
    }
    #[inline(always)]
    unsafe fn step(_one: V, acc: V, key: V, query: V) -> V {
        let d = key.sub(query);
        d.fma(d, acc)
    }
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        if ROOT { acc.sqrt() } else { acc }
    }
}

/// sum |x - k|. The sum goes through the multiplier, times one, because the adder is busy with the difference.
pub struct Manhattan;
impl<V: Vector> FloatMetric<V> for Manhattan {
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::absolute::<S>()
    }
    #[inline(always)]
    unsafe fn step(one: V, acc: V, key: V, query: V) -> V {
        key.sub(query).abs().fma(one, acc)
    }
}

/// 1 - x . k / (|x| |k|), between 0 and 2; a zero row is at distance 1 from everything.
pub struct Cosine;
impl<V: Vector> FloatMetric<V> for Cosine {
    const PREPARES: bool = true;
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], _side: Side) -> Result<V::E, &'static str> {
        // Scaled by the largest entry first, so that no square overflows or vanishes.
        let largest = row.iter().fold(0.0f64, |m, x| m.max(x.to_f64().abs()));
        if largest > 0.0 {
            let norm = row.iter().map(|x| (x.to_f64() / largest).powi(2)).sum::<f64>().sqrt();
            for x in row {
                *x = V::E::from_f64(x.to_f64() / largest / norm);
            }
        }
        Ok(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn step(_one: V, acc: V, key: V, query: V) -> V {
        key.fma(query, acc)
    }
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        let distance = V::splat(V::E::ONE).sub(acc);
        distance.max(V::splat(V::E::ZERO)).min(V::splat(V::E::from_f64(2.0)))
    }
}

/// Divides a row by its sum; false if the row is not a distribution.
fn normalise<E: Float>(row: &mut [E]) -> Result<(), &'static str> {
    if row.iter().any(|x| !x.to_f64().is_finite()) {
        // Left for the score to show: the search then names the row.
        row.fill(E::from_f64(f64::NAN));
        return Ok(());
    }
    let largest = row.iter().fold(0.0f64, |m, x| m.max(x.to_f64()));
    if row.iter().any(|x| *x < E::ZERO) {
        return Err("has a negative entry");
    }
    if largest == 0.0 {
        return Err("has only zeros");
    }
    let sum: f64 = row.iter().map(|x| x.to_f64() / largest).sum();
    for x in row {
        *x = E::from_f64(x.to_f64() / largest / sum);
    }
    Ok(())
}

/// sum p ln(p / r), where the key is p (`KEY_FIRST`) or r: the p ln p are the row's own, the rest is a product.
///
/// Both logarithms are taken against the uniform distribution 1/d, which leaves the sum as it is and the terms small.
/// An r of 0 stands in the product as a penalty so large that any mass of p on it shows: the divergence is then infinite.
pub struct Divergence<const KEY_FIRST: bool>;
impl<V: Vector, const KEY_FIRST: bool> FloatMetric<V> for Divergence<KEY_FIRST> {
    const PREPARES: bool = true;
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], side: Side) -> Result<V::E, &'static str> {
        normalise(row)?;
        let d = row.len() as f64;
        let mut own = 0.0;
        for x in row {
            let p = x.to_f64();
            if (side == Side::Key) == KEY_FIRST {
                if p < V::E::DUST.to_f64() {
                    *x = V::E::ZERO;
                } else {
                    own += p * (p * d).ln();
                }
            } else {
                *x = if p == 0.0 { -V::E::PENALTY } else { V::E::from_f64((p * d).ln()) };
            }
        }
        Ok(V::E::from_f64(own))
    }
    #[inline(always)]
    unsafe fn step(_one: V, acc: V, key: V, query: V) -> V {
        key.fma(query, acc)
    }
    #[inline(always)]
    unsafe fn finish(acc: V, terms: V) -> V {
        let divergence = terms.sub(acc).max(V::splat(V::E::ZERO));
        let forbidden = V::splat(V::E::from_f64(-1e5));
        V::select_lt(acc, forbidden, V::splat(V::E::INFINITY), divergence)
    }
}

/// Root of the Jensen-Shannon divergence (natural logarithm) of the rows as distributions.
pub struct JensenShannon;
impl<V: Vector> FloatMetric<V> for JensenShannon {
    const PREPARES: bool = true;
    fn tiles<I: Isa, S: Shaped>() -> S::Out {
        I::elaborate::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [V::E], _side: Side) -> Result<V::E, &'static str> {
        normalise(row)?;
        Ok(V::E::ZERO)
    }
    #[inline(always)]
    unsafe fn step(_one: V, acc: V, key: V, query: V) -> V {
        acc.add(math::jensen_shannon(key, query))
    }
    #[inline(always)]
    unsafe fn finish(acc: V, _terms: V) -> V {
        acc.max(V::splat(V::E::ZERO)).mul(V::splat(V::E::from_f64(0.5))).sqrt()
    }
}

/// What a metric of bytes adds to the frame that all of them share. Their scores are whole numbers, exactly.
pub trait ByteMetric<I: Isa>: 'static {
    /// See [`Metric::Score`].
    type Score: Score;
    /// See [`Metric::Carrier`].
    type Carrier: Vector;
    /// See [`Metric::Acc`].
    type Acc: Copy;
    /// Whether rows are prepared and have shares of their own.
    const PREPARES: bool = false;
    /// See [`Metric::tiles`].
    fn tiles<S: Shaped>() -> S::Out;
    /// See [`Metric::prepare`].
    #[inline(always)]
    fn prepare(_row: &mut [u8], _side: Side) -> Self::Score {
        Self::Score::default()
    }
    /// See [`Metric::zero`].
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn zero() -> Self::Acc;
    /// See [`Metric::step`].
    ///
    /// # Safety
    /// Only below [`Isa::call`]; `key` readable for a register, `query` for a word.
    unsafe fn step(acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc;
    /// See [`Metric::finish`].
    ///
    /// # Safety
    /// Only below [`Isa::call`]; terms readable and out writable for the keys of a register.
    unsafe fn finish(acc: Self::Acc, key_terms: *const Self::Score, query_term: Self::Score, out: *mut Self::Score);
}

/// Frame of the byte metrics: the instruction reads the keys where they are, nothing is ever rounded.
pub struct OnBytes<B>(PhantomData<B>);

impl<I: Isa, B: ByteMetric<I>> Metric<I> for OnBytes<B> {
    type Element = u8;
    type Score = B::Score;
    type Carrier = B::Carrier;
    type Acc = B::Acc;
    type Key = *const u8;
    type Constant = ();
    const FOLD: usize = usize::MAX;
    const PREPARES: bool = B::PREPARES;
    const TERMS: bool = B::PREPARES;

    #[inline(always)]
    fn tiles<S: Shaped>() -> S::Out {
        B::tiles::<S>()
    }
    #[inline(always)]
    unsafe fn prepare(row: &mut [u8], side: Side) -> Result<B::Score, &'static str> {
        Ok(B::prepare(row, side))
    }
    #[inline(always)]
    unsafe fn zero() -> B::Acc {
        B::zero()
    }
    #[inline(always)]
    unsafe fn key(p: *const u8) -> *const u8 {
        p
    }
    #[inline(always)]
    unsafe fn constant(_panel: usize) {}
    #[inline(always)]
    unsafe fn step(_: (), acc: B::Acc, key: *const u8, query: *const u8) -> B::Acc {
        B::step(acc, key, query)
    }
    #[inline(always)]
    unsafe fn fold(_total: B::Acc, acc: B::Acc) -> B::Acc {
        acc
    }
    #[inline(always)]
    unsafe fn finish(
        acc: B::Acc,
        key_terms: *const B::Score,
        query_term: B::Score,
        out: *mut B::Score,
        _odd: &mut B::Acc,
    ) {
        B::finish(acc, key_terms, query_term, out);
    }
    #[inline(always)]
    unsafe fn finite(_odd: B::Acc) -> bool {
        true
    }
}

/// sum |x - k| of bytes.
pub struct ByteManhattan;
impl<I: Isa> ByteMetric<I> for ByteManhattan {
    type Score = i32;
    type Carrier = I::F64;
    type Acc = <I::Words as Words>::Sad;

    fn tiles<S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Acc {
        I::Words::sad_zero()
    }
    #[inline(always)]
    unsafe fn step(acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc {
        I::Words::sad(acc, key, query.cast::<u64>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn finish(acc: Self::Acc, _key_terms: *const i32, _query_term: i32, out: *mut i32) {
        I::Words::sad_store(acc, out);
    }
}

/// How many bits differ, the rows being bits packed into bytes. The scores can be floats as well, for sinks that compute with
/// them; below 2^24, or 2^53, they are the same numbers.
pub struct Hamming<E>(PhantomData<E>);
impl<I: Isa, E: Score + FromCount> ByteMetric<I> for Hamming<E> {
    type Score = E;
    type Carrier = I::F64;
    type Acc = <I::Bits as Bits>::Count;

    fn tiles<S: Shaped>() -> S::Out {
        I::count::<S>()
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Acc {
        I::Bits::zero()
    }
    #[inline(always)]
    unsafe fn step(acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc {
        I::Bits::differing(acc, key, query.cast::<u64>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn finish(acc: Self::Acc, _key_terms: *const E, _query_term: E, out: *mut E) {
        let mut counts = [0i32; 16];
        I::Bits::store(acc, counts.as_mut_ptr());
        for (i, &count) in counts[..I::F64::LANES].iter().enumerate() {
            *out.add(i) = E::from_count(count);
        }
    }
}

/// The same for few queries, for which turning the keys into panels would take longer than scoring them: a register holds
/// words of one key, so the rows are read where they are. They must be as long as some registers.
pub struct HammingInPlace<E>(PhantomData<E>);
impl<I: Isa, E: Score + FromCount> Metric<I> for HammingInPlace<E> {
    type Element = u8;
    type Score = E;
    type Carrier = I::F64;
    /// One key each; only as many as the carrier has lanes are used.
    type Acc = [<I::Bits as Bits>::Count; 8];
    type Key = *const u8;
    /// Bytes of a row.
    type Constant = usize;
    const FOLD: usize = usize::MAX;
    const PREPARES: bool = false;
    const TERMS: bool = false;
    const IN_PLACE: bool = true;

    fn tiles<S: Shaped>() -> S::Out {
        S::shaped::<1, 2, 1, 2>()
    }
    #[inline(always)]
    unsafe fn prepare(_row: &mut [u8], _side: Side) -> Result<E, &'static str> {
        Ok(E::default())
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Acc {
        [I::Bits::zero(); 8]
    }
    #[inline(always)]
    unsafe fn key(p: *const u8) -> *const u8 {
        p
    }
    #[inline(always)]
    unsafe fn constant(panel: usize) -> usize {
        panel / I::F64::LANES
    }
    #[inline(always)]
    unsafe fn step(row: usize, mut acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc {
        for (i, a) in acc.iter_mut().enumerate().take(I::F64::LANES) {
            *a = I::Bits::across(*a, key.add(i * row), query);
        }
        acc
    }
    #[inline(always)]
    unsafe fn fold(_total: Self::Acc, acc: Self::Acc) -> Self::Acc {
        acc
    }
    #[inline(always)]
    unsafe fn finish(acc: Self::Acc, _key_terms: *const E, _query_term: E, out: *mut E, _odd: &mut Self::Acc) {
        for (i, &a) in acc.iter().enumerate().take(I::F64::LANES) {
            let mut counts = [0i32; 8];
            I::Bits::store(a, counts.as_mut_ptr());
            *out.add(i) = E::from_count(counts.iter().sum());
        }
    }
    #[inline(always)]
    unsafe fn finite(_odd: Self::Acc) -> bool {
        true
    }
}

/// Scores that counts can be turned into.
pub trait FromCount {
    /// The nearest score, which is the count itself unless it is beyond the float's whole numbers.
    fn from_count(count: i32) -> Self;
}
impl FromCount for i32 {
    #[inline(always)]
    fn from_count(count: i32) -> i32 {
        count
    }
}
impl FromCount for f32 {
    #[inline(always)]
    fn from_count(count: i32) -> f32 {
        count as f32
    }
}
impl FromCount for f64 {
    #[inline(always)]
    fn from_count(count: i32) -> f64 {
        count as f64
    }
}

/// Which product of bytes.
pub trait ByteProduct: 'static {
    /// What the sum of products is multiplied by.
    const FACTOR: i32;
    /// A row's own share.
    fn term(row: &[u8], side: Side) -> i32;
}

/// Sums of products of bytes. The instruction takes unsigned keys k and signed queries q - 128; what that leaves
/// out of the score depends on one row only and stands in its term. Sums wrap, so only the score itself has to fit.
pub struct Products<P>(PhantomData<P>);
impl<I: Isa, P: ByteProduct> ByteMetric<I> for Products<P> {
    type Score = i32;
    type Carrier = I::F32;
    type Acc = <I::Words as Words>::Dot;
    const PREPARES: bool = true;

    fn tiles<S: Shaped>() -> S::Out {
        I::product::<S>()
    }
    #[inline(always)]
    fn prepare(row: &mut [u8], side: Side) -> i32 {
        let term = P::term(row, side);
        if side == Side::Query {
            for x in row {
                *x ^= 0x80;
            }
        }
        term
    }
    #[inline(always)]
    unsafe fn zero() -> Self::Acc {
        I::Words::dot_zero()
    }
    #[inline(always)]
    unsafe fn step(acc: Self::Acc, key: *const u8, query: *const u8) -> Self::Acc {
        I::Words::dot(acc, key, query.cast::<u32>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn finish(acc: Self::Acc, key_terms: *const i32, query_term: i32, out: *mut i32) {
        I::Words::dot_store(acc, P::FACTOR, key_terms, query_term, out);
    }
}

fn byte_sum(row: &[u8]) -> i32 {
    row.iter().map(|&x| x as i32).fold(0, i32::wrapping_add)
}

/// x . k of unsigned bytes: the instruction's sum k (q - 128) lacks 128 sum k.
pub struct UnsignedDot;
impl ByteProduct for UnsignedDot {
    const FACTOR: i32 = 1;
    fn term(row: &[u8], side: Side) -> i32 {
        if side == Side::Key { byte_sum(row).wrapping_mul(128) } else { 0 }
    }
}

/// x . k of signed bytes, both stored 128 higher: the instruction's sum (k + 128) q has 128 sum q too much.
pub struct SignedDot;
impl ByteProduct for SignedDot {
    const FACTOR: i32 = 1;
    fn term(row: &[u8], side: Side) -> i32 {
        if side == Side::Query { byte_sum(row).wrapping_sub(128 * row.len() as i32).wrapping_mul(-128) } else { 0 }
    }
}

/// sum (x - k)^2 of bytes = sum k^2 + sum x^2 - 2 x . k; integers lose nothing by it, and a common shift changes nothing.
pub struct ByteEuclidean;
impl ByteProduct for ByteEuclidean {
    const FACTOR: i32 = -2;
    fn term(row: &[u8], side: Side) -> i32 {
        let squares = row.iter().map(|&x| x as i32 * x as i32).fold(0, i32::wrapping_add);
        if side == Side::Key { squares.wrapping_sub(byte_sum(row).wrapping_mul(256)) } else { squares }
    }
}
