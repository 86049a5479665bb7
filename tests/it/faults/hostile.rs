//! Files and templates that are meant to do harm, one after the other: how each ends, and that the node is as before.

use super::PATIENCE;
use crate::support::node::{Home, Homes, Node};
use crate::support::on_both_databases;
use flate2::{Compression, Crc, write::ZlibEncoder};
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, Instant};

on_both_databases![
    Homes: hostile_files_end_with_a_reason_or_a_result_and_the_node_is_as_before,
];

/// What one may leave of memory: 32 MiB, and as much again in a debug build, for what its allocator keeps of threads.
const KEPT_MIB: u64 = if cfg!(debug_assertions) { 64 } else { 32 };
/// How soon the node answers after each: tenfold in a debug build, beside other tests.
const PROMPT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 100 });

async fn hostile_files_end_with_a_reason_or_a_result_and_the_node_is_as_before(home: Home) {
    let node = home.start(&["--workers", "2"]);
    let table = |name: &str, content: Vec<u8>, told: &'static str| (name.to_owned(), content, json!({}), told);
    let picture = |name: &str, content: Vec<u8>, told: &'static str| {
        (name.to_owned(), content, json!({ "target_width": 50, "frames": "all" }), told)
    };
    let rows = |first: &str, row: &str, n: usize| (first.to_owned() + &row.repeat(n)).into_bytes();
    let zip = [&b"PK\x03\x04\x14\0\0\0\x08\0"[..], &[0x9c; 5000]].concat();
    // The first ones bring what belongs to the node.
    ends(&node, "csv_processing", table("wide.csv", rows("", "a,", 4000), "SUCCESS")).await;
    ends(&node, "image_processing", picture("good.png", png(&[]), "SUCCESS")).await;
    let before = node.memory_mib("VmRSS");
    for (kind, case) in [
        ("csv_processing", table("quote.csv", rows("a,b\n1,\"x\n", "2,y\n", 1_000_000), "unclosed_quote: ")),
        ("csv_processing", table("line.csv", vec![b'x'; 40_000_000], "field_too_large: ")),
        ("csv_processing", table("commas.csv", vec![b','; 40_000_000], "too_many_columns: ")),
        ("csv_processing", table("nuls.png", rows("a\n", "x\0y\r\n", 100_000), "SUCCESS")),
        ("csv_processing", table("wide.csv", rows("", "a,", 4000), "SUCCESS")),
        ("csv_processing", table("bad.csv", rows("a,b\n", "1\n", 500_000), "SUCCESS")),
        ("csv_processing", table("zip.png", zip, "not_text: ")),
        ("csv_processing", table("utf32.csv", b"\xff\xfe\0\0a\0\0\0\n\0\0\0".to_vec(), "encoding: ")),
        ("image_processing", picture("text.png", png(&[(b"zTXt", packed(b"k\0\0", 1024))]), "inflate to more")),
        ("image_processing", picture("profile.png", png(&[(b"iCCP", packed(b"k\0\0", 1024))]), "inflate to more")),
        ("image_processing", picture("frames.gif", gif(10_000), "more than 100 frames")),
        ("image_processing", picture("pages.jpg", tiff(100), "more than 50 pages")),
        ("image_processing", picture("circle.jpg", tiff(0), "damaged")),
        ("image_processing", picture("svg.jpg", b"<svg onload='x()'/>".to_vec(), "is no PNG")),
        ("image_processing", picture("heic.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1".to_vec(), "is no PNG")),
    ] {
        ends(&node, kind, case).await;
        let asked = Instant::now();
        assert_eq!(node.status("/api/ready").await, 200);
        assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
        let kept = node.memory_mib("VmRSS");
        assert!(kept <= before + KEPT_MIB, "{before} MiB before, {kept} MiB now");
    }
    for body in ["{% if name %}".repeat(30_000), format!("{{% if {}name %}}{{% endif %}}", "not ".repeat(100_000))] {
        let params = json!({ "recipients": [{ "email": "a@b.org", "name": "A" }], "subject": "s", "body": body });
        let (status, told) =
            node.post("/api/tasks/submit", json!({ "type": "email_sending", "params": params })).await.unwrap();
        assert_eq!((status, &told["errors"][0]["pointer"]), (422, &json!("/params/body")));
        assert_eq!(node.status("/api/ready").await, 200);
    }
}

/// Runs a task over the file, and fails unless it ends so: with that status, or with that in its error.
async fn ends(node: &Node, kind: &str, (name, content, mut params, told): (String, Vec<u8>, Value, &str)) {
    let id = node.uploaded(&name, content).await;
    match kind {
        "csv_processing" => params["file_id"] = json!(id),
        _ => params["file_ids"] = json!([id]),
    }
    let task = node.submit(json!({ "type": kind, "params": params })).await;
    let task = node.until(&task, PATIENCE * 3, |task| task["finished_at"].is_string()).await;
    let error = &task["error"];
    let ended = match task["status"].as_str() {
        Some("FAILED") => format!("{}: {}", error["code"].as_str().unwrap(), error["message"].as_str().unwrap()),
        status => status.unwrap_or_default().to_owned(),
    };
    assert!(ended.contains(told), "{name}: {ended}");
}

/// So many MiB of zeros, packed, behind a head.
fn packed(head: &[u8], mib: usize) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(head.to_vec(), Compression::fast());
    (0..mib).for_each(|_| packed.write_all(&[0; 1 << 20]).unwrap());
    packed.finish().unwrap()
}

/// One grey pixel, and these chunks before it.
fn png(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut pixel = ZlibEncoder::new(Vec::new(), Compression::fast());
    pixel.write_all(&[0, 7]).unwrap();
    let header: (&[u8; 4], Vec<u8>) = (b"IHDR", [&[0, 0, 0, 1, 0, 0, 0, 1][..], &[8, 0, 0, 0, 0]].concat());
    let ends: [(&[u8; 4], Vec<u8>); 2] = [(b"IDAT", pixel.finish().unwrap()), (b"IEND", Vec::new())];
    for (kind, content) in [header].iter().chain(chunks).chain(&ends) {
        let mut crc = Crc::new();
        crc.update(&kind[..]);
        crc.update(content);
        file.extend((content.len() as u32).to_be_bytes());
        file.extend(&kind[..]);
        file.extend(content);
        file.extend(crc.sum().to_be_bytes());
    }
    file
}

/// So many frames of one pixel each on a canvas of 7,000 x 7,000.
fn gif(frames: usize) -> Vec<u8> {
    let frame = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
    [&b"GIF89a\x58\x1b\x58\x1b\x80\0\0\0\0\0\xff\xff\xff"[..], &frame.repeat(frames), b"\x3b"].concat()
}

/// So many pages of one grey pixel each; with none, one page that is its own next one but one.
fn tiff(pages: u32) -> Vec<u8> {
    const PAGE: u32 = 2 + 9 * 12 + 4;
    let count = pages.max(2);
    let (mut file, pixel) = (b"II*\0\x08\0\0\0".to_vec(), 8 + PAGE * count);
    for page in 1..=count {
        file.extend([9, 0]);
        for (tag, value) in
            [(256u16, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, pixel), (277, 1), (278, 1), (279, 1)]
        {
            file.extend([tag.to_le_bytes(), [4, 0]].concat());
            file.extend([1u32.to_le_bytes(), value.to_le_bytes()].concat());
        }
        let end = if pages == 0 { 8 } else { 0 };
        file.extend(if page == count { end } else { 8 + PAGE * page }.to_le_bytes());
    }
    file.push(7);
    file
}
