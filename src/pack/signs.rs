//! Bits as signs, a byte each: the sum of their products tells how many agree, which is a product of matrices.

use super::kernel::Kernel;
use super::keys::Block;
use crate::error::Error;
use crate::error::room;
use crate::metric::Score;
use crate::simd::Line;

impl<T: Score> Kernel<T> {
    /// Bytes of a panel whose bits are signs.
    pub(crate) fn signed(&self, width: usize) -> usize {
        8 * self.layout.panel(width)
    }

    /// The panels of a block with their bits as signs; two of them are a column of a matrix. Whole matrices are readable.
    pub(crate) fn signs(&self, block: &Block<T>, width: usize, room: &mut Vec<Line>) -> Result<*const u8, Error> {
        let (words, panel, signed) = (self.layout.words(width), self.layout.panel(width), self.signed(width));
        let panels = block.count.next_multiple_of(4);
        room::resize(room, panels * signed / 64, Line::ZERO)?;
        for p in (0..panels).step_by(2) {
            // SAFETY: panels of the block, the last one in place of those that are not there; here is the room. The kernel
            // was looked up for a level that multiplies.
            unsafe {
                let at = |p: usize| block.panels.add(p.min(block.count - 1) * panel);
                (self.signs)([at(p), at(p + 1)], words, room.as_mut_ptr().cast::<u8>().add(p * signed));
            }
        }
        Ok(room.as_ptr().cast())
    }
}
