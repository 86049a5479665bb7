//! What callers have already: answered 304 from memory while nothing was written.
//!
//! The tag of an answer is kept with the database's stamp from before it was read. The same question
//! with that tag under the same stamp has the same answer, whichever node wrote last, and costs a look
//! at the stamp, which many callers share.

use super::{Api, etag};
use crate::store::Stamp;
use crate::task::{Scope, Status, Task, Time};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Answers that are remembered at once; beyond, all are forgotten.
const MOST: usize = 10_000;

/// The tags of answers given.
#[derive(Default)]
pub struct Known {
    answers: Mutex<HashMap<String, Answer>>,
}

struct Answer {
    stamp: Stamp,
    tag: String,
    /// When it was given; a clock that was set back behind that may make it read differently.
    given: Time,
    /// From then on it reads differently although nothing was written: a task's time has come.
    until: Time,
}

/// A question that is being answered.
pub struct Question {
    key: String,
    /// None: it could not be read, and the answer is not remembered.
    stamp: Option<Stamp>,
}

impl Known {
    /// 304, if the caller has what the answer still is. Else the question, to be remembered with its
    /// answer. The database is not asked by callers that have nothing.
    pub async fn look(&self, api: &Api, scope: &Scope, uri: &Uri, headers: &HeaderMap) -> Result<Response, Question> {
        // Its hash: an address may be long.
        let key = etag::of(format!("{scope:?} {uri}").as_bytes());
        if !headers.contains_key(header::IF_NONE_MATCH) {
            return Err(Question { key, stamp: None });
        }
        let stamp = api.queue.stamp().await.ok();
        let (now, answers) = (api.now(), self.answers());
        let holds = |known: &&Answer| stamp.as_ref() == Some(&known.stamp) && (known.given..known.until).contains(&now);
        let known = answers.get(&key).filter(holds);
        match known.filter(|known| etag::matches(headers, &known.tag)) {
            Some(known) => Ok(unchanged(&known.tag)),
            None => Err(Question { key, stamp }),
        }
    }

    /// The answer to this question, which shows these tasks as they are at `now`.
    pub fn remember<'a>(&self, question: Question, tag: &str, now: Time, tasks: impl IntoIterator<Item = &'a Task>) {
        let Question { key, stamp: Some(stamp) } = question else { return };
        let waits = tasks.into_iter().filter(|task| task.status == Status::Pending && !task.held && task.run_at > now);
        let until = waits.map(|task| task.run_at).min().unwrap_or(Time::MAX);
        let mut answers = self.answers();
        if answers.len() >= MOST {
            answers.clear();
        }
        answers.insert(key, Answer { stamp, tag: tag.to_owned(), given: now, until });
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unchanged(tag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    etag::set(&mut response, tag);
    response
}
