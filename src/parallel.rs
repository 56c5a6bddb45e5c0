//! Threads: tasks in shares, one for each worker, on a pool of our own.
//!
//! A worker takes the tasks of its own share in order, the same ones in the next call of the same shape, whose memory it may
//! still have near, then what is left of the others'. Which task a worker gets depends on chance, what a task computes does not;
//! sinks keep results by task and join them in task order, so results have the same bits for any number of threads.
//!
//! In a short call the calling thread is one of the workers, and nobody waits for another that has not begun: to wake one takes
//! longer than many a call. So they stay awake for a moment after each. In a long one the calling thread leaves the cores to the
//! workers: where threads of other libraries spin, those that have slept are put on different cores, and it would share one with
//! a worker. Either way it asks `poll` twenty times a second whether to stop, which is how Ctrl-C reaches a long call. Work that
//! looks small, or for which no thread can be had, it does alone and asks between and inside the tasks.

use crate::error::Error;
use crate::error::room;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::Thread;
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
/// From so many on (0.3 ms of arithmetic, a millisecond of memory) a call is long.
const LONG: usize = 1 << 20;
/// How often a caller is asked.
const PERIOD: Duration = Duration::from_millis(50);

/// Tells the tasks of a call that they need not go on.
pub struct Stop<'a> {
    flag: Arc<AtomicBool>,
    /// Whom the calling thread asks.
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
    /// For work on the calling thread, which asks by the clock.
    pub fn asking(context: &Context<'a>) -> Self {
        let (looks, asked) = (AtomicU32::new(0), AtomicU32::new(0));
        let caller = Caller { poll: context.poll, began: Instant::now(), looks, asked };
        Stop { flag: Arc::new(AtomicBool::new(false)), caller: Some(caller) }
    }
    /// For another worker of the same call, who is told by the calling thread.
    fn told(&self) -> Stop<'static> {
        Stop { flag: self.flag.clone(), caller: None }
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
    /// The largest pools that were asked for, for short calls and for long ones; smaller ones are a part of them.
    largest: [Mutex<Option<Arc<ThreadPool>>>; 2],
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// A pool of `threads` or, where so many cannot be started, of fewer; none if there is none. After a fork the parent's threads
/// are not there: the child leaves the old pool alone and starts a new one.
fn pool(threads: usize, long: bool) -> Option<Arc<ThreadPool>> {
    static CURRENT: AtomicPtr<Pools> = AtomicPtr::new(std::ptr::null_mut());
    let process = std::process::id();
    let mut current = CURRENT.load(Ordering::Acquire);
    // SAFETY: what CURRENT points to is never freed.
    if current.is_null() || unsafe { (*current).process } != process {
        let fresh = Box::into_raw(Box::new(Pools { process, largest: Default::default() }));
        current = match CURRENT.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(other) => other,
        };
    }
    // SAFETY: as above.
    let mut largest = locked(&unsafe { &*current }.largest[usize::from(long)]);
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

/// How many calls have asked for workers.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// How long a thread stays awake for what comes next, about twice as long as it takes to wake it.
const LINGER: Duration = Duration::from_micros(100);

/// Keeps a thread awake until something has come, for a while that it passes by `pause` after `pause`.
fn linger(come: impl Fn() -> bool, pause: impl Fn()) {
    let began = Instant::now();
    while !come() && began.elapsed() < LINGER {
        pause();
    }
}

/// What a worker does, by its number.
type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// Where the workers of a call come in, until the calling thread closes it.
struct Gate {
    /// Those who have come and not left, and whether it is closed.
    inside: AtomicUsize,
    left: AtomicUsize,
    work: *const Work<'static>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    caller: Thread,
}

// SAFETY: `work` is Sync, and alive as long as a worker that came before the gate was closed has not left.
unsafe impl Send for Gate {}
// SAFETY: as above.
unsafe impl Sync for Gate {}

impl Gate {
    const CLOSED: usize = 1 << (usize::BITS - 1);

    /// What a worker does, unless it comes too late.
    fn pass(&self, worker: usize) {
        if self.inside.fetch_add(1, Ordering::Acquire) & Self::CLOSED == 0 {
            // SAFETY: see above: the calling thread waits for those inside.
            let work = unsafe { &*self.work };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(worker))) {
                *locked(&self.panic) = Some(panic);
            }
        }
        self.left.fetch_add(1, Ordering::Relaxed);
        self.inside.fetch_sub(1, Ordering::Release);
        self.caller.unpark();
    }
}

/// Sleeps until it is done, woken by whoever leaves a gate, and asks `poll` now and then.
fn wait(done: impl Fn() -> bool, poll: impl Fn()) {
    while !done() {
        std::thread::park_timeout(PERIOD);
        poll();
    }
}

/// Does `work` on `others` threads of the pool, and here as number 0 unless the call is long; then not all others need come.
fn together(pool: &ThreadPool, others: usize, long: bool, work: &Work, poll: impl Fn()) {
    // SAFETY: the lifetime alone changes, and nobody uses it after the gate is closed, which is below in any case.
    let work_of_any = unsafe { std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work) };
    let gate = Arc::new(Gate {
        inside: AtomicUsize::new(0),
        left: AtomicUsize::new(0),
        work: work_of_any,
        panic: Mutex::new(None),
        caller: std::thread::current(),
    });
    let call = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    for _ in 0..others {
        let gate = gate.clone();
        pool.spawn(move || {
            gate.pass(usize::from(!long) + rayon::current_thread_index().unwrap_or(0) % others);
            // Not if the next one has come already, and without keeping others from the core.
            linger(|| long || CALLS.load(Ordering::Relaxed) != call, std::thread::yield_now);
        });
    }
    let mut own = Ok(());
    if long {
        wait(|| gate.left.load(Ordering::Relaxed) == others, &poll);
    } else {
        own = catch_unwind(AssertUnwindSafe(|| work(0)));
    }
    gate.inside.fetch_or(Gate::CLOSED, Ordering::Relaxed);
    let empty = || gate.inside.load(Ordering::Acquire) == Gate::CLOSED;
    // The others are about as far: it takes longer to sleep and be woken, and longer still to get a core back that was given up.
    linger(empty, std::hint::spin_loop);
    wait(empty, poll);
    if let Some(panic) = own.err().or_else(|| locked(&gate.panic).take()) {
        resume_unwind(panic);
    }
}

/// The tasks 0..n in even shares.
struct Shares {
    n: usize,
    /// The next task of each.
    next: Vec<AtomicUsize>,
}

impl Shares {
    fn new(n: usize, shares: usize) -> Self {
        Shares { n, next: (0..shares).map(|share| AtomicUsize::new(share * n / shares)).collect() }
    }
    /// The next task of a worker's own share or, where that is done, of another's. The calling thread's is the last one: what a
    /// memory has got most recently is at its end, and near the thread that wrote it.
    fn take(&self, worker: usize) -> Option<usize> {
        let shares = self.next.len();
        (1..=shares).map(|i| (worker + shares - i) % shares).find_map(|share| {
            let task = self.next[share].fetch_add(1, Ordering::Relaxed);
            (task < (share + 1) * self.n / shares).then_some(task)
        })
    }
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
    let workers = context.threads.min(n);
    let stop = Stop::asking(context);
    let long = cost >= LONG;
    // The calling thread is one of them in a short call.
    let own = usize::from(!long);
    let pool = if cost < SMALL || workers < 2 { None } else { pool(workers - own, long) };
    let Some(pool) = pool else {
        let (mut results, mut state) = (room::list(n)?, init()?);
        for task in 0..n {
            stop.check()?;
            results.push(body(&mut state, task, &stop)?);
        }
        return Ok(results);
    };
    let results: Vec<Mutex<Option<Result<R, Error>>>> = room::collected((0..n).map(|_| Mutex::new(None)))?;
    let mut out = room::list(n)?;
    let others = (workers - own).min(pool.current_num_threads());
    let shares = Shares::new(n, own + others);
    // The first task that failed: those before it are still done, so that the failure to tell is always the same.
    let failed = AtomicUsize::new(n);
    let told = stop.told();
    let work = |worker: usize, stop: &Stop| {
        let mut state = None;
        while let Some(task) = shares.take(worker) {
            if stop.wanted() {
                break;
            }
            if task > failed.load(Ordering::Relaxed) {
                continue;
            }
            let result = match &mut state {
                Some(state) => body(state, task, stop),
                none => init().and_then(|fresh| body(none.insert(fresh), task, stop)),
            };
            if result.is_err() {
                failed.fetch_min(task, Ordering::Relaxed);
            }
            *locked(&results[task]) = Some(result);
        }
    };
    let poll = || {
        if (context.poll)() {
            stop.flag.store(true, Ordering::Relaxed);
        }
    };
    together(&pool, others, long, &|worker| work(worker, if worker < own { &stop } else { &told }), poll);
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
