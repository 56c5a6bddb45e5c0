//! Rows turned into panels: word after word, that of every key of a register.

use crate::simd::{Isa, Vector, Work, prefetch};
use crate::table::{Element, Rows};
use std::marker::PhantomData;
use std::ops::Range;

/// Turns a register's worth of rows, `bytes` each and `stride` apart, into a panel. A last word that is not full is filled
/// with zeros. Memory `ahead` bytes further on is asked for meanwhile, if not 0.
///
/// A function of its own, compiled once for all metrics.
///
/// # Safety
/// The CPU has the instruction set; the rows are there, and room for the panel.
#[inline(never)]
pub(super) unsafe fn turn<I: Isa, V: Vector>(src: *const u8, stride: usize, bytes: usize, dst: *mut u8, ahead: usize) {
    I::call(Turn::<V> { src, stride, bytes, dst, ahead, carrier: PhantomData })
}

struct Turn<V> {
    src: *const u8,
    stride: usize,
    bytes: usize,
    dst: *mut u8,
    ahead: usize,
    carrier: PhantomData<V>,
}

impl<V: Vector> Work for Turn<V> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Turn { src, stride, bytes, dst, ahead, .. } = self;
        let word = size_of::<V::E>();
        let full = bytes / word;
        let squares = full / V::LANES;
        let square = V::LANES * V::LANES * word;
        for s in 0..squares {
            if ahead > 0 {
                for line in (0..square).step_by(64) {
                    prefetch(src.wrapping_add(ahead + s * square + line));
                }
            }
            V::transpose(src.add(s * V::LANES * word), stride, dst.add(s * square).cast());
        }
        for i in 0..V::LANES {
            let row = src.add(i * stride);
            for w in squares * V::LANES..full {
                let to = dst.add((w * V::LANES + i) * word);
                // As integers of fixed size: copies of a length known at run time only would be calls.
                if word == 8 {
                    to.cast::<u64>().write(row.add(w * 8).cast::<u64>().read_unaligned());
                } else {
                    to.cast::<u32>().write(row.add(w * 4).cast::<u32>().read_unaligned());
                }
            }
            if full * word < bytes {
                let to = dst.add((full * V::LANES + i) * word);
                to.write_bytes(0, word);
                std::ptr::copy_nonoverlapping(row.add(full * word), to, bytes - full * word);
            }
        }
    }
}

/// Reads row `i`, widened without loss; a function of its own like [`turn`].
///
/// # Safety
/// The CPU has the instruction set.
#[inline(never)]
pub(super) unsafe fn read<I: Isa, E: Element>(rows: &Rows, i: usize, out: &mut [E]) {
    I::call(Read { rows, i, out })
}

struct Read<'a, E> {
    rows: &'a Rows<'a>,
    i: usize,
    out: &'a mut [E],
}

impl<E: Element> Work for Read<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        self.rows.read(self.i, self.out)
    }
}

/// Turns rows of 16 bits, no more than a register takes, into a panel of zeros behind them.
pub(super) fn turn_short(rows: &Rows, range: Range<usize>, lanes: usize, panel: &mut [u16]) {
    let width = rows.width();
    let bytes = rows.memory(range.clone());
    let (words, rest) = panel.split_at_mut(width * lanes);
    for (w, words) in words.chunks_exact_mut(lanes).enumerate() {
        for (i, word) in words.iter_mut().enumerate() {
            let at = 2 * (i * width + w);
            *word = if i < range.len() { u16::from_ne_bytes([bytes[at], bytes[at + 1]]) } else { 0 };
        }
    }
    rest.fill(0);
}
