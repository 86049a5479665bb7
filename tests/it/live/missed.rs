//! Replay: whoever comes back hears what it missed, once and in order, or that it cannot.

use super::{Live, same, transition};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use crate::support::web_socket::Came;
use errand::fault;
use errand::task::Scope;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

on_both_databases![
    Live: whoever_reconnects_at_random_hears_every_transition_once_in_order_and_knows_what_the_database_knows,
    what_runs_says_how_far_it_is_to_who_comes_back,
    a_number_that_is_too_old_or_was_never_given_out_is_a_resync_and_what_follows_is_told,
    a_burst_is_told_to_the_last_task,
    who_comes_back_while_the_database_is_away_misses_nothing,
    what_was_missed_is_read_by_two_at_a_time,
];

const TASKS: usize = 500;

async fn whoever_reconnects_at_random_hears_every_transition_once_in_order_and_knows_what_the_database_knows(
    live: Live,
) {
    live.service.work();
    let submitting = async {
        for n in 0..TASKS / 10 {
            let task = |m: usize| json!({ "type": if n == 7 { "panics" } else { "noop" }, "client_id": format!("c{}", m % 3) });
            let batch = json!({ "tasks": (0..10).map(task).collect::<Vec<_>>() });
            assert_eq!(live.service.post("/api/tasks/batch", batch).await.status, 201);
        }
    };
    let listening = async {
        let (mut heard, mut seq, mut ended) = (Vec::new(), 0, 0);
        let mut known: HashMap<String, Value> = HashMap::new();
        while ended < TASKS {
            let mut socket = match rand::random() {
                true => live.connected(&format!("/ws?scope=owner&after_seq={seq}")).await.0,
                false => {
                    let (mut socket, _) = live.connected("/ws?scope=owner").await;
                    socket.ask(json!({ "type": "subscribe", "after_seq": seq })).await;
                    // What came before that is told again.
                    socket.said_of("ack").await;
                    socket
                }
            };
            // It stays for a while, drawn by chance, and goes without a word.
            let mut left: usize = rand::random_range(1..30);
            while left > 0 && ended < TASKS {
                let frame = socket.said().await;
                assert_ne!(frame["type"], "resync");
                let Some(line) = transition(&frame) else { continue };
                left -= 1;
                seq = frame["seq"].as_i64().unwrap();
                ended += usize::from(frame["type"] == "taskFinished");
                known.insert(frame["task"]["id"].as_str().unwrap().to_owned(), frame["task"].clone());
                heard.push(line);
            }
        }
        (heard, known)
    };
    let ((), (heard, known)) = tokio::join!(submitting, listening);
    same(&heard, &live.logged(0).await);
    let list = live.service.get("/api/tasks/?limit=500").await.ok();
    let there: BTreeMap<&str, &Value> =
        list["tasks"].as_array().unwrap().iter().map(|task| (task["id"].as_str().unwrap(), task)).collect();
    let folded: BTreeMap<&str, &Value> = known.iter().map(|(id, task)| (id.as_str(), task)).collect();
    assert_eq!(folded, there);
}

async fn what_runs_says_how_far_it_is_to_who_comes_back(live: Live) {
    live.service.work();
    let params = json!({ "name": "x", "duration": 30_000, "steps": 1 });
    let id = live.service.submit(json!({ "type": "demo", "client_id": "me", "params": params })).await;
    live.service.until(&id, |task| task["started_at"].is_string()).await;
    // Past the API: a little, long ago, and nothing more to be said for long.
    let said = r#"{"percent":12.5,"step":"begun"}"#;
    Raw::open(&live.service.url).await.execute(&format!("UPDATE tasks SET progress = '{said}', updated_at = 0")).await;
    let (mut socket, _) = live.connected("/ws?client_id=me").await;
    socket.ask(json!({ "type": "subscribe", "client_id": "me", "after_seq": 0 })).await;
    let frame = loop {
        let frame = socket.said().await;
        if frame["event"] == "progress" {
            break frame;
        }
    };
    assert_eq!((&frame["task"]["progress"]["percent"], &frame["seq"]), (&json!(12.5), &json!(2)));
}

async fn a_number_that_is_too_old_or_was_never_given_out_is_a_resync_and_what_follows_is_told(live: Live) {
    for _ in 0..3 {
        live.submit("a").await;
    }
    Raw::open(&live.service.url).await.execute("UPDATE log_start SET seq = 2").await;
    for (after, reason) in [(0, "sequence_expired"), (1, "sequence_expired"), (1_000_000, "sequence_ahead")] {
        let (mut socket, _) = live.connected("/ws?scope=owner").await;
        socket.ask(json!({ "type": "subscribe", "after_seq": after })).await;
        let resync = socket.said_of("resync").await;
        assert_eq!(resync["reason"], reason, "{after}");
        let id = live.submit("a").await;
        assert_eq!(socket.said().await["task"]["id"], id.as_str());
    }
    let (mut socket, _) = live.connected("/ws?scope=owner").await;
    socket.ask(json!({ "type": "subscribe", "after_seq": 2 })).await;
    assert_eq!(socket.said().await["type"], "ack");
    assert_eq!(socket.said().await["seq"], 3);
    for after in [json!(-1), json!("2"), json!(1.5), json!([])] {
        socket.ask(json!({ "type": "subscribe", "id": 1, "after_seq": after })).await;
        let refused = socket.said_of("error").await;
        assert_eq!((&refused["code"], &refused["id"]), (&json!("invalid_request"), &json!(1)), "{after}");
    }
}

async fn a_burst_is_told_to_the_last_task(live: Live) {
    let (mut socket, _) = live.connected("/ws?scope=owner").await;
    let batch = json!({ "tasks": (0..5_000).map(|_| json!({ "type": "noop" })).collect::<Vec<_>>() });
    assert_eq!(live.service.post("/api/tasks/batch", batch).await.status, 201);
    let mut told = Vec::new();
    while told.len() < 5_000 {
        match socket.next().await {
            Came::Said(frame) => told.push(transition(&frame).unwrap_or_else(|| panic!("{frame}"))),
            Came::Ping(_) => {}
            end => panic!("{end:?}"),
        }
    }
    same(&told, &live.logged(0).await);
}

async fn who_comes_back_while_the_database_is_away_misses_nothing(live: Live) {
    for _ in 0..3 {
        live.submit("a").await;
    }
    fault::arm(&fault::parse("missed_begun=away@1-4").unwrap());
    let (mut socket, _) = live.connected("/ws?scope=owner&after_seq=0").await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let frame = socket.said().await;
        assert_ne!(frame["type"], "resync");
        heard.extend(transition(&frame));
    }
    same(&heard, &live.logged(0).await);
}

async fn what_was_missed_is_read_by_two_at_a_time(live: Live) {
    const HELD: Duration = Duration::from_millis(500);
    live.submit("a").await;
    fault::arm(&fault::parse(&format!("missed_begun=delay:{}@1-6", HELD.as_millis())).unwrap());
    let begun = Instant::now();
    let scope = Scope::Everyone;
    let read = (0..6).map(|_| live.service.queue.missed(&scope, 0, 10));
    let read = futures_util::future::join_all(read).await;
    assert!(read.iter().all(|page| page.as_ref().unwrap().entries.len() == 1));
    assert!(begun.elapsed() >= HELD * 3, "{:?}", begun.elapsed());
}
