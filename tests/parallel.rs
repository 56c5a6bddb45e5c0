//! Tasks on threads: each is done once, failures and panics reach the caller, callers do not hold each other up.

use _core::error::Error;
use _core::parallel::{Context, Stop, map};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Tile steps of a call that one thread does, of a short and of a long one.
const COSTS: [usize; 3] = [0, 1 << 17, usize::MAX];

fn context(threads: usize) -> Context<'static> {
    Context { threads, poll: &|| false }
}

fn wait(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Whatever the numbers of tasks and threads, and however unlike the tasks are.
#[test]
fn every_task_once_and_in_order() {
    for cost in COSTS {
        for threads in [1, 2, 3, 7] {
            for n in [0, 1, 2, 3, 5, 64, 1000] {
                let times: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
                let body = |mine: &mut usize, task: usize, _: &Stop| {
                    *mine += 1;
                    times[task].fetch_add(1, Ordering::Relaxed);
                    wait(Duration::from_micros(if task == 0 { 300 } else { (task % 3) as u64 }));
                    Ok(task * task)
                };
                let done = map(&context(threads), n, cost, || Ok(0), body).unwrap();
                assert_eq!(done, (0..n).map(|task| task * task).collect::<Vec<_>>());
                assert!(times.iter().all(|times| times.load(Ordering::Relaxed) == 1), "{cost} {threads} {n}");
            }
        }
    }
}

/// Of several failures the one of the first task is told, whichever comes first.
#[test]
fn the_first_failure_is_told() {
    for cost in COSTS {
        for threads in [1, 2, 4] {
            for round in 0..50 {
                let body = |_: &mut (), task: usize, _: &Stop| match task {
                    3 => {
                        wait(Duration::from_micros(50 * (round % 4)));
                        Err(Error::OutOfMemory(3))
                    }
                    5 | 31 | 32 => Err(Error::OutOfMemory(task)),
                    _ => Ok(()),
                };
                let told = map(&context(threads), 40, cost, || Ok(()), body);
                assert_eq!(told, Err(Error::OutOfMemory(3)), "{cost} {threads}");
            }
        }
    }
}

/// A panic ends the call, not the process, wherever it happens; the next call finds all workers.
#[test]
fn panics_reach_the_caller() {
    for cost in COSTS {
        for odd in [0, 7, 15] {
            let body = |_: &mut (), task: usize, _: &Stop| -> Result<(), Error> {
                assert!(task != odd, "task {task} is odd");
                Ok(())
            };
            let call = || map(&context(2), 16, cost, || Ok(()), body);
            let told = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
            assert_eq!(told.downcast_ref::<String>().unwrap(), &format!("task {odd} is odd"));
            assert_eq!(map(&context(2), 16, cost, || Ok(()), |_, task, _| Ok(task)).unwrap().len(), 16);
        }
    }
}

/// The caller's wish ends tasks on all threads, begun or not.
#[test]
fn calls_stop_on_all_threads() {
    for cost in COSTS {
        for threads in [1, 2, 4] {
            let asked = AtomicUsize::new(0);
            let poll = || asked.fetch_add(1, Ordering::Relaxed) == 1;
            let endless = |_: &mut (), _: usize, stop: &Stop| -> Result<(), Error> {
                loop {
                    stop.check()?;
                }
            };
            let began = Instant::now();
            let ended = map(&Context { threads, poll: &poll }, 100, cost, || Ok(()), endless);
            assert_eq!(ended, Err(Error::Interrupted));
            assert!(began.elapsed() < Duration::from_secs(5), "{cost} {threads}");
        }
    }
}

/// Many callers at once share the workers; each gets its own results.
#[test]
fn several_callers() {
    std::thread::scope(|scope| {
        for caller in 0..6usize {
            scope.spawn(move || {
                for round in 0..200 {
                    let (n, cost) = (1 + (caller + round) % 9, COSTS[round % 3]);
                    let body = |_: &mut (), task: usize, _: &Stop| {
                        wait(Duration::from_micros(5));
                        Ok(caller * 100 + task)
                    };
                    let got = map(&context(1 + round % 4), n, cost, || Ok(()), body).unwrap();
                    assert_eq!(got, (0..n).map(|task| caller * 100 + task).collect::<Vec<_>>());
                }
            });
        }
    });
}

/// A short call does not wait for a worker that is busy with another's.
#[test]
fn short_calls_do_not_wait_for_others() {
    let (holds, short) = (Duration::from_millis(300), COSTS[1]);
    std::thread::scope(|scope| {
        let (began, starts) = std::sync::mpsc::channel();
        scope.spawn(move || {
            let body = |_: &mut (), _: usize, _: &Stop| {
                began.send(()).unwrap();
                std::thread::sleep(holds);
                Ok(())
            };
            map(&context(2), 2, short, || Ok(()), body).unwrap();
        });
        // Both threads of the other call are at work, the pool's one among them.
        starts.recv().unwrap();
        starts.recv().unwrap();
        let since = Instant::now();
        map(&context(2), 8, short, || Ok(()), |_, task, _| Ok(task)).unwrap();
        assert!(since.elapsed() < holds / 2, "{:?}", since.elapsed());
    });
}
