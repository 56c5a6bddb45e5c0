//! Threads: tasks in order off one counter, on a pool of our own.
//!
//! Which task a worker gets depends on chance, what a task computes does not; sinks keep results by task and join them in
//! task order, so results have the same bits for any number of threads. The calling thread computes nothing: it waits and
//! asks `poll` twenty times a second whether to stop, which is how Ctrl-C reaches a long call. Work that looks small, or
//! for which no thread can be had, is done by the calling thread, which then asks between and inside the tasks.

use crate::error::Error;
use crate::error::room;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

/// Whether a caller wants to stop.
pub type Poll<'a> = &'a (dyn Fn() -> bool + Sync);

/// How a call runs.
pub struct Context<'a> {
    /// Workers at most.
    pub threads: usize,
    /// Whether the caller wants to stop; asked on the calling thread.
    pub poll: Poll<'a>,
}

/// Below this many steps of a tile (0.02 ms of arithmetic, 0.2 ms where each waits for memory) a call is done where it is asked for.
const SMALL: usize = 1 << 16;
/// How often a caller is asked.
const PERIOD: Duration = Duration::from_millis(50);

/// Tells the tasks of a call that they need not go on.
pub struct Stop<'a> {
    flag: AtomicBool,
    /// Whom the calling thread asks when it does the work itself.
    caller: Option<Caller<'a>>,
}

struct Caller<'a> {
    poll: Poll<'a>,
    began: Instant,
    looks: AtomicU32,
    /// Periods after which the caller was last asked.
    asked: AtomicU32,
}

impl<'a> Stop<'a> {
    /// For workers, who are told by the thread that waits for them.
    fn told() -> Self {
        Stop { flag: AtomicBool::new(false), caller: None }
    }
    /// For work on the calling thread, which asks by the clock.
    pub fn asking(context: &Context<'a>) -> Self {
        let (looks, asked) = (AtomicU32::new(0), AtomicU32::new(0));
        let caller = Caller { poll: context.poll, began: Instant::now(), looks, asked };
        Stop { flag: AtomicBool::new(false), caller: Some(caller) }
    }
    /// Whether the work is no longer wanted.
    #[inline(always)]
    pub fn wanted(&self) -> bool {
        self.flag.load(Ordering::Relaxed) || self.caller.as_ref().is_some_and(|caller| self.ask(caller))
    }
    /// An error if the work is no longer wanted.
    #[inline(always)]
    pub fn check(&self) -> Result<(), Error> {
        if self.wanted() { Err(Error::Interrupted) } else { Ok(()) }
    }
    /// Looks at the clock every 16th time and asks once a period.
    fn ask(&self, caller: &Caller) -> bool {
        let looks = caller.looks.load(Ordering::Relaxed);
        caller.looks.store(looks.wrapping_add(1), Ordering::Relaxed);
        if looks % 16 != 15 {
            return false;
        }
        let periods = (caller.began.elapsed().as_millis() / PERIOD.as_millis()) as u32;
        if periods == caller.asked.swap(periods, Ordering::Relaxed) {
            return false;
        }
        let wanted = (caller.poll)();
        self.flag.store(wanted, Ordering::Relaxed);
        wanted
    }
}

/// The threads of a process.
struct Pools {
    process: u32,
    /// The largest pool that was asked for; smaller ones are a part of it.
    largest: Mutex<Option<Arc<ThreadPool>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// A pool of `threads` or, where so many cannot be started, of fewer; none if there is none. After a fork the parent's threads
/// are not there: the child leaves the old pool alone and starts a new one.
fn pool(threads: usize) -> Option<Arc<ThreadPool>> {
    static CURRENT: AtomicPtr<Pools> = AtomicPtr::new(std::ptr::null_mut());
    let process = std::process::id();
    let mut current = CURRENT.load(Ordering::Acquire);
    // SAFETY: what CURRENT points to is never freed.
    if current.is_null() || unsafe { (*current).process } != process {
        let fresh = Box::into_raw(Box::new(Pools { process, largest: Mutex::default() }));
        current = match CURRENT.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(other) => other,
        };
    }
    // SAFETY: as above.
    let mut largest = locked(&unsafe { &*current }.largest);
    let have = largest.as_ref().map_or(0, |pool| pool.current_num_threads());
    let mut want = threads;
    while want > have {
        let started = ThreadPoolBuilder::new().num_threads(want).thread_name(|i| format!("amfast-{i}")).build();
        if let Ok(pool) = started {
            // Who still uses the smaller pool keeps it to the end of the call; its threads go with it.
            *largest = Some(Arc::new(pool));
            break;
        }
        want /= 2;
    }
    largest.clone()
}

/// Runs `body` for tasks 0..n, each worker with a state of its own from `init`, and returns the results in task order.
/// `cost` is the number of tile steps in all.
pub fn map<W, R: Send>(
    context: &Context,
    n: usize,
    cost: usize,
    init: impl Fn() -> Result<W, Error> + Sync,
    body: impl Fn(&mut W, usize, &Stop) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let pool = if cost < SMALL || n == 0 { None } else { pool(context.threads) };
    let Some(pool) = pool else {
        let stop = Stop::asking(context);
        let (mut results, mut state) = (room::list(n)?, init()?);
        for task in 0..n {
            stop.check()?;
            results.push(body(&mut state, task, &stop)?);
        }
        return Ok(results);
    };
    let stop = Stop::told();
    let results: Vec<Mutex<Option<Result<R, Error>>>> = room::collected((0..n).map(|_| Mutex::new(None)))?;
    let mut out = room::list(n)?;
    let next = AtomicUsize::new(0);
    let workers = context.threads.min(n);
    let (done, finished) = mpsc::channel::<()>();
    pool.in_place_scope(|scope| {
        for _ in 0..workers {
            let done = done.clone();
            let (results, next, stop, init, body) = (&results, &next, &stop, &init, &body);
            scope.spawn(move |_| {
                let mut state = None;
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    if task >= n || stop.wanted() {
                        break;
                    }
                    let result = match &mut state {
                        Some(state) => body(state, task, stop),
                        none => init().and_then(|fresh| body(none.insert(fresh), task, stop)),
                    };
                    if result.is_err() {
                        stop.flag.store(true, Ordering::Relaxed);
                    }
                    *locked(&results[task]) = Some(result);
                }
                drop(done); // Held until here, so that the channel closes when the last worker is through, panics included.
            });
        }
        drop(done);
        while let Err(mpsc::RecvTimeoutError::Timeout) = finished.recv_timeout(PERIOD) {
            if (context.poll)() {
                stop.flag.store(true, Ordering::Relaxed);
            }
        }
    });
    // The first failure in task order is the one to tell; tasks that were never begun were stopped.
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

/// Cuts 0..n into pieces of `size`, of one if that is 0.
pub fn pieces(n: usize, size: usize) -> Vec<Range<usize>> {
    let size = size.max(1);
    (0..n).step_by(size).map(|start| start..(start + size).min(n)).collect()
}
