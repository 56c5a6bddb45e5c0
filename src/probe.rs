//! What this machine can do at most: its clock and how fast it reads memory.

use crate::error::Error;
use crate::error::room;
use crate::parallel::{Context, map};
use std::hint::black_box;
use std::time::Instant;

/// Clock in GHz, from a chain of dependent multiplications and additions of known latency (3 + 1 cycles a link).
pub fn clock() -> f64 {
    const LINKS: u64 = 20_000_000;
    (0..3)
        .map(|_| {
            let factor = black_box(3u64);
            let mut x = black_box(1u64);
            let start = Instant::now();
            for _ in 0..LINKS {
                // The factor is known at run time only, so the multiplication stays one.
                x = x.wrapping_mul(factor) ^ LINKS;
            }
            black_box(x);
            4.0 * LINKS as f64 / start.elapsed().as_secs_f64() / 1e9
        })
        .fold(0.0, f64::max)
}

/// Bytes a second, in units of 1e9, that `threads` together read from an array far larger than the caches.
pub fn bandwidth(context: &Context) -> Result<f64, Error> {
    const WORDS: usize = 32 << 20;
    let data = room::filled(WORDS, 1u64)?;
    let mut best = 0.0f64;
    for _ in 0..4 {
        let start = Instant::now();
        const PIECE: usize = 1 << 16;
        let sums = map(
            context,
            WORDS / PIECE,
            usize::MAX,
            || Ok(()),
            |_, task, _| {
                let piece = &data[task * PIECE..][..PIECE];
                let mut sums = [0u64; 32];
                for words in piece.chunks_exact(32) {
                    for (sum, &x) in sums.iter_mut().zip(words) {
                        *sum = sum.wrapping_add(x);
                    }
                }
                Ok(sums.iter().sum::<u64>())
            },
        )?;
        black_box(sums);
        best = best.max((WORDS * 8) as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    Ok(best)
}
