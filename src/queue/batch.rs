//! Group commit: what arrives while a write is in flight goes together into the next one.

use crate::store;
use futures_util::FutureExt;
use std::collections::HashSet;
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// How many operations may wait; beyond, callers wait for a place, and then get `Unavailable`.
const WAITING: usize = 8192;
/// How long a caller waits for a place.
const PLACE: Duration = Duration::from_secs(2);
/// How long a caller waits for its answer, the wait for a place included.
const ANSWER: Duration = Duration::from_millis(4_800);

/// Something that can be written together with others of its kind.
pub trait Operation: Send + 'static {
    /// What no two operations of one write may share.
    type Key: Eq + Hash + Send;

    /// Its keys; none, unless it says some.
    fn keys(&self) -> Vec<Self::Key> {
        Vec::new()
    }

    /// How much of a write it fills.
    fn weight(&self) -> usize {
        1
    }
}

type Answer<A> = oneshot::Sender<store::Result<A>>;

/// Hands operations to a writer of its own. The caller only awaits the answer: one that hangs up
/// changes nothing about a write that has begun; one that has not begun is forgotten.
pub struct Batch<O, A> {
    operations: mpsc::Sender<(O, Answer<A>)>,
}

impl<O: Operation, A: Send + 'static> Batch<O, A> {
    /// Starts a writer. `write` writes operations in one transaction and answers each, in order.
    /// `max_weight` bounds one write. The writer ends when the last handle is gone and all is written.
    pub fn start<F, W>(max_weight: usize, write: W) -> Batch<O, A>
    where
        W: Fn(Vec<O>) -> F + Send + Sync + 'static,
        F: Future<Output = (Vec<O>, store::Result<Vec<A>>)> + Send + 'static,
    {
        let (operations, waiting) = mpsc::channel(WAITING);
        tokio::spawn(run(waiting, max_weight, write));
        Batch { operations }
    }

    /// Writes one operation, together with others. Answers within 5 s, come what may: `Unavailable`
    /// then says that nobody knows yet whether it will be written.
    pub async fn write(&self, operation: O) -> store::Result<A> {
        let until = Instant::now() + ANSWER;
        let (answer, answered) = oneshot::channel();
        if self.operations.send_timeout((operation, answer), PLACE).await.is_err() {
            return Err(unavailable("too many writes are waiting"));
        }
        match timeout_at(until, answered).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(unavailable("the writer has ended"))),
            Err(_) => Err(unavailable("the write takes too long")),
        }
    }
}

async fn run<O, A, F, W>(mut waiting: mpsc::Receiver<(O, Answer<A>)>, max_weight: usize, write: W)
where
    O: Operation,
    W: Fn(Vec<O>) -> F + Sync,
    F: Future<Output = (Vec<O>, store::Result<Vec<A>>)>,
{
    let mut held_back = None;
    loop {
        let Some(first) = (match held_back.take() {
            Some(first) => Some(first),
            None => waiting.recv().await,
        }) else {
            return;
        };
        if nobody_waits(&first) {
            continue;
        }
        // Whoever was woken by the last write gets to say what is next before this one begins.
        tokio::task::yield_now().await;
        let mut keys: HashSet<O::Key> = first.0.keys().into_iter().collect();
        let mut weight = first.0.weight();
        let (mut operations, mut answers) = (vec![first.0], vec![first.1]);
        while weight < max_weight {
            let Ok(next) = waiting.try_recv() else { break };
            if nobody_waits(&next) {
                continue;
            }
            let (operation, answer) = next;
            let more = operation.keys();
            if more.iter().any(|key| keys.contains(key)) {
                held_back = Some((operation, answer));
                break;
            }
            keys.extend(more);
            weight += operation.weight();
            operations.push(operation);
            answers.push(answer);
        }
        settle(operations, answers, &write).await;
    }
}

/// Its caller has hung up or has been told that it took too long, and its write has not begun.
fn nobody_waits<O, A>((_, answer): &(O, Answer<A>)) -> bool {
    answer.is_closed()
}

/// Writes them together; if one of them is a mistake, each on its own, so that it fails alone. A
/// panic within a write leaves its outcome unknown, and the writer alive.
async fn settle<O, A, F, W>(operations: Vec<O>, answers: Vec<Answer<A>>, write: &W)
where
    W: Fn(Vec<O>) -> F + Sync,
    F: Future<Output = (Vec<O>, store::Result<Vec<A>>)>,
{
    let Ok((operations, written)) = unpanicked(write(operations)).await else {
        return answers.into_iter().for_each(|answer| drop(answer.send(Err(broken_off()))));
    };
    match written {
        Ok(results) => {
            for (answer, result) in answers.into_iter().zip(results) {
                let _ = answer.send(Ok(result));
            }
        }
        Err(store::Error::Internal(_)) if operations.len() > 1 => {
            for (operation, answer) in operations.into_iter().zip(answers) {
                let alone =
                    unpanicked(write(vec![operation])).await.map_or_else(|()| Err(broken_off()), |(_, alone)| alone);
                let _ = answer.send(alone.and_then(|mut one| one.pop().ok_or_else(|| unavailable("no answer"))));
            }
        }
        Err(error) => {
            for answer in answers {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}

async fn unpanicked<T>(write: impl Future<Output = T>) -> Result<T, ()> {
    // The panic itself has been told by its hook.
    AssertUnwindSafe(write).catch_unwind().await.map_err(drop)
}

fn broken_off() -> store::Error {
    unavailable("the write broke off")
}

fn unavailable(why: &str) -> store::Error {
    store::Error::Unavailable(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::{Arc, Mutex};
    use tokio::sync::Semaphore;

    /// A number; those of a hundred share a key.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Number(u32);

    impl Operation for Number {
        type Key = u32;

        fn keys(&self) -> Vec<u32> {
            (self.0 >= 100).then_some(self.0 / 100).into_iter().collect()
        }
    }

    const BAD: Number = Number(13);
    const PANICS: Number = Number(14);
    const OUTAGE: Number = Number(15);

    /// A writer of at most 10 at once that keeps every write, and does none before it is let.
    struct Bench {
        batch: Batch<Number, u32>,
        writes: Arc<Mutex<Vec<Vec<u32>>>>,
        let_go: Arc<Semaphore>,
    }

    impl Bench {
        fn new() -> Bench {
            let (writes, let_go) = (Arc::<Mutex<Vec<Vec<u32>>>>::default(), Arc::new(Semaphore::new(0)));
            let (kept, gate) = (writes.clone(), let_go.clone());
            let batch = Batch::start(10, move |operations: Vec<Number>| {
                kept.lock().unwrap().push(operations.iter().map(|number| number.0).collect());
                let gate = gate.clone();
                async move {
                    gate.acquire().await.unwrap().forget();
                    assert!(!operations.contains(&PANICS), "a bug in a write");
                    let written = match () {
                        _ if operations.contains(&BAD) => Err(store::Error::Internal("bad".to_owned())),
                        _ if operations.contains(&OUTAGE) => Err(store::Error::Unavailable("away".to_owned())),
                        _ => Ok(operations.iter().map(|number| number.0 * 10).collect()),
                    };
                    (operations, written)
                }
            });
            Bench { batch, writes, let_go }
        }

        /// One write is in flight while all of these are handed over; answers theirs.
        async fn behind_one(&self, numbers: &[u32]) -> Vec<store::Result<u32>> {
            let first = self.batch.write(Number(0));
            let others = async {
                while self.writes.lock().unwrap().is_empty() {
                    tokio::task::yield_now().await;
                }
                let handed_over = join_all(numbers.iter().map(|number| self.batch.write(Number(*number))));
                let (others, ()) = tokio::join!(handed_over, async { self.let_go.add_permits(1000) });
                others
            };
            let (first, others) = tokio::join!(first, others);
            assert_eq!(first.unwrap(), 0);
            others
        }

        fn writes(&self) -> Vec<Vec<u32>> {
            self.writes.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn what_comes_while_a_write_is_in_flight_goes_together_into_the_next() {
        let bench = Bench::new();
        let answers = bench.behind_one(&[1, 2, 3]).await;
        assert_eq!(answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!(bench.writes(), [vec![0], vec![1, 2, 3]]);
    }

    #[tokio::test]
    async fn a_bad_operation_fails_alone_and_all_others_are_written() {
        let bench = Bench::new();
        let answers = bench.behind_one(&[1, 13, 3]).await;
        assert!(matches!(answers[..], [Ok(10), Err(store::Error::Internal(_)), Ok(30)]), "{answers:?}");
        assert_eq!(bench.writes(), [vec![0], vec![1, 13, 3], vec![1], vec![13], vec![3]]);
    }

    #[tokio::test]
    async fn an_outage_is_told_to_all_and_nothing_is_tried_again() {
        let bench = Bench::new();
        let answers = bench.behind_one(&[1, 15, 3]).await;
        assert!(answers.iter().all(|answer| matches!(answer, Err(store::Error::Unavailable(_)))), "{answers:?}");
        assert_eq!(bench.writes(), [vec![0], vec![1, 15, 3]]);
    }

    #[tokio::test]
    async fn a_panic_within_a_write_leaves_its_outcome_unknown_and_the_writer_alive() {
        let bench = Bench::new();
        let answers = bench.behind_one(&[1, 14]).await;
        assert!(answers.iter().all(|answer| matches!(answer, Err(store::Error::Unavailable(_)))), "{answers:?}");
        assert_eq!(bench.batch.write(Number(5)).await.unwrap(), 50);
        let answers = bench.batch.write(PANICS).await;
        assert!(matches!(answers, Err(store::Error::Unavailable(_))), "{answers:?}");
    }

    #[tokio::test]
    async fn what_shares_a_key_never_shares_a_write_and_a_write_has_its_limit() {
        let bench = Bench::new();
        bench.behind_one(&[101, 201, 102, 202]).await;
        assert_eq!(bench.writes(), [vec![0], vec![101, 201], vec![102, 202]]);
        let bench = Bench::new();
        bench.behind_one(&(20..45).collect::<Vec<_>>()).await;
        assert_eq!(bench.writes().iter().map(Vec::len).collect::<Vec<_>>(), [1, 10, 10, 5]);
    }
}
