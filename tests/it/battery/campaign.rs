//! Many random cases from one seed, within a bound of number and time.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::time::{Duration, Instant};

/// How long a failing case is made smaller.
const SHRINK_MS: u32 = 45_000;

/// What a campaign may take. `ERRAND_TEST_LONG=1` asks for the long form.
pub struct Bounds {
    pub cases: u32,
    pub time: Duration,
}

impl Bounds {
    pub fn new(cases: u32, seconds: u64, long: u32) -> Bounds {
        match is_long() {
            true => Bounds { cases: long, time: Duration::from_secs(24 * 3600) },
            false => Bounds { cases, time: Duration::from_secs(seconds) },
        }
    }
}

/// Whether the long form is wanted.
pub fn is_long() -> bool {
    std::env::var("ERRAND_TEST_LONG").is_ok_and(|value| value == "1")
}

/// Runs cases until one fails, which is then made as small as it gets and shown. The seed is printed;
/// `ERRAND_TEST_SEED` runs the same cases again. Answers how many ran; none is a failure.
pub fn campaign<S: Strategy>(
    name: &str,
    bounds: &Bounds,
    cases: &S,
    mut check: impl FnMut(S::Value) -> Result<(), String>,
) -> u32 {
    let seed = std::env::var("ERRAND_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("{name}: ERRAND_TEST_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let config = Config { failure_persistence: None, max_shrink_time: SHRINK_MS, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let check = std::cell::RefCell::new(&mut check);
    let began = Instant::now();
    let mut ran = 0;
    while ran < bounds.cases && began.elapsed() < bounds.time {
        let case = cases.new_tree(&mut runner).expect("a case can be made");
        let done = runner.run_one(case, |case| (check.borrow_mut())(case).map_err(TestCaseError::fail));
        if let Err(TestError::Fail(why, case)) = done {
            panic!("{name}, seed {seed}, case {ran}: {why}\n{case:#?}");
        }
        done.unwrap_or_else(|error| panic!("{name}, seed {seed}: {error}"));
        ran += 1;
    }
    println!("{name}: {ran} cases in {:.1} s", began.elapsed().as_secs_f64());
    assert!(ran > 0, "{name}: no case ran");
    ran
}

/// Runs asynchronous work from within a synchronous case of an asynchronous test.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}
