//! Answers from memory while nothing was written: 304 to a caller that has the answer already, and a
//! list whole to one that has not.
//!
//! An answer is kept with the database's stamp from before it was read. The same question under the same
//! stamp has the same answer, whichever node wrote last, and costs a look at the stamp, which many
//! callers share.

use super::caller::Caller;
use super::{Api, etag};
use crate::store::Stamp;
use crate::task::{Status, Task, Time};
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Answers that are remembered at once; beyond, all are forgotten.
const MOST: usize = 10_000;
/// The most that one may have to be kept whole: a page of 50 tasks has some 35 KiB.
const WHOLE_BYTES: usize = 512 * 1024;
/// The most that all of them may have; beyond, all are forgotten.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// What is kept of the answers to a question.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Their tags. The database is not asked for its stamp by callers that have nothing.
    Tag,
    /// All of them, where they are not too large.
    Whole,
}

/// Answers given.
#[derive(Default)]
pub struct Known {
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    by_question: HashMap<String, Answer>,
    /// Of those that are kept whole.
    bytes: usize,
}

struct Answer {
    stamp: Stamp,
    given: Given,
    /// When that was; a clock that was set back behind it may make it read differently.
    at: Time,
    /// From then on it reads differently although nothing was written: a task's time has come.
    until: Time,
}

/// An answer, as it is sent.
#[derive(Clone)]
pub struct Given {
    /// JSON.
    pub body: Bytes,
    /// Of the body.
    pub tag: String,
    /// Where the next page is.
    pub link: Option<HeaderValue>,
}

impl Given {
    /// 304 without a body for a caller that has it.
    pub fn response(self, headers: &HeaderMap) -> Response {
        let mut response = etag::json(headers, &self.tag, self.body);
        if let Some(link) = self.link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// A question that is being answered.
pub struct Question {
    key: String,
    /// None: it could not be read, and the answer is not remembered.
    stamp: Option<Stamp>,
}

impl Known {
    /// The answer, if it is known and either here or with the caller. Else the question, to be
    /// remembered with its answer.
    pub async fn look(
        &self,
        api: &Api,
        caller: &Caller,
        uri: &Uri,
        headers: &HeaderMap,
        keep: Keep,
    ) -> Result<Response, Question> {
        // Its hash: an address may be long. Roles see other links.
        let key = etag::of(format!("{:?} {} {uri}", caller.scope, caller.role.word()).as_bytes());
        if keep == Keep::Tag && !headers.contains_key(header::IF_NONE_MATCH) {
            return Err(Question { key, stamp: None });
        }
        let stamp = api.queue.stamp().await.ok();
        let now = api.now();
        let holds = |known: &&Answer| stamp.as_ref() == Some(&known.stamp) && (known.at..known.until).contains(&now);
        let known = self.answers().by_question.get(&key).filter(holds).map(|known| known.given.clone());
        match known.filter(|given| !given.body.is_empty() || etag::matches(headers, &given.tag)) {
            Some(given) => Ok(given.response(headers)),
            None => Err(Question { key, stamp }),
        }
    }

    /// The answer to this question, which shows these tasks as they are at `now`. Without a body only its
    /// tag is kept.
    pub fn remember<'a>(
        &self,
        question: Question,
        given: &Given,
        now: Time,
        tasks: impl IntoIterator<Item = &'a Task>,
    ) {
        let Question { key, stamp: Some(stamp) } = question else { return };
        let waits = tasks.into_iter().filter(|task| task.status == Status::Pending && !task.held && task.run_at > now);
        let until = waits.map(|task| task.run_at).min().unwrap_or(Time::MAX);
        let mut given = given.clone();
        if given.body.len() > WHOLE_BYTES {
            given.body = Bytes::new();
        }
        let bytes = given.body.len();
        let mut answers = self.answers();
        if answers.by_question.len() >= MOST || answers.bytes + bytes > MOST_BYTES {
            *answers = Answers::default();
        }
        answers.bytes += bytes;
        let before = answers.by_question.insert(key, Answer { stamp, given, at: now, until });
        answers.bytes -= before.map_or(0, |before| before.given.body.len());
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
