//! Pictures that are meant to do harm, and what becomes of the processes that work on them.

use super::PATIENCE;
use crate::support::node::{Home, Node};
use futures_util::future::join_all;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, RgbImage, RgbaImage, codecs::png::PngEncoder};
use serde_json::{Value, json};
use std::fs;
use std::io::Cursor;
use std::time::{Duration, Instant};

fn file(pixels: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    pixels.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn photo(width: u32, height: u32) -> Vec<u8> {
    let pixels =
        RgbImage::from_fn(width, height, |x, y| image::Rgb([(x / 16) as u8, (y / 16) as u8, (x * y / 4096) as u8]));
    file(pixels, ImageFormat::Jpeg)
}

/// A picture whose colour profile is so many zeros when it is inflated.
fn with_profile(bytes: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = PngEncoder::new(&mut file);
    encoder.set_icc_profile(vec![0; bytes]).unwrap();
    encoder.write_image(&[0; 12], 2, 2, ExtendedColorType::Rgb8).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_pictures_are_refused_one_by_one_and_the_node_is_as_before() {
    let home = Home::sqlite();
    let node = home.start(&["--workers", "4"]);
    let before = node.memory_mib("VmRSS");
    let good = node.uploaded("good.jpg", photo(400, 300)).await;
    let cut = photo(400, 300);
    let bombs = [
        ("cut.jpg", cut[..cut.len() / 3].to_vec()),
        ("profile.png", with_profile(200 << 20)),
        ("large.png", file(image::GrayImage::new(8000, 8000), ImageFormat::Png)),
        ("wide.png", file(image::GrayImage::new(16_385, 1), ImageFormat::Png)),
    ];
    let mut ids = vec![good.clone()];
    for (name, content) in bombs {
        ids.push(node.uploaded(name, content).await);
    }
    ids.push(good);
    let all: Vec<Value> =
        (0..40).map(|_| json!({ "type": "image_processing", "params": { "file_ids": ids } })).collect();
    let tasks = node.submit_many(all).await;
    for id in tasks {
        let task = node.until(&id, PATIENCE * 4, |task| task["finished_at"].is_string()).await;
        assert_eq!(task["status"], "SUCCESS", "{task}");
        let images = task["result"]["images"].as_array().unwrap();
        let told: Vec<&str> = images.iter().map(|image| image["error"]["code"].as_str().unwrap_or("done")).collect();
        assert_eq!(told, ["done", "undecodable", "too_large", "too_large", "too_large", "done"]);
    }
    // A first look at each, all at once, is no other matter.
    let paths: Vec<String> = ids.iter().map(|id| format!("/api/files/{id}/preview")).collect();
    let looks = join_all(paths.iter().cycle().take(2 * ids.len()).map(|path| node.try_get(path))).await;
    let looks: Vec<u16> = looks.into_iter().map(|look| look.unwrap().0).collect();
    for told in looks.chunks(ids.len()) {
        assert_eq!(told, [200, 422, 422, 422, 422, 200], "{looks:?}");
    }
    until_gone(&children(node.id()), PATIENCE).await;
    let most = node.memory_mib("VmHWM");
    println!("the node: {before} MiB before, {most} MiB at most");
    assert!(most < before + 200, "{before} MiB before, {most} MiB at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_picture_that_is_allowed_has_room_in_its_process() {
    let home = Home::sqlite();
    let node = home.start(&[]);
    let id = node.uploaded("large.png", file(RgbaImage::new(10_000, 5_000), ImageFormat::Png)).await;
    let params = json!({ "file_ids": [id], "target_width": 100 });
    let task = node.submit(json!({ "type": "image_processing", "params": params })).await;
    let task = node.until(&task, PATIENCE * 4, |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["result"]["images"][0]["height"]), (&json!("SUCCESS"), &json!(50)), "{task}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_the_processes_that_work_on_pictures_within_two_seconds() {
    let home = Home::sqlite();
    let node = home.start(&[]);
    let task = working(&node).await;
    let children = children(node.id());
    let (status, _) = node.post("/api/tasks/cancel", json!({ "ids": [task] })).await.unwrap();
    assert!(status < 300, "{status}");
    let told = Instant::now();
    node.until(&task, Duration::from_secs(2), |task| task["status"] == "CANCELLED").await;
    until_gone(&children, Duration::from_secs(2)).await;
    println!("stopped after {:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_killed_node_no_process_for_pictures_stays() {
    let home = Home::sqlite();
    let mut node = home.start(&[]);
    working(&node).await;
    let children = children(node.id());
    node.signal("KILL");
    node.ended(PATIENCE).await;
    until_gone(&children, PATIENCE).await;
}

/// A task that has large pictures in processes just now.
async fn working(node: &Node) -> String {
    let id = node.uploaded("photo.jpg", photo(3000, 2000)).await;
    let params = json!({ "file_ids": vec![id; 100], "target_width": 1600, "target_height": 1600 });
    let task = node.submit(json!({ "type": "image_processing", "params": params })).await;
    let began = Instant::now();
    while children(node.id()).is_empty() {
        assert!(began.elapsed() < PATIENCE, "pictures are worked on in processes of their own");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    task
}

/// The processes that this one has started and that run.
fn children(of: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    all.filter(|id| parent(*id) == Some(of)).collect()
}

/// Its parent, while it is there and no zombie.
fn parent(of: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{of}/stat")).ok()?;
    let mut rest = stat.rsplit_once(") ")?.1.split(' ');
    let state = rest.next()?;
    rest.next()?.parse().ok().filter(|_| state != "Z")
}

async fn until_gone(processes: &[u32], patience: Duration) {
    let began = Instant::now();
    while processes.iter().any(|id| parent(*id).is_some()) {
        assert!(began.elapsed() < patience, "{processes:?} still run");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
