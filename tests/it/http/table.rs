//! The table of bad requests: input, status, code.

use crate::support::http::{Answer, Service};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request};
use serde_json::json;

/// A request and what must come of it. `{pending}` and `{success}` in the path are ids of tasks.
pub struct Row {
    pub what: String,
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub body: Vec<u8>,
    pub status: u16,
    pub code: &'static str,
}

impl Row {
    fn of(method: &'static str, path: impl Into<String>, status: u16, code: &'static str) -> Row {
        let path = path.into();
        let what = format!("{method} {path:.60}");
        Row { what, method, path, headers: Vec::new(), body: Vec::new(), status, code }
    }

    fn get(path: impl Into<String>, status: u16, code: &'static str) -> Row {
        Row::of("GET", path, status, code)
    }

    fn submit(body: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Row {
        Row::of("POST", "/api/tasks/submit", status, code).with("content-type", "application/json").sending(body)
    }

    fn with(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Row {
        self.headers.push((name, value.into()));
        self
    }

    fn sending(mut self, body: impl Into<Vec<u8>>) -> Row {
        self.body = body.into();
        self.what = format!("{} {:.80}", self.what, String::from_utf8_lossy(&self.body));
        self
    }

    /// Sends it, with ids of this service's tasks.
    pub async fn send(&self, service: &Service, ids: &Ids) -> Answer {
        let path = self.path.replace("{pending}", &ids.pending).replace("{success}", &ids.success);
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap_or_else(|_| panic!("{path} is no address"));
        for (name, value) in &self.headers {
            request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        service.send(request).await
    }
}

/// Tasks to ask about.
pub struct Ids {
    pub pending: String,
    pub success: String,
}

impl Ids {
    pub async fn of(service: &Service) -> Ids {
        service.work();
        let success = service.run(json!({ "type": "csv_processing", "params": { "num_rows": 100, "seed": 1 } })).await;
        let pending = service.submit(json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" })).await;
        Ids { pending, success: success["id"].as_str().unwrap().to_owned() }
    }
}

/// Every row.
pub fn table() -> Vec<Row> {
    [bodies(), members(), headers(), ids(), queries(), many(), marks()].into_iter().flatten().collect()
}

/// Bodies that are no JSON (400), or not this JSON (422).
fn bodies() -> Vec<Row> {
    let deep = format!(r#"{{"type":"noop","params":{}{}}}"#, r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let nested = |open: &str, close: &str| {
        format!(r#"{{"type":"noop","params":{{"a":{}{}}}}}"#, open.repeat(200), close.repeat(200))
    };
    let keys: Vec<String> = (0..1_000_000).map(|n| format!("\"k{n}\":1")).collect();
    let not_utf8 = [&br#"{"type":"noop","name":""#[..], b"\xff\xfe", br#""}"#].concat();
    let malformed = |body: Vec<u8>| Row::submit(body, 400, "malformed_json");
    let mut rows: Vec<Row> = [
        "",
        " ",
        "{",
        "nul",
        r#"{"type":"noop"} x"#,
        r#"{"type":"noop"}{}"#,
        "\u{feff}{\"type\":\"noop\"}",
        r#"{"type":"noop","params":{"a":NaN}}"#,
        r#"{"type":"noop"/* c */}"#,
        "{'type':'noop'}",
        r#"{"type":"noop",}"#,
        r#"{"type":"noop","type":"demo"}"#,
        r#"{"type":"noop","params":{"a":{"b":1,"b":2}}}"#,
        r#"{"type":"noop","name":"\ud800"}"#,
        r#"{"type":"noop","name":"\udc00\ud800"}"#,
        r#"{"type":"noop","params":{"a":01}}"#,
        "{\"type\":\"noop\",\"name\":\"a\nb\"}",
        &deep,
        &nested("[", "]"),
    ]
    .into_iter()
    .map(|body| malformed(body.into()))
    .collect();
    rows.push(malformed(not_utf8));
    // No number of ours: refused rather than rounded.
    rows.push(Row::submit(r#"{"type":"noop","params":{"a":1e400}}"#, 422, "invalid_request"));
    rows.extend(
        ["null", "[]", "\"x\"", "1", "{}", r#"{"type":null}"#].map(|body| Row::submit(body, 422, "invalid_request")),
    );
    for body in [
        r#"{"type":"noop","name":"a\u0000"}"#,
        r#"{"type":"noop","params":{"a":["\u0000"]}}"#,
        r#"{"type":"noop","params":{"\u0000":1}}"#,
        r#"{"type":"noop","tags":["\u0000"]}"#,
        r#"{"type":"\u0000"}"#,
        r#"{"type":"noop","queue":"\u0000"}"#,
    ] {
        rows.push(Row::submit(body, 422, "invalid_request"));
    }
    rows.push(Row::submit(format!(r#"{{"type":"noop","params":{{{}}}}}"#, keys.join(",")), 413, "body_too_large"));
    rows.push(Row::submit(format!(r#"{{"type":"noop","name":"{}"}}"#, "x".repeat(50 << 20)), 413, "body_too_large"));
    rows
}

/// Members of a submit that are wrong.
fn members() -> Vec<Row> {
    let tags = json!((0..1000).map(|n| n.to_string()).collect::<Vec<_>>()).to_string();
    let long = format!("\"{}\"", "x".repeat(1 << 16));
    let wrong = [
        ("priority", vec!["-101", "101", "2147483648", "\"high\"", "1.5", "true", "1e400", "[]"]),
        ("max_attempts", vec!["0", "-1", "1000000000", "101", "1.0", "\"3\""]),
        ("timeout_seconds", vec!["0", "-1", "1000000000000", "\"1h\"", "1.5"]),
        (
            "run_at",
            vec![
                "\"0001-01-01T00:00:00Z\"",
                "\"9999-12-31T23:59:59Z\"",
                "\"294277-01-01T00:00:00Z\"",
                "\"infinity\"",
                "\"2026-01-01T00:00:00\"",
                "\"2026-02-30T00:00:00Z\"",
                "\"2026-01-01T24:00:60Z\"",
                "1767225600",
                "\"\"",
                "\"now\"",
                "{}",
            ],
        ),
        (
            "backoff",
            vec![
                "1",
                "{\"base_seconds\":-1}",
                "{\"factor\":0}",
                "{\"nope\":1}",
                "{\"jitter\":1}",
                "{\"max_seconds\":1e400}",
            ],
        ),
        ("name", vec!["1", "[]", &long]),
        ("queue", vec!["\"\"", "1", "\"a\\nb\"", "\"_internal\"", "\"errand-x\"", "\"a\\u202eb\"", &long]),
        ("tags", vec!["\"x\"", "[1]", "[\"\"]", "[\"a\\nb\"]", "[\"a\\u202eb\"]", "{}", &tags]),
        ("client_id", vec!["\"\"", "1", "\"a\\rb\"", &long]),
        ("params", vec!["null", "[]", "\"x\"", "1"]),
        ("type", vec!["1", "[]", "{}"]),
        // Mass assignment.
        ("status", vec!["\"SUCCESS\""]),
        ("state", vec!["1"]),
        ("attempt", vec!["0"]),
        ("created_at", vec!["\"2026-01-01T00:00:00Z\""]),
        ("result", vec!["{}"]),
        ("owner", vec!["\"root\""]),
        ("id", vec!["\"x\""]),
        ("nope", vec!["null"]),
        ("cron", vec!["\"* * * * *\""]),
    ];
    let row = |(name, value): (&str, &str)| {
        let kind = if name == "type" { "" } else { "\"type\":\"noop\"," };
        Row::submit(format!("{{{kind}\"{name}\":{value}}}"), 422, "invalid_request")
    };
    let mut rows: Vec<Row> =
        wrong.iter().flat_map(|(name, values)| values.iter().map(|value| row((name, value)))).collect();
    rows.extend(
        ["\"nope\"", "\"\"", "\"NOOP\"", "\"noop \"", "\"../x\"", "\"' or 1=1\""]
            .map(|name| Row::submit(format!("{{\"type\":{name}}}"), 422, "unknown_task_type")),
    );
    rows.extend(
        ["{\"duration\":1e400}", "{\"duration\":1000.5}", "{\"steps\":123456789012345678901234567890}"]
            .map(|params| Row::submit(format!("{{\"type\":\"demo\",\"params\":{params}}}"), 422, "invalid_request")),
    );
    rows.extend(["wait=61", "wait=-1", "wait=x", "wait=", "wait=1&wait=2", "dry_run=yes", "nope=1", "api_key=x"].map(
        |query| {
            let row = Row::of("POST", format!("/api/tasks/submit?{query}"), 422, "invalid_request");
            row.with("content-type", "application/json").sending("{\"type\":\"noop\"}")
        },
    ));
    rows
}

/// Headers that are wrong, and a body that is not what they say.
fn headers() -> Vec<Row> {
    let noop = "{\"type\":\"noop\"}";
    let submit = |status, code| Row::of("POST", "/api/tasks/submit", status, code);
    let json = |name, value: Vec<u8>| Row::submit(noop, 400, "bad_header").with(name, value);
    let mut rows = vec![
        submit(415, "unsupported_media_type").sending(noop),
        Row::submit(noop, 415, "unsupported_media_type").with("content-encoding", "gzip"),
        Row::submit(noop, 413, "body_too_large").with("content-length", "10000000000"),
        Row::submit(noop, 400, "bad_header").with("content-length", "ten"),
        Row::get("/api/tasks/", 431, "headers_too_large").with("x-big", vec![b'x'; 20_000]),
        Row::get(format!("/api/tasks/?q={}", "x".repeat(20_000)), 414, "uri_too_long"),
        Row::get("/api/tasks/", 406, "not_acceptable").with("accept", "text/html"),
        Row::get("/api/tasks/", 400, "bad_header").with("host", "a").with("host", "b"),
        json("transfer-encoding", b"gzip, chunked".to_vec()),
        Row::submit(noop, 403, "forbidden").with("origin", "http://evil.example"),
        Row::submit(noop, 403, "forbidden").with("origin", "null").with("sec-fetch-site", "none"),
        (0..200).fold(Row::get("/api/tasks/", 431, "headers_too_large"), |row, _| row.with("x-many", "1")),
    ];
    rows.extend(
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", ""]
            .map(|media| submit(415, "unsupported_media_type").with("content-type", media).sending(noop)),
    );
    rows.extend([&b""[..], b"a\tb", "ü".as_bytes(), &[b'x'; 300]].map(|key| json("idempotency-key", key.to_vec())));
    rows.extend([&b"a\tb"[..], b"\xff", &[b'x'; 300]].map(|id| json("x-client-id", id.to_vec())));
    rows
}

/// Ids and names that are none.
fn ids() -> Vec<Row> {
    let long = "x".repeat(5_000);
    let upper = "0193C5A0-7B1E-7000-8000-0123456789AB";
    let none = [
        "0",
        "-1",
        "18446744073709551616",
        "abc",
        "'%20or%201=1",
        &long,
        upper,
        "0193c5a07b1e700080000123456789ab",
        "%20",
        "*",
        "null",
        "0193c5a0-7b1e-7000-8000-0123456789ab",
    ];
    let mut rows: Vec<Row> = none
        .iter()
        .flat_map(|id| {
            let task = |method, rest: &str| Row::of(method, format!("/api/tasks/{id}{rest}"), 404, "task_not_found");
            [
                task("GET", ""),
                task("DELETE", ""),
                task("POST", "/retry"),
                task("POST", "/clone"),
                task("POST", "/approve"),
                task("POST", "/reject"),
                task("GET", "/artifacts/x"),
                Row::get(format!("/api/files/{id}"), 404, "file_not_found"),
            ]
        })
        .collect();
    rows.extend(
        ["/api/tasks/%00", "/api/tasks/a%00", "/api/files/%0a", "/api/tasks/%ff"]
            .map(|path| Row::get(path, 404, "not_found")),
    );
    for name in ["nope", "..%5c..%5cx", "C:%5cx", "table.csv%20", "TABLE.CSV", "%e2%80%ae"] {
        let code = if name.starts_with("..") { "not_found" } else { "artifact_not_found" };
        rows.push(Row::get(format!("/api/tasks/{{success}}/artifacts/{name}"), 404, code));
    }
    for name in ["..%2f..%2fetc%2fpasswd", "../../etc/passwd", "%2e%2e/x", "x%00", "table.csv%0d"] {
        rows.push(Row::get(format!("/api/tasks/{{success}}/artifacts/{name}"), 404, "not_found"));
    }
    rows.extend([
        Row::of("DELETE", "/api/tasks/{success}", 409, "task_not_cancellable"),
        Row::of("POST", "/api/tasks/{success}/retry", 409, "task_not_retryable"),
        Row::of("POST", "/api/tasks/{pending}/retry", 409, "task_not_retryable"),
        Row::get("/api/tasks/{success}/artifacts/table.csv", 416, "range_not_satisfiable")
            .with("range", "bytes=99999999-"),
    ]);
    rows
}

/// Query parameters that are wrong.
fn queries() -> Vec<Row> {
    let long = format!("q={}", "x".repeat(5_000));
    let lists = [
        "limit=0",
        "limit=-1",
        "limit=1000000",
        "limit=abc",
        "limit=501",
        "limit=",
        "limit=1&limit=2",
        "limit=%2B5",
        "limit=1.0",
        "offset=1000000000000",
        "status=DONE",
        "status[]=PENDING",
        "status=",
        "status=pending",
        "status=PENDING,FAILED",
        "sort=payload",
        "sort=id;drop",
        "sort=",
        "sort=-",
        "view=all",
        "nope=1",
        "q=%zz",
        "q=%ff",
        "q=%00",
        "queue=",
        "tag=%0a",
        &long,
        "created_after=0000-01-01T00:00:00Z",
        "created_after=yesterday",
        "created_after=2026-02-01T00:00:00Z&created_before=2026-01-01T00:00:00Z",
        "created_before=2026-02-30T00:00:00Z",
        "api_key=x",
    ];
    let mut rows: Vec<Row> =
        lists.iter().map(|query| Row::get(format!("/api/tasks/?{query}"), 422, "invalid_filter")).collect();
    rows.extend(["x", "e30", "bnVsbA", "%00x", "AAAA"].map(|cursor| {
        let code = if cursor.contains('%') { "invalid_filter" } else { "invalid_cursor" };
        Row::get(format!("/api/tasks/?cursor={cursor}"), 422, code)
    }));
    rows.extend(
        ["after=-1", "after=x", "after=9223372036854775808", "limit=0", "limit=1001", "wait=61", "nope=1"]
            .map(|query| Row::get(format!("/api/tasks/changes?{query}"), 422, "invalid_request")),
    );
    rows.extend(
        ["wait=61", "wait=x", "wait_for=never", "nope=1"]
            .map(|query| Row::get(format!("/api/tasks/{{pending}}?{query}"), 422, "invalid_request")),
    );
    rows.extend(
        ["limit=0", "format=xml", "status=DONE"]
            .map(|query| Row::get(format!("/api/tasks/export?{query}"), 422, "invalid_filter")),
    );
    rows
}

/// Batches and bulk actions that are wrong.
fn many() -> Vec<Row> {
    let bad = format!(r#"{{"tasks":[{}{{"type":"nope"}}]}}"#, r#"{"type":"noop"},"#.repeat(999));
    let post = |path: &str, body: &str, status, code| {
        Row::of("POST", path, status, code).with("content-type", "application/json").sending(body)
    };
    let ids = json!({ "ids": (0..10_001).map(|n| n.to_string()).collect::<Vec<_>>() }).to_string();
    let batch = |body: &str| post("/api/tasks/batch", body, 422, "invalid_request");
    let cancel = |body: &str| post("/api/tasks/cancel", body, 422, "invalid_request");
    vec![
        batch("{}"),
        batch(r#"{"tasks":[]}"#),
        batch(r#"{"tasks":{}}"#),
        batch(r#"{"tasks":[1]}"#),
        batch(r#"{"tasks":[null]}"#),
        batch(r#"{"tasks":[{"type":"noop"}],"nope":1}"#),
        batch(r#"{"tasks":[{"type":"noop","params":{"a":"\u0000"}}]}"#),
        post("/api/tasks/batch", &bad, 422, "unknown_task_type"),
        post("/api/tasks/batch", "[", 400, "malformed_json"),
        post("/api/tasks/cancel", "{}", 400, "empty_filter"),
        post("/api/tasks/retry", "{}", 400, "empty_filter"),
        cancel(r#"{"ids":"x"}"#),
        cancel(r#"{"ids":[1]}"#),
        cancel(r#"{"status":"DONE"}"#),
        cancel(r#"{"nope":1}"#),
        cancel(&ids),
        cancel("[]"),
        post("/api/tasks/retry", "", 400, "malformed_json"),
    ]
}

/// Notifications that are marked, or asked for, in a wrong way.
fn marks() -> Vec<Row> {
    let send = |method: &'static str, path: &str, body: &str, status, code| {
        let row = Row::of(method, format!("/api/notifications{path}"), status, code);
        row.with("content-type", "application/json").sending(body)
    };
    let id = "12-0193c5a0-7b1e-7000-8000-0123456789ab";
    let ids = json!({ "ids": (0..201).map(|n| format!("{n}{}", &id[2..])).collect::<Vec<_>>() }).to_string();
    let muted = json!({ "mute": (0..101).map(|n| json!({ "queue": n.to_string() })).collect::<Vec<_>>() }).to_string();
    let mut rows = Vec::new();
    for body in [
        "{}",
        "[]",
        r#"{"all":false}"#,
        r#"{"all":"true"}"#,
        r#"{"ids":"x"}"#,
        r#"{"ids":["x"]}"#,
        r#"{"ids":["12"]}"#,
        r#"{"ids":["\u0000"]}"#,
        r#"{"until":"-1-0193c5a0-7b1e-7000-8000-0123456789ab"}"#,
        r#"{"until":"99999999999999-0193c5a0-7b1e-7000-8000-0123456789ab"}"#,
        r#"{"until":{}}"#,
        r#"{"all":true,"owner":"root"}"#,
        &format!(r#"{{"all":true,"until":"{id}"}}"#),
        &ids,
    ] {
        rows.push(send("POST", "/read", body, 422, "invalid_request"));
    }
    for body in ["{}", r#"{"all":true}"#, r#"{"ids":[1]}"#, r#"{"ids":null}"#, &ids] {
        rows.push(send("POST", "/unread", body, 422, "invalid_request"));
    }
    for body in [
        "null",
        r#"{"mute":{}}"#,
        r#"{"mute":[{}]}"#,
        r#"{"mute":["noop"]}"#,
        r#"{"mute":[{"type":"a","queue":"b"}]}"#,
        r#"{"mute":[{"status":"RUNNING"}]}"#,
        r#"{"mute":[{"queue":"\u0000"}]}"#,
        r#"{"mute":[{"queue":"a\u202eb"}]}"#,
        r#"{"unmute":[{"owner":"b"}]}"#,
        r#"{"muted":[]}"#,
        &muted,
    ] {
        rows.push(send("PATCH", "/muted", body, 422, "invalid_request"));
    }
    rows.extend(["", "{", r#"{"all":true,"all":true}"#].map(|body| send("POST", "/read", body, 400, "malformed_json")));
    rows.push(Row::of("POST", "/api/notifications/read", 415, "unsupported_media_type").sending(r#"{"all":true}"#));
    rows.extend(["?until=x", "?until=", "?all=true"].map(|query| send("DELETE", query, "", 422, "invalid_request")));
    rows.extend(
        ["unread=1", "limit=0", "limit=501", "status=FAILED", "owner=x"]
            .map(|query| Row::get(format!("/api/notifications?{query}"), 422, "invalid_filter")),
    );
    rows.push(Row::get("/api/notifications?cursor=x", 422, "invalid_cursor"));
    rows.push(Row::get("/api/notifications/muted?x=1", 422, "invalid_request"));
    rows
}
