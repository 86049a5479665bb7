//! Whatever is wrong with an upload: refused, and nothing of it stays.

use super::files::picture;
use crate::support::http::{Answer, MAX_FILE_BYTES, Service};
use crate::support::on_both_databases;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use std::io;

on_both_databases!(
    Service: a_bad_form_is_refused_and_leaves_nothing,
    a_file_may_have_exactly_the_limit,
    what_is_not_what_it_says_is_refused,
    a_name_is_kept_as_inert_text,
    a_digest_that_does_not_fit_is_refused,
    an_upload_that_breaks_off_leaves_nothing,
    what_could_run_in_a_browser_is_an_attachment,
);

async fn form(service: &Service, content_type: &str, body: impl Into<Bytes>) -> Answer {
    service.call("POST", "/api/files", &[("content-type", content_type)], body).await
}

async fn a_bad_form_is_refused_and_leaves_nothing(service: Service) {
    let part = "--X\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n";
    let note = "--X\r\ncontent-disposition: form-data; name=\"n\"\r\n\r\nx\r\n";
    let x = "multipart/form-data; boundary=X";
    let inner = part.replace("--X", "--Y").replace("filename=\"a\"", "filename=\"in\"");
    let nested = format!(
        "--X\r\ncontent-disposition: form-data; name=\"f\"\r\ncontent-type: multipart/mixed; boundary=Y\r\n\r\n{inner}a\r\n--Y--\r\n--X--\r\n"
    );
    let long = format!("multipart/form-data; boundary={}", "b".repeat(1000));
    for (what, content_type, body, status, code) in [
        ("no boundary", "multipart/form-data", format!("{part}a\r\n--X--\r\n"), 400, "malformed_multipart"),
        ("a boundary of 1 KB", &long, format!("{part}a\r\n--X--\r\n"), 400, "malformed_multipart"),
        ("a boundary never closed", x, format!("{part}aaa"), 400, "malformed_multipart"),
        ("a form without an end", x, format!("{part}aaa\r\n"), 400, "malformed_multipart"),
        ("no form at all", x, "hello".to_owned(), 400, "malformed_multipart"),
        ("10,000 parts", x, format!("{}{part}a\r\n--X--\r\n", note.repeat(10_000)), 400, "malformed_multipart"),
        ("60 parts", x, format!("{}{part}a\r\n--X--\r\n", note.repeat(60)), 413, "body_too_large"),
        ("part headers of 1 MB", x, format!("--X\r\nx: {}\r\n\r\n", "h".repeat(1 << 20)), 400, "malformed_multipart"),
        ("no file name", x, format!("{note}--X--\r\n"), 422, "invalid_request"),
        ("a form within the form", x, nested.clone(), 422, "invalid_request"),
        ("an empty file", x, format!("{part}\r\n--X--\r\n"), 422, "invalid_request"),
        ("an empty body", "text/csv", String::new(), 422, "invalid_request"),
    ] {
        form(&service, content_type, body).await.is_problem(status, code, what);
        service.until_files(0, what).await;
    }
}

async fn a_file_may_have_exactly_the_limit(service: Service) {
    let bytes = vec![b'x'; MAX_FILE_BYTES as usize + 1];
    let part = b"--X\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n";
    let x = "multipart/form-data; boundary=X";
    form(&service, "text/plain", bytes.clone()).await.is_problem(413, "body_too_large", "one byte more");
    let over = [part.as_slice(), &bytes, b"\r\n--X--\r\n"].concat();
    form(&service, x, over).await.is_problem(413, "body_too_large", "one byte more in a form");
    let declared = [("content-type", "text/plain"), ("content-length", "10000000000")];
    service.call("POST", "/api/files", &declared, "x").await.is_problem(413, "body_too_large", "declared");
    service.until_files(0, "all refused").await;
    assert_eq!(form(&service, "text/plain", bytes[1..].to_vec()).await.status, 201);
    let within = [part.as_slice(), &bytes[1..], b"\r\n--X--\r\n"].concat();
    assert_eq!(form(&service, x, within).await.status, 201);
}

async fn what_is_not_what_it_says_is_refused(service: Service) {
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0".to_vec();
    let mut tar = vec![0; 512];
    tar[..5].copy_from_slice(b"a.csv");
    tar[257..265].copy_from_slice(b"ustar\x0000");
    for (what, content_type, body) in [
        ("html as png", "image/png", b"<!DOCTYPE html><script>alert(1)</script>".to_vec()),
        ("elf as png", "image/png", b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec()),
        ("svg with a script as png", "image/png", b"<svg onload=alert(1)></svg>".to_vec()),
        ("zip as csv", "text/csv", zip),
        ("tar as csv", "text/csv", tar),
        ("png as csv", "text/csv", picture(2, 2)),
    ] {
        form(&service, content_type, body).await.is_problem(415, "unsupported_media_type", what);
        service.until_files(0, what).await;
    }
}

async fn a_name_is_kept_as_inert_text(service: Service) {
    let long = "x".repeat(5000);
    for name in ["../../x", "/etc/passwd", "C:\\x", "con", "...", "a\u{202e}b", long.as_str(), ""] {
        let disposition = format!("form-data; name=\"f\"; filename=\"{}\"", name.replace('\\', "\\\\"));
        let body = format!("--X\r\ncontent-disposition: {disposition}\r\n\r\nhello\r\n--X--\r\n");
        let answer = form(&service, "multipart/form-data; boundary=X", body).await;
        assert_eq!(answer.status, 201, "{name:.20}: {}", answer.json);
        let kept = answer.json["name"].as_str().unwrap();
        assert!(
            (1..=255).contains(&kept.chars().count()) && !kept.contains(['\u{202e}', '\r', '\n', '\0']),
            "{kept:?}"
        );
        let got = service.get(&format!("/api/files/{}", answer.json["file_id"].as_str().unwrap())).await;
        let disposition = got.header("content-disposition");
        assert!(
            disposition.starts_with("attachment; filename=\"") && !disposition.contains(['/', '\\']),
            "{disposition}"
        );
        assert_eq!(&got.body[..], b"hello");
    }
    for query in ["name=a%0D%0Ab", "name=%2e%2e%2fx"] {
        let answer = service.call("POST", &format!("/api/files?{query}"), &[], "hello").await;
        assert_eq!(answer.status, 201, "{query}: {}", answer.json);
        assert!(!answer.json["name"].as_str().unwrap().contains(['\r', '\n']));
    }
    service.call("POST", "/api/files?name=a%00", &[], "hello").await.is_problem(422, "invalid_request", "NUL");
}

async fn a_digest_that_does_not_fit_is_refused(service: Service) {
    let send = async |digest: &str| service.call("POST", "/api/files", &[("content-digest", digest)], "hello").await;
    let right = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    assert_eq!(send(right).await.status, 201);
    let wrong = "sha-256=:AAAAul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    send(wrong).await.is_problem(422, "invalid_request", "wrong");
    send("sha-256=nonsense").await.is_problem(400, "bad_header", "nonsense");
    service.until_files(1, "the good one").await;
}

async fn an_upload_that_breaks_off_leaves_nothing(service: Service) {
    let pieces = (0..99).map(|_| Ok(Bytes::from(vec![b'x'; 64 * 1024])));
    let broken = pieces.chain([Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
    let body = Body::from_stream(futures_util::stream::iter(broken));
    let answer = service.send(upload(body)).await;
    answer.is_problem(400, "bad_request", "broken off");
    let endless = futures_util::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from(vec![b'x'; 64 * 1024])));
    service.send(upload(Body::from_stream(endless))).await.is_problem(413, "body_too_large", "endless");
    service.until_files(0, "all refused").await;
}

async fn what_could_run_in_a_browser_is_an_attachment(service: Service) {
    let picture_and_archive = [picture(2, 2), b"PK\x03\x04\x14\0\0\0\x08\0<script>".to_vec()].concat();
    for (content_type, content) in [
        ("text/html", b"<script>alert(1)</script>".to_vec()),
        ("image/gif", b"GIF89a/*\x01\0*/=1;alert(1)".to_vec()),
        ("text/javascript", b"alert(1)".to_vec()),
        ("image/png", picture_and_archive),
    ] {
        let id = service.upload("x", content_type, content).await;
        let got = service.get(&format!("/api/files/{id}")).await;
        assert!(got.header("content-disposition").starts_with("attachment"), "{content_type}");
        assert_eq!(got.header("x-content-type-options"), "nosniff");
        assert!(got.header("content-security-policy").contains("sandbox"));
    }
}

fn upload(body: Body) -> Request<Body> {
    Request::post("/api/files").header("content-type", "text/plain").body(body).unwrap()
}
