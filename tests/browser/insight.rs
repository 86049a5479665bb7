//! What people look for in charts and beside a task: when things happened, how long they wait, what else there is.

use crate::owners::{key, say, sign_in};
use crate::support::on_both_databases;
use crate::support::page::PHONE;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, endless, noop};
use serde_json::json;

on_both_databases![Stage: what_happened_is_charted_over_three_spans_and_each_queue_says_how_long_it_waits];

async fn what_happened_is_charted_over_three_spans_and_each_queue_says_how_long_it_waits(mut stage: Stage) {
    let ids = stage.node.submit_many(vec![noop("one"), noop("two")]).await;
    for id in &ids {
        stage.node.until(id, PATIENCE, |task| task["status"] == "SUCCESS").await;
    }
    for n in 0..4 {
        stage.node.submit(endless(&format!("fills a place {n}"))).await;
    }
    stage.node.until_count("RUNNING", 4, PATIENCE).await;
    stage.node.submit(json!({ "type": "noop", "params": {}, "queue": "slow" })).await;
    let page = &mut stage.page;
    page.go("/").await;
    for (words, path) in [("24 hours", "/?window=24h"), ("7 days", "/?window=7d"), ("1 hour", "/")] {
        page.click(".tabs a", words).await;
        page.sees("time-chart .legend span", "■ Succeeded 2").await;
        page.until("how long they took", "/Run p50 \\d/.test(words(all('time-chart .legend')[1]))").await;
        assert_eq!(page.path().await, path);
    }
    // By keys: to the newest point, and on from there. In one go, since points move on with the minute.
    let pressed = "const plot = one('time-chart .plot'); plot.focus();
        return ['Home', 'ArrowRight'].map((key) => {
            plot.dispatchEvent(new KeyboardEvent('keydown', { key, cancelable: true }));
            return plot.getAttribute('aria-valuetext');
        })";
    let told = page.js(pressed).await;
    assert!(told[0] != told[1] && told[1].as_str().unwrap().contains("Succeeded"), "{told}");
    // As it is by now: with the next minute the points move on.
    let said =
        "all('time-chart p').some((said) => words(said) === one('time-chart .plot').getAttribute('aria-valuetext'))";
    page.until("it is said beside the chart", said).await;
    page.click("time-chart summary", "As a table").await;
    page.sees("time-chart td", "2").await;

    page.sees("[aria-label=Queues] th a", "slow").await;
    let cells = "all('[aria-label=Queues] tr').find((row) => words(row).startsWith('slow'))?.cells";
    let waits = format!("((cells) => words(cells[1]) === '1' && words(cells[2]).endsWith('s'))({cells})");
    page.until("one waits, for some seconds", &waits).await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_shown_before_and_after_and_a_task_says_what_is_related_to_it() {
    let mut stage = Stage::sqlite().await;
    let mut picture = Vec::new();
    let pixels = image::RgbImage::from_fn(320, 200, |x, y| image::Rgb([x as u8, y as u8, 90]));
    pixels.write_to(&mut std::io::Cursor::new(&mut picture), image::ImageFormat::Png).unwrap();
    let file = stage.node.uploaded("field.png", picture).await;
    let params = json!({ "file_ids": [file], "target_width": 100, "target_height": 100, "format": "jpeg" });
    let id = stage.node.submit(json!({ "type": "image_processing", "params": params, "tags": ["atlas"] })).await;
    stage.node.submit(json!({ "type": "noop", "name": "of the same tag", "params": {}, "tags": ["atlas"] })).await;
    stage.node.until(&id, PATIENCE, |task| task["status"] == "SUCCESS").await;
    let page = &mut stage.page;
    page.go(&format!("/tasks/{id}?tab=artifacts")).await;
    page.sees("figcaption", "Before 320 × 200 pixels").await;
    page.sees("figcaption", "After 100 × 63 pixels").await;
    page.until(
        "both are drawn",
        "all('.files img').filter((one) => one.naturalWidth && one.src.startsWith('blob:')).length === 2",
    )
    .await;
    page.click(".tabs a", "Related").await;
    page.sees(".panel h2", "With the tag atlas").await;
    page.click(".panel .feed a", "of the same tag").await;
    page.sees("h1", "of the same tag").await;
    page.clean().await;

    // Whose upload is gone has the result alone.
    page.expect("404");
    stage.node.delete(&format!("/api/files/{file}")).await;
    page.go(&format!("/tasks/{id}?tab=artifacts")).await;
    page.sees(".files .muted", "The uploaded file is gone.").await;
    page.sees("figcaption", "After 100 × 63 pixels").await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_that_is_left_is_not_guessed_from_the_first_seconds() {
    let mut stage = Stage::sqlite().await;
    let id = stage.node.submit(endless("runs")).await;
    let page = &mut stage.page;
    page.size(PHONE).await;
    page.go(&format!("/tasks/{id}?tab=related")).await;
    let seen = "((tab) => words(tab) === 'Related' && tab.getBoundingClientRect().right <= innerWidth)(one('.tabs [aria-current]'))";
    page.until("the part that is shown is seen in its row", seen).await;
    page.until("how far it is", "/^\\d+ % · [1-9]/.test(words(one('.run progress-bar')))").await;
    page.until("what is left", "/ left$/.test(words(one('.run progress-bar')))").await;
    let started = format!("return Date.now() - Date.parse((await (await fetch('/api/tasks/{id}')).json()).started_at)");
    let ran = page.js(&started).await.as_f64().unwrap();
    assert!(ran >= 5_000.0, "{ran} ms");
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_sees_all_owners_or_its_own_on_every_screen_by_one_switch() {
    let mut stage = Stage::sqlite().await;
    let admin = key(&stage, None, "admin", "ops").await;
    let anna = key(&stage, Some(&admin), "submit", "anna").await;
    for (key, name) in [(&admin, "by ops"), (&anna, "by anna"), (&anna, "by anna too")] {
        say(&stage.node.http, &stage.node.url, "/api/tasks/submit", key, noop(name)).await;
    }
    let page = &mut stage.page;
    page.expect("401"); // a browser says so of each
    page.open("/").await;
    sign_in(page, &admin).await;
    let ended = "words(one('.counts [data-status=SUCCESS] .figure'))";
    page.until("all of them", &format!("{ended} === '3'")).await;
    page.click("#whose", "All owners").await;
    page.until("its own", &format!("{ended} === '1'")).await;
    page.sees("#whose", "Mine").await;
    assert_eq!(page.path().await, "/?owner=ops");
    page.click(".rail a", "Tasks").await;
    page.until(
        "its own",
        "words(one('task-table tbody')).includes('by ops') && all('task-table tbody tr').length === 1",
    )
    .await;
    for screen in ["Metrics", "Activity", "Approvals", "Overview"] {
        page.click(".rail a", screen).await;
        page.sees("h1", screen).await;
        page.settled().await;
        assert!(page.path().await.ends_with("?owner=ops"), "{screen}");
        assert!(!page.js("return words(one('main'))").await.as_str().unwrap().contains("anna"), "{screen}");
    }
    page.click("#whose", "Mine").await;
    page.until("all of them", &format!("{ended} === '3'")).await;
    page.clean().await;
}
