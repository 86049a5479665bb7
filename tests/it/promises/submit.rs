//! What a submit promises.

use super::{count, list};
use crate::support::bed::{BEGIN, Bed, noop, raw};
use crate::support::on_both_databases;
use errand::queue::Error;
use errand::store::Once;
use errand::task::{Backoff, Draft, Filter, Sort, Status};
use std::collections::HashSet;
use uuid::Uuid;

on_both_databases![
    a_submitted_task_is_pending_and_whole,
    a_batch_is_all_or_nothing_and_keeps_its_order,
    a_submit_that_cannot_be_written_fails_alone,
    the_same_key_submits_once_and_answers_alike,
    a_key_with_another_body_is_refused,
    a_hundred_equal_keys_at_once_make_one_task,
];

async fn a_submitted_task_is_pending_and_whole(bed: Bed) {
    let mut draft = Draft::new("noop", raw(r#"{"big": 123456789012345678901234567890}"#), "default", "me");
    (draft.name, draft.tags, draft.priority) = (Some("näme".into()), vec!["a".into(), "b\"c".into()], 7);
    draft.backoff = Backoff { factor: 3.0, ..Backoff::default() };
    draft.timeout_seconds = Some(5);
    let id = bed.submit(draft).await.id;
    let task = bed.get(id).await;
    assert_eq!((task.status, task.version, task.attempt), (Status::Pending, 1, 0));
    assert_eq!(task.params.unwrap().get(), r#"{"big": 123456789012345678901234567890}"#);
    assert_eq!((task.name.as_deref(), task.tags.len(), task.priority), (Some("näme"), 2, 7));
    assert_eq!((task.backoff.factor, task.timeout_seconds, task.created_at), (3.0, Some(5), BEGIN));
    assert_eq!(bed.events(id).await, ["queued"]);
}

async fn a_batch_is_all_or_nothing_and_keeps_its_order(bed: Bed) {
    let prepared = bed.queue.prepare((0..100).map(|_| noop()).collect()).await.unwrap();
    let mut ids: Vec<Uuid> = prepared.tasks.iter().map(|task| task.id).collect();
    bed.queue.submit(prepared.clone(), None).await.unwrap();
    let listed: Vec<Uuid> =
        list(&bed, Filter::default(), Sort::CreatedAsc, 500).await.iter().map(|task| task.id).collect();
    assert_eq!(listed, ids);
    // The second batch repeats one id: none of it is kept.
    let mut second = bed.queue.prepare(vec![noop(), noop()]).await.unwrap();
    second.tasks[1].id = ids.remove(0);
    assert!(bed.queue.submit(second, None).await.is_err());
    assert_eq!(list(&bed, Filter::default(), Sort::CreatedAsc, 500).await.len(), 100);
    assert_eq!(count(&bed, Status::Pending).await, 100);
}

async fn a_submit_that_cannot_be_written_fails_alone(bed: Bed) {
    let taken = bed.submit(noop()).await.id;
    let mut submits = Vec::new();
    for n in 0..40 {
        let mut prepared = bed.queue.prepare(vec![noop()]).await.unwrap();
        if n == 20 {
            prepared.tasks[0].id = taken;
        }
        submits.push(bed.queue.submit(prepared, None));
    }
    let answers = futures_util::future::join_all(submits).await;
    let failed: Vec<usize> = (0..40).filter(|n| answers[*n].is_err()).collect();
    assert_eq!(failed, [20]);
    assert_eq!(list(&bed, Filter::default(), Sort::CreatedAsc, 500).await.len(), 40);
    assert_eq!(count(&bed, Status::Pending).await, 40);
}

fn once(fingerprint: &str) -> Option<Once> {
    let (owner, route, key) = ("default".into(), "submit".into(), "k".into());
    Some(Once { owner, route, key, fingerprint: fingerprint.into(), answer: Uuid::new_v4().to_string() })
}

async fn the_same_key_submits_once_and_answers_alike(bed: Bed) {
    let first = once("same");
    let answer = first.as_ref().unwrap().answer.clone();
    assert_eq!(bed.submit_many(vec![noop()], first).await.unwrap(), None);
    assert_eq!(bed.submit_many(vec![noop()], once("same")).await.unwrap(), Some(answer));
    assert_eq!(count(&bed, Status::Pending).await, 1);
}

async fn a_key_with_another_body_is_refused(bed: Bed) {
    bed.submit_many(vec![noop()], once("one")).await.unwrap();
    assert!(matches!(bed.submit_many(vec![noop()], once("other")).await, Err(Error::KeyReused)));
    assert_eq!(count(&bed, Status::Pending).await, 1);
}

async fn a_hundred_equal_keys_at_once_make_one_task(bed: Bed) {
    let bed = &bed;
    let submits = (0..100).map(|_| async move { bed.submit_many(vec![noop()], once("same")).await.unwrap() });
    let answers = futures_util::future::join_all(submits).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), 1);
    assert_eq!(answers.iter().flatten().collect::<HashSet<_>>().len(), 1);
    assert_eq!(count(bed, Status::Pending).await, 1);
}
