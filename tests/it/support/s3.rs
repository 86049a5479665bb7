//! A small S3: what a file store asks of one, in memory, with faults on demand.

use super::node::Home;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

/// The smallest part, but for the last one.
const PART_BYTES: usize = 5 << 20;
/// Keys in an answer: few, so that there is a next one.
const PAGE: usize = 3;

/// A server with one bucket, `files`; gone with the test.
pub struct S3 {
    pub url: String,
    kept: Arc<Mutex<Kept>>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    objects: BTreeMap<String, (Bytes, SystemTime)>,
    uploads: HashMap<String, BTreeMap<usize, Bytes>>,
    begun: usize,
    /// The key of each part that was put.
    parts: Vec<String>,
    fault: Option<Fault>,
    met: usize,
}

/// What becomes of requests.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Those that begin so, as `GET /files/errand/uploads`; all, if empty.
    pub of: &'static str,
    /// The status they get; 0 is no answer at all.
    pub status: u16,
    /// The code in its body.
    pub code: &'static str,
}

impl S3 {
    pub async fn start() -> S3 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kept = Arc::<Mutex<Kept>>::default();
        let router = Router::new().fallback(answer).with_state(kept.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        S3 { url, kept, serving }
    }

    /// The variables that lead here.
    pub fn variables(&self) -> [(&'static str, &str); 5] {
        [
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "tester"),
            ("AWS_SECRET_ACCESS_KEY", "a secret of the tests"),
            ("AWS_REGION", "eu-central-1"),
        ]
    }

    /// A node at home there that keeps its files here.
    pub fn command(&self, home: &Home, flags: &[&str]) -> Command {
        let mut command = home.command(flags);
        command.args(["--files-url", "s3://files/errand"]).envs(self.variables());
        command
    }

    /// From now on this happens, or nothing any more.
    pub fn fault(&self, fault: Option<Fault>) {
        let mut kept = self.kept();
        (kept.fault, kept.met) = (fault, 0);
    }

    /// How many requests have met the fault.
    pub fn met(&self) -> usize {
        self.kept().met
    }

    /// The keys of all objects below `errand/` that begin so.
    pub fn keys(&self, begin: &str) -> Vec<String> {
        let kept = self.kept();
        let ours = kept.objects.keys().filter_map(|key| key.strip_prefix("errand/"));
        ours.filter(|key| key.starts_with(begin)).map(str::to_owned).collect()
    }

    /// The size of an object.
    pub fn bytes(&self, key: &str) -> usize {
        self.kept().objects[&format!("errand/{key}")].0.len()
    }

    /// How many uploads in parts have neither been completed nor broken off, and how many were begun.
    pub fn uploads(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.uploads.len(), kept.begun)
    }

    /// How many parts of files of this name were put, ever.
    pub fn parts(&self, name: &str) -> usize {
        self.kept().parts.iter().filter(|key| key.ends_with(name)).count()
    }

    /// Another part takes the place of the first of each upload.
    pub fn spoil(&self) {
        self.kept().uploads.values_mut().for_each(|parts| drop(parts.insert(1, vec![b'?'; PART_BYTES].into())));
    }

    /// Puts an object there that was written at this time.
    pub fn put(&self, key: &str, at: SystemTime) {
        self.kept().objects.insert(format!("errand/{key}"), (Bytes::from_static(b"x"), at));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(kept): State<Arc<Mutex<Kept>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri);
    let fault = {
        let mut kept = kept.lock().unwrap();
        let fault = kept.fault.filter(|fault| line.starts_with(fault.of));
        kept.met += usize::from(fault.is_some());
        fault
    };
    match fault {
        Some(Fault { status: 0, .. }) => std::future::pending().await,
        Some(Fault { status, code, .. }) => return refusal(status, code),
        None => {}
    }
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return refusal(400, "IncompleteBody") };
    let said = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut sha256 = String::new();
    Sha256::digest(&body).iter().for_each(|byte| write!(sha256, "{byte:02x}").unwrap());
    if !said("authorization").starts_with("AWS4-HMAC-SHA256 Credential=tester/") {
        return refusal(403, "AccessDenied");
    }
    if said("x-amz-content-sha256") != sha256 {
        return refusal(400, "XAmzContentSHA256Mismatch");
    }
    let url = reqwest::Url::parse(&format!("http://s3{}", parts.uri)).unwrap();
    let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
    let Some(key) = url.path().strip_prefix("/files") else { return refusal(404, "NoSuchBucket") };
    let mut kept = kept.lock().unwrap();
    kept.answer(&parts.method, key.trim_start_matches('/'), &query, said("range"), body)
}

impl Kept {
    fn answer(
        &mut self,
        method: &Method,
        key: &str,
        query: &HashMap<String, String>,
        range: &str,
        body: Bytes,
    ) -> Response {
        let text = String::from_utf8_lossy(&body).into_owned();
        let upload = query.get("uploadId");
        match (method.as_str(), upload) {
            ("GET", None) if key.is_empty() => self.list(query),
            ("GET" | "HEAD", None) => self.get(method, key, range),
            ("PUT", None) => {
                self.objects.insert(key.to_owned(), (body, SystemTime::now()));
                [(header::ETAG, "\"whole\"")].into_response()
            }
            ("PUT", Some(upload)) => match self.uploads.get_mut(upload) {
                Some(parts) => {
                    let etag = etag(&body);
                    parts.insert(query["partNumber"].parse().unwrap(), body);
                    self.parts.push(key.to_owned());
                    [(header::ETAG, etag)].into_response()
                }
                None => refusal(404, "NoSuchUpload"),
            },
            ("POST", None) if query.contains_key("uploads") => {
                self.begun += 1;
                let id = format!("upload-{}", self.begun);
                self.uploads.insert(id.clone(), BTreeMap::new());
                xml(format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"))
            }
            ("POST", None) if query.contains_key("delete") => {
                let keys = between(&text, "<Key>", "</Key>");
                keys.iter().for_each(|key| drop(self.objects.remove(*key)));
                let deleted = keys.iter().map(|key| format!("<Deleted><Key>{key}</Key></Deleted>"));
                xml(format!("<DeleteResult>{}</DeleteResult>", deleted.collect::<String>()))
            }
            ("POST", Some(upload)) => self.complete(key, upload, &text),
            ("DELETE", Some(upload)) => match self.uploads.remove(upload) {
                Some(_) => StatusCode::NO_CONTENT.into_response(),
                None => refusal(404, "NoSuchUpload"),
            },
            _ => refusal(405, "MethodNotAllowed"),
        }
    }

    fn complete(&mut self, key: &str, upload: &str, text: &str) -> Response {
        let Some(parts) = self.uploads.get(upload) else { return refusal(404, "NoSuchUpload") };
        let numbers = between(text, "<PartNumber>", "</PartNumber>");
        let etags = between(text, "<ETag>", "</ETag>");
        let parts: Vec<&Bytes> = numbers.iter().map(|number| &parts[&number.parse().unwrap()]).collect();
        if parts.iter().zip(&etags).any(|(part, said)| etag(part) != said.replace("&quot;", "\"")) {
            return refusal(400, "InvalidPart");
        }
        if parts.iter().rev().skip(1).any(|part| part.len() < PART_BYTES) {
            return refusal(400, "EntityTooSmall");
        }
        let whole: Vec<u8> = parts.into_iter().flatten().copied().collect();
        self.uploads.remove(upload);
        self.objects.insert(key.to_owned(), (whole.into(), SystemTime::now()));
        xml("<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>".to_owned())
    }

    fn get(&self, method: &Method, key: &str, range: &str) -> Response {
        let Some((content, at)) = self.objects.get(key) else { return refusal(404, "NoSuchKey") };
        let size = content.len();
        let mut builder = Response::builder().header(header::ETAG, "\"whole\"");
        builder = builder.header(header::LAST_MODIFIED, chrono::DateTime::<chrono::Utc>::from(*at).to_rfc2822());
        let part = range.strip_prefix("bytes=").map(|range| {
            let (first, last) = range.split_once('-').unwrap();
            (first.parse::<usize>().unwrap(), last.parse().map_or(size, |last: usize| size.min(last + 1)))
        });
        let content = match part {
            Some((first, _)) if first >= size => return refusal(416, "InvalidRange"),
            Some((first, end)) => {
                builder =
                    builder.status(206).header(header::CONTENT_RANGE, format!("bytes {first}-{}/{size}", end - 1));
                content.slice(first..end)
            }
            None => content.clone(),
        };
        let builder = builder.header(header::CONTENT_LENGTH, content.len());
        builder.body(if method == Method::HEAD { Body::empty() } else { content.into() }).unwrap()
    }

    fn list(&self, query: &HashMap<String, String>) -> Response {
        let prefix = query.get("prefix").map_or("", String::as_str);
        let after = query.get("continuation-token").map_or("", String::as_str);
        let found = self.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let page: Vec<_> = found.take(PAGE + 1).collect();
        let contents = page.iter().take(PAGE).map(|(key, (content, at))| {
            let at = chrono::DateTime::<chrono::Utc>::from(*at).to_rfc3339();
            let size = content.len();
            format!("<Contents><Key>{key}</Key><LastModified>{at}</LastModified><Size>{size}</Size></Contents>")
        });
        let next = match page.len() > PAGE {
            true => format!("<NextContinuationToken>{}</NextContinuationToken>", page[PAGE - 1].0),
            false => String::new(),
        };
        xml(format!("<ListBucketResult>{}{next}</ListBucketResult>", contents.collect::<String>()))
    }
}

/// What S3 says of a part: another one for another content.
fn etag(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    hash[..8].iter().fold("\"".to_owned(), |text, byte| format!("{text}{byte:02x}")) + "\""
}

fn xml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], text).into_response()
}

fn refusal(status: u16, code: &str) -> Response {
    let mut response = xml(format!("<Error><Code>{code}</Code></Error>"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// What stands between each two of these.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    text.split(begin).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0)).collect()
}
