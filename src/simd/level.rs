//! Which instruction sets this CPU has, and which one is used.

#[cfg(target_arch = "x86_64")]
use super::amx;
#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::portable::Portable;
use super::{Isa, Work};
use crate::error::Error;

/// An instruction set as a value that tests can force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain code for the architecture's baseline.
    Portable,
    /// [`Avx2`].
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// [`Avx512`], and [`amx`] for products of bytes.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// [`Avx512`].
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// [`Neon`].
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Level {
    /// All of this architecture, best first.
    const ALL: &[Level] = &[
        #[cfg(target_arch = "x86_64")]
        Level::Amx,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2,
        #[cfg(target_arch = "aarch64")]
        Level::Neon,
        Level::Portable,
    ];

    /// What this CPU can run, best first.
    pub fn available() -> Vec<Level> {
        Self::ALL.iter().copied().filter(|level| level.is_there()).collect()
    }

    /// Whether this CPU can run it.
    fn is_there(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        use std::arch::is_x86_feature_detected as has;
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Amx => Level::Avx512.is_there() && amx::available(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => has!("avx2") && has!("fma") && has!("f16c"),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => true,
            Level::Portable => true,
        }
    }

    /// Whether it has instructions that multiply matrices of bytes: see [`Words::multiply`](super::Words::multiply).
    pub fn multiplies(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Level::Amx;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// The name that `AMFAST_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Amx => "amx",
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
        let wish = wish.filter(|w| !w.is_empty());
        // Only what is wished is looked for: some have to be asked for.
        let mut wished = Self::ALL.iter().copied().filter(|level| wish.is_none_or(|wish| level.name() == wish));
        wished.find(|level| level.is_there()).ok_or_else(|| {
            let names: Vec<_> = Level::available().iter().map(|level| level.name()).collect();
            Error::Argument(format!(
                "AMFAST_ISA={} is unknown or absent on this CPU, which has {}",
                wish.unwrap_or_default(),
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
                Level::Avx512 | Level::Amx => Avx512::call(work),
                #[cfg(target_arch = "aarch64")]
                Level::Neon => Neon::call(work),
            }
        }
    }
}
