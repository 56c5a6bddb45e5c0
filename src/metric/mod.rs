//! How one key scores against one cue. A metric is a step over the words of a row, and what is done before and after.
//!
//! A row reaches the tile as *words*, one per float, or per four or eight bytes; [`Metric::step`] takes a register with
//! that word of several keys and the same word of one query. Cosine and the divergences of Kullback and Leibler are dot
//! products of rows that were prepared once, so they cost what a dot product costs.
//!
//! A query may say of every column how much it counts, or not at all: where it is *known*. Such a query has a weight behind
//! every word, and the metric is one that reads it; the keys are the same.
//!
//! `metrics!` lists them, a line each. What metrics of one kind of rows share is a frame: [`floats`], among them those of
//! [`distributions`], [`bytes`], and bits ([`hamming`]).

pub mod angles;
pub mod bytes;
pub mod distributions;
pub mod floats;
pub mod hamming;
pub mod known;

use crate::error::Side;
use crate::simd::{Isa, Shaped, Vector, Words};
use crate::table::{Dtype, Element};
use angles::ByteCosine;
use bytes::{ByteDot, ByteManhattan, ByteSquares, OfBytes};
use distributions::{Divergence, JensenShannon};
use floats::{Brain, Cosine, Dot, Euclidean, Half, Kept, Manhattan, OnFloats};
use hamming::{BIT_WIDTH, BitMetric, Hamming};
use known::{KnownBits, KnownCosine, KnownMagnitudes, KnownSquares, OfKnown};

/// The rows that a metric compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Numbers.
    Numbers,
    /// Numbers of at least zero, not all of them zero, which are read as a distribution.
    Masses,
    /// Bits, packed into bytes.
    Bits,
}

/// Makes [`MetricName`] of the list of metrics: a line has the name, the variant, the rows that are compared, which score is
/// better, what the metric is on floats (or on bits) and, where there is one, on bytes, and of queries of which parts are known.
macro_rules! metrics {
    ($($name:literal $metric:ident: $kind:ident $better:ident, $of:ty $(, bytes: $bytes:ty)? $(, known: $known:ty)?;)*) => {
        /// The metrics by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // The names say it; API documentation is in Python.
        pub enum MetricName {
            $($metric,)*
        }

        impl MetricName {
            /// All of them.
            pub const ALL: &[(&str, MetricName)] = &[$(($name, MetricName::$metric),)*];

            /// The rows that it compares.
            pub fn kind(self) -> Kind {
                match self {
                    $(MetricName::$metric => Kind::$kind,)*
                }
            }

            /// Whether a larger score is a better match.
            pub fn larger_is_better(self) -> bool {
                match self {
                    $(MetricName::$metric => larger!($better),)*
                }
            }

            /// The longest rows of bytes, of two types if `mixed`, that it scores from exact integers of 32 bits.
            fn byte_width(self, mixed: bool) -> usize {
                match self {
                    $($(MetricName::$metric => <$bytes as OfBytes>::width(mixed),)?)*
                    _ => 0,
                }
            }

            /// Whether scores of bytes are rounded, if only once, and not the exact integers themselves.
            fn rounds_bytes(self) -> bool {
                match self {
                    $($(MetricName::$metric => <$bytes as OfBytes>::ROUNDS,)?)*
                    _ => true,
                }
            }

            /// The metric on floats, or of bits with floats for scores.
            pub fn on_floats<I: Isa, V: Vector<E: Element + Score> + 'static, K: OfMetric<V::E>>(self) -> K {
                match self {
                    $(MetricName::$metric => on_floats!($kind, $of, I, V, K),)*
                }
            }

            /// The same where columns of queries have weights; none if it has no such form. A product needs none: it is that
            /// of a query times its weights.
            /// `whole` says that all weights are 0 or 1.
            pub fn on_known_floats<I: Isa, V: Vector<E: Element + Score> + 'static, K: OfMetric<V::E>>(
                self,
                whole: bool,
            ) -> Option<K> {
                match self {
                    $($(MetricName::$metric => Some(<$known as OfKnown>::of::<I, V, K>(whole)),)?)*
                    _ => None,
                }
            }

            /// The metric of bytes or bits with exact scores, if there is one: see [`MetricName::exact`].
            pub fn on_bytes<I: Isa, K: OfMetric<i32>>(self, mixed: bool) -> Option<K> {
                match self {
                    $(MetricName::$metric => on_bytes!($kind, $of, I, K, mixed $(, $bytes)?),)*
                }
            }

            /// The metric of bytes with scores that are rounded once, to f64; none if there is none.
            pub fn on_bytes_widely<I: Isa, K: OfMetric<f64>>(self, mixed: bool) -> Option<K> {
                match self {
                    $($(MetricName::$metric => Some(<$bytes as OfBytes>::widely::<I, K>(mixed)),)?)*
                    _ => None,
                }
            }
        }
    };
}

macro_rules! larger {
    (larger) => {
        true
    };
    (smaller) => {
        false
    };
}

macro_rules! on_floats {
    (Bits, $of:ty, $i:ty, $v:ty, $k:ty) => {
        <$of as BitMetric>::of::<$i, <$v as Vector>::E, $k>()
    };
    ($kind:ident, $of:ty, $i:ty, $v:ty, $k:ty) => {
        <$k>::of::<$i, OnFloats<$v, $of>>()
    };
}

macro_rules! on_bytes {
    (Bits, $of:ty, $i:ty, $k:ty, $mixed:ident) => {
        Some(<$of as BitMetric>::of::<$i, i32, $k>())
    };
    ($kind:ident, $of:ty, $i:ty, $k:ty, $mixed:ident) => {
        None
    };
    ($kind:ident, $of:ty, $i:ty, $k:ty, $mixed:ident, $bytes:ty) => {
        <$bytes as OfBytes>::exactly::<$i, $k>($mixed)
    };
}

metrics! {
    "dot" Dot: Numbers larger, Dot, bytes: ByteDot;
    "cosine" Cosine: Numbers smaller, Cosine, bytes: ByteCosine, known: KnownCosine;
    "sqeuclidean" SqEuclidean: Numbers smaller, Euclidean<false>, bytes: ByteSquares<false>,
        known: KnownSquares<false>;
    "euclidean" Euclidean: Numbers smaller, Euclidean<true>, bytes: ByteSquares<true>,
        known: KnownSquares<true>;
    "manhattan" Manhattan: Numbers smaller, Manhattan, bytes: ByteManhattan, known: KnownMagnitudes;
    "kl" Kl: Masses smaller, Divergence<true>;
    "reverse_kl" ReverseKl: Masses smaller, Divergence<false>;
    "jensenshannon" JensenShannon: Masses smaller, JensenShannon;
    "hamming" Hamming: Bits smaller, Hamming, known: KnownBits;
}

impl MetricName {
    /// The metric of that name.
    pub fn parse(name: &str) -> Option<MetricName> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, m)| *m)
    }

    /// The metric of floats whose keys are kept in 16 bits, if it has such a form: none where they are prepared.
    pub fn on_short<I: Isa, K: OfMetric<f32>>(self, keys: Dtype) -> Option<K> {
        match keys {
            Dtype::F16 => self.on_kept::<I, Half, K>(),
            Dtype::BF16 => self.on_kept::<I, Brain, K>(),
            _ => None,
        }
    }

    fn on_kept<I: Isa, S: Kept<I::F32>, K: OfMetric<f32>>(self) -> Option<K> {
        match self {
            MetricName::Dot => Some(K::of::<I, OnFloats<I::F32, Dot, S>>()),
            MetricName::SqEuclidean => Some(K::of::<I, OnFloats<I::F32, Euclidean<false>, S>>()),
            MetricName::Euclidean => Some(K::of::<I, OnFloats<I::F32, Euclidean<true>, S>>()),
            MetricName::Manhattan => Some(K::of::<I, OnFloats<I::F32, Manhattan, S>>()),
            _ => None,
        }
    }

    /// The metric of bits, with exact counts, where bits of queries are known or not; none for others.
    pub fn on_known_bits<I: Isa, K: OfMetric<i32>>(self) -> Option<K> {
        (self.kind() == Kind::Bits).then(<KnownBits as hamming::BitMetric>::of::<I, i32, K>)
    }

    /// Whether scores of rows of such types and so many elements are whole numbers in an i32.
    pub fn exact(self, queries: Dtype, keys: Dtype, width: usize) -> bool {
        if self.kind() == Kind::Bits {
            return queries == Dtype::U8 && keys == Dtype::U8 && width <= BIT_WIDTH;
        }
        !self.rounds_bytes() && self.from_integers(queries, keys, width)
    }

    /// Whether scores of rows of such types come of exact integers of 32 bits, if not as they are, then rounded once.
    pub fn from_integers(self, queries: Dtype, keys: Dtype, width: usize) -> bool {
        queries.is_byte() && keys.is_byte() && width <= self.byte_width(queries != keys)
    }

    /// Whether it has scores of bytes that are exact, or rounded once: of any width, if not by 32 bits, then by f64.
    pub fn scores_bytes(self) -> bool {
        self.byte_width(false) > 0
    }

    /// Whether scores of bytes, of any width, are given out as f32 although they are taken in f64.
    pub fn narrows(self, queries: Dtype, keys: Dtype) -> bool {
        queries.is_byte() && keys.is_byte() && self.scores_bytes() && self.rounds_bytes()
    }
}

/// What can be made of a metric that is known as a type.
pub trait OfMetric<T: Score>: Sized {
    /// Makes it.
    fn of<I: Isa, M: Metric<I, Score = T>>() -> Self;
    /// Makes it of a metric that has another way for few queries.
    fn with_few<I: Isa, M: Metric<I, Score = T>, Few: Metric<I, Score = T>>() -> Self;
}

/// What a metric says of a pair.
pub trait Score: Copy + Default + PartialOrd + Send + Sync + std::fmt::Debug + 'static {
    /// Worse than every score, when smaller is better.
    const WORST: Self;
    /// The score with its order turned round.
    fn flip(self) -> Self;
    /// The smallest score above `x` in this type, so that `score <= x` is `score < above(x)`.
    fn above(x: f64) -> Self;
    /// The nearest score to a count, which is the count itself unless it is beyond a float's whole numbers.
    fn from_count(count: i32) -> Self;
    /// Lanes that [`Score::less`] looks at.
    fn lanes<I: Isa>() -> usize;
    /// Bit i is set where `p[i] < than`.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; `p` must be readable for [`Score::lanes`].
    unsafe fn less<I: Isa>(p: *const Self, than: Self) -> u32;
}

/// A score that is given out in the type O.
pub trait Given<O>: Score {
    /// Whether that is its own.
    const SAME: bool;
    /// Rounded to it.
    fn given(self) -> O;
    /// The smallest score that is given out above `x`, as [`Score::above`].
    fn given_above(x: f64) -> Self;
}
impl<T: Score> Given<T> for T {
    const SAME: bool = true;
    fn given(self) -> T {
        self
    }
    fn given_above(x: f64) -> T {
        T::above(x)
    }
}
impl Given<f32> for f64 {
    const SAME: bool = false;
    #[inline(always)]
    fn given(self) -> f32 {
        self as f32
    }
    fn given_above(x: f64) -> f64 {
        let below = x as f32;
        if !below.is_finite() {
            return below.into();
        }
        // What lies in the middle goes to the even one of its neighbours.
        let middle = (below as f64 + below.next_up() as f64) / 2.0;
        if middle as f32 <= below { middle.next_up() } else { middle }
    }
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
            fn from_count(count: i32) -> Self {
                count as $t
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
    fn from_count(count: i32) -> Self {
        count
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

/// How the queries of a tile stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lay {
    /// The first word of every query, then the second.
    Words,
    /// A line of words of every query, zeros behind the last word, then another.
    Lines,
}

/// A row that is to be prepared, and the rows that it will meet.
#[derive(Clone, Copy)]
pub struct Facing {
    /// Whose row it is.
    pub side: Side,
    /// How its elements were stored.
    pub own: Dtype,
    /// How the others are stored.
    pub other: Dtype,
}

/// One query and a register of keys, of which scores are to be looked at again.
pub struct Pair<T> {
    /// The keys' panel.
    pub keys: *const u8,
    /// The query's first word.
    pub query: *const u8,
    /// Bytes from a word of the query to the next.
    pub stride: usize,
    /// Words of a row.
    pub words: usize,
    /// Keys that are no padding.
    pub real: usize,
    /// Their scores, a register of them.
    pub out: *mut T,
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
    /// What [`Metric::finish`] notices of the scores that it writes.
    type Marks: Copy;
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
    /// Whether a word of a query has the weights of its columns behind it, which are a word, too.
    const KNOWN: bool = false;
    /// Whether the steps are those of [`Words::dot`], so that [`Words::multiply`] can take their place.
    const PRODUCTS: bool = false;
    /// How elements of packed keys are kept.
    const KEPT: Dtype = Self::Element::DTYPE;
    /// Bytes in a word of a key.
    const WORD: usize =
        size_of::<<Self::Carrier as Vector>::E>() * if Self::IN_PLACE { Self::Carrier::LANES } else { 1 };
    /// Bytes in a word of a query, without its weights.
    const QUERY: usize = Self::WORD;
    /// Bytes from a word of a query to the next one of the same tile.
    const ASKED: usize = Self::QUERY * if Self::KNOWN { 2 } else { 1 };
    /// Bytes from what one step reads of the keys to what the next does.
    const STEP: usize = size_of::<<Self::Carrier as Vector>::E>() * Self::Carrier::LANES;

    /// The shape of this metric's tiles.
    fn tiles<S: Shaped>() -> S::Out;
    /// Turns a row into what [`Metric::step`] reads and returns the row's own share of the score.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn prepare(row: &mut [Self::Element], facing: Facing) -> Result<Self::Score, &'static str>;
    /// The same for a query whose columns have weights of at least zero, where [`Metric::KNOWN`].
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn prepare_known(
        row: &mut [Self::Element],
        _weights: &mut [Self::Element],
        facing: Facing,
    ) -> Result<Self::Score, &'static str> {
        Self::prepare(row, facing)
    }
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
    /// Writes the scores of a register of keys by the sums of a matrix.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; sums and terms readable and out writable for the keys.
    unsafe fn summed(
        _sums: *const i32,
        _key_terms: *const Self::Score,
        _query_term: Self::Score,
        _out: *mut Self::Score,
    ) {
        unreachable!("what matrices take says what it makes of sums")
    }
    /// Adds a score that was put aside.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn fold(total: Self::Acc, acc: Self::Acc) -> Self::Acc;
    /// Nothing noticed yet.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn unmarked() -> Self::Marks;
    /// Writes the scores of a register of keys, and marks if one of them has to be looked at [`again`](Metric::again).
    ///
    /// # Safety
    /// Only below [`Isa::call`]; terms readable and out writable for the keys of a register.
    unsafe fn finish(
        acc: Self::Acc,
        key_terms: *const Self::Score,
        query_term: Self::Score,
        out: *mut Self::Score,
        marks: &mut Self::Marks,
    );
    /// Whether no score has to be looked at again.
    ///
    /// # Safety
    /// Only below [`Isa::call`].
    unsafe fn settled(marks: Self::Marks) -> bool;
    /// Takes those scores again, by a slower way, that the steps have left without digits; false if one of a real key is
    /// not finite. A score says by itself whether it is one of them, so no batch shows in it.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; the pair's rows readable, its scores writable.
    unsafe fn again(pair: &Pair<Self::Score>) -> bool;
}
