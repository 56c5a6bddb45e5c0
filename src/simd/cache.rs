//! How large this CPU's caches are.

use std::sync::OnceLock;

/// What is assumed where it is not told, and at the least: smaller ones have a third level close behind them.
const USUAL: usize = 1 << 20;

/// Bytes of a core's second-level cache.
pub fn second_level() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| told().unwrap_or(USUAL).max(USUAL))
}

/// The CPU lists its caches, each with type, level and measures: Intel's in leaf 4, AMD's in one of its own.
#[cfg(target_arch = "x86_64")]
fn told() -> Option<usize> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const AMD: u32 = 0x8000_001d;
    const MOST: u32 = 8;
    let leaf = if __cpuid(0x8000_0000).eax >= AMD && __cpuid_count(AMD, 0).eax & 31 != 0 { AMD } else { 4 };
    if leaf == 4 && __cpuid(0).eax < 4 {
        return None;
    }
    let mut caches = (0..MOST).map(|i| __cpuid_count(leaf, i)).take_while(|cache| cache.eax & 31 != 0);
    let second = caches.find(|cache| cache.eax >> 5 & 7 == 2)?;
    let [ways, parts, line] = [second.ebx >> 22, second.ebx >> 12 & 0x3ff, second.ebx & 0xfff].map(|n| n as usize + 1);
    Some(ways * parts * line * (second.ecx as usize + 1))
}

#[cfg(not(target_arch = "x86_64"))]
fn told() -> Option<usize> {
    None
}
