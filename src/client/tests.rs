//! The client against a service that answers from a script.

use super::*;
use crate::config::Cli;
use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A service that gives these answers (status, body) in turn, each with the tag `"t"`; when all
/// are given, the requests it got, as text.
async fn service(answers: &[(u16, &str)]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let answers: Vec<(u16, String)> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
    let served = tokio::spawn(async move {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut socket, _) = listener.accept().await.expect("a caller");
            requests.push(request(&mut socket).await);
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} X\r\nconnection: close\r\netag: \"t\"\r\ncontent-length: {length}\r\n\r\n");
            socket.write_all((head + &body).as_bytes()).await.expect("the caller listens");
        }
        requests
    });
    (url, served)
}

async fn request(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        let mut part = [0; 4096];
        let read = socket.read(&mut part).await.expect("the caller writes");
        text += std::str::from_utf8(&part[..read]).expect("text");
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.is_none_or(|length| length.parse() == Ok(body.len())) {
            return text;
        }
    }
}

/// What a subcommand answers with and prints.
async fn errand(url: &str, line: &[&str]) -> (Result<i32>, String) {
    let cli = Cli::try_parse_from([&["errand"], line].concat()).expect("a sound command line");
    let Some(crate::config::Command::Client(command)) = cli.command else { panic!("a command of the client") };
    let mut out = Vec::new();
    let server = Server::new(url, None).expect("a client");
    let outcome = act(&server, command, &mut out).await;
    (outcome, String::from_utf8(out).expect("text"))
}

fn trouble(outcome: Result<i32>) -> (i32, String) {
    let trouble = outcome.expect_err("it is refused");
    (trouble.exit_code(), trouble.to_string())
}

#[tokio::test]
async fn a_submit_sends_what_was_given_and_prints_the_id() {
    let (url, served) = service(&[(201, r#"{"id": "0193"}"#)]).await;
    let params = r#"{"n": 12345678901234567890123}"#;
    let line = ["submit", "noop", "--params", params, "--tag", "a", "--priority", "-5", "--idempotency-key", "k"];
    let (outcome, out) = errand(&url, &line).await;
    assert_eq!((outcome.ok(), out.as_str()), (Some(0), "0193\n"));
    let request = &served.await.expect("served")[0];
    assert!(request.starts_with("POST /api/tasks/submit HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("idempotency-key: k\r\n"), "{request}");
    let body = r#"{"type":"noop","params":{"n": 12345678901234567890123},"priority":-5,"tags":["a"]}"#;
    assert!(request.ends_with(body), "{request}");
}

#[tokio::test]
async fn a_file_is_uploaded_and_named_where_the_type_wants_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/rustfmt.toml");
    let types =
        r#"{"types": [{"type": "csv_processing", "params_schema": {"oneOf": [{"properties": {"file_id": {}}}]}}]}"#;
    let (url, served) = service(&[(200, types), (201, r#"{"file_id": "f1"}"#), (201, r#"{"id": "0193"}"#)]).await;
    let (outcome, _) = errand(&url, &["submit", "csv_processing", "--file", path]).await;
    assert_eq!(outcome.ok(), Some(0));
    let requests = served.await.expect("served");
    assert!(requests[1].starts_with("POST /api/files?name=rustfmt.toml "), "{}", requests[1]);
    assert!(requests[1].ends_with(include_str!("../../rustfmt.toml")), "{}", requests[1]);
    assert!(requests[2].ends_with(r#""params":{"file_id":"f1"}}"#), "{}", requests[2]);
}

#[tokio::test]
async fn what_the_service_finds_wrong_is_told_line_by_line_with_exit_code_2() {
    let problem = r#"{"title": "The request is not valid", "detail": "one thing is wrong", "status": 422,
        "errors": [{"pointer": "/params/n", "detail": "must be\u001b 1 to 5"}]}"#;
    let (url, _served) = service(&[(422, problem)]).await;
    let (outcome, _) = errand(&url, &["submit", "noop"]).await;
    let text = "The request is not valid: one thing is wrong\n  /params/n: must be\\u{1b} 1 to 5";
    assert_eq!(trouble(outcome), (2, text.to_owned()));
}

#[tokio::test]
async fn other_refusals_have_exit_code_1() {
    let (url, _served) = service(&[(404, r#"{"title": "No such task"}"#), (502, "<html>")]).await;
    assert_eq!(trouble(errand(&url, &["get", "x"]).await.0), (1, "No such task".to_owned()));
    assert_eq!(trouble(errand(&url, &["get", "x"]).await.0), (1, "the answer was 502 Bad Gateway".to_owned()));
}

#[tokio::test]
async fn where_nobody_listens_the_way_to_start_one_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let (code, text) = trouble(errand(&url, &["list"]).await.0);
    assert_eq!((code, text), (1, format!("no Errand at {url}: start one with `errand`")));
}

#[tokio::test]
async fn a_list_asks_with_its_filters_and_prints_a_table() {
    let body = r#"{"tasks": [{"id": "0193", "type": "noop", "status": "FAILED", "queue": "default", "name": "a\nb",
        "attempt": 1, "max_attempts": 3, "progress": {"percent": 42.4}, "created_at": "T"}], "next_cursor": null}"#;
    let (url, served) = service(&[(200, body)]).await;
    let (_, out) =
        errand(&url, &["list", "--status", "FAILED", "--status", "SUCCESS", "-q", "a b", "--limit", "5"]).await;
    let expected = "ID    STATUS  TYPE  QUEUE    DONE  ATTEMPT  CREATED  NAME\n\
                    0193  FAILED  noop  default  42 %  1/3      T        a\\nb\n";
    assert_eq!(out, expected);
    let request = &served.await.expect("served")[0];
    assert!(request.starts_with("GET /api/tasks?limit=5&status=FAILED&status=SUCCESS&q=a+b "), "{request}");
}

#[tokio::test]
async fn an_id_cannot_reach_another_path() {
    let (url, served) = service(&[(404, "{}")]).await;
    let _ = errand(&url, &["get", "../stats?x#y"]).await;
    let request = &served.await.expect("served")[0];
    assert!(request.starts_with("GET /api/tasks/..%2Fstats%3Fx%23y "), "{request}");
}

#[tokio::test]
async fn every_id_is_tried_and_the_worst_code_answers() {
    let refusal = (409, r#"{"title": "The task cannot be cancelled"}"#);
    let (url, _served) = service(&[refusal, (200, "{}"), (202, "{}")]).await;
    let (outcome, out) = errand(&url, &["cancel", "a", "b", "c"]).await;
    assert_eq!((outcome.ok(), out.as_str()), (Some(1), "b  cancelled\nc  cancel requested\n"));
}

#[tokio::test]
async fn a_watch_waits_for_changes_and_ends_with_the_task() {
    let running = r#"{"status": "RUNNING", "phase": "running", "updated_at": "T1", "progress": {"percent": 50.0,
        "step": "half", "processed": 5, "total": 10, "eta_seconds": 3}}"#;
    let done = r#"{"status": "SUCCESS", "phase": "success", "updated_at": "T2", "result": {"n": 1},
        "started_at": "2026-01-31T12:00:00.000Z", "finished_at": "2026-01-31T12:00:01.250Z"}"#;
    let (url, served) = service(&[(200, running), (304, ""), (200, done)]).await;
    let (outcome, out) = errand(&url, &["watch", "0193"]).await;
    let expected = "T1  running    50.0 %  half  5/10  3 s left\nT2  success\nSUCCESS in 1.2 s\n{\"n\": 1}\n";
    assert_eq!((outcome.ok(), out.as_str()), (Some(0), expected));
    let requests = served.await.expect("served");
    assert!(requests[0].starts_with("GET /api/tasks/0193 "), "{}", requests[0]);
    assert!(requests[1].starts_with("GET /api/tasks/0193?wait=60&wait_for=change "), "{}", requests[1]);
    assert!(requests[1].contains("if-none-match: \"t\"\r\n"), "{}", requests[1]);
}

#[tokio::test]
async fn a_watched_task_that_fails_makes_exit_code_1() {
    let failed = r#"{"status": "FAILED", "phase": "failed", "updated_at": "T", "error": {"code": "e", "message": "m", "attempt": 2}}"#;
    let (url, _served) = service(&[(200, failed)]).await;
    let (outcome, out) = errand(&url, &["watch", "0193"]).await;
    assert_eq!((outcome.ok(), out.as_str()), (Some(1), "T  failed     e: m (attempt 2)\nFAILED\n"));
}

#[tokio::test]
async fn a_log_is_read_page_by_page() {
    let page = r#"{"logs": [{"seq": 7, "at": "T", "level": "info", "message": "one", "attempt": 1}], "next": 7}"#;
    let (url, served) = service(&[(200, page), (200, r#"{"logs": [], "next": 7}"#)]).await;
    let (outcome, out) = errand(&url, &["logs", "0193"]).await;
    assert_eq!((outcome.ok(), out.as_str()), (Some(0), "T  info   #1  one\n"));
    assert!(served.await.expect("served")[1].starts_with("GET /api/tasks/0193/logs?after=7 "));
}

#[tokio::test]
async fn a_closed_pipe_ends_it_quietly() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (url, _served) = service(&[(200, "{}")]).await;
    let command = ClientCommand::Get { id: "0193".to_owned(), json: true };
    let outcome = act(&Server::new(&url, None).expect("a client"), command, &mut Gone).await;
    assert_eq!(trouble(outcome).0, 0);
}

#[test]
fn a_task_is_shown_whole_with_what_it_has() {
    let task = r#"{"id": "0193", "type": "demo", "status": "PENDING", "phase": "scheduled", "queue": "q", "priority": 2,
        "tags": ["a", "b"], "max_attempts": 3, "created_at": "T1", "run_at": "T2", "params": {"n": 1.0}, "result": null}"#;
    let task = serde_json::from_str(task).expect("a task");
    let expected = "id        0193\ntype      demo\nstatus    PENDING (scheduled)\nqueue     q, priority 2\n\
                    tags      a, b\nattempt   0 of 3\ncreated   T1\nrun at    T2\nparams    {\"n\": 1.0}\n";
    assert_eq!(show::whole(&task), expected);
}

#[tokio::test]
async fn an_approval_and_a_rejection_say_what_was_given_to_each_task() {
    let (url, served) = service(&[(200, "{}"), (200, "{}"), (200, "{}")]).await;
    let (outcome, out) = errand(&url, &["approve", "0193", "0194", "--run-at", "2026-01-31T12:00:00Z"]).await;
    assert_eq!((outcome.ok(), out.as_str()), (Some(0), "0193  approved\n0194  approved\n"));
    let (outcome, out) = errand(&url, &["reject", "0193", "--reason", "too dear"]).await;
    assert_eq!((outcome.ok(), out.as_str()), (Some(0), "0193  rejected\n"));
    let requests = served.await.expect("served");
    assert!(requests[1].starts_with("POST /api/tasks/0194/approve HTTP/1.1\r\n"), "{}", requests[1]);
    assert!(requests[1].ends_with(r#"{"run_at":"2026-01-31T12:00:00Z"}"#), "{}", requests[1]);
    assert!(requests[2].starts_with("POST /api/tasks/0193/reject HTTP/1.1\r\n"), "{}", requests[2]);
    assert!(requests[2].ends_with(r#"{"reason":"too dear"}"#), "{}", requests[2]);
    let (url, _served) = service(&[(409, r#"{"title": "The task waits for no approval"}"#)]).await;
    assert_eq!(errand(&url, &["approve", "x"]).await.0.ok(), Some(1));
}
