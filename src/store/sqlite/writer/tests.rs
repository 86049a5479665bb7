use super::super::Sqlite;
use super::*;
use std::sync::Arc;
use tokio::task::{JoinHandle, yield_now};

/// A writer over a file of its own, and what readers see of some numbers in it.
struct Bench {
    store: Sqlite,
    _folder: tempfile::TempDir,
}

/// How a write ends.
#[derive(Clone, Copy)]
enum End {
    Well,
    Mistake,
    Away,
    Dropped,
}

impl Bench {
    async fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("errand.db")).await.unwrap();
        Bench { store, _folder: folder }
    }

    /// Begins a write of this number behind all that wait already.
    async fn write(&self, number: i64, end: End) -> JoinHandle<Result<i64>> {
        let (writer, waiting) = (self.store.writer.clone(), self.store.writer.waiting.load(SeqCst));
        let writing = tokio::spawn(write(writer, number, end));
        while self.store.writer.waiting.load(SeqCst) == waiting {
            yield_now().await;
        }
        writing
    }

    /// The first one writes 1 and ends while the others wait. What each heard, what is there, and in how
    /// many commits it came.
    async fn together(&self, others: &[End]) -> (Vec<Option<Result<i64>>>, Vec<i64>, u64) {
        let before = self.store.writer.commits();
        let mut first = self.store.writer.begin().await.unwrap();
        let mut waiting = Vec::new();
        for (number, end) in (2..).zip(others) {
            waiting.push(self.write(number, *end).await);
        }
        add(&mut first, 1).await;
        let mut heard = vec![Some(first.done(Ok(1)).await)];
        for waiting in waiting {
            heard.push(waiting.await.ok());
        }
        let there = sqlx::query_scalar("SELECT seq FROM log_start WHERE seq > 0 ORDER BY seq");
        (heard, there.fetch_all(&self.store.readers).await.unwrap(), self.store.writer.commits() - before)
    }
}

async fn write(writer: Arc<Writer>, number: i64, end: End) -> Result<i64> {
    let mut write = writer.begin().await?;
    add(&mut write, number).await;
    match end {
        End::Well => write.done(Ok(number)).await,
        End::Mistake => write.done(Err(Error::Internal("a mistake".to_owned()))).await,
        End::Away => write.done(Err(Error::Unavailable("away".to_owned()))).await,
        End::Dropped => panic!("a bug in a write"),
    }
}

async fn add(write: &mut Write<'_>, number: i64) {
    sqlx::query("INSERT INTO log_start (seq) VALUES (?1)").bind(number).execute(&mut **write).await.unwrap();
}

#[tokio::test]
async fn writes_that_wait_together_share_a_commit() {
    let (heard, there, commits) = Bench::new().await.together(&[End::Well; 3]).await;
    assert!(matches!(heard[..], [Some(Ok(1)), Some(Ok(2)), Some(Ok(3)), Some(Ok(4))]), "{heard:?}");
    assert_eq!((there, commits), (vec![1, 2, 3, 4], 1));
}

#[tokio::test]
async fn a_write_on_its_own_waits_for_nobody() {
    let (heard, there, commits) = Bench::new().await.together(&[]).await;
    assert!(matches!(heard[..], [Some(Ok(1))]), "{heard:?}");
    assert_eq!((there, commits), (vec![1], 1));
}

#[tokio::test]
async fn a_mistake_in_one_of_them_undoes_that_one_alone() {
    for end in [End::Mistake, End::Dropped] {
        let bench = Bench::new().await;
        let (heard, there, _) = bench.together(&[End::Well, end, end, End::Well]).await;
        assert!(matches!(heard[..], [Some(Ok(1)), Some(Ok(2)), .., Some(Ok(5))]), "{heard:?}");
        assert!(heard[2..4].iter().all(|heard| !matches!(heard, Some(Ok(_)))), "{heard:?}");
        assert_eq!(there, [1, 2, 5]);
        // The last one to come makes the others' commit, also if it fails.
        let (heard, there, _) = Bench::new().await.together(&[End::Well, end]).await;
        assert!(matches!(heard[..2], [Some(Ok(1)), Some(Ok(2))]), "{heard:?}");
        assert_eq!(there, [1, 2]);
    }
}

#[tokio::test]
async fn where_the_database_fails_all_who_share_hear_it_and_nothing_is_kept_of_them() {
    let bench = Bench::new().await;
    let (heard, there, _) = bench.together(&[End::Well, End::Away]).await;
    assert!(heard.iter().all(|heard| matches!(heard, Some(Err(Error::Unavailable(_))))), "{heard:?}");
    assert!(there.is_empty(), "{there:?}");
    let (heard, there, _) = bench.together(&[End::Well]).await;
    assert!(matches!(heard[..], [Some(Ok(1)), Some(Ok(2))]), "{heard:?}");
    assert_eq!(there, [1, 2]);
}

/// Writes this number as a claim does that stands by.
async fn claim(writer: Arc<Writer>, number: i64, end: End, wait: impl Future<Output = bool>) -> Option<Result<i64>> {
    let mut write = writer.begin_with_next(wait).await.unwrap()?;
    add(&mut write, number).await;
    match end {
        End::Mistake => Some(write.done(Err(Error::Internal("a mistake".to_owned()))).await),
        End::Dropped => panic!("a bug in a claim"),
        End::Well | End::Away => Some(write.done(Ok(number)).await),
    }
}

impl Bench {
    /// A claim of 100 stands by.
    async fn standing(&self, end: End) -> JoinHandle<Option<Result<i64>>> {
        let standing = tokio::spawn(claim(self.store.writer.clone(), 100, end, std::future::pending()));
        while self.store.writer.standing.lock().unwrap().is_none() {
            yield_now().await;
        }
        standing
    }

    /// New tasks, as 1, for whoever stands by. What is there then, and in how many commits it came.
    async fn submit(&self) -> (Vec<i64>, u64) {
        let before = self.store.writer.commits();
        let mut write = self.store.writer.begin().await.unwrap();
        add(&mut write, 1).await;
        write.done_for_claims(Ok(())).await.unwrap();
        let there = sqlx::query_scalar("SELECT seq FROM log_start WHERE seq > 0 ORDER BY seq");
        (there.fetch_all(&self.store.readers).await.unwrap(), self.store.writer.commits() - before)
    }
}

#[tokio::test]
async fn a_claim_that_stands_by_is_in_the_commit_of_the_tasks_that_come() {
    let bench = Bench::new().await;
    let claim = bench.standing(End::Well).await;
    assert_eq!(bench.submit().await, (vec![1, 100], 1));
    assert!(matches!(claim.await.unwrap(), Some(Ok(100))));
}

#[tokio::test]
async fn what_brings_no_tasks_leaves_a_claim_standing() {
    let bench = Bench::new().await;
    let claim = bench.standing(End::Well).await;
    assert!(matches!(write(bench.store.writer.clone(), 2, End::Well).await, Ok(2)));
    assert_eq!(bench.submit().await, (vec![1, 2, 100], 1));
    assert!(matches!(claim.await.unwrap(), Some(Ok(100))));
}

#[tokio::test]
async fn a_claim_that_fails_or_is_gone_costs_the_tasks_that_came_nothing() {
    for end in [End::Mistake, End::Dropped] {
        let bench = Bench::new().await;
        let claim = bench.standing(end).await;
        assert_eq!(bench.submit().await, (vec![1], 1));
        assert!(!matches!(claim.await, Ok(Some(Ok(_)))));
    }
    let bench = Bench::new().await;
    let claim = bench.standing(End::Well).await;
    claim.abort();
    assert!(claim.await.is_err());
    assert_eq!(bench.submit().await, (vec![1], 1));
}

#[tokio::test]
async fn a_claim_stands_by_no_longer_than_it_would_wait() {
    let bench = Bench::new().await;
    let writer = || bench.store.writer.clone();
    assert!(claim(writer(), 100, End::Well, std::future::ready(false)).await.is_none());
    assert!(matches!(claim(writer(), 101, End::Well, std::future::ready(true)).await, Some(Ok(101))));
    assert_eq!(bench.submit().await, (vec![1, 101], 1));
}
