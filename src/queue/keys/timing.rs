//! What the time that a wrong key takes says of which keys there are.

use super::{Keys, NewKey, Refused, form};
use crate::clock::Clock;
use crate::store::Sqlite;
use crate::task::Role;
use futures_util::FutureExt;
use rand::seq::SliceRandom;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Wrong keys of each kind in a round.
const TRIES: usize = 10_000;
/// What is rarer than this is the machine's doing, and left out: of a hundred.
const KEPT: usize = 90;
/// Beyond this, two kinds are told apart.
const MOST: f64 = 4.5;
/// A machine that does something else meanwhile is given so many rounds; a difference is there in each of them.
const ROUNDS: usize = 5;

#[tokio::test]
async fn how_long_a_wrong_key_takes_does_not_say_whether_there_is_one_with_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::open(&folder.path().join("errand.db")).await.unwrap());
    let keys = Keys::new(store, Clock::system(), &[], true);
    let mut ids = Vec::new();
    for n in 0..100 {
        let name = Some(n.to_string());
        let owner = "alice".to_owned();
        let new = NewKey { role: Role::Submit, owner, name, expires_at: None, types: None, queues: None };
        ids.push(keys.create(new).await.unwrap().0.id);
    }
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let t = round(&keys, &ids).await;
        if t.abs() < MOST {
            return;
        }
        seen.push(t);
    }
    panic!("a known id is told from an unknown one: t = {seen:.1?}");
}

/// Welch's t of the times that keys with an unknown id take, against those with a known one and a wrong secret.
async fn round(keys: &Keys, ids: &[String]) -> f64 {
    let known = (0..TRIES).map(|n| (true, form::write(&ids[n % ids.len()], &form::random())));
    let unknown = (0..TRIES).map(|_| (false, form::write(&form::new_id(), &form::random())));
    let mut tries: Vec<(bool, String)> = known.chain(unknown).collect();
    tries.shuffle(&mut rand::rng());
    let mut times = Vec::with_capacity(tries.len());
    for (n, (is_known, key)) in tries.iter().enumerate() {
        if n.is_multiple_of(1_000) {
            // So that no look at a key has anything to read.
            keys.inner.memory.read().await.unwrap();
        }
        let begun = Instant::now();
        let answer = black_box(keys.caller_of(black_box(key)).now_or_never());
        let took = begun.elapsed().as_nanos() as u64;
        assert!(matches!(answer, Some(Err(Refused::Unknown))));
        times.push((*is_known, took));
    }
    let mut all: Vec<u64> = times.iter().map(|(_, took)| *took).collect();
    all.sort_unstable();
    let longest = all[all.len() * KEPT / 100];
    let of = |kind: bool| {
        let kept = times.iter().filter(|(is_known, took)| *is_known == kind && *took <= longest);
        kept.map(|(_, took)| *took as f64).collect::<Vec<_>>()
    };
    welch(&of(false), &of(true))
}

fn welch(a: &[f64], b: &[f64]) -> f64 {
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let error = |of: &[f64]| {
        let mean = mean(of);
        of.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (of.len() - 1) as f64 / of.len() as f64
    };
    (mean(a) - mean(b)) / (error(a) + error(b)).sqrt()
}
