//! What a caller has already is answered from memory, and is never what was before.

use crate::promises::{beat, success};
use crate::support::bed::open;
use crate::support::http::Service;
use errand::clock::Clock;
use errand::queue::{Queue, Reported};
use errand::store::{Beat, Database};
use errand::task::{Progress, Task};
use errand::types::Types;
use serde_json::json;

const BY_CREATION: &str = "/api/tasks/?limit=5";
const BY_FINISH: &str = "/api/tasks/?sort=-finished_at&limit=5";

/// Another node on the same Postgres; on SQLite, the same node: there is no other.
async fn other_node(service: &Service, clock: &Clock) -> Queue {
    match service.queue.store().database() {
        Database::Sqlite => service.queue.clone(),
        Database::Postgres => {
            let files = service.queue.file_store().clone();
            Queue::open(open(&service.url).await, clock.clone(), Types::builtin(), files)
        }
    }
}

async fn status(service: &Service, path: &str, tag: &str) -> u16 {
    service.call("GET", path, &[("if-none-match", tag)], "").await.status
}

#[tokio::test]
async fn what_a_caller_has_is_304_until_any_node_writes_what_it_shows() {
    for service in Service::both_by_hand().await {
        let clock = service.queue.clock().clone();
        let other = other_node(&service, &clock).await;
        let id = service.submit(json!({"type": "noop", "params": {}})).await;
        let task = format!("/api/tasks/{id}");
        let paths = [BY_CREATION, BY_FINISH, task.as_str()];
        let mut tags = Vec::new();
        for path in paths {
            let tag = service.get(path).await.header("etag").to_owned();
            // The first is compared with what is read, the second with what is remembered.
            assert_eq!([status(&service, path, &tag).await, status(&service, path, &tag).await], [304; 2], "{path}");
            assert_eq!(status(&service, path, "\"another\"").await, 200, "{path}");
            tags.push(tag);
        }
        let mut changed = async |what: &str| {
            for (path, tag) in paths.iter().zip(&mut tags) {
                let answer = service.call("GET", path, &[("if-none-match", tag.as_str())], "").await;
                assert_eq!(answer.status, 200, "{what}: {path}");
                *tag = answer.header("etag").to_owned();
                assert_eq!(status(&service, path, tag).await, 304, "{what}: {path}");
            }
        };
        let claimed = other.claim("w", 1, &[], 30_000, false).await.unwrap().remove(0);
        changed("claimed by another node").await;
        let progress = Some(Progress { percent: 50.0, ..Progress::default() });
        other.beat(&[Beat { progress, ..beat(&claimed) }], 30_000).await.unwrap();
        changed("progress, which is not in the change log").await;
    }
}

#[tokio::test]
async fn a_list_is_the_same_from_memory_as_it_was_read_until_any_node_writes() {
    for service in Service::both_by_hand().await {
        let other = other_node(&service, service.queue.clock()).await;
        for name in ["first", "second", "third"] {
            service.submit(json!({"type": "noop", "params": {}, "name": name})).await;
        }
        const PATH: &str = "/api/tasks/?limit=2";
        for what in ["submitted", "claimed by another node", "reported by it"] {
            let read = service.get(PATH).await;
            let remembered = service.get(PATH).await;
            assert_eq!((read.status, &read.body), (200, &remembered.body), "{what}");
            for header in ["etag", "link", "content-type"] {
                assert_eq!(read.header(header), remembered.header(header), "{what}: {header}");
            }
            assert_eq!(read.json["tasks"].as_array().unwrap().len(), 2);
            // What is not written through this node is seen all the same.
            for task in other.claim("w", 3, &[], 30_000, false).await.unwrap() {
                assert_ne!(service.get(PATH).await.body, read.body, "{what}");
                report(&other, &task).await;
            }
            let tag = read.header("etag");
            assert_eq!(status(&service, PATH, tag).await, if what == "submitted" { 200 } else { 304 }, "{what}");
        }
    }
}

#[tokio::test]
async fn a_task_whose_time_has_come_reads_differently_although_nothing_was_written() {
    for service in Service::both_by_hand().await {
        let clock = service.queue.clock().clone();
        let due = clock.now().plus(60_000).to_string();
        let id = service.submit(json!({"type": "noop", "params": {}, "run_at": due})).await;
        for path in [BY_CREATION, &format!("/api/tasks/{id}")] {
            let tag = service.get(path).await.header("etag").to_owned();
            assert_eq!([status(&service, path, &tag).await, status(&service, path, &tag).await], [304; 2], "{path}");
        }
        let tags = [service.get(BY_CREATION).await, service.get(&format!("/api/tasks/{id}")).await];
        clock.advance(61_000);
        assert_eq!(status(&service, BY_CREATION, tags[0].header("etag")).await, 200);
        assert_eq!(status(&service, &format!("/api/tasks/{id}"), tags[1].header("etag")).await, 200);
        // And once more where the clock is set back.
        let due = service.get(BY_CREATION).await.header("etag").to_owned();
        assert_eq!([status(&service, BY_CREATION, &due).await, status(&service, BY_CREATION, &due).await], [304; 2]);
        clock.advance(-61_000);
        assert_eq!(status(&service, BY_CREATION, &due).await, 200);
    }
}

#[tokio::test]
async fn a_task_that_ended_by_a_clock_that_is_ahead_takes_its_place_in_time() {
    for service in Service::both_by_hand().await {
        let clock = service.queue.clock().clone();
        let first = service.submit(json!({"type": "noop", "params": {}})).await;
        let second = service.submit(json!({"type": "noop", "params": {}})).await;
        // The second ends a second from now, as another node may have it.
        let claimed = service.queue.claim("w", 2, &[], 30_000, false).await.unwrap();
        for (id, ahead) in [(&first, 0), (&second, 1_000)] {
            clock.advance(ahead);
            let task = claimed.iter().find(|task| task.id.to_string() == *id).unwrap();
            report(&service.queue, task).await;
            clock.advance(-ahead);
        }
        let tag = service.get(BY_FINISH).await.header("etag").to_owned();
        assert_eq!([status(&service, BY_FINISH, &tag).await, status(&service, BY_FINISH, &tag).await], [304; 2]);
        clock.advance(2_000);
        assert_eq!(status(&service, BY_FINISH, &tag).await, 200);
    }
}

async fn report(queue: &Queue, task: &Task) {
    let reported = queue.report(task, task.lease.unwrap(), &success()).await.unwrap();
    assert!(matches!(reported, Reported::Written(_)));
}
