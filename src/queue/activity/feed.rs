//! Who did what, told as it is written down, to whoever follows here.
//!
//! One reader a node asks the database once a second what was written behind the last number it knows, and only while
//! somebody follows. Numbers rise in commit order: whichever node wrote an entry, and however late, it lies ahead of the
//! reader. The last entries are kept once for all; a follower is no more than a place among them. One that is further
//! back reads the database, as fast as it takes what it is told, so nothing waits for anybody.

use crate::queue::Error;
use crate::store::{Numbered, Result, Store};
use crate::task::{Activity, Scope};
use bytes::Bytes;
use futures_util::FutureExt;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use uuid::Uuid;

/// How often it is asked what is new.
const APART: Duration = Duration::from_secs(1);
/// Entries that the reader reads at once.
const PAGE: i64 = 500;
/// The last entries are kept, 1 MiB or so.
const KEPT: usize = 1_000;
/// Entries that a follower takes at once.
const TAKEN: usize = 100;
/// Whoever wants to go on from further back has the list to read.
const FURTHEST: i64 = 10_000;

/// An entry that is told.
#[derive(Debug)]
pub struct Told {
    /// The entry.
    pub entry: Activity,
    seq: i64,
    text: OnceLock<Bytes>,
}

impl Told {
    fn of(Numbered { seq, entry }: Numbered) -> Arc<Told> {
        Arc::new(Told { entry, seq, text: OnceLock::new() })
    }

    /// How it goes over the wire: put into words once, by whoever asks first.
    pub fn text(&self, tell: impl FnOnce(&Activity) -> Bytes) -> Bytes {
        self.text.get_or_init(|| tell(&self.entry)).clone()
    }
}

/// Which entries a follower wants. Of an empty list of words any will do.
#[derive(Debug, Clone)]
pub struct Interest {
    /// Whose it may see; what the system did is nobody's.
    pub scope: Scope,
    /// One of these.
    pub categories: Vec<String>,
    /// One of these.
    pub actions: Vec<String>,
    /// One of these.
    pub outcomes: Vec<String>,
}

impl Interest {
    /// Whether this one is wanted.
    pub fn wants(&self, entry: &Activity) -> bool {
        let one_of = |words: &[String], word: &str| words.is_empty() || words.iter().any(|one| one == word);
        self.scope.owner().is_none_or(|own| entry.owner.as_deref() == Some(own))
            && one_of(&self.categories, entry.category())
            && one_of(&self.actions, &entry.action)
            && one_of(&self.outcomes, &entry.outcome)
    }
}

/// What a follower hears.
#[derive(Debug)]
pub enum Heard {
    /// Something that it wants to know.
    Entry(Arc<Told>),
    /// Something is missing here, and why. What is written from then on is told.
    Lost(Loss),
}

/// Why something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It wants to go on from too far back, or the database is one of an earlier state.
    Behind,
    /// The entry it wants to go on from is none that it may see, or is there no more.
    Unknown,
}

/// One that follows; until dropped.
pub struct Follower {
    hub: Arc<Hub>,
    store: Arc<dyn Store>,
    interest: Interest,
    moved: watch::Receiver<()>,
    /// What was written up to this number was told.
    at: i64,
    round: u64,
    /// What comes next.
    taken: VecDeque<Arc<Told>>,
    /// A read under way: it is never dropped half-way.
    reading: Option<JoinHandle<Result<Vec<Numbered>>>>,
    /// Not before this is it read again what could not be.
    again: Instant,
    lost: Option<Loss>,
}

impl Follower {
    /// The next it hears; a call that is dropped takes nothing.
    pub async fn next(&mut self) -> Heard {
        loop {
            if let Some(loss) = self.lost.take() {
                return Heard::Lost(loss);
            }
            while let Some(told) = self.taken.pop_front() {
                self.at = told.seq;
                if self.interest.wants(&told.entry) {
                    return Heard::Entry(told);
                }
            }
            self.moved.mark_unchanged();
            match self.hub.behind(self.at, self.round) {
                Behind::Kept(kept) if kept.is_empty() => drop(self.moved.changed().await),
                Behind::Kept(kept) => self.taken = kept,
                Behind::Older { kept } => self.read(kept).await,
                Behind::Lost { end, round } => {
                    // The database is another one, of an earlier state.
                    (self.at, self.round, self.reading) = (end, round, None);
                    return Heard::Lost(Loss::Behind);
                }
            }
        }
    }

    /// Reads a piece of what is kept no more: behind `kept` the rest is. Nothing is lost by a database that does not say.
    async fn read(&mut self, kept: i64) {
        sleep_until(self.again).await;
        let (store, at) = (self.store.clone(), self.at);
        let read = || tokio::spawn(async move { store.written_activity(at, TAKEN as i64).await });
        let read = self.reading.get_or_insert_with(read).await;
        self.reading = None;
        match read {
            // What lay there is deleted by now.
            Ok(Ok(entries)) if entries.is_empty() => self.at = kept,
            Ok(Ok(entries)) => self.taken = entries.into_iter().map(Told::of).collect(),
            failed => {
                if let Ok(Err(error)) = failed {
                    error.tell("what a follower of the activity missed could not be read");
                }
                self.again = Instant::now() + APART;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.followers -= 1;
        if state.followers == 0 {
            self.hub.left.notify_one();
        }
    }
}

/// The feed of one node. Cheap to clone.
#[derive(Clone)]
pub(in crate::queue) struct Feed {
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    starting: Arc<tokio::sync::Mutex<()>>,
}

impl Feed {
    pub fn new(store: Arc<dyn Store>) -> Feed {
        Feed { store, hub: Arc::default(), starting: Arc::default() }
    }

    /// Whether anything is read for anybody.
    pub fn is_read(&self) -> bool {
        self.hub.lock().is_read
    }

    /// One more follower: of what is written from now on, or behind the entry `after`.
    pub async fn follow(&self, interest: Interest, after: Option<Uuid>) -> Result<Follower, Error> {
        let mut follower = self.begin(&interest).await?;
        if let Some(id) = after {
            match self.store.activity_number(&interest.scope, id).await? {
                None => follower.lost = Some(Loss::Unknown),
                Some(number) if self.store.activity_end().await? - number > FURTHEST => {
                    follower.lost = Some(Loss::Behind);
                }
                Some(number) => follower.at = number,
            }
        }
        Ok(follower)
    }

    /// One more follower, of what is written from now on. The first one has the reading begin.
    async fn begin(&self, interest: &Interest) -> Result<Follower, Error> {
        if let Some(follower) = self.join(interest) {
            return Ok(follower);
        }
        let _starting = self.starting.lock().await;
        if let Some(follower) = self.join(interest) {
            return Ok(follower);
        }
        let end = self.store.activity_end().await?;
        self.hub.begin(end);
        let follower = self.join(interest);
        tokio::spawn(self.clone().run());
        Ok(follower.expect("it has just begun"))
    }

    /// One more follower; `None` while nobody reads.
    fn join(&self, interest: &Interest) -> Option<Follower> {
        let (moved, mut state) = (self.hub.moved.subscribe(), self.hub.lock());
        if !state.is_read {
            return None;
        }
        state.followers += 1;
        Some(Follower {
            hub: self.hub.clone(),
            store: self.store.clone(),
            interest: interest.clone(),
            moved,
            at: state.end,
            round: state.round,
            taken: VecDeque::new(),
            reading: None,
            again: Instant::now(),
            lost: None,
        })
    }

    /// Reads for as long as anybody follows. A mistake of ours costs a moment: it goes on where it was.
    async fn run(self) {
        while AssertUnwindSafe(self.read()).catch_unwind().await.is_err() {
            tracing::error!("the feed of the activity has panicked: it goes on where it was");
            sleep(APART).await;
        }
    }

    async fn read(&self) {
        let mut turns = interval(APART);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_turn = tokio::select! {
                _ = turns.tick() => true,
                () = self.hub.left.notified() => false,
            };
            if !self.hub.is_followed() {
                return;
            }
            if is_turn && let Err(error) = self.look().await {
                error.tell("the feed of the activity could not read; it tries again in a moment");
            }
        }
    }

    /// Tells everything that was written by now.
    async fn look(&self) -> Result<()> {
        let mut at = self.hub.lock().end;
        let end = self.store.activity_end().await?;
        if end < at {
            self.hub.lose(end);
            return Ok(());
        }
        while at < end {
            let entries = self.store.written_activity(at, PAGE).await?;
            let last = entries.last().map(|last| last.seq);
            // All up to `end` was there to be read, but for numbers that were skipped.
            at = if entries.len() as i64 == PAGE { last.unwrap_or(end) } else { last.unwrap_or(end).max(end) };
            self.hub.publish(entries, at);
        }
        Ok(())
    }
}

/// What was read, for all who follow.
#[derive(Default)]
struct Hub {
    state: Mutex<State>,
    moved: watch::Sender<()>,
    /// The last one has left.
    left: Notify,
}

#[derive(Default)]
struct State {
    /// Whether there is a reader.
    is_read: bool,
    followers: usize,
    /// Everything up to this number was read.
    end: i64,
    /// Everything behind this number is kept.
    begin: i64,
    kept: VecDeque<Arc<Told>>,
    /// Numbers of another round mean nothing.
    round: u64,
}

/// What comes behind a place.
enum Behind {
    /// These; none where nothing is new.
    Kept(VecDeque<Arc<Told>>),
    /// What the database has to say; what lies behind `kept` is kept.
    Older { kept: i64 },
    /// Nobody tells.
    Lost { end: i64, round: u64 },
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read before is forgotten: nobody reads on from there.
    fn begin(&self, end: i64) {
        let mut state = self.lock();
        let (followers, round) = (state.followers, state.round);
        *state = State { is_read: true, followers, end, begin: end, kept: VecDeque::new(), round };
    }

    /// Whether anybody follows; if not, whoever comes next needs a new reader.
    fn is_followed(&self) -> bool {
        let mut state = self.lock();
        state.is_read = state.followers > 0;
        if !state.is_read {
            state.kept = VecDeque::new();
        }
        state.is_read
    }

    fn behind(&self, at: i64, round: u64) -> Behind {
        let state = self.lock();
        if round != state.round {
            return Behind::Lost { end: state.end, round: state.round };
        }
        if at < state.begin {
            return Behind::Older { kept: state.begin };
        }
        let from = state.kept.partition_point(|told| told.seq <= at);
        Behind::Kept(state.kept.iter().skip(from).take(TAKEN).cloned().collect())
    }

    fn publish(&self, entries: Vec<Numbered>, end: i64) {
        let mut state = self.lock();
        state.kept.extend(entries.into_iter().map(Told::of));
        while state.kept.len() > KEPT
            && let Some(first) = state.kept.pop_front()
        {
            state.begin = first.seq;
        }
        state.end = end;
        drop(state);
        self.moved.send_replace(());
    }

    /// Everybody is told that something is missing up to here.
    fn lose(&self, end: i64) {
        let mut state = self.lock();
        (state.end, state.begin, state.kept) = (end, end, VecDeque::new());
        state.round += 1;
        drop(state);
        self.moved.send_replace(());
    }
}
