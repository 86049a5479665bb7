//! The live feed: who follows hears what happens on any node, once, in order, or that it missed something.

use super::{beat, report, success};
use crate::support::bed::{Bed, DatabaseUrl, noop, noop_of};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::queue::Queue;
use errand::queue::feed::{Follower, Heard, Interest, Loss, News};
use errand::store::Beat;
use errand::task::{Draft, Filter, Progress, Scope};
use futures_util::future::join_all;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

on_both_databases![
    who_follows_hears_each_transition_once_in_commit_order_wherever_it_happened,
    progress_is_told_four_times_a_second_at_most_and_the_last_always,
    progress_of_an_attempt_is_never_told_behind_its_end,
    only_what_one_wants_is_told,
    who_follows_is_told_when_the_log_no_longer_reaches_back_to_what_comes_next,
    who_follows_after_nobody_did_hears_what_happens_from_then_on,
];

fn everything() -> Interest {
    Interest { scope: Scope::Everyone, clients: None, filter: Filter::default(), approvals: false }
}

async fn following(queue: &Queue, interest: Interest) -> Follower {
    let follower = queue.follow().await.unwrap();
    follower.want(interest);
    follower
}

async fn hear(follower: &Follower) -> Heard {
    timeout(Duration::from_secs(20), follower.next()).await.expect("something is told within 20 s")
}

async fn news(follower: &Follower) -> Arc<News> {
    match hear(follower).await {
        Heard::News(news) => news,
        lost => panic!("{lost:?}"),
    }
}

/// Another node where there can be one.
async fn elsewhere(bed: &Bed) -> Queue {
    match bed.url {
        DatabaseUrl::Sqlite(_) => bed.queue.clone(),
        DatabaseUrl::Postgres(_) => bed.another_node().await,
    }
}

async fn who_follows_hears_each_transition_once_in_commit_order_wherever_it_happened(bed: Bed) {
    let other = elsewhere(&bed).await;
    let follower = following(&other, everything()).await;
    let lives = (0..40).map(|_| async {
        bed.submit(noop()).await;
        for task in bed.claim(1).await {
            report(&bed, &task, success()).await;
        }
    });
    let (heard, _) = tokio::join!(
        async {
            let mut heard = Vec::new();
            while heard.len() < 120 {
                heard.push(news(&follower).await);
            }
            heard
        },
        join_all(lives)
    );
    let log = bed.queue.store().changes(&Scope::Everyone, 0, 1000).await.unwrap();
    let logged: Vec<_> = log.iter().map(|entry| (entry.seq, Some(entry.event), entry.task.version)).collect();
    let heard: Vec<_> = heard.iter().map(|news| (news.seq, news.event, news.task.version)).collect();
    assert_eq!(heard, logged);
    assert_eq!(follower.position(), log.last().unwrap().seq);
}

async fn progress_is_told_four_times_a_second_at_most_and_the_last_always(bed: Bed) {
    bed.submit(noop()).await;
    let task = bed.claim(1).await.remove(0);
    let follower = following(&elsewhere(&bed).await, everything()).await;
    let began = Instant::now();
    let saying = async {
        for percent in 1..=100 {
            let mut progress = Progress { percent: f64::from(percent), ..Progress::default() };
            progress.metrics.set("percents", f64::from(percent)).unwrap();
            let progress = Some(progress);
            bed.queue.beat(&[Beat { progress, ..beat(&task) }], 30_000).await.unwrap();
        }
    };
    let hearing = async {
        let mut told = Vec::new();
        while told.last() != Some(&100.0) {
            let news = news(&follower).await;
            assert_eq!((news.event, news.seq), (None, follower.position()));
            assert_eq!(news.task.progress.metrics.get("percents"), Some(news.task.progress.percent));
            told.push(news.task.progress.percent);
        }
        told
    };
    let (told, ()) = tokio::join!(hearing, saying);
    let most = began.elapsed().as_millis() as usize / 250 + 1;
    assert!(told.len() <= most && told.is_sorted(), "{told:?}, {most} at most");
}

async fn progress_of_an_attempt_is_never_told_behind_its_end(bed: Bed) {
    let follower = following(&elsewhere(&bed).await, everything()).await;
    // Long enough for many looks, each of which may fall between what was said last and the end.
    let until = Instant::now() + Duration::from_secs(4);
    let lives = (0..8).map(|_| async {
        let mut lived = 0;
        while Instant::now() < until {
            bed.submit(noop()).await;
            for task in bed.claim(1).await {
                let progress = Some(Progress { percent: 50.0, ..Progress::default() });
                bed.queue.beat(&[Beat { progress, ..beat(&task) }], 30_000).await.unwrap();
                report(&bed, &task, success()).await;
                lived += 1;
            }
        }
        lived
    });
    let hearing = async {
        let (mut versions, mut lost) = (HashMap::new(), false);
        while let Ok(heard) = timeout(Duration::from_secs(2), follower.next()).await {
            let Heard::News(news) = heard else {
                lost = true;
                continue;
            };
            let before = versions.insert(news.task.id, news.task.version).unwrap_or(0);
            assert!(before <= news.task.version, "{news:?}");
        }
        (versions.len(), lost)
    };
    let ((heard, lost), lived) = tokio::join!(hearing, join_all(lives));
    assert!(lost || heard == lived.into_iter().sum::<usize>(), "{heard}");
}

async fn only_what_one_wants_is_told(bed: Bed) {
    let of = |owner: &str, client: &str| Draft { client_id: client.to_owned(), ..noop_of(owner) };
    let owned = |owner: &str| Interest { scope: Scope::Owner(owner.to_owned()), ..everything() };
    let clients = Interest { clients: Some(vec!["x".to_owned(), "y".to_owned()]), ..owned("a") };
    let tagged = Interest { filter: Filter { tag: Some("red".to_owned()), ..Filter::default() }, ..owned("a") };
    let named = Interest { filter: Filter { client_id: Some("x".to_owned()), ..Filter::default() }, ..everything() };
    let followers = join_all([owned("a"), clients, tagged, named].map(|it| following(&bed.queue, it))).await;
    for (owner, client, tags) in
        [("a", "x", ""), ("b", "x", "red"), ("a", "y", "red"), ("a", "z", "blue"), ("a", "x", "red")]
    {
        bed.submit(Draft { tags: vec![tags.to_owned()], ..of(owner, client) }).await;
    }
    let mut told = Vec::new();
    for (follower, n) in followers.iter().zip([4, 3, 2, 3]) {
        let mut all = Vec::new();
        for _ in 0..n {
            let task = news(follower).await.task.clone();
            all.push(format!("{} {} {}", task.owner, task.client_id, task.tags[0]));
        }
        // Nothing stands between what was told last and what is told next.
        told.push(all.join(", "));
    }
    let expected =
        ["a x , a y red, a z blue, a x red", "a x , a y red, a x red", "a y red, a x red", "a x , b x red, a x red"];
    assert_eq!(told, expected);
    followers.iter().for_each(|follower| follower.want_nothing());
    bed.submit(of("a", "x")).await;
    let last = following(&bed.queue, owned("a")).await;
    bed.submit(of("a", "x")).await;
    news(&last).await;
    for follower in &followers {
        assert!(timeout(Duration::ZERO, follower.next()).await.is_err(), "it wants nothing");
    }
}

async fn who_follows_is_told_when_the_log_no_longer_reaches_back_to_what_comes_next(bed: Bed) {
    let follower = following(&bed.queue, everything()).await;
    bed.submit(noop()).await;
    let seq = news(&follower).await.seq;
    Raw::open(&bed.url).await.execute(&format!("UPDATE log_start SET seq = {}", seq + 1000)).await;
    assert!(matches!(hear(&follower).await, Heard::Lost(Loss::Expired)));
    assert_eq!(follower.position(), seq + 1000);
}

async fn who_follows_after_nobody_did_hears_what_happens_from_then_on(bed: Bed) {
    for _ in 0..20 {
        bed.submit(noop()).await;
        let follower = bed.queue.follow().await.unwrap();
        let from = follower.want(everything());
        let id = bed.submit(noop()).await.id;
        let (first, mut told) = (news(&follower).await, from);
        // The reader that somebody else has just left may not have come to the first one yet.
        if first.task.id != id {
            assert!(first.seq > from);
            told = first.seq;
            assert_eq!(news(&follower).await.task.id, id);
        }
        assert!(follower.position() > told);
    }
}
