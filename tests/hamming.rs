//! Packed bits end to end: counts of differing bits by their definition, and what the sinks keep of them.

mod common;

use _core::metric::MetricName;
use _core::pack::{Keys, Panels, Scored};
use _core::parallel::Context;
use _core::separation::{Power, Rectified, Separation, Softmax, Threshold};
use _core::simd::Level;
use _core::sink::matrix;
use _core::sweep::Search;
use _core::table::{Dtype, Rows};
use common::*;

const HAMMING: MetricName = MetricName::Hamming;

/// Rows of bits, packed as NumPy packs them, and the same as numbers 0 and 1.
struct Table {
    width: usize,
    packed: Vec<u8>,
    bits: Vec<u8>,
}

impl Table {
    fn new(bits: Vec<u8>, width: usize) -> Table {
        let row =
            |bits: &[u8]| bits.chunks(8).map(|b| (0..8).map(|i| b.get(i).unwrap_or(&0) << (7 - i)).sum()).collect();
        let packed = bits.chunks(width).flat_map(|b| -> Vec<u8> { row(b) }).collect();
        Table { width, packed, bits }
    }
    /// Random rows, those of later ones often equal to earlier ones: ties.
    fn random(random: &mut Random, n: usize, width: usize) -> Table {
        let mut bits: Vec<u8> = Vec::with_capacity(n * width);
        for i in 0..n {
            match random.below(4) {
                0 if i > 0 => {
                    let other = random.below(i) * width;
                    bits.extend_from_within(other..other + width);
                }
                1 => bits.extend((0..width).map(|j| (j % (i + 2) == 0) as u8)),
                _ => bits.extend((0..width).map(|_| (random.bits() & 1) as u8)),
            }
        }
        Table::new(bits, width)
    }
    fn rows(&self) -> Rows<'_> {
        Rows::of(&self.packed, self.width.div_ceil(8))
    }
    /// The packed rows as numbers -1 and 1.
    fn bipolar(&self) -> Rows<'_> {
        // SAFETY: rows of as many bytes as their bits take.
        unsafe { Rows::new(self.packed.as_ptr(), Dtype::Bipolar, self.rows().len(), self.width) }
    }
    fn floats<E: Real>(&self, zero: f64) -> Vec<E> {
        self.bits.iter().map(|&b| E::of(if b == 1 { 1.0 } else { zero })).collect()
    }
}

/// All counts, one bit after the other.
fn definition(queries: &Table, keys: &Table) -> Vec<i32> {
    let differing = |q: &[u8], k: &[u8]| q.iter().zip(k).filter(|(a, b)| a != b).count() as i32;
    let each = |q| keys.bits.chunks(keys.width).map(move |k| differing(q, k));
    queries.bits.chunks(queries.width).flat_map(each).collect()
}

fn widths() -> Vec<usize> {
    let small = if quick() { vec![1, 7, 8, 9, 63, 64, 65, 128, 129] } else { (1..=130).collect() };
    [small, vec![511, 512, 513, 1000, 1024, 4096, 4100, 8195]].concat()
}

#[test]
fn counts_by_definition() {
    const Q: [usize; 8] = [1, 2, 4, 5, 7, 12, 13, 27];
    const N: [usize; 9] = [1, 3, 8, 15, 16, 17, 33, 64, 150];
    for (case, width) in widths().into_iter().enumerate() {
        let random = &mut Random(width as u64);
        let (q, n) = (Q[case % Q.len()], N[case % N.len()]);
        let (queries, keys) = (Table::random(random, q, width), Table::random(random, n, width));
        let want = definition(&queries, &keys);
        for level in Level::available() {
            for run in [Run::new(level, HAMMING), Run::new(level, HAMMING).form(Form::Packed(7)).threads(2)] {
                let what = format!("{run:?} {q} x {n} x {width}");
                assert!(run.matrix::<i32>(queries.rows(), keys.rows()).unwrap() == want, "{what}");
                let single: Vec<f32> = run.matrix(queries.rows(), keys.rows()).unwrap();
                assert!(single.iter().map(|&x| x as i32).eq(want.iter().copied()), "{what}");
                let double: Vec<f64> = run.matrix(queries.rows(), keys.rows()).unwrap();
                assert!(double.iter().map(|&x| x as i32).eq(want.iter().copied()), "{what}");
            }
        }
    }
}

/// Few queries read long rows where they are.
#[test]
fn rows_in_place() {
    for width in [128, 256, 512, 520, 1024, 1536] {
        for (case, n) in [1, 7, 31, 32, 33, 64, 300].into_iter().enumerate() {
            let random = &mut Random((width + n) as u64);
            let (queries, keys) = (Table::random(random, 1 + case % 3, width), Table::random(random, n, width));
            let want = definition(&queries, &keys);
            for level in Level::available() {
                for run in
                    [Run::new(level, HAMMING), Run::new(level, HAMMING).most(64), Run::new(level, HAMMING).threads(2)]
                {
                    let what = format!("{run:?} {} x {n} x {width}", 1 + case % 3);
                    assert!(run.matrix::<i32>(queries.rows(), keys.rows()).unwrap() == want, "{what}");
                    let double: Vec<f64> = run.matrix(queries.rows(), keys.rows()).unwrap();
                    assert!(double.iter().map(|&x| x as i32).eq(want.iter().copied()), "{what}");
                    // From the middle of a table, whose rows start anywhere.
                    if n > 7 {
                        let some: Vec<i32> = run.matrix(queries.rows(), slice(&keys.rows(), 5, n - 7)).unwrap();
                        assert!(
                            some.chunks(n - 7).zip(want.chunks(n)).all(|(some, all)| *some == all[5..n - 2]),
                            "{what}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn all_and_nothing() {
    // Longer than what sums of bytes would hold.
    for width in [1, 64, 2040, 2048, 40_000] {
        let (zeros, ones) = (Table::new(vec![0; 5 * width], width), Table::new(vec![1; 70 * width], width));
        for level in Level::available() {
            let run = Run::new(level, HAMMING);
            assert!(run.matrix::<i32>(zeros.rows(), ones.rows()).unwrap().iter().all(|&x| x == width as i32));
            assert!(run.matrix::<i32>(ones.rows(), ones.rows()).unwrap().iter().all(|&x| x == 0));
        }
    }
}

#[test]
fn best_and_near() {
    // The last is large enough for two threads to share it.
    for (q, n, width) in [(1, 1, 1), (3, 40, 5), (14, 300, 64), (5, 700, 100), (1, 150, 1024), (30, 20_000, 130)] {
        if quick() && n > 1000 {
            continue;
        }
        let random = &mut Random((q * n) as u64);
        let (queries, keys) = (Table::random(random, q, width), Table::random(random, n, width));
        let all = definition(&queries, &keys);
        for level in Level::available() {
            for form in [Form::Rows, Form::Packed(n)] {
                for threads in [1, 2] {
                    let run = Run::new(level, HAMMING).form(form).threads(threads);
                    for k in [1, 10, n] {
                        let k = k.min(n);
                        let (scores, indices): (Vec<i32>, _) = run.topk(queries.rows(), keys.rows(), k).unwrap();
                        for i in 0..q {
                            let row = &all[i * n..][..n];
                            let best = sorted(row, false);
                            for (j, &best) in best[..k].iter().enumerate() {
                                let got = (scores[i * k + j], indices[i * k + j]);
                                assert_eq!(got, (row[best], best as i64), "{run:?} {q} x {n} x {width}");
                            }
                        }
                    }
                    for radius in [0, 1, width / 2, width] {
                        let near = run.within::<i32>(queries.rows(), keys.rows(), radius as f64).unwrap();
                        for (i, near) in near.iter().enumerate() {
                            let row = all[i * n..][..n].iter().copied().zip(0..);
                            let want: Vec<(i32, u32)> = row.filter(|(x, _)| *x <= radius as i32).collect();
                            assert!(*near == want, "{run:?} {q} x {n} x {width} radius {radius}");
                        }
                    }
                }
            }
        }
    }
}

/// Counts are sums of |x - k| of zeros and ones: retrieval is that by the Manhattan distance of floats, to the bit. And packed
/// values are read as the numbers -1 and 1.
fn same_retrieval<E: Real>() {
    let separations = [
        Separation::Softmax(Softmax(0.3)),
        Separation::Softmax(Softmax(0.0)),
        Separation::Power(Power(2)),
        Separation::Power(Power(3)),
        Separation::Rectified(Rectified(2)),
        Separation::Threshold(Threshold(20.0)),
    ];
    for (case, (q, n, width)) in [(1, 1, 1), (5, 70, 33), (2, 300, 512), (29, 600, 100)].into_iter().enumerate() {
        // Blocks of as many keys add up the same way; of long rows of doubles fewer fit.
        if size_of::<E>() == 8 && width > 400 {
            continue;
        }
        let random = &mut Random(case as u64);
        let (queries, keys) = (Table::random(random, q, width), Table::random(random, n, width));
        let values = Table::random(random, n, 1 + width / 2);
        let log_weight: Vec<f64> =
            (0..n).map(|i| if i % 7 == 3 { f64::NEG_INFINITY } else { (i % 5) as f64 }).collect();
        let (wide_queries, wide_keys) = (queries.floats::<E>(0.0), keys.floats::<E>(0.0));
        let wide_values = values.floats::<E>(-1.0);
        let wide_values = Rows::of(&wide_values, values.width);
        for level in Level::available() {
            for separation in separations {
                for log_weight in [None, Some(&log_weight[..])] {
                    let (a, b) = (Rows::of(&wide_queries, width), Rows::of(&wide_keys, width));
                    let run = Run::new(level, MetricName::Manhattan).most(64);
                    let want = run.retrieve::<E>(a, b, wide_values, separation, log_weight).unwrap();
                    let runs = [(1, Form::Rows), (2, Form::Packed(11))];
                    for ((threads, form), values) in
                        runs.into_iter().flat_map(|r| [(r, wide_values), (r, values.bipolar())])
                    {
                        let run = Run::new(level, HAMMING).most(64).threads(threads).form(form);
                        let got =
                            run.retrieve::<E>(queries.rows(), keys.rows(), values, separation, log_weight).unwrap();
                        assert!(bits(&got.0) == bits(&want.0), "{run:?} {separation:?} {q} x {n} x {width}");
                        assert!(bits(&got.1) == bits(&want.1), "{run:?} {separation:?} {q} x {n} x {width}");
                    }
                }
            }
        }
    }
}

#[test]
fn retrieval() {
    same_retrieval::<f32>();
    same_retrieval::<f64>();
}

/// Panels of bits serve every type of scores.
#[test]
fn one_packing() {
    let random = &mut Random(5);
    let (queries, keys) = (Table::random(random, 9, 77), Table::random(random, 99, 77));
    let want = definition(&queries, &keys);
    for level in Level::available() {
        let context = Context { threads: 1, poll: &|| false };
        let panels = Panels::<i32>::new(i32::kernel(level, HAMMING, Dtype::U8), keys.rows().width());
        let panels = panels.extended(&context, &keys.rows()).unwrap();
        let kernel = f64::kernel(level, HAMMING, Dtype::U8);
        let search = Search::new(kernel, queries.rows(), Keys::Packed(panels.all_for()), 0, 4096);
        let mut out = vec![f64::NAN; want.len()];
        matrix::matrix(&context, level, &search, &mut out).unwrap();
        assert!(out.iter().map(|&x| x as i32).eq(want.iter().copied()));
        // The numbers and nothing beside them: 13 registers of 8 keys, or 25 of 4, 50 of 2, up to the next 4 registers.
        assert!(panels.bytes() <= 128 * 16, "{level:?} {}", panels.bytes());
    }
}
