//! Peeling errors off sparse constraints: what it finds, what it must not do, and what must not change a bit.

mod common;

use _core::error::Error;
use _core::parallel::Context;
use _core::peel::{Graph, Matrix, peel, products};
use common::*;

const NEVER: &(dyn Fn() -> bool + Sync) = &|| false;

/// `degree` checks per coordinate, drawn at random.
fn graph(random: &mut Random, n: usize, m: usize, degree: usize) -> (Vec<i64>, Vec<i64>) {
    let mut checks = Vec::new();
    for _ in 0..n {
        let mut column: Vec<i64> = Vec::new();
        while column.len() < degree {
            let check = random.below(m) as i64;
            if !column.contains(&check) {
                column.push(check);
            }
        }
        column.sort();
        checks.extend(column);
    }
    ((0..=n).map(|j| (j * degree) as i64).collect(), checks)
}

/// `k` errors in a row of `n`.
fn sparse(random: &mut Random, n: usize, k: usize) -> Vec<f64> {
    let mut row = vec![0.0; n];
    let mut left = k;
    while left > 0 {
        let j = random.below(n);
        if row[j] == 0.0 {
            row[j] = random.between(1.0, 20.0) * if random.below(2) == 0 { 1.0 } else { -1.0 };
            left -= 1;
        }
    }
    row
}

fn run(starts: &[i64], checks: &[i64], m: usize, cues: &[f64], tolerance: f64, threads: usize) -> (Vec<f64>, Vec<i64>) {
    let ones = vec![1.0; checks.len()];
    let matrix = Matrix::new(starts, checks, &ones, m).unwrap();
    let graph = Graph::new(matrix).unwrap();
    let rows = cues.len() / matrix.width();
    let mut errors = vec![f64::NAN; cues.len()];
    let context = Context { threads, poll: NEVER };
    let steps = peel(&context, &graph, cues, &vec![tolerance; rows], &mut errors).unwrap();
    (errors, steps)
}

#[test]
fn few_errors_are_found_whatever_the_threads() {
    let random = &mut Random(3);
    for (n, m, k, rows) in [(1, 6, 1, 1), (40, 200, 1, 5), (1000, 500, 30, 40), (999, 501, 25, 7), (300, 299, 0, 3)] {
        let (starts, checks) = graph(random, n, m, 6);
        let cues: Vec<f64> = (0..rows).flat_map(|_| sparse(random, n, k)).collect();
        let (errors, steps) = run(&starts, &checks, m, &cues, 1e-9, 1);
        let right = |row: usize| (row * n..(row + 1) * n).all(|i| (errors[i] - cues[i]).abs() < 1e-9);
        // One cue in a hundred has an error whose checks are mostly those of another coordinate, which comes first.
        let wrong = (0..rows).filter(|&row| !right(row)).count();
        assert!(wrong <= rows / 10, "{n} {m}: {wrong} of {rows}");
        assert!((0..rows).all(|row| !right(row) || steps[row] as usize >= k));
        for threads in [2, 3, 8] {
            assert_eq!(run(&starts, &checks, m, &cues, 1e-9, threads), (errors.clone(), steps.clone()));
        }
    }
}

/// Cues that no sparse error explains end all the same, in at most as many steps as there are checks.
#[test]
fn dense_errors_end() {
    let random = &mut Random(5);
    for degree in [1, 2, 3, 5, 6] {
        let (n, m) = (200, 60);
        let (starts, checks) = graph(random, n, m, degree);
        for scale in [1.0, 1e-6, 1e300] {
            let cues: Vec<f64> = (0..n * 4).map(|_| scale * random.between(-1.0, 1.0)).collect();
            // With a tolerance as large as the gaps, gaps that count as zero must not count as equal ones.
            for tolerance in [0.0, 1e-9 * scale, 0.3 * scale, 2.0 * scale] {
                let (errors, steps) = run(&starts, &checks, m, &cues, tolerance, 1);
                assert!(steps.iter().all(|&s| s as usize <= m), "{degree} {scale} {tolerance}: {steps:?}");
                assert!(errors.iter().all(|e| e.is_finite()));
            }
        }
        // Sums beyond the range of floats have no majority.
        let huge = vec![f64::MAX; n];
        run(&starts, &checks, m, &huge, 0.0, 1);
    }
}

/// Every step is a majority's: one check of two is not enough, two of three are.
#[test]
fn majority_is_more_than_half() {
    // Coordinate 0 in checks 0, 1; coordinate 1 in 1, 2. The error 1 at coordinate 0 fills both checks.
    let (errors, steps) = run(&[0, 2, 4], &[0, 1, 1, 2], 3, &[1.0, 0.0], 1e-9, 1);
    assert_eq!((errors, steps), (vec![1.0, 0.0], vec![1]));
    // Both wrong: check 1 sees 3, so each coordinate has one check of two that tells.
    let (errors, steps) = run(&[0, 2, 4], &[0, 1, 1, 2], 3, &[1.0, 2.0], 1e-9, 1);
    assert_eq!((errors, steps), (vec![0.0, 0.0], vec![0]));
    // With a third check each, two of three tell.
    let (errors, steps) = run(&[0, 3, 6], &[0, 1, 3, 1, 2, 4], 5, &[1.0, 2.0], 1e-9, 1);
    assert_eq!((errors, steps), (vec![1.0, 2.0], vec![2]));
}

/// The error is what the gaps are in units of the entries.
#[test]
fn entries_scale_what_a_check_sees() {
    let entries = [0.5, -3.0, 7.0, 1.0, 2.0, -1.0];
    let graph = Graph::new(Matrix::new(&[0, 3, 6], &[0, 1, 3, 1, 2, 4], &entries, 5).unwrap()).unwrap();
    let (cue, mut errors) = ([1.0, 2.0], [f64::NAN; 2]);
    let context = Context { threads: 1, poll: NEVER };
    let steps = peel(&context, &graph, &cue, &[1e-9], &mut errors).unwrap();
    assert_eq!((errors, steps), (cue, vec![2]));
}

#[test]
fn bad_graphs_are_refused() {
    for (starts, checks, m) in [
        (vec![0, 2], vec![0, 3], 3),
        (vec![0, 2], vec![-1, 0], 3),
        (vec![0, 3], vec![0, 1], 3),
        (vec![1, 2], vec![0, 1], 3),
        (vec![0, 2, 1], vec![0], 3),
        (vec![], vec![], 3),
    ] {
        let ones = vec![1.0; checks.len()];
        assert!(matches!(Matrix::new(&starts, &checks, &ones, m), Err(Error::Argument(_))), "{starts:?}");
    }
    for entries in [vec![1.0], vec![1.0, 0.0], vec![1.0, f64::NAN], vec![f64::INFINITY, 1.0]] {
        assert!(matches!(Matrix::new(&[0, 1, 2], &[0, 1], &entries, 2), Err(Error::Argument(_))), "{entries:?}");
    }
}

/// Products are those of the dense matrix, whatever the threads, and the transpose's are of the same matrix.
#[test]
fn products_of_rows() {
    let random = &mut Random(9);
    let (n, m, rows) = (700, 300, 60);
    let (starts, checks) = graph(random, n, m, 5);
    let entries: Vec<f64> = (0..checks.len()).map(|_| random.between(0.5, 2.0)).collect();
    let matrix = Matrix::new(&starts, &checks, &entries, m).unwrap();
    for (back, from, to) in [(false, n, m), (true, m, n)] {
        let x: Vec<f64> = (0..rows * from).map(|_| random.between(-1.0, 1.0)).collect();
        let run = |threads| {
            let mut out = vec![f64::NAN; rows * to];
            products(&Context { threads, poll: NEVER }, &matrix, &x, back, &mut out).unwrap();
            out
        };
        let out = run(1);
        assert_eq!(run(3), out);
        let mut expected = vec![0.0; rows * to];
        for row in 0..rows {
            for j in 0..n {
                for k in starts[j] as usize..starts[j + 1] as usize {
                    let (from_at, to_at) = if back { (checks[k] as usize, j) } else { (j, checks[k] as usize) };
                    expected[row * to + to_at] += entries[k] * x[row * from + from_at];
                }
            }
        }
        assert!(out.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
    }
    products(&Context { threads: 1, poll: NEVER }, &matrix, &[], false, &mut []).unwrap();
}

#[test]
fn interruption() {
    let random = &mut Random(7);
    let (n, m) = (2000, 1000);
    let (starts, checks) = graph(random, n, m, 6);
    let cues: Vec<f64> = (0..4000).flat_map(|_| sparse(random, n, 40)).collect();
    let ones = vec![1.0; checks.len()];
    let graph = Graph::new(Matrix::new(&starts, &checks, &ones, m).unwrap()).unwrap();
    let mut errors = vec![0.0; cues.len()];
    let context = Context { threads: 2, poll: &|| true };
    let result = peel(&context, &graph, &cues, &vec![1e-9; 4000], &mut errors);
    assert_eq!(result, Err(Error::Interrupted));
}
