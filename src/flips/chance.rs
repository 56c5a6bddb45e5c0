//! Random numbers that depend on the seed, the cue's own units and the sweep alone: no thread, no batch and no place in it
//! changes them, and equal cues meet equal chance. Where they are samples, at a temperature, only the first of equal cues does.

use crate::error::Error;
use crate::error::room;

/// What SplitMix64 adds to its state for every number.
pub const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Mixes a number into a key.
fn mixed(key: u64, n: u64) -> u64 {
    mix(key.wrapping_add(n.wrapping_add(1).wrapping_mul(GAMMA)))
}

/// The key of a cue: from 0, its units are mixed in, 64 at a time, a unit above zero being a bit, the first the lowest.
pub fn key(cue: &[i8]) -> u64 {
    let word = |units: &[i8]| units.iter().enumerate().fold(0, |word, (i, &s)| word | u64::from(s > 0) << i);
    cue.chunks(64).fold(0, |key, units| mixed(key, word(units)))
}

/// The keys of all cues (rows of `width` units). With `apart` the n-th earlier equal cue mixes in n, for n > 0: copies then have
/// chance of their own, and the first has that of the cue alone.
pub fn keys(cues: &[i8], width: usize, apart: bool) -> Result<Vec<u64>, Error> {
    let n = cues.len() / width;
    let mut keys: Vec<u64> = room::list(n)?;
    keys.extend(cues.chunks_exact(width).map(key));
    if apart {
        let mut order: Vec<(u64, usize)> = room::list(n)?;
        order.extend(keys.iter().copied().zip(0..));
        order.sort_unstable();
        let mut copies = 0;
        for pair in order.windows(2) {
            copies = if pair[0].0 == pair[1].0 { copies + 1 } else { 0 };
            if copies > 0 {
                keys[pair[1].1] = mixed(pair[1].0, copies);
            }
        }
    }
    Ok(keys)
}

/// The random numbers of one sweep of one cue: SplitMix64 from a start that seed, key of the cue and sweep are mixed into.
#[derive(Clone, Copy)]
pub struct Chance(u64);

impl Chance {
    /// Of a sweep.
    pub fn new(seed: u64, key: u64, sweep: usize) -> Self {
        Chance(mixed(mixed(mixed(seed, 0), key), sweep as u64))
    }
    fn word(self, t: usize) -> u64 {
        mix(self.0.wrapping_add((t as u64 + 1).wrapping_mul(GAMMA)))
    }
    /// Shuffles by Fisher and Yates, from the end.
    pub fn shuffle(self, units: &mut [u32]) {
        for (t, i) in (1..units.len()).rev().enumerate() {
            let j = ((self.word(t) >> 32) * (i as u64 + 1)) >> 32;
            units.swap(i, j as usize);
        }
    }
    /// In [0, 1), for the unit that is updated at that place of the sweep; `width` numbers are set aside for the order.
    pub fn unit(self, width: usize, place: usize) -> f64 {
        (self.word(width + place) >> 11) as f64 / (1u64 << 53) as f64
    }
}
