//! Group commit: what arrives while a write is in flight goes together into the next one.

use crate::store;
use std::collections::HashSet;
use std::future::Future;
use std::hash::Hash;
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

    /// Its keys.
    fn keys(&self) -> Vec<Self::Key>;

    /// How much of a write it fills.
    fn weight(&self) -> usize;
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

/// Writes them together; if one of them is a mistake, each on its own, so that it fails alone.
async fn settle<O, A, F, W>(operations: Vec<O>, answers: Vec<Answer<A>>, write: &W)
where
    W: Fn(Vec<O>) -> F + Sync,
    F: Future<Output = (Vec<O>, store::Result<Vec<A>>)>,
{
    let (operations, written) = write(operations).await;
    match written {
        Ok(results) => {
            for (answer, result) in answers.into_iter().zip(results) {
                let _ = answer.send(Ok(result));
            }
        }
        Err(store::Error::Internal(_)) if operations.len() > 1 => {
            for (operation, answer) in operations.into_iter().zip(answers) {
                let (_, alone) = write(vec![operation]).await;
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

fn unavailable(why: &str) -> store::Error {
    store::Error::Unavailable(why.to_owned())
}
