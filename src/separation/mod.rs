//! How scores become weights.
//!
//! Softmax and powers are kept relative to the largest score so far and rescaled when a larger one comes, so that neither
//! overflows: exp(beta (s - m) + b - c) and (s / m)^n. Log-weights b stay apart from the scores until the difference is
//! taken: added to a large score they would be lost.
//!
//! `separations!` lists them, a line each. A separation is a small value that implements [`Separate`], a file a family;
//! [`Weighing`] is one of them with the items' own weights, and [`Running`] what the weights of a cue have come to. A
//! distance d counts as the score -d.

/// Replaces the first `n` numbers of a row by an expression of them and of their terms (0 without terms), and shows each
/// register of results to a second expression. What stands behind them in the last register reads as 0 and becomes `fill`.
/// A macro, because a closure is compiled without the instruction set's features unless it happens to be inlined.
macro_rules! each {
    ($v:ident, $row:expr, $n:expr, $terms:expr, $fill:expr, |$s:ident, $term:ident| $f:expr, |$w:ident| $g:expr) => {{
        let (row, n, terms): (*mut $v::E, usize, Option<*const $v::E>) = ($row, $n, $terms);
        let nothing = $v::splat($v::E::ZERO);
        let full = n / $v::LANES * $v::LANES;
        let mut i = 0;
        while i < full {
            let $s = $v::load(row.add(i));
            let $term = match terms {
                Some(p) => $v::load(p.add(i)),
                None => nothing,
            };
            let $w = $f;
            $g;
            $w.store(row.add(i));
            i += $v::LANES;
        }
        if i < n {
            let rest = n - i;
            let end = $v::splat($v::E::from_f64(rest as f64));
            let $s = $v::select_lt($v::lanes(), end, $v::load(row.add(i)), nothing);
            let $term = match terms {
                Some(p) => $v::load_first(p.add(i), rest),
                None => nothing,
            };
            let $w = $v::select_lt($v::lanes(), end, $f, $fill);
            $g;
            $w.store(row.add(i));
        }
    }};
}

mod power;
mod roots;
mod softmax;
mod threshold;

pub use power::{Power, Rectified};
pub use roots::{Log, Sqrt};
pub use softmax::Softmax;
pub use threshold::Threshold;

use crate::error::Error;
use crate::error::room;
use crate::metric::Score;
use crate::simd::{Float, Isa, Vector};
use crate::table::Element;

/// Elements that weights and values are computed in.
pub trait Real: Float + Score + Element {
    /// The register of an instruction set that holds them.
    type Register<I: Isa>: Vector<E = Self> + 'static;
}
impl Real for f32 {
    type Register<I: Isa> = I::F32;
}
impl Real for f64 {
    type Register<I: Isa> = I::F64;
}

/// What weights are relative to: exp(gain * score + bias), or a power of the score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Top<E> {
    /// The largest score that has a weight.
    pub score: E,
    /// The largest logarithm of a weight relative to that score; 0 where there are no log-weights.
    pub bias: E,
}

/// Scores of one cue that are to become weights, in place.
#[derive(Clone, Copy)]
pub struct Scores<E> {
    /// The first; there is room to the end of the last register.
    pub row: *mut E,
    /// How many.
    pub n: usize,
    /// The keys' own weights, as [`Separate::term`] has made them; none if all weigh the same.
    pub terms: Option<*const E>,
    /// What scores are multiplied by: -1 for distances.
    pub sign: E,
}

/// What a separation notices of the scores that it weighs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// Whether it showed that none of the weights is zero.
    pub dense: bool,
    /// Whether there was a negative score where there must be none.
    pub negative: bool,
}

/// A way to make weights of scores, a few at a time and relative to a reference that may rise meanwhile.
pub trait Separate: Copy + Into<Separation> {
    /// The separation with its parameter, if the parameter is fit for it; those without one are given any.
    fn new(parameter: f64) -> Result<Self, Error>;
    /// The separation that does the same, where that is another one. `sign` is -1 for distances.
    fn simplest(self, _sign: f64) -> Separation {
        self.into()
    }
    /// What a key's own weight becomes for [`Scores::terms`], by its logarithm.
    fn term(self, log_weight: f64) -> f64 {
        log_weight.exp()
    }
    /// The reference that stands for "no score yet".
    fn nothing<E: Real>(self) -> Top<E> {
        Top { score: E::ZERO, bias: E::ZERO }
    }
    /// The higher of two references: the larger score, and what is then the larger bias if keys have weights.
    #[inline(always)]
    fn reference<E: Real>(self, a: Top<E>, b: Top<E>, _weighted: bool) -> Top<E> {
        Top { score: larger(a.score, b.score), bias: E::ZERO }
    }
    /// Turns scores into weights, zeros behind them to the end of the register, and returns what they are relative to and
    /// the lanes of the sum of their magnitudes. `old` is what the weights so far are relative to.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; scores writable to the end of the last register, terms readable.
    unsafe fn weigh<V: Vector<E: Real>>(
        self,
        scores: Scores<V::E>,
        old: Top<V::E>,
        marks: &mut Marks,
    ) -> (Top<V::E>, V);
    /// What weights relative to `old` are multiplied by to become relative to `new`.
    fn rescale<E: Real>(self, _old: Top<E>, _new: Top<E>) -> E {
        E::ONE
    }
    /// The logarithm of what weights relative to `top` are to be multiplied by.
    fn log_scale<E: Real>(self, _top: Top<E>) -> f64 {
        0.0
    }
}

/// Makes [`Separation`] of the list of separations: a line has the name and the type.
macro_rules! separations {
    ($($name:literal $separation:ident;)*) => {
        /// A separation as a value.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[allow(missing_docs)] // Their types say it.
        pub enum Separation {
            $($separation($separation),)*
        }

        $(impl From<$separation> for Separation {
            fn from(separation: $separation) -> Separation {
                Separation::$separation(separation)
            }
        })*

        impl Separation {
            /// The names of all of them.
            pub const NAMES: &[&str] = &[$($name,)*];

            /// The separation of that name with its parameter: those without one are given any.
            pub fn parse(name: &str, parameter: f64) -> Result<Separation, Error> {
                match name {
                    $($name => Ok($separation::new(parameter)?.into()),)*
                    other => Err(Error::Argument(format!("separation {other:?} is unknown"))),
                }
            }
        }

        /// Evaluates an expression of a separation with that separation's own type.
        macro_rules! on {
            ($given:expr, |$s:ident| $e:expr) => {
                match $given {
                    $(Separation::$separation($s) => $e,)*
                }
            };
        }
    };
}

separations! {
    "softmax" Softmax;
    "power" Power;
    "rectified" Rectified;
    "sqrt" Sqrt;
    "log" Log;
    "threshold" Threshold;
}

/// A separation and the keys' own weights.
pub struct Weighing<E> {
    separation: Separation,
    /// What scores are multiplied by: -1 for distances.
    sign: E,
    /// Per key what [`Separate::term`] makes of its weight, relative to the largest. Empty if all weigh the same.
    terms: Vec<E>,
    /// The logarithm of what the weights were divided by.
    log_unit: f64,
}

/// What the weights of a cue have come to.
#[derive(Clone, Copy)]
pub struct Running<E> {
    /// What they are relative to.
    top: Top<E>,
    /// The sum of their magnitudes.
    mass: E,
    /// Whether there was a negative score where there must be none.
    negative: bool,
}

impl<E: Real> Weighing<E> {
    /// `sign` is 1 for similarities and -1 for distances.
    pub fn new(separation: Separation, log_weight: Option<&[f64]>, sign: f64) -> Result<Self, Error> {
        let separation = on!(separation, |s| s.simplest(sign));
        let log_weight = log_weight.unwrap_or(&[]);
        let largest = log_weight.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_unit = if largest.is_finite() { largest } else { 0.0 };
        let term = |&w: &f64| E::from_f64(on!(separation, |s| s.term(w - log_unit)));
        let terms = room::collected(log_weight.iter().map(term))?;
        Ok(Weighing { separation, sign: E::from_f64(sign), terms, log_unit })
    }

    /// Whether there is a weight for each of so many keys, or none for any.
    pub fn fits(&self, keys: usize) -> bool {
        self.terms.is_empty() || self.terms.len() == keys
    }

    /// No weights yet.
    pub fn nothing(&self) -> Running<E> {
        Running { top: on!(self.separation, |s| s.nothing()), mass: E::ZERO, negative: false }
    }

    /// Turns the scores of the `n` keys from `first` on into weights, zeros behind them to the end of the register, and
    /// returns what sums of values over the keys before must be multiplied by. `dense` is set if it shows that none of the
    /// weights is zero.
    ///
    /// # Safety
    /// Only below [`Isa::call`]; scores writable to the end of the last register.
    #[inline(always)]
    pub unsafe fn weigh<V: Vector<E = E>>(
        &self,
        row: *mut E,
        first: usize,
        n: usize,
        running: &mut Running<E>,
        dense: &mut bool,
    ) -> E {
        let terms = if self.terms.is_empty() { None } else { Some(self.terms[first..].as_ptr()) };
        let scores = Scores { row, n, terms, sign: self.sign };
        let mut marks = Marks::default();
        on!(self.separation, |s| {
            let (new, mass) = s.weigh::<V>(scores, running.top, &mut marks);
            *dense = marks.dense;
            running.negative |= marks.negative;
            let rescale = rescale(s, running.top, new);
            running.top = new;
            running.mass = running.mass * rescale + mass.sum();
            rescale
        })
    }

    /// Takes in the weights of later keys; returns what sums of values over the earlier and the later ones must be
    /// multiplied by.
    pub fn join(&self, running: &mut Running<E>, later: &Running<E>) -> (E, E) {
        on!(self.separation, |s| {
            let new = s.reference(running.top, later.top, !self.terms.is_empty());
            let (a, b) = (rescale(s, running.top, new), rescale(s, later.top, new));
            running.top = new;
            running.mass = running.mass * a + later.mass * b;
            running.negative |= later.negative;
            (a, b)
        })
    }

    /// The mass that sums of values are to be divided by, and the logarithm of what the weights really add up to. `row` is
    /// named if that cannot be told.
    pub fn mass(&self, running: &Running<E>, row: usize) -> Result<(E, f64), Error> {
        let &Running { top, mass, negative } = running;
        if negative {
            return Err(Error::NegativeScore(row));
        }
        if !(top.score < E::INFINITY && mass < E::INFINITY) {
            return Err(Error::Overflow(row));
        }
        if mass > E::ZERO {
            let scale = on!(self.separation, |s| s.log_scale(top));
            Ok((mass, mass.to_f64().ln() + scale + self.log_unit))
        } else {
            Ok((mass, f64::NEG_INFINITY))
        }
    }
}

/// What weights relative to `old` are multiplied by to become relative to `new`: exactly 1 if nothing changes.
#[inline(always)]
fn rescale<E: Real, S: Separate>(separation: S, old: Top<E>, new: Top<E>) -> E {
    if old == new { E::ONE } else { separation.rescale(old, new) }
}

/// The larger; a NaN if there is one.
#[inline(always)]
fn larger<E: Float>(a: E, b: E) -> E {
    if b < a { a } else { b }
}
