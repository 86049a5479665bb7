//! Files: up, through a task, and down again.

use crate::support::http::Service;
use crate::support::on_both_databases;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::io::Cursor;

on_both_databases!(
    Service: a_large_table_goes_up_through_a_task_and_down_again,
    a_form_keeps_its_first_file,
    a_picture_is_resized_into_an_artifact,
    a_bad_picture_among_good_ones_is_listed,
    an_upload_is_answered_whole_in_ranges_and_to_head,
    a_deleted_file_is_gone,
    the_same_content_twice_is_two_files,
    a_missing_file_is_refused_at_submit,
);

async fn a_large_table_goes_up_through_a_task_and_down_again(service: Service) {
    service.work();
    let table = table(150_000);
    let file = service.call("POST", "/api/files?name=big.csv", &[("content-type", "text/csv")], table.clone()).await;
    assert_eq!((file.status, &file.json["bytes"]), (201, &json!(table.len())), "{}", file.json);
    assert_eq!((&file.json["sha256"], &file.json["name"]), (&json!(hash(table.as_bytes())), &json!("big.csv")));
    let params = json!({ "file_id": file.json["file_id"], "sort": ["-n"], "limit": 1000 });
    let task = service.run(json!({ "type": "csv_processing", "params": params })).await;
    assert_eq!(task["status"], "SUCCESS", "{task}");
    let base = format!("/api/tasks/{}/artifacts", task["id"].as_str().unwrap());
    let listed = service.get(&base).await.ok();
    let artifact = &listed["artifacts"][0];
    let whole = service.get(artifact["url"].as_str().unwrap()).await;
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, "bytes"));
    assert_eq!((&artifact["sha256"], &artifact["bytes"]), (&json!(hash(&whole.body)), &json!(whole.body.len())));
    assert!(whole.header("content-disposition").starts_with("attachment; filename="), "{:?}", whole.headers);
    let part = service.call("GET", artifact["url"].as_str().unwrap(), &[("range", "bytes=10-19")], "").await;
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[10..20]));
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{}", whole.body.len()));
    assert!(whole.body.starts_with(b"n,word\n149999,"), "{:?}", &whole.body[..40]);
    service.get(&format!("{base}/nope.csv")).await.is_problem(404, "artifact_not_found", "nope");
}

async fn a_form_keeps_its_first_file(service: Service) {
    service.work();
    let table = table(50_000);
    let answer =
        form(&service, &[("note", None, "hello"), ("file", Some("t.csv"), &table), ("file", Some("u.csv"), "x")]).await;
    assert_eq!((answer["bytes"].as_u64(), &answer["name"]), (Some(table.len() as u64), &json!("t.csv")), "{answer}");
    assert_eq!(answer["sha256"], hash(table.as_bytes()));
    let task = service.run(json!({ "type": "csv_processing", "params": { "file_id": answer["file_id"] } })).await;
    assert_eq!((&task["status"], &task["result"]["rows"]), (&json!("SUCCESS"), &json!(50_000)), "{task}");
    let n = &task["result"]["columns"][0];
    assert_eq!((n["sum"].as_f64(), n["max"].as_f64()), (Some(1_249_975_000.0), Some(49_999.0)), "{n}");
}

async fn a_picture_is_resized_into_an_artifact(service: Service) {
    service.work();
    let id = service.upload("wide.png", "image/png", picture(400, 200)).await;
    for (fit, expected) in [("fit", (100, 50)), ("fill", (100, 80)), ("exact", (100, 80))] {
        let params =
            json!({ "file_ids": [id], "target_width": 100, "target_height": 80, "fit": fit, "format": "jpeg" });
        let task = service.run(json!({ "type": "image_processing", "params": params })).await;
        assert_eq!((&task["status"], &task["result"]["images_processed"]), (&json!("SUCCESS"), &json!(1)), "{task}");
        let line = &task["result"]["images"][0];
        let artifact = line["artifact"].as_str().unwrap();
        let got = service.get(&format!("/api/tasks/{}/artifacts/{artifact}", task["id"].as_str().unwrap())).await;
        let decoded = image::load_from_memory_with_format(&got.body, image::ImageFormat::Jpeg).unwrap();
        assert_eq!((decoded.width(), decoded.height()), expected, "{fit}");
        assert_eq!((&line["width"], &line["height"]), (&json!(expected.0), &json!(expected.1)));
        assert_eq!((got.header("content-type"), line["bytes"].as_u64()), ("image/jpeg", Some(got.body.len() as u64)));
    }
}

async fn a_bad_picture_among_good_ones_is_listed(service: Service) {
    service.work();
    let good = service.upload("a.png", "image/png", picture(50, 50)).await;
    let bad = service.upload("b.png", "image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec()).await;
    let run =
        async |ids: &[&String]| service.run(json!({ "type": "image_processing", "params": { "file_ids": ids } })).await;
    let task = run(&[&bad, &good]).await;
    assert_eq!((&task["status"], &task["result"]["images_processed"]), (&json!("SUCCESS"), &json!(1)), "{task}");
    assert!(!task["result"]["images"][0]["error"].is_null() && task["result"]["images"][1]["artifact"].is_string());
    let none = run(&[&bad]).await;
    assert_eq!((&none["status"], &none["error"]["code"]), (&json!("FAILED"), &json!("no_image_processed")));
    let path = format!("/api/tasks/{}/artifacts", none["id"].as_str().unwrap());
    assert_eq!(service.get(&path).await.ok(), json!({ "artifacts": [] }));
}

async fn an_upload_is_answered_whole_in_ranges_and_to_head(service: Service) {
    let id = service.upload("a.txt", "text/plain", "0123456789").await;
    let path = format!("/api/files/{id}");
    let whole = service.get(&path).await;
    assert_eq!((whole.status, &whole.body[..], whole.header("content-length")), (200, &b"0123456789"[..], "10"));
    assert!(whole.header("content-security-policy").contains("sandbox"));
    for ranges in [&[][..], &[("range", "bytes=0-3")]] {
        let head = service.call("HEAD", &path, ranges, "").await;
        assert_eq!(
            (head.status, head.body.len(), head.header("content-length")),
            (200, 0, "10"),
            "only a GET has ranges"
        );
    }
    for (range, status, expected) in [
        ("bytes=0-0", 206, "0"),
        ("bytes=-1", 206, "9"),
        ("bytes=8-", 206, "89"),
        ("bytes=5-999", 206, "56789"),
        ("bytes=5-2", 200, "0123456789"),
        ("bytes=0-0,2-2", 200, "0123456789"),
        ("lines=1-2", 200, "0123456789"),
    ] {
        let part = service.call("GET", &path, &[("range", range)], "").await;
        assert_eq!((part.status, &part.body[..]), (status, expected.as_bytes()), "{range}");
    }
    let many = format!("bytes={}", vec!["0-0"; 1000].join(","));
    assert_eq!(service.call("GET", &path, &[("range", &many)], "").await.body.len(), 10, "no multipart bomb");
    let outside = service.call("GET", &path, &[("range", "bytes=10-")], "").await;
    outside.is_problem(416, "range_not_satisfiable", "outside");
    assert_eq!(outside.header("content-range"), "bytes */10");
    let tag = whole.header("etag");
    assert_eq!(service.call("GET", &path, &[("if-none-match", tag)], "").await.status, 304);
    let other = [("range", "bytes=0-0"), ("if-range", "\"other\"")];
    assert_eq!(service.call("GET", &path, &other, "").await.status, 200, "a range of another version");
}

async fn a_deleted_file_is_gone(service: Service) {
    let path = format!("/api/files/{}", service.upload("a.txt", "text/plain", "x").await);
    let gone = service.delete(&path).await;
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    for method in ["GET", "DELETE"] {
        service.call(method, &path, &[], "").await.is_problem(404, "file_not_found", method);
    }
    assert_eq!(service.call("HEAD", &path, &[], "").await.status, 404);
    service.until_files(0, "deleted").await;
    service.get("/api/files/nope").await.is_problem(404, "file_not_found", "nope");
}

async fn the_same_content_twice_is_two_files(service: Service) {
    let [one, two] = [service.upload("a", "text/plain", "x").await, service.upload("a", "text/plain", "x").await];
    assert_ne!(one, two);
    assert_eq!(service.delete(&format!("/api/files/{one}")).await.status, 204);
    assert_eq!(&service.get(&format!("/api/files/{two}")).await.body[..], b"x");
}

async fn a_missing_file_is_refused_at_submit(service: Service) {
    let csv = |id: &str| json!({ "type": "csv_processing", "params": { "file_id": id } });
    let deleted = service.upload("a.csv", "text/csv", "a,b\n1,2\n").await;
    assert_eq!(service.post("/api/tasks/submit?dry_run=true", csv(&deleted)).await.status, 200);
    service.delete(&format!("/api/files/{deleted}")).await;
    for id in [deleted.as_str(), "0193c5a0-7b1e-7000-8000-0123456789ab", "nope", "../../etc/passwd"] {
        for path in ["/api/tasks/submit", "/api/tasks/submit?dry_run=true"] {
            let answer = service.post(path, csv(id)).await;
            answer.is_problem(422, "invalid_request", id);
            assert_eq!(answer.pointers(), ["/params/file_id"], "{}", answer.json);
        }
    }
    let good = service.upload("a.png", "image/png", picture(1, 1)).await;
    let images = json!({ "type": "image_processing", "params": { "file_ids": [good, deleted] } });
    assert_eq!(service.post("/api/tasks/submit", images).await.pointers(), ["/params/file_ids/1"]);
    assert_eq!(service.count().await, 0);
}

fn table(rows: usize) -> String {
    (0..rows).fold("n,word\n".to_owned(), |mut table, n| {
        writeln!(table, "{n},{}", "x".repeat(n % 50)).unwrap();
        table
    })
}

pub fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 128]));
    picture.write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Uploads a form of parts: field, file name, content.
async fn form(service: &Service, parts: &[(&str, Option<&str>, &str)]) -> Value {
    let mut body = String::new();
    for (field, file, content) in parts {
        let file = file.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
        write!(body, "--X\r\ncontent-disposition: form-data; name=\"{field}\"{file}\r\n\r\n{content}\r\n").unwrap();
    }
    body.push_str("--X--\r\n");
    let answer = service.call("POST", "/api/files", &[("content-type", "multipart/form-data; boundary=X")], body).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    answer.json
}
