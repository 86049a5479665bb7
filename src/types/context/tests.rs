//! What one attempt finds of another.

use super::trial::Trial;
use super::*;
use crate::files::Growing;
use serde_json::json;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn make(ctx: &Context, name: &str, content: &str) -> Artifact {
    let mut output = ctx.output(name, "text/plain").await.unwrap();
    output.writer.write_all(content.as_bytes()).await.unwrap();
    output.keep().await.unwrap()
}

async fn grow_by(mut output: Output<Growing>, content: &'static str) -> Output<Growing> {
    let grown = tokio::task::spawn_blocking(move || {
        output.write_all(content.as_bytes()).unwrap();
        output
    });
    grown.await.unwrap()
}

async fn read(ctx: &Context, file: &Artifact) -> String {
    let mut text = String::new();
    ctx.reread(file).await.unwrap().unwrap().read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn the_next_attempt_finds_what_was_last_saved_and_this_one_does_not() {
    let trial = Trial::new();
    let first = trial.attempt();
    assert_eq!(first.checkpoint::<i64>("at"), None);
    first.save("at", &1).await.unwrap();
    first.save("at", &2).await.unwrap();
    assert_eq!((first.checkpoint::<i64>("at"), trial.attempt().checkpoint("at")), (None, Some(2)));
}

#[tokio::test]
async fn a_checkpoint_of_another_shape_is_left_aside_and_the_log_says_so() {
    let trial = Trial::new();
    trial.attempt().save("at", &json!({ "row": 1 })).await.unwrap();
    let ctx = trial.attempt();
    assert_eq!(ctx.checkpoint::<i64>("at"), None);
    assert_eq!(ctx.take_said().1[0].message, "the checkpoint at cannot be read: it is left aside");
}

#[tokio::test]
async fn after_the_lease_is_lost_nothing_is_saved() {
    let trial = Trial::new();
    trial.lose_after(1);
    let ctx = trial.attempt();
    ctx.save("at", &1).await.unwrap();
    assert!(matches!(ctx.save("at", &2).await, Err(Failure::Stopped)));
    assert_eq!(trial.checkpoint("at"), Some(json!(1)));
}

#[tokio::test]
async fn a_file_is_adopted_only_if_it_is_whole_and_of_this_task() {
    let trial = Trial::new();
    let file = make(&trial.attempt(), "a.txt", "abc").await;
    let ctx = trial.attempt();
    for other in [
        Artifact { bytes: 2, ..file.clone() },
        Artifact { sha256: "0".repeat(64), ..file.clone() },
        Artifact { location: file.location.replace("a.txt", "b.txt"), ..file.clone() },
        Artifact { location: format!("artifacts/{}/a.txt", Uuid::max()), ..file.clone() },
    ] {
        assert!(!ctx.adopt(&other).await.unwrap(), "{other:?}");
    }
    assert!(ctx.outputs().is_empty());
    assert!(ctx.adopt(&file).await.unwrap());
    assert_eq!(ctx.outputs(), [file]);
}

#[tokio::test]
async fn a_growing_file_is_gone_on_with_from_its_mark() {
    for trial in [Trial::new(), Trial::in_bucket(100), Trial::in_bucket(2)] {
        let first = trial.attempt();
        let mut output = grow_by(first.grow("a.txt", "text/plain").await.unwrap(), "abc").await;
        let grown = output.mark().sync().await.unwrap();
        drop(grow_by(output, "lost").await);
        let second = trial.attempt();
        let output = second.grow_on(&grown).await.unwrap().unwrap();
        grow_by(output, "def").await.keep().await.unwrap();
        assert_eq!(read(&second, &second.outputs()[0]).await, "abcdef");
        let mut damaged = grown;
        damaged.file.sha256 = "0".repeat(64);
        assert!(second.grow_on(&damaged).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_growing_file_in_a_bucket_that_was_completed_is_gone_on_with_in_a_copy() {
    let trial = Trial::in_bucket(2);
    let first = trial.attempt();
    let mut output = grow_by(first.grow("a.txt", "text/plain").await.unwrap(), "abc").await;
    let grown = output.mark().sync().await.unwrap();
    grow_by(output, "def").await.keep().await.unwrap();
    let second = trial.attempt();
    let output = second.grow_on(&grown).await.unwrap().unwrap();
    assert_eq!(grown.replaced_by(&output).len(), 3, "the file, the sign of its upload, and its tail");
    grow_by(output, "xyz").await.keep().await.unwrap();
    assert_eq!(read(&second, &second.outputs()[0]).await, "abcxyz");
}

#[tokio::test]
async fn what_another_task_grew_is_not_gone_on_with() {
    let trial = Trial::in_bucket(2);
    let first = trial.attempt();
    let mut output = grow_by(first.grow("a.txt", "text/plain").await.unwrap(), "abc").await;
    let grown = output.mark().sync().await.unwrap();
    let theirs = serde_json::to_string(&grown).unwrap().replace(&Uuid::nil().to_string(), &Uuid::max().to_string());
    assert!(trial.attempt().grow_on(&serde_json::from_str(&theirs).unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_mark_of_before_there_were_parts_is_read() {
    let trial = Trial::new();
    let file = make(&trial.attempt(), "a.txt", "abc").await;
    let grown = serde_json::from_value(serde_json::to_value(&file).unwrap()).unwrap();
    assert!(trial.attempt().grow_on(&grown).await.unwrap().is_some());
}

#[tokio::test]
async fn the_pace_of_earlier_attempts_is_not_this_ones() {
    let ctx = Trial::new().attempt();
    ctx.going_on(50, "item 51 of 100");
    ctx.progress(50, 100, None);
    assert_eq!((ctx.last_progress().percent, ctx.last_progress().eta_seconds), (50.0, None));
    assert_eq!(ctx.take_said().1[0].message, "going on from item 51 of 100");
}

#[tokio::test]
async fn what_is_measured_goes_with_the_progress_and_only_when_it_is_new() {
    let ctx = Trial::new().attempt();
    ctx.metric("rows", 1.0);
    ctx.metric("rows", 2.0);
    ctx.progress(1, 4, None);
    let said = ctx.take_said().0.unwrap();
    assert_eq!((said.percent, said.metrics.get("rows")), (25.0, Some(2.0)));
    ctx.metric("rows", 2.0);
    assert!(ctx.take_said().0.is_none());
    ctx.progress(2, 4, None);
    assert_eq!(ctx.take_said().0.unwrap().metrics, ctx.last_progress().metrics);
}

#[tokio::test]
async fn a_metric_that_is_not_kept_is_told_once() {
    let ctx = Trial::new().attempt();
    (0..30).for_each(|n| ctx.metric(&format!("n{n}"), 0.0));
    ctx.metric("No", f64::NAN);
    let (progress, lines) = ctx.take_said();
    assert!(progress.unwrap().metrics.get("n19").is_some());
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].message, "the metric \"n20\" is one more than the 20 an attempt may have: it is not kept");
}
