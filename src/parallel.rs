//! Threads: tasks in order off one counter, on a pool of our own.
//!
//! Which task a worker gets depends on chance, what a task computes does not; sinks keep results by task and join them in
//! task order, so results have the same bits for any number of threads. The calling thread computes nothing: it waits and
//! asks `poll` twenty times a second whether to stop, which is how Ctrl-C reaches a long call.

use crate::error::Error;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// How a call runs.
pub struct Context<'a> {
    /// Workers.
    pub threads: usize,
    /// Whether the caller wants to stop; asked on the calling thread.
    pub poll: &'a dyn Fn() -> bool,
}

/// Below this many steps of a tile (0.02 ms of arithmetic, 0.2 ms where each waits for memory) a call is done where it is asked for.
const SMALL: usize = 1 << 16;

/// Tells the tasks of a call that they need not go on.
#[derive(Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Whether the work is no longer wanted.
    pub fn wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Pools {
    process: u32,
    pools: Mutex<HashMap<usize, Arc<ThreadPool>>>,
}

/// A pool of `threads`. After a fork the parent's threads are not there: the child leaves the old pools alone and starts new ones.
fn pool(threads: usize) -> Result<Arc<ThreadPool>, Error> {
    static CURRENT: AtomicPtr<Pools> = AtomicPtr::new(std::ptr::null_mut());
    let process = std::process::id();
    let mut current = CURRENT.load(Ordering::Acquire);
    // SAFETY: what CURRENT points to is never freed.
    if current.is_null() || unsafe { (*current).process } != process {
        let fresh = Box::into_raw(Box::new(Pools { process, pools: Mutex::default() }));
        current = match CURRENT.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(other) => other,
        };
    }
    // SAFETY: as above.
    let mut pools = unsafe { &*current }.pools.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(pool) = pools.get(&threads) {
        return Ok(pool.clone());
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("amfast-{i}"))
        .build()
        .map_err(|e| Error::Argument(format!("threads={threads}: the threads could not be started: {e}")))?;
    let pool = Arc::new(pool);
    pools.insert(threads, pool.clone());
    Ok(pool)
}

/// Runs `body` for tasks 0..n, each worker with a state of its own from `init`, and returns the results in task order.
/// `cost` is the number of tile steps in all.
pub fn map<W, R: Send>(
    context: &Context,
    n: usize,
    cost: usize,
    init: impl Fn() -> W + Sync,
    body: impl Fn(&mut W, usize, &Stop) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let stop = Stop::default();
    if cost < SMALL || n == 0 {
        let mut state = init();
        return (0..n).map(|task| body(&mut state, task, &stop)).collect();
    }
    let results: Vec<Mutex<Option<Result<R, Error>>>> = (0..n).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let workers = context.threads.min(n);
    let pool = pool(context.threads)?;
    let (done, finished) = mpsc::channel::<()>();
    pool.in_place_scope(|scope| {
        for _ in 0..workers {
            let done = done.clone();
            let (results, next, stop, init, body) = (&results, &next, &stop, &init, &body);
            scope.spawn(move |_| {
                let mut state = init();
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    if task >= n || stop.wanted() {
                        break;
                    }
                    let result = body(&mut state, task, stop);
                    if result.is_err() {
                        stop.0.store(true, Ordering::Relaxed);
                    }
                    *results[task].lock().unwrap_or_else(|e| e.into_inner()) = Some(result);
                }
                drop(done); // Held until here, so that the channel closes when the last worker is through, panics included.
            });
        }
        drop(done);
        while let Err(mpsc::RecvTimeoutError::Timeout) = finished.recv_timeout(Duration::from_millis(50)) {
            if (context.poll)() {
                stop.0.store(true, Ordering::Relaxed);
            }
        }
    });
    // The first failure in task order is the one to tell; tasks that were never begun were stopped.
    let mut out = Vec::with_capacity(n);
    let mut interrupted = false;
    for result in results {
        match result.into_inner().unwrap_or_else(|e| e.into_inner()) {
            Some(Ok(x)) => out.push(x),
            Some(Err(Error::Interrupted)) | None => interrupted = true,
            Some(Err(error)) => return Err(error),
        }
    }
    if interrupted { Err(Error::Interrupted) } else { Ok(out) }
}

/// A pointer that tasks may share because each writes where no other does.
pub struct Shared<T>(pub *mut T);
// SAFETY: see above; whoever writes through it says why the places are disjoint.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

/// Cuts 0..n into pieces of `size`.
pub fn pieces(n: usize, size: usize) -> Vec<Range<usize>> {
    (0..n).step_by(size.max(1)).map(|start| start..(start + size).min(n)).collect()
}
