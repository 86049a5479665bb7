//! A first look at files: what is shown of each, and what a hostile one gets.

use super::files::picture;
use crate::support::http::Service;
use crate::support::on_both_databases;
use errand::task::Role;
use image::{GenericImageView, ImageFormat};
use serde_json::{Value, json};
use std::io::Cursor;

on_both_databases!(
    Service: of_a_table_the_first_rows_are_shown,
    of_a_picture_a_small_one_is_shown,
    of_a_mail_its_parts_are_shown,
    of_other_files_there_is_no_preview,
    a_hostile_file_is_refused_and_never_an_error_of_ours,
    nobody_looks_into_what_is_of_another_owner,
);

async fn of_a_table_the_first_rows_are_shown(service: Service) {
    service.work();
    let rows: String = (0..60).map(|n| format!("caf\u{e9} {n};{n}\n")).collect();
    let latin: Vec<u8> = format!("name;n\n{rows}").chars().map(|c| c as u8).collect();
    let file = service.upload("t.csv", "text/csv", latin).await;
    let path = format!("/api/files/{file}/preview");
    let look = service.get(&path).await;
    let first = json!(["caf\u{e9} 0", "0"]);
    assert_eq!((&look.json["kind"], &look.json["columns"]), (&json!("table"), &json!(["name", "n"])), "{}", look.json);
    assert_eq!((&look.json["rows"][0], look.json["rows"].as_array().unwrap().len()), (&first, 50));
    let found = ["delimiter", "encoding", "has_header", "more"].map(|name| look.json[name].clone());
    assert_eq!(found, [json!(";"), json!("windows-1252"), json!(true), json!(true)]);
    assert!(look.header("content-security-policy").contains("sandbox"), "{:?}", look.headers);
    assert_eq!(look.header("x-content-type-options"), "nosniff");
    let again = service.call("GET", &path, &[("if-none-match", look.header("etag"))], "").await;
    assert_eq!((again.status, again.body.len()), (304, 0));

    let task = service.run(json!({ "type": "csv_processing", "params": { "file_id": file, "sort": ["-n"] } })).await;
    let artifacts = service.get(&format!("/api/tasks/{}/artifacts", task["id"].as_str().unwrap())).await.ok();
    let table =
        artifacts["artifacts"].as_array().unwrap().iter().find(|file| file["content_type"] == "text/csv").unwrap();
    let look = service.get(&format!("{}/preview", table["url"].as_str().unwrap())).await.ok();
    assert_eq!((&look["rows"][0][1], &look["width"]), (&json!("59"), &json!(2)), "{look}");
    let missing = format!("/api/tasks/{}/artifacts/nope.csv/preview", task["id"].as_str().unwrap());
    service.get(&missing).await.is_problem(404, "artifact_not_found", "nope");
}

async fn of_a_picture_a_small_one_is_shown(service: Service) {
    let wide = service.upload("wide.png", "image/png", picture(1000, 500)).await;
    let look = service.get(&format!("/api/files/{wide}/preview")).await;
    assert_eq!((look.status, look.header("content-type")), (200, "image/png"), "{}", look.json);
    assert_eq!(image::load_from_memory(&look.body).unwrap().dimensions(), (512, 256));
    assert!(look.header("content-security-policy").contains("sandbox"), "{:?}", look.headers);
    let mut tiff = Cursor::new(Vec::new());
    image::RgbImage::new(40, 30).write_to(&mut tiff, ImageFormat::Tiff).unwrap();
    let tiff = service.upload("scan.tiff", "image/tiff", tiff.into_inner()).await;
    let look = service.get(&format!("/api/files/{tiff}/preview")).await;
    assert_eq!(image::load_from_memory(&look.body).unwrap().dimensions(), (40, 30), "it never grows");
}

async fn of_a_mail_its_parts_are_shown(service: Service) {
    service.work();
    let params = json!({ "num_emails": 1, "subject": "Gr\u{fc}\u{df}e" });
    let task = service.run(json!({ "type": "email_sending", "params": params })).await;
    let artifacts = service.get(&format!("/api/tasks/{}/artifacts", task["id"].as_str().unwrap())).await.ok();
    let look = service.get(&format!("{}/preview", artifacts["artifacts"][0]["url"].as_str().unwrap())).await.ok();
    let subject = look["headers"].as_array().unwrap().iter().find(|header| header["name"] == "Subject").unwrap();
    assert_eq!((&look["kind"], &subject["value"]), (&json!("mail"), &json!("Gr\u{fc}\u{df}e")), "{look}");
    assert!(!look["text"].as_str().unwrap().trim().is_empty(), "{look}");

    let raw = "From: a@example.com\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: text/html\r\n\r\n<script>alert(1)</script><p>Hello</p>\r\n--b\r\nContent-Type: image/png\r\n\
        Content-Disposition: attachment; filename=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n";
    let mail = service.upload("m.eml", "text/plain", raw).await;
    let look = service.get(&format!("/api/files/{mail}/preview")).await.ok();
    assert_eq!(look["attachments"], json!([{ "name": "a.png", "content_type": "image/png", "bytes": 3 }]), "{look}");
    assert!(
        look["html"].as_str().unwrap().contains("<p>Hello</p>") && look["text"].as_str().unwrap().contains("Hello")
    );
}

async fn of_other_files_there_is_no_preview(service: Service) {
    for (name, kind, content) in [
        ("a.txt", "text/plain", &b"hello"[..]),
        ("a.zip", "application/zip", b"PK\x03\x04\x14\0\0\0"),
        ("a.json", "application/json", b"{}"),
        ("a.bin", "application/octet-stream", b"\0\x01\x02"),
    ] {
        let file = service.upload(name, kind, content).await;
        service.get(&format!("/api/files/{file}/preview")).await.is_problem(404, "no_preview", name);
    }
    let path = "/api/files/0193c5a0-7b1e-7000-8000-0123456789ab/preview";
    service.get(path).await.is_problem(404, "file_not_found", "missing");
    let file = service.upload("a.csv", "text/csv", "a,b\n").await;
    service.get(&format!("/api/files/{file}/preview?rows=9")).await.is_problem(422, "invalid_request", "unknown");
}

async fn a_hostile_file_is_refused_and_never_an_error_of_ours(service: Service) {
    let mut cut = picture(300, 300);
    cut.truncate(200);
    let mut bomb = picture(1, 1);
    // Its header claims 100,000 by 100,000 pixels.
    bomb[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    let deep: String =
        (0..8000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
    for (name, kind, content, status) in [
        ("cut.png", "image/png", cut, 422),
        ("bomb.png", "image/png", bomb, 422),
        ("head.gif", "image/gif", b"GIF89a".to_vec(), 422),
        ("quote.csv", "text/csv", b"a,b\n\"1,2\n3,4\n".to_vec(), 422),
        ("lines.csv", "text/csv", b"\n\n\n".to_vec(), 422),
        ("wide.csv", "text/csv", vec![b','; 5000], 422),
        ("none.eml", "text/plain", b"no mail at all".to_vec(), 422),
        ("deep.eml", "text/plain", format!("Subject: deep\r\n{deep}").into_bytes(), 200),
        ("long.csv", "text/csv", [b"a,b\n\"".to_vec(), vec![b'x'; 1_200_000]].concat(), 200),
    ] {
        let file = service.upload(name, kind, content).await;
        let look = service.get(&format!("/api/files/{file}/preview")).await;
        assert_eq!(look.status, status, "{name}: {}", look.json);
        if status == 422 {
            look.is_problem(422, "preview_refused", name);
        }
    }
    // And one whose file was taken away.
    let file = service.upload("gone.csv", "text/csv", "a,b\n").await;
    std::fs::remove_file(service.files_folder().join(format!("uploads/{file}"))).unwrap();
    service.get(&format!("/api/files/{file}/preview")).await.is_problem(404, "file_not_found", "gone");
}

async fn nobody_looks_into_what_is_of_another_owner(service: Service) {
    let (alice, bob) = (service.key(Role::Submit, "alice").await, service.key(Role::Read, "bob").await);
    let headers = [("authorization", &*format!("Bearer {alice}")), ("content-type", "text/csv")];
    let file = service.call("POST", "/api/files?name=a.csv", &headers, "a,b\n1,2\n").await.json;
    let path = format!("/api/files/{}/preview", file["file_id"].as_str().unwrap());
    let own = service.call_as(&alice, "GET", &path, Value::Null).await;
    assert_eq!(own.status, 200, "{}", own.json);
    service.call_as(&bob, "GET", &path, Value::Null).await.is_problem(404, "file_not_found", "another's");
    // What one has seen is no way to ask whether it is still there.
    let tag = own.header("etag").to_owned();
    let auth = format!("Bearer {bob}");
    let asked = service.call("GET", &path, &[("authorization", &auth), ("if-none-match", &tag)], "").await;
    asked.is_problem(404, "file_not_found", "another's, by its tag");
}
