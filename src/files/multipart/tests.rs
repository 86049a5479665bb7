//! Over a bucket in memory, with parts of a few bytes.

use super::super::{Files, Growing, Mark};
use super::*;
use std::io::Write;

const PART_BYTES: usize = 8;
const LOCATION: &str = "artifacts/t/l/a";
/// Where the next attempt has its own.
const OWN: &str = "artifacts/t/m/a";

/// Where a growing file stood, and what it takes to go on.
struct Left {
    bytes: u64,
    sha256: String,
    parts: Parts,
}

async fn left(mark: Mark) -> Left {
    let (bytes, sha256) = (mark.bytes, mark.sha256.clone());
    Left { bytes, sha256, parts: mark.sync().await.unwrap().unwrap() }
}

async fn go_on(files: &Files, left: &Left) -> Option<Growing> {
    files.grow_on(LOCATION, OWN, left.bytes, &left.sha256, &left.parts).await.unwrap()
}

async fn write(mut file: Growing, content: &[u8]) -> Growing {
    let content = content.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        file.write_all(&content).unwrap();
        file
    });
    written.await.unwrap()
}

async fn begun(files: &Files, content: &[u8]) -> Growing {
    write(files.grow(LOCATION).await.unwrap(), content).await
}

/// What lies in the store, by name.
async fn names(files: &Files) -> Vec<String> {
    use futures_util::TryStreamExt;
    let found: Vec<_> = files.store.list(None).map_ok(|file| file.location.to_string()).try_collect().await.unwrap();
    found
}

fn text() -> Vec<u8> {
    (0..100).map(|i| b'a' + i % 26).collect()
}

#[tokio::test]
async fn a_file_is_gone_on_with_from_any_byte_and_is_whole_in_the_end() {
    let text = text();
    for (first, second) in (0..30).flat_map(|first| [first, first + 1, first + 13].map(|second| (first, second))) {
        let files = Files::in_memory(PART_BYTES);
        let mut file = begun(&files, &text[..first]).await;
        let mark = left(file.mark()).await;
        // It did more, which is lost.
        drop(write(file, &text[first..first + 20]).await);
        let location = if mark.parts.has_upload() { LOCATION } else { OWN };
        let on = |left: &Left| {
            let (bytes, sha256, parts) = (left.bytes, left.sha256.clone(), left.parts.clone());
            let files = files.clone();
            async move { files.grow_on(location, OWN, bytes, &sha256, &parts).await.unwrap().unwrap() }
        };
        let mut file = write(on(&mark).await, &text[first..second]).await;
        let again = left(file.mark()).await;
        drop(file);
        let stored = write(on(&again).await, &text[second..]).await.finish().await.unwrap();
        assert_eq!(stored, files.digest(location).await.unwrap());
        assert_eq!(stored, (100, hex(&Sha256::digest(&text))), "{first} {second}");
        assert_eq!(names(&files).await.into_iter().filter(|name| !name.contains('~')).count(), 1);
    }
}

#[tokio::test]
async fn an_empty_file_and_a_small_one_are_no_upload() {
    let files = Files::in_memory(PART_BYTES);
    for content in [&b""[..], b"abc", b"12345678"] {
        assert_eq!(begun(&files, content).await.finish().await.unwrap().0, content.len() as u64);
        assert_eq!(names(&files).await, [LOCATION]);
        assert_eq!(files.digest(LOCATION).await.unwrap().1, hex(&Sha256::digest(content)));
    }
}

#[tokio::test]
async fn a_file_that_no_mark_names_ends_with_its_writer_and_one_with_a_mark_stays() {
    let files = Files::in_memory(PART_BYTES);
    let mut file = begun(&files, &text()).await;
    left(file.mark()).await;
    let sign = format!("{LOCATION}{SIGN}");
    drop(file);
    assert_eq!(names(&files).await, [format!("{LOCATION}~1"), sign.clone()]);
    files.delete_folder("artifacts/t").await.unwrap();
    let mut small = begun(&files, b"abc").await;
    let mark = left(small.mark()).await;
    let gone_on = files.grow_on(OWN, OWN, 3, &mark.sha256, &mark.parts).await.unwrap().unwrap();
    drop(small);
    for file in [files.grow(LOCATION).await.unwrap(), gone_on] {
        drop(write(file, &text()).await);
        while names(&files).await != [format!("{LOCATION}~1")] {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn the_upload_ends_with_the_folder_it_lies_in() {
    let files = Files::in_memory(PART_BYTES);
    let mut file = begun(&files, &text()).await;
    let mark = left(file.mark()).await;
    let upload = files.upload_of(&parse(&format!("{LOCATION}{SIGN}")).unwrap()).await.unwrap().unwrap();
    files.delete_folder("artifacts/t/l").await.unwrap();
    let part = files.bucket.as_ref().unwrap().put_part(&parse(LOCATION).unwrap(), &upload, 0, "x".into()).await;
    assert!(part.is_err_and(|error| says(&error, &GONE)));
    assert!(go_on(&files, &mark).await.is_none());
    assert!(file.finish().await.is_err(), "nor does it come to be by itself");
    assert_eq!(names(&files).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_whole_is_not_gone_on_with() {
    for damage in ["tail", "another tail", "sign", "hash", "state", "ended"] {
        let files = Files::in_memory(PART_BYTES);
        let mut file = begun(&files, &text()).await;
        let mut mark = left(file.mark()).await;
        assert!(go_on(&files, &mark).await.is_some());
        let (tail, sign) = (mark.parts.tail.clone().unwrap(), mark.parts.upload.clone().unwrap());
        match damage {
            "tail" => files.delete(&tail).await.unwrap(),
            "another tail" => drop(files.store.put(&parse(&tail).unwrap(), "xyz".into()).await.unwrap()),
            "sign" => files.delete(&sign).await.unwrap(),
            "hash" => mark.sha256 = "0".repeat(64),
            "state" => mark.parts.hash = "AAAA".to_owned(),
            _ => files.end_upload(&parse(&sign).unwrap()).await.unwrap(),
        }
        assert!(go_on(&files, &mark).await.is_none(), "{damage}");
    }
}

#[tokio::test]
async fn an_attempt_that_lost_its_lease_and_writes_on_does_no_harm() {
    let (files, text) = (Files::in_memory(PART_BYTES), text());
    let mut lost = begun(&files, &text[..20]).await;
    let mark = left(lost.mark()).await;
    let file = write(go_on(&files, &mark).await.unwrap(), &text[20..60]).await;
    let lost = write(lost, &text[20..]).await;
    let expected = (100, hex(&Sha256::digest(&text)));
    assert_eq!(write(file, &text[60..]).await.finish().await.unwrap(), expected);
    assert_eq!(lost.finish().await.unwrap(), expected, "it has come to be already, and is the same");
    assert_eq!(files.digest(LOCATION).await.unwrap(), expected);
}
