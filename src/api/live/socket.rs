//! One socket, from its first frame to its last.

use super::super::Api;
use super::super::caller::{self, Caller};
use super::super::common::Peer;
use super::super::problem::{Code, Problem};
use super::super::to_json;
use super::super::trail::Trail;
use super::asked::{self, Asked, What};
use super::ends::{End, Over, understood};
use super::frames::{self, Ack};
use super::rate::Rate;
use super::sign::{Signed, sign_in};
use super::subscribed::{Subscribed, Terms};
use super::{Bounds, Place};
use crate::queue;
use crate::queue::feed::Follower;
use crate::queue::keys::Refused;
use crate::task::{Action, Activity, Role};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use axum::http::HeaderMap;
use serde_json::value::RawValue;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at};
use uuid::Uuid;

/// More messages in a second end the socket.
const MAX_MESSAGES_A_SECOND: u32 = 100;
/// More subscriptions in a second end the socket.
const MAX_SUBSCRIPTIONS_A_SECOND: u32 = 20;
/// So many messages that are none of ours are answered; the next ends the socket.
const MAX_GARBAGE: u8 = 3;
/// How long the other side has to say goodbye.
const FAREWELL: Duration = Duration::from_millis(500);

/// A socket, and what is kept of it.
pub struct Socket {
    api: Api,
    socket: WebSocket,
    id: String,
    subscribed: Subscribed,
    garbage: u8,
    messages: Rate,
    subscriptions: Rate,
    heard: Instant,
    pinged: Instant,
    /// What the request it began with left.
    trail: Trail,
    _place: Place,
}

impl Socket {
    /// One that has said nothing yet.
    pub fn new(api: Api, socket: WebSocket, follower: Option<Follower>, place: Place, trail: Trail) -> Socket {
        let id = Uuid::new_v4().to_string();
        Socket {
            subscribed: Subscribed::new(api.clone(), id.clone(), follower),
            api,
            socket,
            id,
            garbage: 0,
            messages: Rate::of(MAX_MESSAGES_A_SECOND),
            subscriptions: Rate::of(MAX_SUBSCRIPTIONS_A_SECOND),
            heard: Instant::now(),
            pinged: Instant::now(),
            trail,
            _place: place,
        }
    }

    /// Speaks until one side ends it.
    pub async fn run(
        mut self,
        signed: Result<Option<Signed>, Problem>,
        headers: HeaderMap,
        peer: Option<Peer>,
        terms: Terms,
    ) {
        let Err(Over(end)) = self.speak(signed, headers, peer, terms).await;
        if let Some(end) = end {
            self.close(end).await;
        }
    }

    /// What is done now and then has its room only then: thousands of sockets lie idle.
    async fn speak(
        &mut self,
        signed: Result<Option<Signed>, Problem>,
        headers: HeaderMap,
        peer: Option<Peer>,
        terms: Terms,
    ) -> Result<Infallible, Over> {
        let signed = match signed {
            Ok(Some(signed)) => signed,
            Ok(None) => Box::pin(self.signed(&headers, peer)).await?,
            Err(problem) => return Err(self.turn_away(&problem).await?),
        };
        drop(headers);
        let (mut ended, caller) = (signed.ended(self.api.keys.clone()), signed.caller);
        let seq = Box::pin(self.subscribed.begin(terms, &caller)).await;
        let Ok(seq) = seq else { return Err(self.come_again().await?) };
        self.send(frames::connection(&self.id, &caller.owner, seq, self.api.now())).await?;

        let Bounds { look, .. } = self.api.bounds;
        // Sockets that were opened together do not look together.
        let mut looks = interval_at(Instant::now() + look.mul_f64(rand::random()), look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let draining = self.api.draining.clone();
        loop {
            tokio::select! {
                biased;
                () = draining.cancelled() => return Err(self.come_again().await?),
                refused = &mut ended => {
                    // Nobody knows who may, while the keys cannot be read: it comes again.
                    if matches!(refused, Refused::Away(_)) {
                        return Err(self.come_again().await?);
                    }
                    return Err(self.turn_away(&caller::refused(refused)).await?);
                }
                message = self.socket.recv() => Box::pin(self.hear(message, &caller)).await?,
                frame = self.subscribed.next() => self.send(frame).await?,
                _ = looks.tick() => self.look().await?,
            }
        }
    }

    /// Who it is, once it shows a key.
    async fn signed(&mut self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Signed, Over> {
        let until = Instant::now() + self.api.bounds.unsigned;
        loop {
            let message = timeout_at(until, self.socket.recv()).await.map_err(|_| Over(Some(End::Unsigned)))?;
            let Message::Text(text) = understood(message)? else { continue };
            let shown = match asked::read(&text) {
                Ok(Asked { what: Ok(What::Auth(key)), .. }) => {
                    sign_in(&self.api, &self.trail, peer, headers, Some(&key)).await
                }
                Ok(Asked { what: Ok(What::Ping), .. }) => Ok(None),
                _ => Err(Problem::new(Code::Unauthenticated, "send {\"type\": \"auth\", \"key\": …} first")),
            };
            match shown {
                Ok(Some(signed)) => return Ok(signed),
                Ok(None) => {}
                Err(problem) => return Err(self.turn_away(&problem).await?),
            }
        }
    }

    /// Says why it is not let in, or no more.
    async fn turn_away(&mut self, problem: &Problem) -> Result<Over, Over> {
        self.note(self.trail.turned_away(problem));
        self.send(frames::error(None, problem)).await?;
        Ok(Over(Some(End::Unauthenticated)))
    }

    /// Says that it should come again in a while.
    async fn come_again(&mut self) -> Result<Over, Over> {
        self.send(frames::goodbye()).await?;
        Ok(Over(Some(End::Restart)))
    }

    /// Does what a message asks for, and answers it.
    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>, caller: &Caller) -> Result<(), Over> {
        let message = understood(message)?;
        self.heard = Instant::now();
        if !self.messages.admits(self.heard) {
            return self.refuse(None, "send fewer messages a second").await;
        }
        let asked = match &message {
            Message::Text(text) => asked::read(text),
            Message::Binary(_) => asked::read(""),
            _ => return Ok(()),
        };
        let Asked { id, what } = match asked {
            Ok(asked) => asked,
            Err(garbage) => {
                self.garbage += 1;
                self.send(frames::error(garbage.id.as_deref(), &garbage.problem)).await?;
                return if self.garbage > MAX_GARBAGE { Err(Over(Some(End::Policy))) } else { Ok(()) };
            }
        };
        let id = id.as_deref();
        let what = match what {
            Ok(What::Subscribe(_) | What::Unsubscribe(_)) if !self.subscriptions.admits(self.heard) => {
                return self.refuse(id, "subscribe less often").await;
            }
            Ok(what) => what,
            Err(problem) => {
                self.send(frames::error(id, &problem)).await?;
                let flood = problem.errors().iter().any(|error| error.detail == asked::TOO_MANY_TOPICS);
                return if flood { Err(Over(Some(End::Policy))) } else { Ok(()) };
            }
        };
        let rates = &self.api.rates;
        let bucket = match &what {
            What::Status(_) => rates.reads(caller),
            What::Cancel(_) | What::Retry(_) => rates.writes(caller),
            _ => None,
        };
        if let Err(problem) = bucket.map_or(Ok(()), |bucket| bucket.take()) {
            self.note(self.trail.turned_away(&problem));
            return self.send(frames::error(id, &problem)).await;
        }
        let (now, queue) = (self.api.now(), &self.api.queue);
        let action = match what {
            What::Cancel(task) => Some((Action::TaskCancelled, task)),
            What::Retry(task) => Some((Action::TaskRetried, task)),
            _ => None,
        };
        let done = match what {
            What::Ping => return self.send(frames::pong(id)).await,
            What::Auth(_) => return self.send(to_json(&Ack::of(id))).await,
            What::Subscribe(subscribe) => {
                return match self.subscribed.subscribe(*subscribe, caller).await {
                    Ok(seq) => self.acknowledge(Ack { seq: Some(seq), ..Ack::of(id) }).await,
                    Err(error) => self.send(frames::error(id, &error.into())).await,
                };
            }
            What::Unsubscribe(topics) => {
                self.subscribed.unsubscribe(&topics);
                return self.acknowledge(Ack::of(id)).await;
            }
            What::Cancel(_) | What::Retry(_) if caller.role == Role::Read => {
                let problem = Problem::new(Code::Forbidden, "a key with the role read may not do this");
                self.note(self.trail.turned_away(&problem));
                return self.send(frames::error(id, &problem)).await;
            }
            What::Status(None) | What::Cancel(None) | What::Retry(None) => Err(queue::Error::NotFound),
            What::Status(Some(task)) => queue.get(&caller.scope, task).await,
            What::Cancel(Some(task)) => queue.cancel(&caller.scope, task, caller.by()).await,
            What::Retry(Some(task)) => queue.retry(&caller.scope, task, caller.by()).await,
        };
        let done = done.map_err(Problem::from);
        if let Some((action, task)) = action {
            let task = task.map(|task| task.to_string());
            self.note(self.trail.did(action, task, done.as_ref().err()));
        }
        let answer = match done {
            Ok(task) => to_json(&Ack::with_task(id, &task, now)),
            Err(problem) => frames::error(id, &problem),
        };
        self.send(answer).await
    }

    fn note(&self, entry: Option<Activity>) {
        if let Some(entry) = entry {
            self.api.queue.journal().note(entry);
        }
    }

    async fn acknowledge(&mut self, ack: Ack<'_>) -> Result<(), Over> {
        self.send(to_json(&Ack { topics: Some(self.subscribed.topics()), ..ack })).await
    }

    /// Looks whether anybody is still there.
    async fn look(&mut self) -> Result<(), Over> {
        let Bounds { ping, silent, .. } = self.api.bounds;
        if self.heard.elapsed() >= silent {
            return Err(Over(None));
        }
        if self.pinged.elapsed() >= ping {
            self.pinged = Instant::now();
            self.write(Message::Ping(Default::default())).await?;
        }
        Ok(())
    }

    /// It asks for more than anybody may.
    async fn refuse(&mut self, id: Option<&RawValue>, detail: &'static str) -> Result<(), Over> {
        self.send(frames::error(id, &Problem::new(Code::RateLimited, detail))).await?;
        Err(Over(Some(End::Policy)))
    }

    async fn send(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), Over> {
        self.write(Message::Text(text.into())).await
    }

    /// Sends one message; who does not take it is cut: a write to somebody who stopped reading never ends.
    async fn write(&mut self, message: Message) -> Result<(), Over> {
        match timeout(self.api.bounds.stalled, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Over(None)),
        }
    }

    /// Says why it ends, and lets the other side say that it heard.
    async fn close(&mut self, end: End) {
        let until = Instant::now() + FAREWELL;
        let frame = CloseFrame { code: end as u16, reason: Utf8Bytes::from_static(end.reason()) };
        // The answer to a close lies ready and goes with the next read.
        let is_answer = matches!(end, End::Normal);
        if is_answer || matches!(timeout_at(until, self.socket.send(Message::Close(Some(frame)))).await, Ok(Ok(()))) {
            while let Ok(Some(Ok(_))) = timeout_at(until, self.socket.recv()).await {}
        }
    }
}
