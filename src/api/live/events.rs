//! `GET /api/events`: the same stream as Server-Sent Events.

use super::super::Api;
use super::super::caller::Caller;
use super::super::filter;
use super::super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::super::query::Query;
use super::super::stream::Patience;
use super::asked::Topic;
use super::follow::Stream;
use super::metrics::{self, Listener};
use super::sign::Signed;
use super::{Place, frames, upgrade};
use crate::queue::feed::{Heard, Interest};
use crate::queue::keys::{Holder, Refused};
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::unfold;
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);
/// The topics of events. An entry has another kind of id, so a browser could not go on with both.
const EVENTS: [Topic; 2] = [Topic::Tasks, Topic::Metrics];
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(events))
}

/// What happens, as it happens: `connection` first, then `taskQueued`, `taskProgress` and `taskFinished`, each
/// with the number of the change log as its id and the JSON of the same frame of the WebSocket as its data.
/// With the topic `metrics`, every second also how this node and the caller's tasks are doing, without an id.
/// `resync`: something is missing, read the list again. `goodbye`: this node shuts down.
#[utoipa::path(
    get, path = "/api/events", tag = "live",
    params(
        ("topics" = Option<Vec<String>>, Query, description = "`tasks`, `metrics` or both; `tasks` if none is named"),
        ("scope" = Option<String>, Query, description = "`owner`: all of the owner's tasks, whatever a client header says"),
        ("client_id" = Option<String>, Query, max_length = 200, description = "Only tasks of this client; else a client header says it, else all of the owner's are meant"),
        ("status" = Option<Vec<super::super::wire::StatusView>>, Query, description = "Tasks that are one of these right after what happened"),
        ("type" = Option<Vec<String>>, Query, description = "One of these"),
        ("queue" = Option<String>, Query, max_length = 100),
        ("tag" = Option<String>, Query, max_length = 100),
        ("owner" = Option<String>, Query, max_length = 100),
        ("q" = Option<String>, Query, max_length = 200, description = "Words that all stand in name, id, tags or error"),
        ("created_after" = Option<String>, Query, format = DateTime, description = "Inclusive"),
        ("created_before" = Option<String>, Query, format = DateTime, description = "Exclusive"),
        ("after_seq" = Option<i64>, Query, minimum = 0, description = "What happened behind this number too"),
        ("ticket" = Option<String>, Query, description = "Of `POST /api/tickets`, in the place of a key"),
        ("last-event-id" = Option<i64>, Header, description = "The same, as a browser sends it when it connects again"),
    ),
    responses(
        (status = 200, description = "The stream", body = String, content_type = "text/event-stream"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn events(
    State(api): State<Api>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    patience: Option<Extension<Patience>>,
    ticket: Option<Extension<Holder>>,
) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidFilter)?;
    let mut filter = filter::of_query(&mut query);
    let all = upgrade::scope(&mut query);
    let after = query.integer("after_seq", 0..=i64::MAX);
    let topics = topics(&mut query);
    query.all("ticket"); // it has let the caller in
    query.done()?;
    let after = last_event_id(&headers)?.or(after);
    if !all && filter.client_id.is_none() {
        filter.client_id = caller.client_header().map(str::to_owned);
    }
    let place = Place::take(&api)?;
    if let Some(Extension(patience)) = patience {
        patience.set(api.bounds.stalled);
    }
    let mut stream = Stream::new(api.queue.clone(), None);
    let seq = match topics.contains(&Topic::Tasks) {
        true => {
            stream
                .want(Interest { scope: caller.scope.clone(), clients: None, filter, approvals: false }, after)
                .await?
        }
        false => stream.look().await?,
    };
    let metrics = topics.contains(&Topic::Metrics).then(|| api.listen(&caller));
    let connection = frames::connection(&Uuid::new_v4().to_string(), &caller.owner, seq, api.now());
    let unwelcome = Signed::of(caller, &headers, ticket.map(|Extension(holder)| holder)).ended(api.keys.clone());
    let first = format!("retry: {}\n{}", RETRY.as_millis(), event("connection", Some(seq), &connection));
    let told = Telling { api, stream, metrics, first: Some(first), ended: false, unwelcome, _place: place };
    let told = unfold(told, |mut told| async { told.next().await.map(|text| (Ok::<_, Infallible>(text), told)) });
    let mut response = Response::new(Body::from_stream(told));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that gathers an answer before it sends it on would hold all of it back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// What is to be told: each word may be a parameter of its own, or stand between commas.
fn topics(query: &mut Query) -> Vec<Topic> {
    let given = query.all("topics");
    let mut topics = Vec::new();
    for word in given.iter().flat_map(|given| given.split(',')) {
        match Topic::of_word(word).filter(|topic| EVENTS.contains(topic)) {
            Some(topic) => topics.push(topic),
            None => query.fail("topics", format!("must be of {}", EVENTS.map(Topic::word).join(", "))),
        }
    }
    if given.is_empty() { vec![Topic::Tasks] } else { topics }
}

/// The number of the last event that a browser got.
fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>> {
    let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else { return Ok(None) };
    let number = id.to_str().ok().filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())).map(str::parse);
    match number {
        Some(Ok(number)) => Ok(Some(number)),
        _ => Err(Problem::new(Code::BadHeader, "last-event-id must be the id of an event of this stream")),
    }
}

/// A stream that is being told.
struct Telling {
    api: Api,
    stream: Stream,
    metrics: Option<Listener>,
    first: Option<String>,
    ended: bool,
    /// Ends once its caller would be let in no more.
    unwelcome: Pin<Box<dyn Future<Output = Refused> + Send>>,
    _place: Place,
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(Bytes::from(first));
        }
        if self.ended {
            return None;
        }
        let keep_alive = self.api.bounds.keep_alive;
        let text = tokio::select! {
            biased;
            () = self.api.draining.cancelled() => {
                self.ended = true;
                event("goodbye", None, &frames::goodbye())
            }
            _ = &mut self.unwelcome => return None,
            frame = metrics::next(&mut self.metrics) => event("metrics", None, &frame),
            heard = timeout(keep_alive, self.stream.next()) => match heard {
                Ok(Heard::News(news)) => {
                    let data = frames::news(&news);
                    event(frames::word(&news), Some(news.seq), std::str::from_utf8(&data).unwrap_or_default())
                }
                Ok(Heard::Lost(loss)) => {
                    let seq = self.stream.position();
                    event("resync", Some(seq), &frames::resync(loss, seq))
                }
                Err(_) => ": nothing happened\n\n".to_owned(),
            },
        };
        Some(Bytes::from(text))
    }
}

/// One event. JSON of ours has no line break in it.
fn event(name: &str, id: Option<i64>, data: &str) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}event: {name}\ndata: {data}\n\n")
}
