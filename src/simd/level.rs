//! Which instruction sets this CPU has, and which one is used.

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
            if has!("avx2") && has!("fma") && has!("f16c") {
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
