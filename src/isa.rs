//! Instruction sets: which exist here, which one is used, and how code is entered with its features enabled.

use crate::error::Error;
use crate::metric::Metric;
use crate::simd::{Bits, Vector, Words};
use crate::tile::Tiles;

/// Something to run with an instruction set's features enabled. `run` is inlined into [`Isa::call`], so its body, and all
/// that is inlined into it, is compiled for that instruction set.
pub trait Work {
    /// What the work returns.
    type Out;
    /// Does it.
    ///
    /// # Safety
    /// Only below [`Isa::call`] of the same `I`.
    unsafe fn run<I: Isa>(self) -> Self::Out;
}

/// One instruction set.
pub trait Isa: Copy + Send + Sync + 'static + Sized {
    /// Registers of f32.
    type F32: Vector<E = f32> + 'static;
    /// Registers of f64.
    type F64: Vector<E = f64> + 'static;
    /// Registers of bytes.
    type Words: Words;
    /// Registers of bits.
    type Bits: Bits;
    /// The same with the CPU's newer instructions for counting bits, where there are such.
    type Counting: Isa;
    /// Enters code compiled for this instruction set.
    ///
    /// # Safety
    /// The CPU must have it: [`Level::available`] said so.
    unsafe fn call<W: Work>(work: W) -> W::Out;
    /// Whether this CPU has [`Isa::Counting`].
    fn counting() -> bool;
    /// Tiles for one operation a step (products).
    fn product<M: Metric<Self>>() -> Tiles<M::Score>;
    /// Tiles for two operations a step (squared differences, sums of bytes).
    fn difference<M: Metric<Self>>() -> Tiles<M::Score>;
    /// Tiles for three operations a step (magnitudes of differences).
    fn absolute<M: Metric<Self>>() -> Tiles<M::Score>;
    /// Tiles for many operations a step (logarithms).
    fn elaborate<M: Metric<Self>>() -> Tiles<M::Score>;
    /// Tiles for counting bits.
    fn count<M: Metric<Self>>() -> Tiles<M::Score>;
}

/// How many rows and registers of keys the tiles of an instruction set have: as many as its registers hold. Each entry is
/// (rows x registers, then the same for few rows). The shapes were chosen by measurement.
macro_rules! tiles {
    ($($name:ident: $r:literal x $v:literal, $fr:literal x $fv:literal;)*) => {$(
        #[inline]
        fn $name<M: $crate::metric::Metric<Self>>() -> $crate::tile::Tiles<M::Score> {
            $crate::tile::Tiles::new::<Self, M, $r, $v, $fr, $fv>()
        }
    )*};
}
pub(crate) use tiles;

/// AVX-512 F, BW, DQ, VL and VNNI (Cascade Lake, Zen 4 and later).
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Avx512;

/// The same with VPOPCNTDQ, which its first CPUs with VNNI (Cascade Lake) lack. Only what counts bits is compiled for it.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Avx512Counting;

/// AVX2 and FMA (Haswell, Zen and later).
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Avx2;

/// NEON, part of every arm64.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy)]
pub struct Neon;

/// What every CPU has.
#[derive(Clone, Copy)]
pub struct Portable;

/// An instruction set as a value that tests can force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain code for the architecture's baseline.
    Portable,
    /// [`Avx2`].
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// [`Avx512`].
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// [`Neon`].
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Level {
    /// What this CPU can run, best first.
    pub fn available() -> Vec<Level> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("avx512vnni") {
                levels.push(Level::Avx512);
            }
            if has!("avx2") && has!("fma") {
                levels.push(Level::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        levels.push(Level::Neon);
        levels.push(Level::Portable);
        levels
    }

    /// The name that `AMFAST_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Level::Neon => "neon",
        }
    }

    /// The best instruction set of this CPU, or the one that `wish` (`AMFAST_ISA`) names.
    pub fn detect(wish: Option<&str>) -> Result<Level, Error> {
        let available = Level::available();
        let Some(wish) = wish.filter(|w| !w.is_empty()) else {
            return Ok(available[0]);
        };
        available.iter().copied().find(|level| level.name() == wish).ok_or_else(|| {
            let names: Vec<_> = available.iter().map(|level| level.name()).collect();
            Error::Argument(format!(
                "AMFAST_ISA={wish} is unknown or absent on this CPU, which has {}",
                names.join(", ")
            ))
        })
    }

    /// Runs `work` with this instruction set.
    pub fn run<W: Work>(self, work: W) -> W::Out {
        // SAFETY: a Level other than Portable comes from `available`, which asked the CPU.
        unsafe {
            match self {
                Level::Portable => Portable::call(work),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => Avx2::call(work),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => Avx512::call(work),
                #[cfg(target_arch = "aarch64")]
                Level::Neon => Neon::call(work),
            }
        }
    }
}
