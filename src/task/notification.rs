//! Notifications: the ends of an owner's tasks, and what it has seen of them.
//!
//! Nothing is kept of a notification itself: it is a task that has ended, at its place among all that have. What
//! is kept is [`Marks`], a small thing an owner.

use super::{Status, Task, Time};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use uuid::Uuid;

/// More places that are the other way round than their side of [`Marks::read_until`] are not kept.
pub const MAX_APART: usize = 200;
/// More cannot be muted.
pub const MAX_MUTED: usize = 100;

/// Where an end stands among all ends: by its time, then by the task. A task that is retried and ends again has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When it ended.
    pub at: Time,
    /// The task.
    pub id: Uuid,
}

impl Place {
    /// The place of a task that has ended.
    pub fn of(task: &Task) -> Option<Place> {
        let at = task.finished_at.filter(|_| task.status.is_finished())?;
        Some(Place { at, id: task.id })
    }

    /// Behind all that ended by then.
    pub fn end_of(at: Time) -> Place {
        Place { at, id: Uuid::max() }
    }

    /// From its one form, `<milliseconds>-<id>`; `None` for any other text.
    pub fn of_text(text: &str) -> Option<Place> {
        let (at, id) = text.split_once('-')?;
        let place = Place { at: Time(at.parse().ok()?), id: Uuid::try_parse(id).ok()? };
        ((Time::MIN..=Time::MAX).contains(&place.at) && place.to_string() == text).then_some(place)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.at.0, self.id.as_hyphenated())
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Place, D::Error> {
        let text = String::deserialize(deserializer)?;
        Place::of_text(&text).ok_or_else(|| serde::de::Error::custom("no place"))
    }
}

/// What an owner does not want to be told of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mute {
    /// Tasks of this type.
    Type(String),
    /// Tasks of this queue.
    Queue(String),
    /// Tasks that ended so.
    #[serde(serialize_with = "word", deserialize_with = "end")]
    Status(Status),
}

impl Mute {
    fn is_about(&self, task: &Task) -> bool {
        match self {
            Mute::Type(name) => *name == task.r#type,
            Mute::Queue(name) => *name == task.queue,
            Mute::Status(status) => *status == task.status,
        }
    }
}

fn word<S: Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.word())
}

fn end<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Status, D::Error> {
    let word = String::deserialize(deserializer)?;
    let status = Status::from_word(&word).filter(|status| status.is_finished());
    status.ok_or_else(|| serde::de::Error::custom("no end of a task"))
}

/// What an owner has seen, and what it does not want to see. Every change of it is idempotent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Up to there everything is read; nothing, while there is none.
    pub read_until: Option<Place>,
    /// Up to there nothing is shown any more.
    pub cleared_until: Option<Place>,
    /// Those that are the other way round: read ahead of the mark, or unread again behind it. At most [`MAX_APART`].
    pub apart: BTreeSet<Place>,
    /// In the order in which they were muted, each once. At most [`MAX_MUTED`].
    pub muted: Vec<Mute>,
    /// Grows by one with each change that is written; 0 where none ever was.
    pub version: i64,
}

impl Marks {
    /// Whether it is read.
    pub fn is_read(&self, place: Place) -> bool {
        (Some(place) <= self.read_until) != self.apart.contains(&place)
    }

    /// Whether it is shown no more.
    pub fn is_cleared(&self, place: Place) -> bool {
        Some(place) <= self.cleared_until
    }

    /// Whether nothing is told of this task as it ended.
    pub fn is_muted(&self, task: &Task) -> bool {
        self.muted.iter().any(|mute| mute.is_about(task))
    }

    /// Whether everything from this place down is read or not shown.
    pub fn is_done_from(&self, place: Place) -> bool {
        let first_unread = self.apart.first().filter(|first| Some(**first) <= self.read_until);
        let nothing_unread = Some(place) <= self.read_until && first_unread.is_none_or(|first| place < *first);
        self.is_cleared(place) || nothing_unread
    }

    /// Everything up to there is read.
    pub fn read_up_to(&mut self, place: Place) {
        if Some(place) > self.read_until {
            self.read_until = Some(place);
        }
        self.apart.retain(|apart| *apart > place);
    }

    /// These are read, or unread again. Where too many are the other way round than their side of the mark, the mark goes
    /// up to the oldest of them: what is older counts as read. What is cleared stays read.
    pub fn set(&mut self, places: impl IntoIterator<Item = Place>, read: bool) {
        for place in places.into_iter().filter(|place| Some(*place) > self.cleared_until).collect::<Vec<_>>() {
            match (Some(place) <= self.read_until) == read {
                true => self.apart.remove(&place),
                false => self.apart.insert(place),
            };
        }
        while self.apart.len() > MAX_APART
            && let Some(oldest) = self.apart.pop_first()
        {
            self.read_until = self.read_until.max(Some(oldest));
        }
    }

    /// Everything up to there is shown no more, and read.
    pub fn clear_up_to(&mut self, place: Place) {
        self.cleared_until = self.cleared_until.max(Some(place));
        self.read_up_to(place);
    }

    /// Mutes these, and no more mutes those. Nothing is changed and it says `false` where that would be too many.
    pub fn mute(&mut self, mute: &[Mute], unmute: &[Mute]) -> bool {
        let mut muted = self.muted.clone();
        muted.retain(|known| !unmute.contains(known));
        for one in mute {
            if !muted.contains(one) {
                muted.push(one.clone());
            }
        }
        let fits = muted.len() <= MAX_MUTED;
        if fits {
            self.muted = muted;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(at: i64) -> Place {
        Place { at: Time(at), id: Uuid::from_u128(7) }
    }

    #[test]
    fn a_place_has_one_form() {
        let text = place(12).to_string();
        assert_eq!(text, "12-00000000-0000-0000-0000-000000000007");
        assert_eq!(Place::of_text(&text), Some(place(12)));
        let long = format!("{}-{}", i64::MAX, Uuid::nil());
        for other in [
            "",
            "12",
            &text[3..],
            &format!("+{text}"),
            &format!("0{text}"),
            &format!("-{text}"),
            &text.replace("000000000007", "00000000000A"),
            &text.replace("0000-0000-0000-", "000000000000"),
            &long,
        ] {
            assert_eq!(Place::of_text(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_muted_is_written_as_it_is_said() {
        let muted = vec![Mute::Type("noop".into()), Mute::Queue("slow".into()), Mute::Status(Status::Success)];
        let text = serde_json::to_string(&muted).unwrap();
        assert_eq!(text, r#"[{"type":"noop"},{"queue":"slow"},{"status":"SUCCESS"}]"#);
        assert_eq!(serde_json::from_str::<Vec<Mute>>(&text).unwrap(), muted);
        assert!(serde_json::from_str::<Mute>(r#"{"status":"PENDING"}"#).is_err());
    }

    #[test]
    fn too_many_apart_from_the_mark_move_it_and_nothing_that_was_read_is_unread() {
        let mut marks = Marks::default();
        marks.set((1..=MAX_APART as i64 + 5).map(|at| place(2 * at)), true);
        assert_eq!((marks.apart.len(), marks.read_until), (MAX_APART, Some(place(10))));
        assert!((1..=MAX_APART as i64 + 5).all(|at| marks.is_read(place(2 * at))));
        assert!(marks.is_read(place(9)) && !marks.is_read(place(11)), "older than the oldest counts as read");
    }

    #[test]
    fn as_much_is_muted_as_may_be_and_then_nothing_is_changed() {
        let queues = |n: std::ops::Range<usize>| n.map(|n| Mute::Queue(n.to_string())).collect::<Vec<_>>();
        let mut marks = Marks::default();
        assert!(marks.mute(&queues(0..MAX_MUTED), &[]) && marks.mute(&queues(0..MAX_MUTED), &[]));
        assert!(!marks.mute(&queues(MAX_MUTED..MAX_MUTED + 1), &[]));
        assert_eq!(marks.muted, queues(0..MAX_MUTED));
        assert!(marks.mute(&queues(MAX_MUTED..MAX_MUTED + 1), &queues(0..1)));
        assert_eq!(marks.muted, queues(1..MAX_MUTED + 1));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(Vec<i64>, bool),
        ReadUpTo(i64),
        ClearUpTo(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let at = || 0..30i64;
        prop_oneof![
            (prop::collection::vec(at(), 0..5), any::<bool>()).prop_map(|(places, read)| Step::Set(places, read)),
            at().prop_map(Step::ReadUpTo),
            at().prop_map(Step::ClearUpTo),
        ]
    }

    fn apply(marks: &mut Marks, step: &Step) {
        match step {
            Step::Set(places, read) => marks.set(places.iter().map(|at| place(*at)), *read),
            Step::ReadUpTo(at) => marks.read_up_to(place(*at)),
            Step::ClearUpTo(at) => marks.clear_up_to(place(*at)),
        }
    }

    proptest! {
        #[test]
        fn marks_say_what_a_note_on_each_would_say_and_twice_is_once(steps in prop::collection::vec(step(), 0..20)) {
            // Of each whether it is read, and whether it is cleared.
            let (mut marks, mut notes) = (Marks::default(), [(false, false); 30]);
            for step in steps {
                apply(&mut marks, &step);
                let once = marks.clone();
                apply(&mut marks, &step);
                prop_assert_eq!(&marks, &once);
                match &step {
                    Step::Set(places, read) => {
                        for note in places.iter().map(|at| *at as usize) {
                            notes[note].0 |= *read;
                            notes[note].0 &= *read || notes[note].1;
                        }
                    }
                    Step::ReadUpTo(at) => notes[..=*at as usize].iter_mut().for_each(|note| note.0 = true),
                    Step::ClearUpTo(at) => notes[..=*at as usize].fill((true, true)),
                }
                for (at, (read, cleared)) in notes.iter().enumerate() {
                    let here = place(at as i64);
                    prop_assert_eq!((marks.is_read(here), marks.is_cleared(here)), (*read, *cleared));
                    let done = notes[..=at].iter().all(|(read, _)| *read);
                    prop_assert!(!marks.is_done_from(here) || done, "nothing unread is passed over");
                }
            }
        }
    }
}
