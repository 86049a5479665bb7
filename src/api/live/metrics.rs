//! The topic `metrics`: one producer a node, and that only while somebody listens.

use super::super::Api;
use super::super::caller::Caller;
use super::measured;
use crate::machine::{Meter, Usage};
use crate::queue::present::{Extras, Present};
use crate::task::{Role, Scope};
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

/// Who listens at this node, and the newest frame of each view: no other one waits for anybody.
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
    newest: HashMap<View, watch::Sender<Option<Utf8Bytes>>>,
}

/// What a listener may see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct View {
    scope: Scope,
    /// Also who submits, which tells of everybody: an admin's business, and everybody's while no key is needed.
    with_submitters: bool,
}

impl View {
    fn of(caller: &Caller) -> View {
        View { scope: caller.scope.clone(), with_submitters: caller.role == Role::Admin }
    }
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

    /// One more listener: the first one has the measuring begin. What is known already comes at once.
    pub(super) fn listen(&self, caller: &Caller) -> Listener {
        let (listener, is_first) = self.listeners.clone().join(&View::of(caller));
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
    fn join(self: Arc<Self>, view: &View) -> (Listener, bool) {
        let mut state = self.lock();
        let mut newest = state.newest.entry(view.clone()).or_insert_with(|| watch::Sender::new(None)).subscribe();
        newest.mark_changed();
        let is_first = !std::mem::replace(&mut state.is_measured, true);
        drop(state);
        (Listener { newest, _leaves: Leaves(self) }, is_first)
    }

    /// Of what somebody listens. Nobody listens to anything: then whoever comes next needs a new producer.
    fn listened(&self) -> Vec<View> {
        let mut state = self.lock();
        state.newest.retain(|_, newest| newest.receiver_count() > 0);
        state.is_measured = !state.newest.is_empty();
        state.newest.keys().cloned().collect()
    }

    fn tell(&self, view: &View, frame: String) {
        if let Some(newest) = self.lock().newest.get(view) {
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
    let mut presents: HashMap<View, Present> = HashMap::new();
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
        let views = api.listeners.listened();
        if views.is_empty() {
            return;
        }
        presents.retain(|view, _| views.contains(view));
        let (usage, read) = read(meter).await;
        meter = read;
        // One after the other: however many owners listen, the database has one question of them at a time.
        for view in views {
            let extras = Extras { month: !api.node.cost_per_hour.is_empty(), submitters: view.with_submitters };
            let present = || api.queue.present(view.scope.clone(), extras);
            let present = presents.entry(view.clone()).or_insert_with(present);
            let moment = present.look().await;
            if let Err(error) = &moment {
                error.tell("what those who watch are told could not be read; it is tried again in a moment");
            }
            api.listeners.tell(&view, measured::frame(api, &usage, moment.as_ref().ok()));
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

    fn of_owner(owner: &str) -> View {
        View { scope: Scope::Owner(owner.to_owned()), with_submitters: false }
    }

    #[test]
    fn of_many_frames_the_newest_waits_and_no_other() {
        let (listeners, view) = (Arc::new(Listeners::default()), of_owner("a"));
        let mut slow = Some(listeners.clone().join(&view).0);
        assert_eq!(told(&mut slow), None);
        (0..1000).for_each(|n| listeners.tell(&view, n.to_string()));
        listeners.tell(&View { with_submitters: true, ..view.clone() }, "an admin's".to_owned());
        listeners.tell(&of_owner("b"), "nobody's".to_owned());
        assert_eq!((told(&mut slow).as_deref(), told(&mut slow)), (Some("999"), None));
        let mut late = Some(listeners.clone().join(&view).0);
        assert_eq!(told(&mut late).as_deref(), Some("999"), "what is known comes at once");
    }

    #[test]
    fn one_producer_is_needed_until_the_last_has_left() {
        let (listeners, view) = (Arc::new(Listeners::default()), of_owner("b"));
        let (first, is_first) = listeners.clone().join(&view);
        let (second, another) = listeners.clone().join(&of_owner("a"));
        assert_eq!((is_first, another, listeners.listened().len()), (true, false, 2));
        drop(first);
        assert_eq!(listeners.listened(), [of_owner("a")]);
        drop(second);
        assert!(listeners.left.notified().now_or_never().is_some() && listeners.listened().is_empty());
        assert!(listeners.clone().join(&view).1, "whoever comes next needs a new one");
    }
}
