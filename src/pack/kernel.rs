//! A metric on an instruction set as a table of functions: what is looked up once a call and handed down from there.

use super::columns::{self, ColumnsFn};
use super::keys::Keys;
use super::panels::{self, PackBuffer, PackFn};
use super::queries::{self, QueryFn};
use crate::error::Error;
use crate::metric::{Metric, MetricName, OfMetric, Score};
use crate::simd::{Isa, Level, Vector, Work};
use crate::table::{Dtype, Rows};
use crate::tile::{PANELS, Tiles, tiles};
use std::ops::Range;

/// How the packed rows of a metric lie in memory.
#[derive(Clone, Copy)]
pub struct Layout {
    /// Keys in a panel.
    pub lanes: usize,
    /// Bytes in a word.
    pub word: usize,
    /// Bytes in an element of a prepared row.
    pub element: usize,
}

impl Layout {
    /// That of a metric on an instruction set.
    #[inline(always)]
    pub fn of<I: Isa, M: Metric<I>>() -> Self {
        Layout { lanes: M::Carrier::LANES, word: M::WORD, element: size_of::<M::Element>() }
    }
    /// Words of a row.
    #[inline(always)]
    pub fn words(&self, width: usize) -> usize {
        (width * self.element).div_ceil(self.word)
    }
    /// Bytes of a panel.
    #[inline(always)]
    pub fn panel(&self, width: usize) -> usize {
        self.words(width) * self.word * self.lanes
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
    /// The kernel for few queries, if there is another.
    pub(super) few: Option<fn() -> Kernel<T>>,
    pub(super) pack: PackFn<T>,
    pub(super) query: QueryFn<T>,
    pub(super) columns: ColumnsFn,
}

/// Scores for which there are metrics.
pub trait Scored: Score {
    /// The metric of that name for queries and keys of these types. Callers have checked that there is one.
    fn kernel(level: Level, metric: MetricName, queries: Dtype) -> Kernel<Self>;
}

macro_rules! float_kernels {
    ($t:ty, $v:ident) => {
        impl Scored for $t {
            fn kernel(level: Level, metric: MetricName, _queries: Dtype) -> Kernel<$t> {
                struct Find(MetricName);
                impl Work for Find {
                    type Out = Kernel<$t>;
                    #[inline(always)]
                    unsafe fn run<I: Isa>(self) -> Kernel<$t> {
                        self.0.on_floats::<I, I::$v, _>()
                    }
                }
                level.run(Find(metric))
            }
        }
    };
}
float_kernels!(f32, F32);
float_kernels!(f64, F64);

impl Scored for i32 {
    fn kernel(level: Level, metric: MetricName, queries: Dtype) -> Kernel<i32> {
        struct Find(MetricName, Dtype);
        impl Work for Find {
            type Out = Option<Kernel<i32>>;
            #[inline(always)]
            unsafe fn run<I: Isa>(self) -> Option<Kernel<i32>> {
                self.0.on_bytes::<I, _>(self.1)
            }
        }
        level.run(Find(metric, queries)).unwrap_or_else(|| unreachable!("no exact integer scores for {metric:?}"))
    }
}

impl<T: Score> OfMetric<T> for Kernel<T> {
    fn of<I: Isa, M: Metric<I, Score = T>>() -> Self {
        Kernel {
            tiles: tiles::<I, M>(),
            layout: Layout::of::<I, M>(),
            terms: M::TERMS,
            in_place: M::IN_PLACE,
            few: None,
            pack: panels::enter::<I, M>,
            query: queries::enter::<I, M>,
            columns: columns::enter::<I, M>,
        }
    }
    fn with_few<I: Isa, M: Metric<I, Score = T>, Few: Metric<I, Score = T>>() -> Self {
        Kernel { few: Some(Self::of::<I, Few>), ..Self::of::<I, M>() }
    }
}

impl<T: Score> Kernel<T> {
    /// Keys in a block: as many as fit `bytes` of cache beside `extra` bytes a key, at least a few panels, at most `most`.
    pub fn block(&self, width: usize, extra: usize, bytes: usize, most: usize) -> usize {
        let few = PANELS * self.layout.lanes;
        let fit = bytes / (self.layout.words(width) * self.layout.word + extra).max(1);
        (fit / few * few).clamp(few, (most / few * few).max(few))
    }

    /// Whether so few keys are so long that the panels which fill their block up are not worth their memory: the panels there
    /// are then meet the tiles one by one.
    pub fn singly(&self, keys: &Keys<T>, range: &Range<usize>) -> bool {
        let few = self.layout.panel(keys.width()).saturating_mul(PANELS) > PADDING
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
        unsafe { (self.pack)(rows, range, to, &mut buffer.scratch) }
    }
}

/// Bytes of panels that are filled up without a thought.
const PADDING: usize = 4 << 20;
