//! Any fault, at random, under load: nothing that was acknowledged is lost, nothing ends twice, nothing
//! stays `RUNNING` without a worker.

use super::caller::{Answer, Callers, call};
use super::{LEASE, NODE, TAKEN_BACK, alone, seed};
use crate::battery::campaign::is_long;
use crate::support::node::{Home, Node};
use crate::support::postgres::{Server, free_port};
use crate::support::proxy::{Proxy, To, Way};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Clients at once.
const CALLERS: u64 = 20;
/// The longest task of theirs, and what a busy machine adds.
const LONGEST_RUN: Duration = Duration::from_millis(6500);
/// How often it is looked for tasks that do not end.
const LOOK: Duration = Duration::from_secs(1);
/// After the last fault everything is finished; meanwhile, something is within this. How long it takes
/// depends on how much was submitted while the nodes were down.
const CALM: Duration = Duration::from_secs(90);
/// A node listens within this, if its database is there.
const TO_LISTEN: Duration = Duration::from_secs(10);
/// So often at most, as chance may leave something out that has to happen.
const ROUNDS: u64 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fault {
    Kill,
    Pause,
    Drain,
    CrashDatabase,
    FreezeDatabase,
    EndSessions,
    Partition,
    Hang,
    HalfOpen,
    Cut,
    LoseReply,
}

const ON_POSTGRES: &[Fault] = &[
    Fault::Kill,
    Fault::Pause,
    Fault::Drain,
    Fault::CrashDatabase,
    Fault::FreezeDatabase,
    Fault::EndSessions,
    Fault::Partition,
    Fault::Hang,
    Fault::HalfOpen,
    Fault::Cut,
    Fault::LoseReply,
    Fault::LoseReply,
    Fault::Kill,
];
const ON_SQLITE: &[Fault] = &[Fault::Kill, Fault::Pause, Fault::Drain, Fault::Kill];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_loses_or_doubles_a_task_of_three_nodes_on_postgres() {
    let _alone = alone().await;
    let server = Server::start(&["max_connections=80"]).await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let proxy = Proxy::before(server.port).await;
        nodes.push(Slot::new(Home::at(server.url(proxy.port)), Some(proxy)));
    }
    let time = Duration::from_secs(if is_long() { 3600 } else { 90 });
    let cluster = Arc::new(Cluster { nodes, server: Some(server) });
    let happened =
        ["rescued", "released", "retrying", "retried", "cancelled", "unknown, there", "replayed", "replies lost"];
    run(cluster, ON_POSTGRES, time, 20, &happened).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_loses_or_doubles_a_task_of_a_node_on_sqlite() {
    let _alone = alone().await;
    let time = Duration::from_secs(if is_long() { 3600 } else { 40 });
    let cluster = Arc::new(Cluster { nodes: vec![Slot::new(Home::sqlite(), None)], server: None });
    let happened = ["rescued", "released", "retrying", "retried", "cancelled"];
    run(cluster, ON_SQLITE, time, 6, &happened).await;
}

/// One node, which may be down, behind its own proxy.
struct Slot {
    home: Home,
    proxy: Option<Proxy>,
    port: u16,
    node: Mutex<Option<Node>>,
}

struct Cluster {
    nodes: Vec<Slot>,
    server: Option<Server>,
}

async fn run(cluster: Arc<Cluster>, deck: &[Fault], time: Duration, at_least: u64, happened: &[&str]) {
    let seed = seed();
    let mut draw = StdRng::seed_from_u64(seed);
    for slot in &cluster.nodes {
        slot.start().await;
    }
    let callers = Arc::new(Callers::new(cluster.nodes.iter().map(Slot::url).collect()));
    let mut faults = 0;
    for round in 0.. {
        faults += strike_at_random(&cluster, &callers, deck, time, &mut draw, round * CALLERS).await;
        let url = &callers.urls[0];
        until_all_ended(&callers, url).await;

        let changes = callers.changes(url).await;
        let mut verdict = callers.history.check(&changes);
        verdict.add("replayed", callers.replayed.load(Relaxed));
        verdict.add("replies lost", cluster.nodes.iter().filter_map(|slot| Some(slot.proxy.as_ref()?.lost())).sum());
        verdict.add("faults", faults);
        eprintln!("seed {seed}: {faults} faults, {} acknowledged, {} changes", callers.acknowledged(), changes.len());
        if round + 1 == ROUNDS || verdict.never(happened).is_empty() && faults >= at_least {
            verdict.is_clean(happened);
            break;
        }
    }
    assert!(faults >= at_least, "only {faults} faults");
}

/// Faults out of this deck for `time`, while clients submit and change; how many. The clients have this
/// number and the next ones.
async fn strike_at_random(
    cluster: &Arc<Cluster>,
    callers: &Arc<Callers>,
    deck: &[Fault],
    time: Duration,
    draw: &mut StdRng,
    first: u64,
) -> u64 {
    let stop = CancellationToken::new();
    let (mut clients, seed) = (JoinSet::new(), draw.random());
    for number in first..first + CALLERS {
        clients.spawn(call(callers.clone(), seed, number, stop.clone()));
    }
    let watch = tokio::spawn(watch_running(callers.clone(), stop.clone()));

    let (begun, mut faults, mut paused) = (Instant::now(), 0, JoinSet::new());
    let mut hand: Vec<Fault> = Vec::new();
    while begun.elapsed() < time {
        if hand.is_empty() {
            hand = deck.to_vec();
            hand.shuffle(draw);
        }
        let fault = hand.pop().unwrap();
        let victim = cluster.free(draw);
        eprintln!("{:>6.1} s {fault:?} {victim}", begun.elapsed().as_secs_f32());
        match fault {
            // Goes on beside the next faults.
            Fault::Pause if paused.is_empty() || cluster.nodes.len() == 1 => {
                let cluster = cluster.clone();
                let pause = async move { cluster.nodes[victim].pause(2 * LEASE).await };
                match callers.urls.len() {
                    1 => pause.await,
                    _ => drop(paused.spawn(pause)),
                }
            }
            Fault::Pause => continue,
            fault => cluster.strike(fault, victim, draw).await,
        }
        faults += 1;
        while paused.try_join_next().is_some() {}
        sleep(Duration::from_millis(draw.random_range(500..2500))).await;
    }
    while paused.join_next().await.is_some() {}
    stop.cancel();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    watch.await.unwrap();
    eprintln!("{:>6.1} s calm", begun.elapsed().as_secs_f32());
    faults
}

impl Slot {
    fn new(home: Home, proxy: Option<Proxy>) -> Slot {
        Slot { home, proxy, port: free_port(), node: Mutex::new(None) }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn start(&self) {
        *self.node.lock().await = Some(Node::start_on(self.port, self.home.command_on(self.port, NODE)));
    }

    /// Stopped where it is, then on again as if nothing had been.
    async fn pause(&self, time: Duration) {
        let node = self.node.lock().await;
        let Some(node) = &*node else { return };
        node.signal("STOP");
        sleep(time).await;
        node.signal("CONT");
    }

    async fn kill(&self, down: Duration) {
        let mut node = self.node.lock().await;
        if let Some(running) = &mut *node {
            assert!(running.runs(), "it had ended by itself: {}", running.log());
            running.signal("KILL");
        }
        sleep(down).await;
        *node = Some(Node::start_on(self.port, self.home.command_on(self.port, NODE)));
    }

    async fn drain(&self) {
        let mut node = self.node.lock().await;
        let Some(running) = &mut *node else { return };
        // A process that only just began does not know the signal yet, and ends by it as any other does.
        let listens = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = timeout(TO_LISTEN, listens).await;
        running.signal("TERM");
        let code = running.ended(Duration::from_secs(5)).await.code();
        assert_eq!(code, Some(0), "{}", running.log());
        *node = Some(Node::start_on(self.port, self.home.command_on(self.port, NODE)));
    }
}

impl Cluster {
    /// A node at random that is not paused now.
    fn free(&self, draw: &mut StdRng) -> usize {
        let free: Vec<usize> = (0..self.nodes.len()).filter(|n| self.nodes[*n].node.try_lock().is_ok()).collect();
        free[draw.random_range(0..free.len())]
    }

    async fn strike(&self, fault: Fault, victim: usize, draw: &mut StdRng) {
        let slot = &self.nodes[victim];
        let moment = Duration::from_millis(draw.random_range(100..2000));
        match fault {
            Fault::Kill => slot.kill(moment / 2).await,
            Fault::Drain => slot.drain().await,
            Fault::Pause => unreachable!("it goes on beside the others"),
            Fault::CrashDatabase => {
                self.server().stop().await;
                sleep(moment).await;
                self.server().start_again().await;
            }
            Fault::FreezeDatabase => {
                self.server().freeze();
                sleep(moment * 2).await;
                self.server().thaw();
            }
            Fault::EndSessions => {
                self.server().terminate_sessions().await;
            }
            Fault::Partition => {
                // Sometimes only the answers are lost.
                slot.proxy().way(To::Client, Way::Hold);
                if draw.random_bool(0.5) {
                    slot.proxy().way(To::Server, Way::Hold);
                }
                sleep(LEASE + moment * 2).await;
                slot.proxy().ways(Way::Pass);
            }
            Fault::Hang => {
                self.nodes.iter().for_each(|slot| slot.proxy().ways(Way::Hold));
                sleep(moment * 2).await;
                self.nodes.iter().for_each(|slot| slot.proxy().ways(Way::Pass));
            }
            Fault::HalfOpen => slot.proxy().half_open(None),
            Fault::Cut => {
                slot.proxy().refuse(true);
                slot.proxy().cut();
                sleep(moment / 2).await;
                slot.proxy().refuse(false);
            }
            Fault::LoseReply => {
                let role = ["submits", "changes", "work"][draw.random_range(0..3)];
                slot.proxy().lose_reply(role, true, draw.random_range(0..4));
            }
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("this fault is for Postgres")
    }
}

impl Slot {
    fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("this fault is for Postgres")
    }
}

/// No task is `RUNNING` for longer than it may run, its lease, and the time to take it back. Only the
/// time in which a node answered counts.
async fn watch_running(callers: Arc<Callers>, stop: CancellationToken) {
    let longest = LONGEST_RUN + LEASE + TAKEN_BACK;
    let (mut looked, mut running): (Instant, HashMap<String, Duration>) = (Instant::now(), HashMap::new());
    while !stop.is_cancelled() {
        sleep(LOOK).await;
        let Some(page) = any_answer(&callers, "/api/tasks?status=RUNNING&limit=500").await else { continue };
        let counts = looked.elapsed().min(LOOK + LOOK / 2);
        looked = Instant::now();
        let ran = |task: &Value| {
            let key = format!("{} {}", task["id"], task["attempt"]);
            let ran = running.get(&key).copied().unwrap_or_default() + counts;
            assert!(ran < longest, "stuck for {ran:?}: {task}");
            (key, ran)
        };
        running = page["tasks"].as_array().unwrap().iter().map(ran).collect();
    }
}

/// What some node answers within a moment.
async fn any_answer(callers: &Callers, path: &str) -> Option<Value> {
    for url in &callers.urls {
        let answer = callers.send(url, "GET", path, None, None);
        if let Ok(Answer::Ok(200, answer)) = tokio::time::timeout(LOOK / 2, answer).await {
            return Some(answer);
        }
    }
    None
}

async fn until_all_ended(callers: &Callers, url: &str) {
    let (mut until, mut open) = (Instant::now() + CALM, u64::MAX);
    loop {
        let answer = callers.send(url, "GET", "/api/stats", None, None).await;
        if let Answer::Ok(200, stats) = &answer {
            let now = ["PENDING", "RUNNING"].map(|status| stats["by_status"][status].as_u64().unwrap()).iter().sum();
            if now == 0 {
                return;
            }
            if now < open {
                (until, open) = (Instant::now() + CALM, now);
            }
        }
        assert!(Instant::now() < until, "nothing has ended for {CALM:?}: {answer}");
        sleep(Duration::from_millis(200)).await;
    }
}
