//! What the process asks of the engine: panels that never change, memory that may be refused, threads that end, calls that stop.

mod common;

use _core::error::Error;
use _core::error::room;
use _core::metric::MetricName;
use _core::pack::{Columns, Keys, Panels, Scored};
use _core::parallel::{Context, Stop, map};
use _core::simd::Level;
use _core::sink::matrix::matrix;
use _core::sweep::Search;
use _core::table::turned::{Source, turned};
use _core::table::{Dtype, Rows};
use common::{Random, bits, slice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const NEVER: Context = Context { threads: 1, poll: &|| false };

fn scores<T: Scored>(level: Level, metric: MetricName, query: Rows, keys: Keys<T>, block: usize) -> Vec<T> {
    let mut out = vec![T::default(); keys.len() * query.len()];
    let kernel = T::kernel(level, metric, query.dtype());
    let mut search = Search::new(kernel, query, keys, 0, usize::MAX / 2);
    search.block = search.block.min(block.next_multiple_of(kernel.layout.lanes * 4));
    matrix(&NEVER, level, &search, &mut out).unwrap();
    out
}

/// Panels that were added to stay what they were, share what is full, and score as if they had come at once.
#[test]
fn panels_share_and_never_change() {
    let random = &mut Random(3);
    let (d, n) = (9, 1000);
    let data: Vec<f64> = random.floats(n * d, 0.1, 1.0);
    let (keys, query) = (Rows::of(&data, d), Rows::of(&data[..3 * d], d));
    for level in Level::available() {
        for metric in [MetricName::Dot, MetricName::Kl, MetricName::JensenShannon] {
            let kernel = f64::kernel(level, metric, Dtype::F64);
            let group = kernel.layout.lanes * 4;
            let mut kept = vec![Panels::new(kernel, d)];
            let mut first = 0;
            for step in [1, 1, group - 2, 1, group, 2 * group + 1, 0, 3, group - 4, 200, 1, 1] {
                let more = kept.last().unwrap().extended(&NEVER, &slice(&keys, first, step)).unwrap();
                first += step;
                kept.push(more);
            }
            for panels in &kept[1..] {
                let some = slice(&keys, 0, panels.len());
                let want = scores::<f64>(level, metric, query, Keys::Rows(some), usize::MAX / 4);
                for block in [1, 3 * group, 5 * group, usize::MAX / 4] {
                    let got = scores(level, metric, query, Keys::Packed(panels.all()), block);
                    assert_eq!(bits(&got), bits(&want), "{level:?} {metric:?} {} {block}", panels.len());
                }
            }
        }
    }
}

/// However rows arrive, panels take little more than the rows.
#[test]
fn many_small_additions() {
    let (d, n) = (16, 3000);
    let data: Vec<f32> = Random(4).floats(n * d, 0.0, 1.0);
    let keys = Rows::of(&data, d);
    for level in Level::available() {
        let kernel = f32::kernel(level, MetricName::Dot, Dtype::F32);
        let mut panels = Panels::new(kernel, d);
        for i in 0..n {
            panels = panels.extended(&NEVER, &slice(&keys, i, 1)).unwrap();
        }
        let row = (d + 1) * size_of::<f32>(); // and its term
        assert!(panels.bytes() <= (n + 64) * row, "{level:?}: {} bytes for {}", panels.bytes(), n * row);
    }
}

/// A refusal is an error that says how much was asked for.
#[test]
fn refused_memory_is_an_error() {
    let most = usize::MAX / 16;
    assert_eq!(room::list::<u64>(most).err(), Some(Error::OutOfMemory(8 * most)));
    assert_eq!(room::filled(most, 0u8).err(), Some(Error::OutOfMemory(most)));
    let mut list = vec![1u8];
    assert_eq!(room::reserve(&mut list, most), Err(Error::OutOfMemory(most + 1)));
    assert_eq!(room::resize(&mut list, most, 0), Err(Error::OutOfMemory(most)));
    assert_eq!(list, [1]);
    room::push(&mut list, 2).unwrap();
    assert_eq!(room::copied(&list).unwrap(), [1, 2]);
    // A worker that has no room for its state.
    for cost in [0, usize::MAX] {
        let context = Context { threads: 3, poll: &|| false };
        let result = map(&context, 7, cost, || room::list::<u64>(most), |_, task, _| Ok(task));
        assert_eq!(result, Err(Error::OutOfMemory(8 * most)));
    }
}

/// Small work asks by the clock too.
#[test]
fn work_on_the_calling_thread_stops() {
    let asked = AtomicUsize::new(0);
    let poll = || asked.fetch_add(1, Ordering::Relaxed) == 1;
    let context = Context { threads: 4, poll: &poll };
    let endless = |_: &mut (), _: usize, stop: &Stop| -> Result<(), Error> {
        loop {
            stop.check()?;
        }
    };
    let began = Instant::now();
    assert_eq!(map(&context, 1, 0, || Ok(()), endless), Err(Error::Interrupted));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Packing stops, and so does what turns bits; what was not done is not given out.
#[test]
fn packing_stops() {
    let d = 1024;
    let data = vec![1.0f32; 30_000 * d];
    let stopped = Context { threads: 2, poll: &|| true };
    let level = Level::available()[0];
    let panels = Panels::new(f32::kernel(level, MetricName::Dot, Dtype::F32), d);
    // Long enough that the clock is looked at, on any machine.
    let mut ended = false;
    for _ in 0..50 {
        ended |= panels.extended(&stopped, &Rows::of(&data, d)).err() == Some(Error::Interrupted);
    }
    assert!(ended);
    let signs = vec![1i8; data.len()];
    let source = Source::Bytes(Rows::of(&signs, d));
    for _ in 0..50 {
        match turned(&stopped, level, source, 0..30_000, None) {
            Err(error) => assert_eq!(error, Error::Interrupted),
            Ok(columns) => assert!(columns.unwrap().iter().take(468 * d).all(|&word| word == u64::MAX)),
        }
    }
}

/// Columns of several rows that are widened and weighted: each row keeps the place it was given. (Miri reads this one.)
#[test]
fn weighted_columns() {
    let (x, weights) = ([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 3.0, -1.0]);
    let level = Level::Portable;
    let columns = Columns::new(Rows::of(&x, 2), 0..3, Some(&weights));
    let plain = Columns::new(Rows::of(&x, 2), 0..3, None);
    let kernel = f32::kernel(level, MetricName::Dot, Dtype::F32);
    let search = Search::new(kernel, columns, Keys::Columns(&plain), 0, 512);
    let mut out = [0f32; 4];
    matrix(&NEVER, level, &search, &mut out).unwrap();
    // sum w x_a x_b: 2*1*1 + 3*3*3 - 5*5, 2*1*2 + 3*3*4 - 5*6, ...
    assert_eq!(out, [4.0, 10.0, 10.0, 20.0]);
}

/// The threads are those of the largest pool that was asked for.
#[cfg(target_os = "linux")]
#[test]
fn threads_do_not_pile_up() {
    let ours = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let named = |entry: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(entry.ok()?.path().join("comm")).ok().filter(|name| name.starts_with("amfast-"))
        };
        tasks.filter_map(named).count()
    };
    for threads in 1..=20 {
        let context = Context { threads, poll: &|| false };
        let done = map(&context, 50, usize::MAX, || Ok(()), |_, task, _| Ok(task)).unwrap();
        assert!(done.into_iter().eq(0..50));
    }
    // Threads of smaller pools end when they notice.
    let began = Instant::now();
    while ours() > 20 && began.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(ours() <= 20, "{} threads", ours());
}
