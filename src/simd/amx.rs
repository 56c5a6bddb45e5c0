//! AMX: products of two blocks of bytes, sixteen rows by sixty-four bytes each, in one instruction. The only inline assembly is
//! here, since stable Rust has no intrinsics for it.
//!
//! The registers belong to a thread once they are configured, and every switch of tasks then has eight kilobytes more to keep.
//! So who multiplies holds [`Matrices`](super::Matrices) meanwhile and no longer. The operating system gives them to processes
//! that ask; a child has what its parent was given.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// Words of a row that one instruction takes.
const WORDS: usize = 16;
/// Bytes of a register.
const REGISTER: usize = 1024;

/// What the eight registers are: one palette has eight of sixteen rows by sixty-four bytes.
#[repr(C, align(64))]
struct Shape {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static SHAPE: Shape = Shape {
    palette: 1,
    start: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Whether this CPU has it and the operating system lets this process use it, which it is asked once.
pub fn available() -> bool {
    static GRANTED: OnceLock<bool> = OnceLock::new();
    *GRANTED.get_or_init(|| detected() && granted())
}

/// Leaf 7 names the instructions for registers (bit 24) and for bytes in them (25); XCR0 says that the system keeps both parts
/// of their state (bits 17 and 18).
fn detected() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE == 0 || __cpuid_count(7, 0).edx >> 24 & 3 != 3 {
        return false;
    }
    let (low, high): (u32, u32);
    // SAFETY: OSXSAVE says that the instruction may be used; it reads a register that every such CPU has.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    let _ = high;
    low >> 17 & 3 == 3
}

/// Asks for the registers. A process whose stacks for signals are too small for them is refused, as is every one where the
/// system's rules forbid them.
#[cfg(target_os = "linux")]
fn granted() -> bool {
    const ARCH_PRCTL: u64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XTILEDATA: u64 = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: the call takes two numbers and touches no memory of ours; the kernel keeps all registers but these three.
    unsafe {
        asm!("syscall", inout("rax") result, in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XTILEDATA,
            out("rcx") _, out("r11") _, options(nostack));
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn granted() -> bool {
    false
}

/// Configures the registers of this thread.
///
/// # Safety
/// [`available`] said yes.
pub unsafe fn configure() {
    asm!("ldtilecfg [{}]", in(reg) &SHAPE, options(nostack, readonly, preserves_flags));
}

/// Gives them back.
///
/// # Safety
/// As [`configure`].
pub unsafe fn release() {
    asm!("tilerelease", options(nomem, nostack, preserves_flags));
}

/// See [`Words::multiply`](super::Words::multiply). The compiler knows nothing of these registers, which it never uses, so all
/// that happens in them is one piece of assembly.
///
/// # Safety
/// The registers are configured; two columns of keys readable for their words, queries for 32 rows of whole lines.
#[inline(always)]
pub unsafe fn multiply(keys: *const u8, column: usize, queries: *const u8, words: usize, sums: *mut i32) {
    // Words that do not fill a register are read from where nothing stands behind them that might not be readable.
    let mut rest = MaybeUninit::<[u8; 2 * REGISTER]>::uninit();
    let left = words % WORDS;
    if left > 0 {
        let at = (words - left) * 64;
        for v in 0..2 {
            let to = rest.as_mut_ptr().cast::<u8>().add(v * REGISTER);
            std::ptr::copy_nonoverlapping(keys.add(v * column + at), to, left * 64);
            to.add(left * 64).write_bytes(0, REGISTER - left * 64);
        }
    }
    asm!(
        "tilezero tmm0",
        "tilezero tmm1",
        "tilezero tmm2",
        "tilezero tmm3",
        "test {n}, {n}",
        "jz 3f",
        "2:",
        "tileloadd tmm4, [{q} + {line}*1]",
        "tileloadd tmm6, [{k} + {line}*1]",
        "tileloadd tmm7, [{l} + {line}*1]",
        "tdpbsud tmm0, tmm4, tmm6",
        "tileloadd tmm5, [{q} + {line}*1 + 1024]",
        "tdpbsud tmm1, tmm4, tmm7",
        "tdpbsud tmm2, tmm5, tmm6",
        "tdpbsud tmm3, tmm5, tmm7",
        "add {q}, 2048",
        "add {k}, 1024",
        "add {l}, 1024",
        "dec {n}",
        "jnz 2b",
        "3:",
        "test {left}, {left}",
        "jz 4f",
        "mov {k}, {rest}",
        "lea {l}, [{rest} + 1024]",
        "mov {n}, 1",
        "xor {left:e}, {left:e}",
        "jmp 2b",
        "4:",
        "add {line}, {line}",
        "tilestored [{sums} + {line}*1], tmm0",
        "tilestored [{sums} + {line}*1 + 64], tmm1",
        "tilestored [{sums} + {line}*1 + 2048], tmm2",
        "tilestored [{sums} + {line}*1 + 2112], tmm3",
        n = inout(reg) words / WORDS => _,
        q = inout(reg) queries => _,
        k = inout(reg) keys => _,
        l = inout(reg) keys.add(column) => _,
        left = inout(reg) left => _,
        line = inout(reg) 64usize => _,
        rest = in(reg) rest.as_ptr(),
        sums = in(reg) sums,
        options(nostack),
    );
}
