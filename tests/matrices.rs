//! Products of bytes by instructions for matrices, where the CPU has them: the bits of every other instruction set's.

mod common;

use _core::metric::MetricName;
use _core::separation::Softmax;
use _core::simd::Level;
use _core::table::{Dtype, Rows};
use common::*;

const TYPES: [Dtype; 2] = [Dtype::U8, Dtype::I8];

/// The level that multiplies matrices, and those that it is held to.
fn levels() -> Option<(Level, [Level; 2])> {
    let available = Level::available();
    let amx = available.iter().copied().find(|level| level.multiplies())?;
    let avx512 = available.iter().copied().find(|level| level.name() == "avx512").unwrap();
    Some((amx, [avx512, Level::Portable]))
}

fn table(data: &[u8], dtype: Dtype, width: usize) -> Rows<'_> {
    // SAFETY: bytes of either type, as many as there are.
    unsafe { Rows::new(data.as_ptr(), dtype, data.len() / width, width) }
}

/// Every metric, sink, form of keys and number of threads says the same.
fn agree(queries: Rows, keys: Rows, metrics: &[MetricName]) {
    let Some((amx, others)) = levels() else { return };
    let case = (queries.len(), keys.len(), keys.width(), queries.dtype(), keys.dtype());
    let k = keys.len().min(7);
    for &metric in metrics {
        for other in others {
            for form in [Form::Rows, Form::Packed(37)] {
                for threads in [1, 2] {
                    let run = Run::new(amx, metric).form(form).threads(threads);
                    let plain = Run::new(other, metric);
                    let (ours, theirs) = (run.matrix::<f64>(queries, keys), plain.matrix::<f64>(queries, keys));
                    assert_eq!(bits(&ours.unwrap()), bits(&theirs.unwrap()), "{metric:?} {other:?} {form:?} {case:?}");
                    if metric.exact(queries.dtype(), keys.dtype(), keys.width()) {
                        let (ours, theirs) = (run.matrix::<i32>(queries, keys), plain.matrix::<i32>(queries, keys));
                        assert_eq!(ours, theirs, "{metric:?} {other:?} {form:?} {case:?}");
                        let (ours, theirs) = (run.topk::<i32>(queries, keys, k), plain.topk::<i32>(queries, keys, k));
                        assert_eq!(ours, theirs, "{metric:?} {other:?} {form:?} {case:?}");
                    } else {
                        let (ours, theirs) = (run.topk::<f64>(queries, keys, k), plain.topk::<f64>(queries, keys, k));
                        assert_eq!(ours, theirs, "{metric:?} {other:?} {form:?} {case:?}");
                    }
                }
            }
        }
    }
}

const PRODUCTS: [MetricName; 4] = [MetricName::Dot, MetricName::SqEuclidean, MetricName::Euclidean, MetricName::Cosine];

/// Rows, panels and words that do not fill a register, and those that do.
#[test]
fn odd_sizes() {
    let random = &mut Random(1);
    let most = cases(24);
    let shapes =
        [7, 8, 9, 16, 31, 32, 33, 40, 64, 100].into_iter().flat_map(|q| [1, 15, 16, 17, 33, 65, 130].map(|n| (q, n)));
    for (case, (q, n)) in shapes.enumerate().filter(|(case, _)| case % (70 / most) == 0) {
        for d in [1, 3, 4, 63, 64, 65, 127, 128, 200] {
            let (a, b) = (random.bytes(q * d), random.bytes(n * d));
            let (own, other) = (TYPES[case % 2], TYPES[case / 2 % 2]);
            agree(table(&a, own, d), table(&b, other, d), &PRODUCTS[(case + d) % 4..][..1]);
        }
    }
}

/// Products as large as bytes have them, all of one sign, and rows as long as sums allow.
#[test]
fn extremes() {
    for (d, q, n) in [(64, 33, 35), (100, 33, 35), (14_639, 8, 17), (33_025, 8, 3)] {
        for (x, k) in [(255, 255), (0, 255), (128, 128), (128, 127), (255, 128), (0, 0)] {
            let (a, b) = (vec![x; q * d], vec![k; n * d]);
            for own in TYPES {
                for other in TYPES {
                    if own == other || d <= 14_639 {
                        agree(table(&a, own, d), table(&b, other, d), &PRODUCTS[..2]);
                    }
                }
            }
        }
    }
}

/// What more than one block of keys, group of queries and task of a thread meet.
#[test]
fn many() {
    let random = &mut Random(2);
    let (q, n, d) = (1100, cases(2000), 130);
    let (a, b) = (random.bytes(q * d), random.bytes(n * d));
    agree(table(&a, Dtype::I8, d), table(&b, Dtype::U8, d), &PRODUCTS[..1]);
}

/// Groups of queries that weigh values hold no multiple of a matrix's rows.
#[test]
fn weighed() {
    let Some((amx, [avx512, _])) = levels() else { return };
    let random = &mut Random(3);
    let (q, n, d) = (257, 300, 70);
    let (a, b) = (random.bytes(q * d), random.bytes(n * d));
    let values = random.floats::<f64>(n * 5, -1.0, 1.0);
    for threads in [1, 2] {
        let weigh = |level| {
            let run = Run::new(level, MetricName::Dot).threads(threads);
            let (queries, keys) = (table(&a, Dtype::U8, d), table(&b, Dtype::I8, d));
            run.retrieve::<f64>(queries, keys, Rows::of(&values, 5), Softmax(1e-4).into(), None).unwrap()
        };
        assert_eq!(weigh(amx), weigh(avx512));
    }
}

/// A thread that has not multiplied yet, and a wish to do without.
#[test]
fn levels_by_name() {
    let Some((amx, _)) = levels() else {
        assert!(Level::detect(Some("amx")).is_err());
        return;
    };
    assert_eq!(Level::detect(None).unwrap(), amx);
    assert_eq!(Level::detect(Some("amx")).unwrap(), amx);
    assert!(!Level::detect(Some("avx512")).unwrap().multiplies());
    let (a, b) = (vec![1u8; 32 * 64], vec![1u8; 32 * 64]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| agree(table(&a, Dtype::U8, 64), table(&b, Dtype::U8, 64), &PRODUCTS[..1]));
        }
    });
}
