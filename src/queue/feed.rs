//! The live feed: what happens on any node, in order, to whoever follows here.
//!
//! One reader a node walks the change log and hands each entry to those it concerns ([`reader`]). It
//! runs only while somebody follows. What waits for one follower is bounded ([`mailbox`]); one that
//! falls behind is told so.

mod mailbox;
mod reader;

use super::{Error, Queue};
use crate::clock::Clock;
use crate::events::Events;
use crate::store::{Entry, Store};
use crate::task::{Event, Filter, Scope, Task, Time};
use bytes::Bytes;
use mailbox::Mailbox;
use reader::Reader;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// Something that happened to a task.
#[derive(Debug)]
pub struct News {
    /// Its number in the change log. Of progress, which is not in there: the last number told before it.
    pub seq: i64,
    /// What happened; `None` is progress.
    pub event: Option<Event>,
    /// When.
    pub at: Time,
    /// The task right after, without params and result.
    pub task: Task,
    told: OnceLock<Bytes>,
}

impl News {
    /// A line of the change log.
    pub fn of(entry: Entry) -> News {
        let Entry { seq, at, event, task, .. } = entry;
        News { seq, event: Some(event), at, task, told: OnceLock::new() }
    }

    fn progress(seq: i64, task: Task) -> News {
        News { seq, event: None, at: task.updated_at, task, told: OnceLock::new() }
    }

    /// How it goes over the wire: put into words once, by whoever asks first.
    pub fn told(&self, tell: impl FnOnce(&News) -> Bytes) -> Bytes {
        self.told.get_or_init(|| tell(self)).clone()
    }
}

/// Which news a follower wants.
#[derive(Debug, Clone)]
pub struct Interest {
    /// Whose tasks it may see.
    pub scope: Scope,
    /// Only those of these clients; `None` is any.
    pub clients: Option<Vec<String>>,
    /// Only of tasks that this admits as they are right after.
    pub filter: Filter,
    /// Only what happens to an approval.
    pub approvals: bool,
}

impl Interest {
    /// Whether it is wanted that this happened to the task; `None` is progress.
    pub fn wants(&self, event: Option<Event>, task: &Task) -> bool {
        self.scope.sees(&task.owner)
            && (!self.approvals || event.is_some_and(|event| event.of_approval(task).is_some()))
            && self.clients.as_ref().is_none_or(|clients| clients.contains(&task.client_id))
            && self.filter.admits(task)
    }

    /// Where it is looked for; no news comes by two of them.
    fn routes(&self) -> Vec<Route> {
        let client = |id: &String| Route::Client(id.clone());
        match (&self.clients, &self.filter.client_id, &self.scope) {
            (Some(clients), ..) => clients.iter().map(client).collect(),
            (None, Some(id), _) => vec![client(id)],
            (None, None, Scope::Owner(owner)) => vec![Route::Owner(owner.clone())],
            (None, None, Scope::Everyone) => vec![Route::Any],
        }
    }
}

/// What a follower hears.
#[derive(Debug)]
pub enum Heard {
    /// Something it wants to know.
    News(Arc<News>),
    /// Something is missing here, and why: what it knows may be old.
    Lost(Loss),
}

/// Why something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It took too little for too long.
    Behind,
    /// The change log does not have it any more.
    Expired,
    /// This number was never given out here.
    Ahead,
}

/// One that follows; until dropped.
#[derive(Debug)]
pub struct Follower {
    hub: Arc<Hub>,
    id: u64,
    mailbox: Arc<Mailbox>,
}

impl Follower {
    /// Wants these news from now on, instead of what it wanted before; what waited is forgotten. Answers
    /// the last number told to anybody: news behind it come.
    pub fn want(&self, interest: Interest) -> i64 {
        self.wanting(interest, false)
    }

    /// The same, and of what runs by then its progress once, although that is no news: for who has
    /// read the change log, where progress is not.
    pub fn want_with_progress(&self, interest: Interest) -> i64 {
        self.wanting(interest, true)
    }

    fn wanting(&self, interest: Interest, with_progress: bool) -> i64 {
        let mut state = self.hub.lock();
        state.forget(self.id);
        self.mailbox.empty();
        let interest = Arc::new(interest);
        for route in interest.routes() {
            let places = state.routes.entry(route).or_default();
            places.insert(self.id, (interest.clone(), self.mailbox.clone()));
        }
        state.interests.insert(self.id, interest);
        if with_progress {
            state.unaware.insert(self.id);
            self.hub.called.notify_one();
        }
        state.position
    }

    /// Hears the progress of what runs once more, from where the log has been read to by the next look.
    pub fn ask_progress(&self) {
        self.hub.lock().unaware.insert(self.id);
        self.hub.called.notify_one();
    }

    /// Wants no news until it says which.
    pub fn want_nothing(&self) {
        self.hub.lock().forget(self.id);
        self.mailbox.empty();
    }

    /// The last number told to anybody.
    pub fn position(&self) -> i64 {
        self.hub.lock().position
    }

    /// The next it hears; a call that is dropped takes nothing.
    pub async fn next(&self) -> Heard {
        self.mailbox.take().await
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.forget(self.id);
        state.mailboxes.remove(&self.id);
        if state.mailboxes.is_empty() {
            self.hub.called.notify_one();
        }
    }
}

/// So many who missed something read the change log at once, the others in their turn: when a thousand come back
/// together, there are connections left for everybody else.
const CATCHING_UP: usize = 2;

/// The feed of one node. Cheap to clone.
#[derive(Clone)]
pub(super) struct Feed {
    store: Arc<dyn Store>,
    clock: Clock,
    events: Events,
    hub: Arc<Hub>,
    starting: Arc<tokio::sync::Mutex<()>>,
    catching_up: Arc<Semaphore>,
}

impl Feed {
    pub(super) fn new(store: Arc<dyn Store>, clock: Clock, events: Events) -> Feed {
        let catching_up = Arc::new(Semaphore::new(CATCHING_UP));
        Feed { store, clock, events, hub: Arc::default(), starting: Arc::default(), catching_up }
    }

    /// A turn to read what was missed, until dropped.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.catching_up.acquire().await.ok()
    }

    /// The last number told to anybody, if anybody follows.
    pub(super) fn position(&self) -> i64 {
        self.hub.position()
    }

    async fn follow(&self) -> Result<Follower, Error> {
        if let Some(follower) = self.hub.clone().join() {
            return Ok(follower);
        }
        let _starting = self.starting.lock().await;
        if let Some(follower) = self.hub.clone().join() {
            return Ok(follower);
        }
        let (reader, end) = Reader::at_the_end(self).await?;
        self.hub.begin(end);
        let follower = self.hub.clone().join();
        tokio::spawn(reader.run());
        Ok(follower.expect("it has just begun"))
    }
}

impl Queue {
    /// Somebody who follows what happens from now on. It hears nothing until it says what it wants.
    pub async fn follow(&self) -> Result<Follower, Error> {
        self.inner.feed.follow().await
    }

    /// Whether the change log is read for anybody.
    pub fn is_followed(&self) -> bool {
        self.inner.feed.hub.lock().is_read
    }
}

/// Where news are looked for: by the client that sent the task, by its owner, or all.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Route {
    Client(String),
    Owner(String),
    Any,
}

/// Those who look for news by one route.
type Places = HashMap<u64, (Arc<Interest>, Arc<Mailbox>)>;

/// Who follows, and how far they have been told.
#[derive(Debug, Default)]
struct Hub {
    state: Mutex<State>,
    /// The last one has left, or somebody wants to know how far what runs is.
    called: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Whether there is a reader.
    is_read: bool,
    position: i64,
    next_id: u64,
    mailboxes: HashMap<u64, Arc<Mailbox>>,
    interests: HashMap<u64, Arc<Interest>>,
    routes: HashMap<Route, Places>,
    /// Those who have yet to hear how far what runs is.
    unaware: HashSet<u64>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more follower; `None` while nobody reads.
    fn join(self: Arc<Hub>) -> Option<Follower> {
        let mut state = self.lock();
        if !state.is_read {
            return None;
        }
        let (id, mailbox) = (state.next_id, Arc::<Mailbox>::default());
        state.next_id += 1;
        state.mailboxes.insert(id, mailbox.clone());
        drop(state);
        Some(Follower { hub: self, id, mailbox })
    }

    fn begin(&self, position: i64) {
        let mut state = self.lock();
        (state.is_read, state.position) = (true, position);
    }

    /// Whether anybody follows; if not, whoever comes next needs a new reader.
    fn is_followed(&self) -> bool {
        let mut state = self.lock();
        state.is_read = !state.mailboxes.is_empty();
        state.is_read
    }

    fn position(&self) -> i64 {
        self.lock().position
    }

    /// Hands these out, each to those who want it.
    fn publish(&self, news: Vec<News>) {
        let mut state = self.lock();
        for news in news {
            state.position = state.position.max(news.seq);
            let task = &news.task;
            let routes = [Route::Client(task.client_id.clone()), Route::Owner(task.owner.clone()), Route::Any];
            let places = routes.iter().filter_map(|route| state.routes.get(route)).flat_map(HashMap::values);
            let wanted: Vec<&Arc<Mailbox>> =
                places.filter(|(interest, _)| interest.wants(news.event, task)).map(|(_, mailbox)| mailbox).collect();
            if !wanted.is_empty() {
                let news = Arc::new(news);
                wanted.into_iter().for_each(|mailbox| mailbox.put(news.clone()));
            }
        }
    }

    fn take_unaware(&self) -> HashSet<u64> {
        std::mem::take(&mut self.lock().unaware)
    }

    fn has_unaware(&self) -> bool {
        !self.lock().unaware.is_empty()
    }

    /// Hands these out to nobody but them.
    fn publish_to(&self, ids: &HashSet<u64>, news: Vec<News>) {
        let state = self.lock();
        let places: Vec<_> = ids.iter().filter_map(|id| state.interests.get(id).zip(state.mailboxes.get(id))).collect();
        for news in news.into_iter().map(Arc::new) {
            let wanted = places.iter().filter(|(interest, _)| interest.wants(news.event, &news.task));
            wanted.for_each(|(_, mailbox)| mailbox.put(news.clone()));
        }
    }

    /// Tells everybody that something is missing up to here.
    fn lose(&self, position: i64, loss: Loss) {
        let mut state = self.lock();
        state.position = position;
        state.interests.keys().filter_map(|id| state.mailboxes.get(id)).for_each(|mailbox| mailbox.lose(loss));
    }
}

impl State {
    fn forget(&mut self, id: u64) {
        let Some(interest) = self.interests.remove(&id) else { return };
        self.unaware.remove(&id);
        for route in interest.routes() {
            let Some(places) = self.routes.get_mut(&route) else { continue };
            places.remove(&id);
            if places.is_empty() {
                self.routes.remove(&route);
            }
        }
    }
}
