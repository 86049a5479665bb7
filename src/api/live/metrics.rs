//! The topic `metrics`: one producer a node, and that only while somebody listens.

use super::super::Api;
use super::measured;
use crate::machine::{Meter, Usage};
use crate::queue::present::Present;
use crate::task::Scope;
use axum::extract::ws::Utf8Bytes;
use futures_util::FutureExt;
use std::collections::HashMap;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Frames are made so far apart; further where the database takes longer than that.
const APART: Duration = Duration::from_secs(1);

/// Who listens at this node, and the newest frame of each scope: no other one waits for anybody.
#[derive(Debug, Default)]
pub struct Listeners {
    state: Mutex<State>,
    /// Somebody has left.
    left: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Whether there is a producer.
    is_measured: bool,
    newest: HashMap<Scope, watch::Sender<Option<Utf8Bytes>>>,
}

/// One that listens; until dropped.
#[derive(Debug)]
pub struct Listener {
    // In this order: it is gone before that is told.
    newest: watch::Receiver<Option<Utf8Bytes>>,
    _leaves: Leaves,
}

#[derive(Debug)]
struct Leaves(Arc<Listeners>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

/// The next frame that the listener, if there is one, has not had; a call that is dropped takes nothing.
pub async fn next(listener: &mut Option<Listener>) -> Utf8Bytes {
    let Some(Listener { newest, .. }) = listener else { return pending().await };
    while newest.changed().await.is_ok() {
        if let Some(frame) = newest.borrow_and_update().clone() {
            return frame;
        }
    }
    pending().await // the node shuts down
}

impl Api {
    /// Whether anything is measured for anybody.
    pub fn is_measured(&self) -> bool {
        self.listeners.lock().is_measured
    }

    /// Somebody who may see this: the first one has the measuring begin. What is known already comes at once.
    pub(super) fn listen(&self, scope: &Scope) -> Listener {
        let (listener, is_first) = self.listeners.clone().join(scope);
        if is_first {
            tokio::spawn(produce(self.clone()));
        }
        listener
    }
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more listener, and whether it needs a producer.
    fn join(self: Arc<Self>, scope: &Scope) -> (Listener, bool) {
        let mut state = self.lock();
        let mut newest = state.newest.entry(scope.clone()).or_insert_with(|| watch::Sender::new(None)).subscribe();
        newest.mark_changed();
        let is_first = !std::mem::replace(&mut state.is_measured, true);
        drop(state);
        (Listener { newest, _leaves: Leaves(self) }, is_first)
    }

    /// Of what somebody listens. Nobody listens to anything: then whoever comes next needs a new producer.
    fn listened(&self) -> Vec<Scope> {
        let mut state = self.lock();
        state.newest.retain(|_, newest| newest.receiver_count() > 0);
        state.is_measured = !state.newest.is_empty();
        state.newest.keys().cloned().collect()
    }

    fn tell(&self, scope: &Scope, frame: String) {
        if let Some(newest) = self.lock().newest.get(scope) {
            newest.send_replace(Some(frame.into()));
        }
    }

    /// Nobody is told anything any more.
    fn end(&self) {
        *self.lock() = State::default();
    }
}

/// Measures for as long as anybody listens. A mistake of ours costs the listeners a frame, not the topic.
async fn produce(api: Api) {
    while AssertUnwindSafe(measure(&api)).catch_unwind().await.is_err() {
        tracing::error!("what measures this node has panicked: it begins anew");
        sleep(APART).await;
    }
}

async fn measure(api: &Api) {
    let mut meter = Meter::new(api.node.data_dir.clone());
    let mut presents: HashMap<Scope, Present> = HashMap::new();
    let mut turns = interval(APART);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = api.draining.cancelled() => return api.listeners.end(),
            () = api.listeners.left.notified() => match api.listeners.listened().is_empty() {
                true => return,
                false => continue,
            },
            _ = turns.tick() => {}
        }
        let scopes = api.listeners.listened();
        if scopes.is_empty() {
            return;
        }
        presents.retain(|scope, _| scopes.contains(scope));
        let (usage, read) = read(meter).await;
        meter = read;
        // One after the other: however many owners listen, the database has one question of them at a time.
        for scope in scopes {
            let with_month = !api.node.cost_per_hour.is_empty();
            let present = || api.queue.present(scope.clone(), with_month);
            let present = presents.entry(scope.clone()).or_insert_with(present);
            let moment = present.look().await;
            if let Err(error) = &moment {
                error.tell("what those who watch are told could not be read; it is tried again in a moment");
            }
            api.listeners.tell(&scope, measured::frame(api, &usage, moment.as_ref().ok()));
        }
    }
}

/// Reads on a thread that may wait.
async fn read(mut meter: Meter) -> (Usage, Meter) {
    let read = tokio::task::spawn_blocking(move || (meter.read(), meter)).await;
    read.unwrap_or_else(|error| std::panic::panic_any(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(listener: &mut Option<Listener>) -> Option<String> {
        next(listener).now_or_never().map(|frame| frame.to_string())
    }

    #[test]
    fn of_many_frames_the_newest_waits_and_no_other() {
        let (listeners, scope) = (Arc::new(Listeners::default()), Scope::Owner("a".to_owned()));
        let mut slow = Some(listeners.clone().join(&scope).0);
        assert_eq!(told(&mut slow), None);
        (0..1000).for_each(|n| listeners.tell(&scope, n.to_string()));
        listeners.tell(&Scope::Everyone, "nobody's".to_owned());
        assert_eq!((told(&mut slow).as_deref(), told(&mut slow)), (Some("999"), None));
        let mut late = Some(listeners.clone().join(&scope).0);
        assert_eq!(told(&mut late).as_deref(), Some("999"), "what is known comes at once");
    }

    #[test]
    fn one_producer_is_needed_until_the_last_has_left() {
        let (listeners, scope) = (Arc::new(Listeners::default()), Scope::Everyone);
        let (first, is_first) = listeners.clone().join(&scope);
        let (second, another) = listeners.clone().join(&Scope::Owner("a".to_owned()));
        assert_eq!((is_first, another, listeners.listened().len()), (true, false, 2));
        drop(first);
        assert_eq!(listeners.listened(), [Scope::Owner("a".to_owned())]);
        drop(second);
        assert!(listeners.left.notified().now_or_never().is_some() && listeners.listened().is_empty());
        assert!(listeners.clone().join(&scope).1, "whoever comes next needs a new one");
    }
}
