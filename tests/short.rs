//! Packed keys of 16 bits score as the singles that they widen to, to the bit, on every instruction set.

mod common;

use _core::metric::MetricName;
use _core::pack::{Keys, Panels, Scored};
use _core::parallel::Context;
use _core::simd::Level;
use _core::sink::matrix::matrix;
use _core::sweep::Search;
use _core::table::{Dtype, Rows};
use common::*;

fn scores(level: Level, metric: MetricName, queries: Rows, keys: Rows, piece: usize) -> Vec<f32> {
    let kernel = f32::short(level, metric, keys.dtype()).unwrap();
    let context = Context { threads: 2, poll: &|| false };
    let mut panels = Panels::new(kernel, keys.width());
    for first in (0..keys.len()).step_by(piece) {
        panels = panels.extended(&context, &slice(&keys, first, piece.min(keys.len() - first))).unwrap();
    }
    let mut out = vec![f32::NAN; queries.len() * keys.len()];
    matrix(&context, level, &Search::new(kernel, queries, Keys::Packed(panels.all()), 0, 256), &mut out).unwrap();
    out
}

#[test]
fn as_singles() {
    const METRICS: [MetricName; 4] =
        [MetricName::Dot, MetricName::SqEuclidean, MetricName::Euclidean, MetricName::Manhattan];
    for (case, (q, n, d)) in shapes().into_iter().enumerate() {
        let random = &mut Random(case as u64);
        let queries: Vec<f32> = random.floats(q * d, -2.0, 2.0);
        // Exponents of all sizes, subnormal numbers and zeros among them, but no infinity: its bits are all ones.
        let bits: Vec<u16> = (0..n * d)
            .map(|_| {
                let bits = random.bits() as u16;
                if random.below(3) == 0 { bits & 0x83ff } else { (bits & 0x87ff) | 0x3800 }
            })
            .collect();
        let queries = Rows::of(&queries, d);
        for dtype in [Dtype::F16, Dtype::BF16] {
            // SAFETY: the bits of n rows.
            let short = unsafe { Rows::new(bits.as_ptr().cast(), dtype, n, d) };
            let mut wide = vec![0.0f32; n * d];
            for (i, row) in wide.chunks_mut(d).enumerate() {
                short.read(i, row);
            }
            let wide = Rows::of(&wide, d);
            for level in Level::available() {
                for metric in METRICS {
                    let want: Vec<f32> = Run::new(level, metric).matrix(queries, wide).unwrap();
                    let got = scores(level, metric, queries, short, 1 + case % 70);
                    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&got), bits(&want), "{level:?} {metric:?} {dtype:?} {:?}", (q, n, d));
                }
            }
        }
    }
    for metric in [MetricName::Cosine, MetricName::Kl, MetricName::Hamming] {
        assert!(f32::short(Level::Portable, metric, Dtype::F16).is_none());
    }
    assert!(f64::short(Level::Portable, MetricName::Dot, Dtype::F16).is_none());
}
