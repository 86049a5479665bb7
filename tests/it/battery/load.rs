//! A small mixed load by one client, which writes everything down in its ledger.

use super::ledger::{Ledger, Upload};
use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A time that does not come.
const FAR: &str = "2999-01-01T00:00:00Z";
/// More than one part of an upload.
const LARGE_BYTES: usize = 6 << 20;

/// The node is gone: what was asked last may have happened or not.
#[derive(Debug)]
pub struct Gone;

type Answer<T> = Result<T, Gone>;

/// A caller of one node.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    pub ledger: Arc<Ledger>,
}

impl Client {
    pub fn new(url: &str, ledger: Arc<Ledger>) -> Client {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Client { http, url: url.to_owned(), ledger }
    }

    /// A call; `None` where the node says that it failed: that is as good as no answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer<Option<(u16, Value)>> {
        self.send(method, path, body, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Answer<Option<(u16, Value)>> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|_| Gone)?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|_| Gone)?;
        Ok((status < 500).then(|| (status, serde_json::from_slice(&body).unwrap_or_default())))
    }

    pub async fn get(&self, path: &str) -> Answer<Value> {
        let (status, body) = self.call(Method::GET, path, None).await?.ok_or(Gone)?;
        assert_eq!(status, 200, "{path}: {body}");
        Ok(body)
    }

    /// Submits under a new key; the ids, where an answer came.
    pub async fn submit(&self, path: &'static str, body: Value) -> Answer<Option<Vec<String>>> {
        let number = self.ledger.asks(path, body);
        self.say_again(number).await
    }

    /// Submits what stands at this number of the ledger, under its key.
    async fn say_again(&self, number: usize) -> Answer<Option<Vec<String>>> {
        let submit = self.ledger.book().submits[number].clone();
        let Some((status, answer)) =
            self.send(Method::POST, submit.path, Some(&submit.body), Some(&submit.key)).await?
        else {
            return Ok(None);
        };
        assert!(matches!(status, 200 | 201), "{status} to {}: {answer}", submit.body);
        let id = |task: &Value| task["id"].as_str().unwrap().to_owned();
        let ids = match answer["tasks"].as_array() {
            Some(tasks) => tasks.iter().map(id).collect(),
            None => vec![id(&answer)],
        };
        let mut book = self.ledger.book();
        let long = ids.iter().zip(submit.tasks()).filter(|(_, task)| is_for_long(task));
        book.doomed.extend(long.map(|(id, _)| id.clone()));
        book.submits[number].ids = Some(ids.clone());
        Ok(Some(ids))
    }

    pub async fn cancel(&self, id: &str) -> Answer<()> {
        self.ledger.book().cancels.entry(id.to_owned()).or_default();
        if let Some((status, answer)) = self.call(Method::DELETE, &format!("/api/tasks/{id}"), None).await? {
            assert!(matches!(status, 200 | 202 | 409), "{status}: {answer}");
            self.ledger.book().cancels.insert(id.to_owned(), Some(status));
        }
        Ok(())
    }

    async fn retry(&self, id: &str) -> Answer<()> {
        self.ledger.book().retries.entry(id.to_owned()).or_default().0 += 1;
        let answer = self.call(Method::POST, &format!("/api/tasks/{id}/retry"), None).await?;
        if answer.is_some_and(|(status, _)| status == 200) {
            self.ledger.book().retries.entry(id.to_owned()).or_default().1 += 1;
        }
        Ok(())
    }

    async fn upload(&self, content: Bytes) -> Answer<Option<String>> {
        let request = self.http.post(format!("{}/api/files?name=a.csv", self.url)).header("content-type", "text/csv");
        let answer = request.body(content.clone()).send().await.map_err(|_| Gone)?;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.map_err(|_| Gone)?;
        if status >= 500 {
            return Ok(None);
        }
        assert_eq!(status, 201, "{body}");
        let id = body["file_id"].as_str().unwrap().to_owned();
        self.ledger.book().uploads.insert(id.clone(), Upload { content, deleted: false });
        Ok(Some(id))
    }

    pub async fn download(&self, path: &str) -> Answer<(u16, Bytes)> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.map_err(|_| Gone)?;
        Ok((answer.status().as_u16(), answer.bytes().await.map_err(|_| Gone)?))
    }

    /// What is unknown is asked for again: submits under their keys, cancels, what was doomed.
    pub async fn resume(&self) -> Answer<()> {
        for number in self.ledger.unknown() {
            self.say_again(number).await?;
        }
        let unheard = {
            let book = self.ledger.book();
            let asked = book.cancels.iter().filter(|(_, answer)| answer.is_none()).map(|(id, _)| id);
            asked.chain(&book.doomed).cloned().collect::<Vec<_>>()
        };
        for id in unheard {
            self.cancel(&id).await?;
        }
        Ok(())
    }

    /// The load, until the node is gone or every loop has done its rounds.
    pub async fn drive(&self) {
        let (a, b, c) = (self.clone(), self.clone(), self.clone());
        let (d, e) = (self.clone(), self.clone());
        let loops = [
            tokio::spawn(async move { a.singles().await }),
            tokio::spawn(async move { b.batches().await }),
            tokio::spawn(async move { c.files().await }),
            tokio::spawn(async move { d.demos().await }),
            tokio::spawn(async move { e.changes_of_mind().await }),
        ];
        for ended in loops {
            let _gone = ended.await.unwrap();
        }
    }

    /// Tasks for now and for soon.
    async fn singles(&self) -> Answer<()> {
        let mut pace = tokio::time::interval(Duration::from_millis(25));
        for n in 0..400 {
            pace.tick().await;
            let mut body = json!({ "type": "noop", "params": { "n": n } });
            if n % 4 == 3 {
                body["run_at"] = json!(soon(300));
            }
            self.submit("/api/tasks/submit", body).await?;
        }
        Ok(())
    }

    async fn batches(&self) -> Answer<()> {
        let mut pace = tokio::time::interval(Duration::from_millis(150));
        for n in 0..60 {
            pace.tick().await;
            let tasks: Vec<Value> = (0..10).map(|m| json!({ "type": "noop", "params": { "n": n, "m": m } })).collect();
            self.submit("/api/tasks/batch", json!({ "tasks": tasks })).await?;
        }
        Ok(())
    }

    /// Uploads, small and of several parts; tasks that read them and make files of their own; and
    /// some that are deleted again.
    async fn files(&self) -> Answer<()> {
        for n in 0..60 {
            if n % 4 == 2 {
                let params = json!({ "num_emails": 4, "subject": "s", "delay_per_email": 0.05 });
                self.submit("/api/tasks/submit", json!({ "type": "email_sending", "params": params })).await?;
            }
            if n % 8 == 1 {
                self.upload(Bytes::from("1,2\n".repeat(LARGE_BYTES / 4))).await?;
            }
            if let Some(file) = self.upload(table(300, n)).await? {
                let params = json!({ "file_id": file, "filter": "b > 3", "sort": ["-a"], "limit": 100 });
                self.submit("/api/tasks/submit", json!({ "type": "csv_processing", "params": params })).await?;
            }
            if let Some(file) = self.upload(table(10, n)).await? {
                self.ledger.book().uploads.get_mut(&file).unwrap().deleted = true;
                self.call(Method::DELETE, &format!("/api/files/{file}"), None).await?;
            }
        }
        Ok(())
    }

    /// Tasks that last: with progress, with a failure and a retry, and one that is cancelled while it runs.
    async fn demos(&self) -> Answer<()> {
        for _ in 0..6 {
            let demo = |params: Value| json!({ "type": "demo", "params": params });
            self.submit("/api/tasks/submit", demo(json!({ "duration": 1000, "steps": 10 }))).await?;
            let fails = demo(json!({ "duration": 1000, "steps": 10, "fail_at": 1 }));
            let failed = self.submit("/api/tasks/submit", fails).await?;
            let long = self.submit("/api/tasks/submit", demo(json!({ "duration": 30000, "steps": 100 }))).await?;
            if let Some(id) = failed.and_then(|ids| ids.into_iter().next()) {
                self.call(Method::GET, &format!("/api/tasks/{id}?wait=3"), None).await?;
                self.retry(&id).await?;
            }
            if let Some(id) = long.and_then(|ids| ids.into_iter().next()) {
                self.call(Method::GET, &format!("/api/tasks/{id}?wait=1"), None).await?;
                self.cancel(&id).await?;
            }
        }
        Ok(())
    }

    /// Tasks for the far future: cancelled, set going again and cancelled for good.
    async fn changes_of_mind(&self) -> Answer<()> {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..80 {
            pace.tick().await;
            let body = json!({ "type": "noop", "run_at": FAR });
            if let Some(id) = self.submit("/api/tasks/submit", body).await?.and_then(|ids| ids.into_iter().next()) {
                self.cancel(&id).await?;
                self.retry(&id).await?;
                self.cancel(&id).await?;
            }
        }
        Ok(())
    }
}

/// Whether a task would not be over soon by itself: it is to be cancelled.
fn is_for_long(body: &Value) -> bool {
    body["params"]["duration"] == 30_000 || body["run_at"] == FAR
}

fn soon(millis: i64) -> String {
    errand::clock::Clock::system().now().plus(millis).to_string()
}

fn table(rows: usize, seed: usize) -> Bytes {
    let row = |n: usize| format!("{},{}\n", n * 7 + seed, n % 10);
    Bytes::from("a,b\n".to_owned() + &(0..rows).map(row).collect::<String>())
}
