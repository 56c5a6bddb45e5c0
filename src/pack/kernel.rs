//! A metric on an instruction set as a table of functions: what is looked up once a call and handed down from there.

use super::columns::{self, ColumnsFn};
use super::keys::Keys;
use super::panels::{self, PackBuffer, PackFn};
use super::queries::{self, QueryFn};
use crate::error::Error;
use crate::metric::{Metric, MetricName, OfMetric, Score};
use crate::simd::{Isa, Level, Vector, Work};
use crate::table::{Dtype, Rows};
use crate::tile::{self, PANELS, Tile, Tiles, tiles};
use std::ops::Range;

/// How the packed rows of a metric lie in memory.
#[derive(Clone, Copy)]
pub struct Layout {
    /// Keys in a panel.
    pub lanes: usize,
    /// Bytes in a word of a key.
    pub word: usize,
    /// Bytes in a word of a query.
    pub query: usize,
    /// The same, with its weights if it has any.
    pub asked: usize,
    /// Bytes in an element of a prepared key.
    pub element: usize,
}

impl Layout {
    /// That of a metric on an instruction set.
    #[inline(always)]
    pub fn of<I: Isa, M: Metric<I>>() -> Self {
        Layout { lanes: M::Carrier::LANES, word: M::WORD, query: M::QUERY, asked: M::ASKED, element: M::KEPT.bytes(1) }
    }
    /// Words of a row.
    #[inline(always)]
    pub fn words(&self, width: usize) -> usize {
        (width * self.element).div_ceil(self.word)
    }
    /// Bytes of a panel, so many that [`PANELS`] of them are whole lines.
    #[inline(always)]
    pub fn panel(&self, width: usize) -> usize {
        (self.words(width) * self.word * self.lanes).next_multiple_of(64 / PANELS)
    }
    /// Panels that so many keys take, a multiple of [`PANELS`].
    #[inline(always)]
    pub fn panels(&self, keys: usize) -> usize {
        keys.div_ceil(self.lanes * PANELS) * PANELS
    }
}

/// A metric on an instruction set, as functions: what the sinks need to know of it.
#[derive(Clone, Copy)]
pub struct Kernel<T> {
    /// The tile shapes.
    pub tiles: Tiles<T>,
    /// Packed rows.
    pub layout: Layout,
    /// Whether keys have shares of their own in their scores.
    pub(super) terms: bool,
    /// Whether rows are read where they are.
    pub(super) in_place: bool,
    /// The tile for many queries on CPUs that multiply matrices, if there is such.
    pub(super) matrix: Option<Tile<T>>,
    /// The kernel for few queries, if there is another.
    pub(super) few: Option<fn() -> Kernel<T>>,
    pub(super) pack: PackFn<T>,
    pub(super) query: QueryFn<T>,
    pub(super) columns: ColumnsFn,
    /// How queries and keys are stored.
    pub(super) stored: (Dtype, Dtype),
}

/// Scores for which there are metrics.
pub trait Scored: Score {
    /// The metric of that name for queries and keys of these types and so many elements. Callers have checked that there is
    /// one. Scores of bytes in f64 are exact, or rounded once, wherever [`MetricName::from_integers`].
    fn kernel(level: Level, metric: MetricName, queries: Dtype, keys: Dtype, width: usize) -> Kernel<Self>;
    /// The same where columns of queries have weights, if there is such a kernel; its keys are packed alike. `whole` says
    /// that all weights are 0 or 1.
    fn known(level: Level, metric: MetricName, stored: (Dtype, Dtype), whole: bool) -> Option<Kernel<Self>>;
    /// The kernel whose packed keys are kept in 16 bits, as they came, if there is one.
    fn short(_level: Level, _metric: MetricName, _keys: Dtype) -> Option<Kernel<Self>> {
        None
    }
}

macro_rules! float_kernels {
    ($t:ty, $v:ident, $bytes:ident, { $($short:tt)* }) => {
        impl Scored for $t {
            fn kernel(level: Level, metric: MetricName, queries: Dtype, keys: Dtype, width: usize) -> Kernel<$t> {
                struct Find(MetricName, Option<bool>);
                impl Work for Find {
                    type Out = Kernel<$t>;
                    #[inline(always)]
                    unsafe fn run<I: Isa>(self) -> Kernel<$t> {
                        let Find(metric, mixed) = self;
                        mixed
                            .and_then(|mixed| $bytes!(metric, I, mixed))
                            .unwrap_or_else(|| metric.on_floats::<I, I::$v, _>())
                    }
                }
                let mixed = metric.from_integers(queries, keys, width).then_some(queries != keys);
                Kernel { stored: (queries, keys), ..level.run(Find(metric, mixed)) }.at(level)
            }
            fn known(level: Level, metric: MetricName, stored: (Dtype, Dtype), whole: bool) -> Option<Kernel<$t>> {
                struct Find(MetricName, bool);
                impl Work for Find {
                    type Out = Option<Kernel<$t>>;
                    #[inline(always)]
                    unsafe fn run<I: Isa>(self) -> Self::Out {
                        self.0.on_known_floats::<I, I::$v, _>(self.1)
                    }
                }
                level.run(Find(metric, whole)).map(|found| Kernel { stored, ..found })
            }
            $($short)*
        }
    };
}
macro_rules! none {
    ($metric:ident, $i:ty, $mixed:ident) => {{
        let _ = $mixed;
        None
    }};
}
macro_rules! widely {
    ($metric:ident, $i:ty, $mixed:ident) => {
        $metric.on_bytes_widely::<$i, _>($mixed)
    };
}
float_kernels!(f32, F32, none, {
    fn short(level: Level, metric: MetricName, keys: Dtype) -> Option<Kernel<f32>> {
        struct Find(MetricName, Dtype);
        impl Work for Find {
            type Out = Option<Kernel<f32>>;
            #[inline(always)]
            unsafe fn run<I: Isa>(self) -> Self::Out {
                self.0.on_short::<I, _>(self.1)
            }
        }
        level.run(Find(metric, keys)).map(|found| Kernel { stored: (Dtype::F32, keys), ..found })
    }
});
float_kernels!(f64, F64, widely, {});

impl Scored for i32 {
    fn kernel(level: Level, metric: MetricName, queries: Dtype, keys: Dtype, _width: usize) -> Kernel<i32> {
        struct Find(MetricName, bool);
        impl Work for Find {
            type Out = Option<Kernel<i32>>;
            #[inline(always)]
            unsafe fn run<I: Isa>(self) -> Option<Kernel<i32>> {
                self.0.on_bytes::<I, _>(self.1)
            }
        }
        let found = level.run(Find(metric, queries != keys));
        let found = found.unwrap_or_else(|| unreachable!("no exact integer scores for {metric:?}"));
        Kernel { stored: (queries, keys), ..found }.at(level)
    }
    fn known(level: Level, metric: MetricName, stored: (Dtype, Dtype), _whole: bool) -> Option<Kernel<i32>> {
        struct Find(MetricName);
        impl Work for Find {
            type Out = Option<Kernel<i32>>;
            #[inline(always)]
            unsafe fn run<I: Isa>(self) -> Self::Out {
                self.0.on_known_bits::<I, _>()
            }
        }
        level.run(Find(metric)).map(|found| Kernel { stored, ..found })
    }
}

impl<T: Score> OfMetric<T> for Kernel<T> {
    fn of<I: Isa, M: Metric<I, Score = T>>() -> Self {
        Kernel {
            tiles: tiles::<I, M>(),
            layout: Layout::of::<I, M>(),
            terms: M::TERMS,
            in_place: M::IN_PLACE,
            matrix: tile::matrix::<I, M>(),
            few: None,
            pack: panels::enter::<I, M>,
            query: queries::enter::<I, M>,
            columns: columns::enter::<I, M>,
            stored: (Dtype::F64, Dtype::F64),
        }
    }
    fn with_few<I: Isa, M: Metric<I, Score = T>, Few: Metric<I, Score = T>>() -> Self {
        Kernel { few: Some(Self::of::<I, Few>), ..Self::of::<I, M>() }
    }
}

impl<T: Score> Kernel<T> {
    /// Without what the level leaves out of its instruction set.
    fn at(self, level: Level) -> Self {
        Kernel { matrix: self.matrix.filter(|_| level.multiplies()), ..self }
    }

    /// Keys in a block: as many as fit `bytes` of cache beside `extra` bytes a key, at least a few panels, at most `most`.
    pub fn block(&self, width: usize, extra: usize, bytes: usize, most: usize) -> usize {
        let few = PANELS * self.layout.lanes;
        let fit = bytes / (self.layout.words(width) * self.layout.word + extra).max(1);
        (fit / few * few).clamp(few, (most / few * few).max(few))
    }

    /// Whether so few keys are so long that the panels which fill their block up are not worth their memory: the panels there
    /// are then meet the tiles one by one. So they do where that is `wished`.
    pub fn singly(&self, keys: &Keys<T>, range: &Range<usize>, wished: bool) -> bool {
        let few = (wished || self.layout.panel(keys.width()).saturating_mul(PANELS) > PADDING)
            && range.len() < self.layout.lanes * PANELS;
        few && !self.in_place && matches!(keys, Keys::Rows(_))
    }

    /// Packs the keys of `range`.
    pub(super) fn pack(&self, rows: &Rows, range: Range<usize>, buffer: &mut PackBuffer<T>) -> Result<(), Error> {
        self.pack_to(rows, range.clone(), self.layout.panels(range.len()), buffer)
    }
    /// The same into so many panels.
    pub(super) fn pack_to(
        &self,
        rows: &Rows,
        range: Range<usize>,
        panels: usize,
        buffer: &mut PackBuffer<T>,
    ) -> Result<(), Error> {
        let to = buffer.fit(&self.layout, rows.width(), panels)?;
        // SAFETY: the kernel was looked up for an instruction set that this CPU has; here is the room.
        unsafe { (self.pack)(rows, range, self.stored.0, to, &mut buffer.scratch) }
    }
}

/// Bytes of panels that are filled up without a thought.
const PADDING: usize = 4 << 20;
