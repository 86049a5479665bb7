//! The type as a whole; single pictures are tested in `picture.rs`.

use super::*;
use crate::types::context::trial::Trial;
use std::time::Duration;
use uuid::Uuid;

fn here() -> ImageProcessing {
    ImageProcessing::new(Pictures::in_process())
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    encode(draw::picture(1, width, height), Format::Jpeg, 80, Beside::default()).unwrap()
}

#[tokio::test]
async fn pictures_are_drawn_and_resized() {
    let params = json!({ "num_images": 2, "target_width": 120, "target_height": 100 });
    let left = Trial::new().run(here(), params).await;
    let decoded = image::load_from_memory(left.output("image-02.png")).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (120, 100));
    let result = left.result();
    assert_eq!(result["images_processed"], 2);
    assert_eq!(
        (&result["images"][0]["artifact"], &result["images"][0]["original"]["width"]),
        (&json!("image-01.png"), &json!(180))
    );
}

#[tokio::test]
async fn a_bad_file_among_good_ones_is_listed() {
    let mut trial = Trial::new();
    let good = trial.upload("photo.jpeg", &jpeg(200, 100)).await;
    let bad = trial.upload("notes.jpg", b"no picture").await;
    let left = trial.run(here(), json!({ "file_ids": [bad, good], "target_width": 100 })).await;
    let [began, refused, done, ended] = &left.log[..] else { panic!("{:?}", left.log) };
    assert_eq!((began.as_str(), ended.as_str()), ("pictures to resize: 2, to 100 × 600", "pictures done: 1 of 2"));
    assert!(refused.starts_with("notes.jpg: ") && done.starts_with("photo.jpeg: 200 × 100 to 100 × 50, jpeg, "));
    let result = left.result();
    assert_eq!(result["images_processed"], 1);
    assert_eq!(result["images"][0]["error"]["code"], "unknown_format");
    assert_eq!(result["images"][1]["artifact"], "photo-100x50.jpg");
    assert_eq!(result["images"][1]["original"]["format"], "jpeg");
}

#[tokio::test]
async fn without_a_single_good_file_the_task_fails() {
    let mut trial = Trial::new();
    let bad = trial.upload("notes.jpg", b"no picture").await;
    assert_eq!(trial.run(here(), json!({ "file_ids": [bad] })).await.code(), "no_image_processed");
}

#[tokio::test]
async fn names_of_artifacts_are_plain_and_unique() {
    let mut trial = Trial::new();
    let mut ids = Vec::new();
    for name in ["../../été 1.jpg", "photo.jpg", "photo.jpeg", "...", "C:\\x\\photo.png"] {
        ids.push(trial.upload(name, &jpeg(20, 10)).await);
    }
    let left = trial.run(here(), json!({ "file_ids": ids, "format": "webp" })).await;
    let names: Vec<&str> = left.outputs.iter().map(|output| output.0.as_str()).collect();
    let expected =
        ["t--1-20x10.webp", "photo-20x10.webp", "photo-20x10-2.webp", "image-20x10.webp", "photo-20x10-3.webp"];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn an_avif_comes_out_where_it_is_not_too_large() {
    let mut trial = Trial::new();
    let id = trial.upload("photo.jpg", &jpeg(200, 100)).await;
    let params = json!({ "file_ids": [id], "format": "avif", "sizes": ["100x100", "40x40"] });
    let left = trial.run(here(), params).await;
    assert_eq!(infer::get(left.output("photo-40x20.avif")).unwrap().mime_type(), "image/avif");
    assert_eq!(left.result()["images"][0]["format"], "avif");
    let mut trial = Trial::new();
    let id = trial.upload("photo.jpg", &jpeg(200, 100)).await;
    // Each of them could be written.
    let params = json!({ "file_ids": [id], "format": "avif", "fit": "exact", "sizes": ["4000x2999", "1000x100"] });
    let left = trial.run(here(), params).await;
    assert!(left.log.iter().any(|line| line.contains("too many for AVIF")), "{:?}", left.log);
    assert_eq!(left.code(), "no_image_processed");
    let sheet = json!({ "file_ids": [Uuid::nil()], "format": "avif", "contact_sheet": true });
    assert_eq!(here().check(&sheet)[0].pointer, "/contact_sheet");
}

#[tokio::test]
async fn it_stops_when_told() {
    let trial = Trial::new();
    trial.stop.cancel();
    assert_eq!(trial.run(here(), json!({})).await.code(), "stopped");
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_code() {
    let schema = schema::Schema::new(here().params_schema());
    assert_eq!(schema.defaults(), json!({ "num_images": 3, "target_width": 800, "target_height": 600 }));
    let own: Own = serde_json::from_value(json!({ "file_ids": [] })).unwrap();
    let params = serde_json::value::to_raw_value(&json!({ "file_ids": [Uuid::nil()] })).unwrap();
    let filled = schema.check(&params).unwrap();
    let expected = json!({ "file_ids": [Uuid::nil()], "target_width": own.target_width, "target_height": own.target_height,
        "fit": "fit", "gravity": "center", "sizes": [], "enlarge": false, "rotate": 0, "grayscale": false,
        "quality": own.quality, "metadata": "drop", "profile": "srgb",
        "frames": "first", "watermark_position": "bottom_right", "watermark_opacity": own.watermark_opacity,
        "watermark_size": own.watermark_size, "contact_sheet": false });
    assert_eq!((filled.params, filled.files.len(), own.fit), (expected, 1, Fitting::Fit));
}

#[test]
fn sizes_out_of_range_are_refused() {
    let schema = schema::Schema::new(here().params_schema());
    for params in [
        json!({ "target_width": 99 }),
        json!({ "num_images": 21 }),
        json!({ "file_ids": [], "target_width": 10 }),
        json!({ "file_ids": [Uuid::nil()], "target_width": 0 }),
        json!({ "file_ids": [Uuid::nil()], "quality": 101 }),
        json!({ "file_ids": [Uuid::nil()], "format": "heic" }),
        json!({ "file_ids": [Uuid::nil()], "rotate": 45 }),
        json!({ "file_ids": [Uuid::nil()], "sizes": ["0x10"] }),
        json!({ "file_ids": [Uuid::nil()], "sizes": ["10x10", "10x10"] }),
        json!({ "file_ids": [Uuid::nil()], "gravity": "north" }),
    ] {
        let raw = serde_json::value::to_raw_value(&params).unwrap();
        assert_eq!(schema.check(&raw).expect_err("out of range").len(), 1, "{params}");
    }
}

#[tokio::test]
async fn pictures_that_are_finished_are_not_made_again() {
    let mut trial = Trial::new();
    let mut ids = Vec::new();
    for (name, content) in
        [("a.jpg", jpeg(20, 10)), ("bad.jpg", b"no picture".to_vec()), ("a.jpg", jpeg(20, 10)), ("a.jpg", jpeg(20, 10))]
    {
        ids.push(trial.upload(name, &content).await);
    }
    let params = json!({ "file_ids": ids });
    let whole = trial.run(here(), params.clone()).await.result();
    trial.forget();
    trial.lose_after(3);
    assert_eq!(trial.run(here(), params.clone()).await.code(), "stopped");
    trial.lose_after(usize::MAX);
    let left = trial.run(here(), params).await;
    assert_eq!(left.log[..2], ["going on from picture 4 of 4", "pictures to resize: 1, to 800 × 600"]);
    let adopted = left.locations.iter().map(|location| location.contains("0002/"));
    assert_eq!(adopted.collect::<Vec<_>>(), [true, true, false], "{:?}", left.locations);
    assert_eq!(left.result(), whole);
}

#[tokio::test]
async fn a_picture_whose_file_is_gone_is_made_again() {
    let trial = Trial::new();
    let params = json!({ "num_images": 3, "target_width": 100, "target_height": 100 });
    trial.lose_after(2);
    let lost = trial.run(here(), params.clone()).await;
    trial.delete(&lost.locations[1]).await;
    trial.lose_after(usize::MAX);
    let left = trial.run(here(), params).await;
    assert_eq!((left.log[0].as_str(), left.outputs.len()), ("going on from picture 2 of 3", 3));
}

/// What becomes of a picture whose process is this shell script.
async fn in_shell(script: &str) -> Value {
    let mut trial = Trial::new();
    let ids = [trial.upload("a.jpg", &jpeg(20, 10)).await, trial.upload("b.jpg", &jpeg(20, 10)).await];
    let pictures = Pictures::in_children("/bin/sh".into(), &["-c", script]).with_patience(Duration::from_secs(2));
    let left = trial.run(ImageProcessing::new(pictures), json!({ "file_ids": ids })).await;
    match left.result {
        Err(Failure::Retry { code, .. }) => json!(code),
        Err(Failure::Fatal { message, .. }) => json!(message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_process_that_dies_or_hangs_is_told_of_its_picture_and_the_others_go_on() {
    let first = "no picture could be processed; the first: the picture ";
    for (script, why) in [
        ("kill -9 $$", "ended the process that worked on it"),
        ("exit 0", "ended the process that worked on it"),
        ("cat", "ended the process that worked on it"),
        ("cat >/dev/null; sleep 100", "took too long to work on"),
        ("kill -XCPU $$", "took too long to work on"),
        ("kill -ABRT $$", "needs more memory than one may have"),
    ] {
        assert_eq!(in_shell(script).await, format!("{first}{why}"), "{script}");
    }
}

#[tokio::test]
async fn a_process_that_somebody_ends_is_not_held_against_its_picture() {
    assert_eq!(in_shell("kill -TERM $$").await, "process_ended");
}

#[test]
fn what_the_schema_cannot_say_is_refused_at_the_submit_too() {
    let types = crate::types::Types::new(vec![Box::new(here())]);
    let entry = types.iter().next().unwrap();
    for (more, pointer) in [
        (json!({ "sizes": ["100x100", "10001x1"] }), "/sizes/1"),
        (json!({ "watermark_text": "漢" }), "/watermark_text"),
        (json!({ "watermark_text": "a", "watermark_file_id": Uuid::nil() }), "/watermark_text"),
        (json!({ "sizes": ["10000x10000"], "fit": "exact" }), "/sizes/0"),
        (json!({ "target_width": 10000, "target_height": 10000, "fit": "fill" }), "/target_width"),
    ] {
        let mut params = json!({ "file_ids": [Uuid::nil()] });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let errors = entry.check(&serde_json::value::to_raw_value(&params).unwrap()).expect_err("refused");
        assert_eq!((errors.len(), errors[0].pointer.as_str()), (1, pointer));
    }
}

#[tokio::test]
async fn each_picture_comes_in_each_size_and_is_finished_with_all_of_them() {
    let mut trial = Trial::new();
    let ids = [trial.upload("a.jpg", &jpeg(200, 100)).await, trial.upload("b.jpg", &jpeg(80, 100)).await];
    let params = json!({ "file_ids": ids, "sizes": ["100x100", "50x50"], "format": "png" });
    trial.lose_after(1);
    assert_eq!(trial.run(here(), params.clone()).await.code(), "stopped");
    trial.lose_after(usize::MAX);
    let left = trial.run(here(), params).await;
    let names: Vec<&str> = left.outputs.iter().map(|output| output.0.as_str()).collect();
    assert_eq!(names, ["a-100x50.png", "a-50x25.png", "b-80x100.png", "b-40x50.png"]);
    assert!(left.locations[1].contains("0001/") && left.locations[2].contains("0002/"), "{:?}", left.locations);
    let image = &left.result()["images"][1];
    assert_eq!((&image["artifact"], &image["sizes"][1]["artifact"]), (&json!("b-80x100.png"), &json!("b-40x50.png")));
}

#[tokio::test]
async fn a_watermark_is_laid_on_and_all_come_on_a_sheet_after_a_lost_attempt_too() {
    let mut trial = Trial::new();
    let logo = image::RgbImage::from_pixel(10, 10, image::Rgb([0, 255, 0]));
    let logo = encode(logo.into(), Format::Png, 100, Beside::default()).unwrap();
    let mark = trial.upload("logo.png", &logo).await;
    let mut ids = Vec::new();
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        ids.push(trial.upload(name, &jpeg(200, 100)).await);
    }
    ids.insert(1, trial.upload("bad.jpg", b"no picture").await);
    let params = json!({ "file_ids": ids, "format": "png", "watermark_file_id": mark, "watermark_opacity": 100,
        "watermark_position": "top_left", "contact_sheet": true });
    trial.lose_after(2);
    assert_eq!(trial.run(here(), params.clone()).await.code(), "stopped");
    trial.lose_after(usize::MAX);
    let left = trial.run(here(), params).await;
    let first = image::load_from_memory(left.output("b-200x100.png")).unwrap().into_rgb8();
    assert_eq!(first.get_pixel(20, 20).0, [0, 255, 0]);
    let sheet = image::load_from_memory(left.output("contact-sheet.jpg")).unwrap().into_rgb8();
    assert_eq!(sheet.dimensions(), (3 * 168 + 8, 168 + 8));
    let told = left.result();
    assert_eq!((&told["images_processed"], &told["contact_sheet"]), (&json!(3), &json!("contact-sheet.jpg")));
}
