//! Memory whose size comes from input is asked for here, so that a refusal is an error and not the end of the process.

use crate::error::Error;

/// Room for at least so many more elements.
#[inline]
pub fn reserve<T>(list: &mut Vec<T>, more: usize) -> Result<(), Error> {
    list.try_reserve(more).map_err(|_| lacking::<T>(list.len().saturating_add(more)))
}

/// An empty list with room for just so many elements.
pub fn list<T>(n: usize) -> Result<Vec<T>, Error> {
    let mut list = Vec::new();
    list.try_reserve_exact(n).map_err(|_| lacking::<T>(n))?;
    Ok(list)
}

/// The same for what is kept and read again and again. Where it is large, Linux is asked for huge pages, as NumPy asks for its
/// arrays: there is then a five-hundredth as many to make and to look up.
pub fn lasting<T>(n: usize) -> Result<Vec<T>, Error> {
    let made = list::<T>(n)?;
    #[cfg(target_os = "linux")]
    huge(made.as_ptr().cast(), made.capacity().saturating_mul(size_of::<T>()));
    Ok(made)
}

/// Asks for huge pages wherever a whole one has room.
#[cfg(target_os = "linux")]
fn huge(start: *const u8, bytes: usize) {
    const PAGE: usize = 2 << 20;
    const MADV_HUGEPAGE: i32 = 14;
    unsafe extern "C" {
        fn madvise(start: *mut u8, bytes: usize, advice: i32) -> i32;
    }
    let skipped = start.addr().next_multiple_of(PAGE) - start.addr();
    let whole = bytes.saturating_sub(skipped) / PAGE * PAGE;
    if whole > 0 {
        // SAFETY: memory of ours, whose contents this does not change; a system that refuses leaves small pages.
        unsafe { madvise(start.wrapping_add(skipped).cast_mut(), whole, MADV_HUGEPAGE) };
    }
}

/// So many copies of an element.
pub fn filled<T: Clone>(n: usize, element: T) -> Result<Vec<T>, Error> {
    let mut filled = list(n)?;
    filled.resize(n, element);
    Ok(filled)
}

/// The same elements in memory of their own.
pub fn copied<T: Copy>(elements: &[T]) -> Result<Vec<T>, Error> {
    let mut copy = list(elements.len())?;
    copy.extend_from_slice(elements);
    Ok(copy)
}

/// What an iterator of known length yields.
pub fn collected<T>(elements: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>, Error> {
    let mut all = list(elements.len())?;
    all.extend(elements);
    Ok(all)
}

/// Makes the list so long, with copies of an element where there was nothing.
#[inline]
pub fn resize<T: Clone>(list: &mut Vec<T>, n: usize, element: T) -> Result<(), Error> {
    if n > list.capacity() {
        list.try_reserve_exact(n - list.len()).map_err(|_| lacking::<T>(n))?;
    }
    list.resize(n, element);
    Ok(())
}

/// Adds an element.
#[inline(always)]
pub fn push<T>(list: &mut Vec<T>, element: T) -> Result<(), Error> {
    if list.len() == list.capacity() {
        reserve(list, 1)?;
    }
    list.push(element);
    Ok(())
}

/// What is said of so many elements.
#[cold]
pub fn lacking<T>(n: usize) -> Error {
    Error::OutOfMemory(n.saturating_mul(size_of::<T>()))
}
