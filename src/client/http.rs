//! Calls to the service, and what can go wrong with one.

use super::{Result, show};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take: longer than the 60 s the service holds one back at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(75);

/// The service at one address.
pub struct Server {
    http: Client,
    base: String,
    key: Option<String>,
}

/// An answer that is not an error.
pub struct Answer {
    /// 2xx or 304.
    pub status: StatusCode,
    /// The body's tag, to ask for changes with.
    pub etag: Option<String>,
    /// The whole body.
    pub body: String,
}

/// Why a subcommand did not do it.
#[derive(Debug)]
pub enum Trouble {
    /// The command line cannot be carried out.
    Usage(String),
    /// Nobody is there, or the connection broke.
    Unreachable(String),
    /// The service answered with an error; the text is its own.
    Refused { status: StatusCode, text: String },
    /// Something else.
    Failed(String),
    /// The reader of our output has gone.
    Closed,
}

impl Server {
    /// Called with this key, if any. No connection is made yet. The environment's proxies are not asked.
    pub fn new(base: &str, key: Option<&str>) -> Result<Server> {
        // Only the first of a process installs it; that is no error for the others.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let agent = concat!("errand/", env!("CARGO_PKG_VERSION"));
        let http = Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).user_agent(agent).build();
        let http = http.map_err(|error| Trouble::Failed(format!("no HTTP client: {error}")))?;
        Ok(Server { http, base: base.to_owned(), key: key.map(str::to_owned) })
    }

    /// A request without a body. Parts of the path and of the query are escaped here.
    pub async fn call(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Result<Answer> {
        self.send(self.request(method, path, query)?.timeout(ANSWER_TIMEOUT)).await
    }

    /// The task when it is no longer the one with this tag, or a 304 after a minute.
    pub async fn changed(&self, id: &str, tag: Option<&str>) -> Result<Answer> {
        let Some(tag) = tag else {
            return self.call(Method::GET, &["api", "tasks", id], &[]).await;
        };
        let request = self.request(Method::GET, &["api", "tasks", id], &[("wait", "60"), ("wait_for", "change")])?;
        self.send(request.header(header::IF_NONE_MATCH, tag).timeout(ANSWER_TIMEOUT)).await
    }

    /// A request to be completed, and sent with [`Server::send`]. It has no time limit yet.
    pub fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Result<RequestBuilder> {
        let wrong = || Trouble::Usage(format!("{} cannot be called", self.base));
        let mut url = Url::parse(&self.base).map_err(|_| wrong())?;
        url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        Ok(match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        })
    }

    /// Sends it and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let etag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let body = response.text().await.map_err(|error| self.unreachable(error))?;
        match status.is_success() || status == StatusCode::NOT_MODIFIED {
            true => Ok(Answer { status, etag, body }),
            false => Err(Trouble::Refused { status, text: refusal(status, &body) }),
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> Trouble {
        let (base, error) = (show::plain(&self.base), error.without_url());
        if error.is_timeout() {
            return Trouble::Unreachable(format!("no answer from {base} in time"));
        }
        let mut cause: &dyn Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        Trouble::Unreachable(match cause.downcast_ref::<io::Error>().is_some_and(refused) {
            true => format!("no Errand at {base}: start one with `errand`"),
            false => format!("no answer from {base}: {cause}"),
        })
    }
}

impl Answer {
    /// The body as a value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        let strange = |error| Trouble::Failed(format!("this is not an answer of Errand's: {error}"));
        serde_json::from_str(&self.body).map_err(strange)
    }
}

/// `title: detail`, then a line for each pointer; the status where the body is no problem+json.
fn refusal(status: StatusCode, body: &str) -> String {
    #[derive(Deserialize)]
    struct Problem {
        title: String,
        detail: Option<String>,
        #[serde(default)]
        errors: Vec<Fault>,
    }
    #[derive(Deserialize)]
    struct Fault {
        pointer: String,
        detail: String,
    }
    let Ok(problem) = serde_json::from_str::<Problem>(body) else {
        return format!("the answer was {status}");
    };
    let mut text = show::plain(&problem.title);
    if let Some(detail) = &problem.detail {
        text += &format!(": {}", show::plain(detail));
    }
    if status == StatusCode::UNAUTHORIZED {
        text += " (ERRAND_KEY is where your key goes)";
    }
    for fault in &problem.errors {
        text += &format!("\n  {}: {}", show::plain(&fault.pointer), show::plain(&fault.detail));
    }
    text
}

impl Trouble {
    /// 2 when the request was wrong, else 1; 0 when only the reader has gone.
    pub fn exit_code(&self) -> i32 {
        match self {
            Trouble::Usage(_) => 2,
            Trouble::Refused { status, .. } if matches!(status.as_u16(), 400 | 422) => 2,
            Trouble::Refused { .. } | Trouble::Unreachable(_) | Trouble::Failed(_) => 1,
            Trouble::Closed => 0,
        }
    }

    /// Whether the same call may well succeed a little later: the service is starting again.
    pub fn may_pass(&self) -> bool {
        matches!(self, Trouble::Unreachable(_))
            || matches!(self, Trouble::Refused { status, .. } if *status == StatusCode::SERVICE_UNAVAILABLE)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Trouble::Usage(text) | Trouble::Unreachable(text) | Trouble::Failed(text) => f.write_str(text),
            Trouble::Refused { text, .. } => f.write_str(text),
            Trouble::Closed => f.write_str("the output was closed"),
        }
    }
}

impl From<io::Error> for Trouble {
    /// An error of writing the output: the only I/O that is not given its own words.
    fn from(error: io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Trouble::Closed,
            _ => Trouble::Failed(format!("the output cannot be written: {error}")),
        }
    }
}
