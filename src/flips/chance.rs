//! Random numbers that depend on a number of the cue and on the sweep alone: no thread and no batch changes them.

/// What SplitMix64 adds to its state for every number.
pub const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The random numbers of one sweep of one cue: SplitMix64 from a start that the cue's number and the sweep are mixed into. The
/// number is made of a seed and of the cue's own bits (`amfast._engine.flipping`), so that its place in a batch does not matter.
#[derive(Clone, Copy)]
pub struct Chance(u64);

impl Chance {
    /// Of a sweep.
    pub fn new(cue: u64, sweep: usize) -> Self {
        Chance(mix(cue.wrapping_add((sweep as u64 + 1).wrapping_mul(GAMMA))))
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
