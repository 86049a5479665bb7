//! Files that no row names go within a day, and no other ever does.

use super::{PATIENCE, until};
use crate::support::bed::{BEGIN, Bed, DatabaseUrl, noop, open, raw};
use crate::support::node::Home;
use crate::support::on_both_databases;
use errand::files::Files;
use errand::queue::{Kept, Queue};
use errand::store::{self, Save};
use errand::task::{Artifact, Outcome, Time};
use errand::types::Types;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

const HOUR: i64 = 3_600_000;

on_both_databases!(
    what_no_row_names_goes_after_a_day_and_what_one_names_stays,
    what_an_attempt_that_runs_writes_stays_however_old,
    what_a_checkpoint_names_stays_for_the_next_attempt,
    what_was_there_before_the_database_stays,
    the_files_of_another_database_stay,
    what_a_killed_process_left_half_written_goes_as_soon_as_nobody_can_own_it,
);

/// Makes a file in the store that was written to at this time.
fn file(bed: &Bed, location: &str, at: Time) -> PathBuf {
    let path = bed.folder.path().join("files").join(location);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "x").unwrap();
    age(&path, at);
    path
}

/// Lets a file or folder have been written to at this time.
fn age(path: &Path, at: Time) {
    File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(at.0 as u64)).unwrap();
}

/// The mark of the first sweep: what is made after it may be swept.
async fn first_sweep(bed: &Bed) {
    assert_eq!(bed.queue.sweep_files().await.unwrap(), 0);
}

async fn upload(bed: &Bed, at: Time) -> PathBuf {
    let id = Uuid::now_v7();
    let location = format!("uploads/{id}");
    let path = file(bed, &location, at);
    let named = store::File {
        id,
        owner: "default".to_owned(),
        name: "a".to_owned(),
        bytes: 1,
        content_type: "text/plain".to_owned(),
        sha256: String::new(),
        location,
        created_at: at,
    };
    bed.queue.add_file(named).await.unwrap();
    path
}

async fn what_no_row_names_goes_after_a_day_and_what_one_names_stays(bed: Bed) {
    first_sweep(&bed).await;
    let young = BEGIN.plus(HOUR);
    let kept = [
        upload(&bed, BEGIN).await,
        file(&bed, &format!("uploads/{}", Uuid::now_v7()), young),
        file(&bed, &format!("artifacts/{}/{}/a.csv", Uuid::now_v7(), Uuid::now_v7()), young),
        file(&bed, "uploads/notes.txt", BEGIN),
        file(&bed, "elsewhere/a", BEGIN),
    ];
    let task = bed.submit(noop()).await;
    let lease = bed.claim(1).await[0].lease.unwrap();
    let location = format!("artifacts/{}/{lease}/a.csv", task.id);
    let artifact = file(&bed, &location, BEGIN);
    let half = file(&bed, &format!("{location}#1"), BEGIN);
    let (name, content_type) = ("a.csv".to_owned(), "text/csv".to_owned());
    let made = Artifact { name, bytes: 1, content_type, sha256: String::new(), location };
    let outcome = Outcome::Success(raw("{}"), vec![made]);
    let claimed = bed.get(task.id).await;
    bed.queue.report(&claimed, lease, &outcome).await.unwrap();
    let lost = file(&bed, &format!("artifacts/{}/{}/a.csv", task.id, Uuid::now_v7()), BEGIN);
    let nobody_s = file(&bed, &format!("artifacts/{}/{}/b.csv", Uuid::now_v7(), Uuid::now_v7()), BEGIN);
    let unnamed = file(&bed, &format!("uploads/{}", Uuid::now_v7()), BEGIN);
    let broken_off = file(&bed, &format!("uploads/{}#1", Uuid::now_v7()), BEGIN);

    bed.clock.advance(24 * HOUR + 1);
    assert_eq!(bed.queue.sweep_files().await.unwrap(), 5);
    for gone in [&half, &lost, &nobody_s, &unnamed, &broken_off] {
        assert!(!gone.exists(), "{}", gone.display());
    }
    for path in kept.iter().chain([&artifact]) {
        assert!(path.exists(), "{}", path.display());
    }
    // Emptied folders go as well, once they are as old.
    let folder = nobody_s.parent().unwrap();
    age(folder, BEGIN);
    bed.queue.sweep_files().await.unwrap();
    assert!(!folder.exists());
}

async fn what_an_attempt_that_runs_writes_stays_however_old(bed: Bed) {
    first_sweep(&bed).await;
    let task = bed.submit(noop()).await;
    let lease = bed.queue.claim("tester", 1, &[], 72 * HOUR, false).await.unwrap()[0].lease.unwrap();
    let output = file(&bed, &format!("artifacts/{}/{lease}/a.csv", task.id), BEGIN);
    bed.clock.advance(48 * HOUR);
    assert_eq!(bed.queue.sweep_files().await.unwrap(), 0);
    assert!(output.exists());
}

async fn what_a_checkpoint_names_stays_for_the_next_attempt(bed: Bed) {
    first_sweep(&bed).await;
    let task = bed.submit(noop()).await;
    let claimed = bed.claim(1).await.remove(0);
    let lease = claimed.lease.unwrap();
    let location = format!("artifacts/{}/{lease}/a.csv", task.id);
    let named = file(&bed, &location, BEGIN);
    let unnamed = file(&bed, &format!("{location}.old"), BEGIN);
    let data = raw(&format!("{{\"made\":[\"{location}\"]}}"));
    let save = Save { id: task.id, lease, attempt: 1, name: "made".to_owned(), data };
    assert_eq!(bed.queue.save(save).await.unwrap(), Kept::Written);
    bed.queue.report(&claimed, lease, &Outcome::Released).await.unwrap();
    bed.clock.advance(48 * HOUR);
    assert_eq!(bed.queue.sweep_files().await.unwrap(), 1);
    assert!(named.exists() && !unnamed.exists());
}

async fn what_was_there_before_the_database_stays(bed: Bed) {
    let older = file(&bed, &format!("uploads/{}", Uuid::now_v7()), BEGIN.plus(-HOUR));
    first_sweep(&bed).await;
    let newer = file(&bed, &format!("uploads/{}", Uuid::now_v7()), BEGIN.plus(HOUR));
    bed.clock.advance(72 * HOUR);
    assert_eq!(bed.queue.sweep_files().await.unwrap(), 1);
    assert!(older.exists() && !newer.exists());
}

async fn the_files_of_another_database_stay(bed: Bed) {
    first_sweep(&bed).await;
    let unnamed = file(&bed, &format!("uploads/{}", Uuid::now_v7()), BEGIN);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = open(&DatabaseUrl::Sqlite(elsewhere.path().join("errand.db"))).await;
    let files = Files::local(&bed.folder.path().join("files")).unwrap();
    let queue = Queue::open(other, bed.clock.clone(), Types::builtin(), files);
    bed.clock.advance(72 * HOUR);
    assert_eq!(queue.sweep_files().await.unwrap(), 0);
    assert!(unnamed.exists());
    assert_eq!(bed.queue.sweep_files().await.unwrap(), 1);
}

async fn what_a_killed_process_left_half_written_goes_as_soon_as_nobody_can_own_it(bed: Bed) {
    first_sweep(&bed).await;
    let left = file(&bed, &format!("uploads/{}#1", Uuid::now_v7()), BEGIN.plus(-1000));
    let own = file(&bed, &format!("uploads/{}#1", Uuid::now_v7()), BEGIN.plus(1));
    let alone = bed.queue.store().database() == store::Database::Sqlite;
    assert_eq!(bed.queue.sweep_files().await.unwrap(), usize::from(alone), "at once where no other node can write it");
    assert!(left.exists() != alone && own.exists());
    bed.clock.advance(25 * HOUR);
    assert_eq!(bed.queue.sweep_files().await.unwrap(), if alone { 1 } else { 2 });
    assert!(!left.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_was_cut_by_a_kill_is_gone_after_the_next_start() {
    let home = Home::sqlite();
    let mut node = home.start(&["--workers", "0"]);
    let sent = node.begin_upload("a.csv", 12 << 20);
    let uploads = home.folder.path().join("files/uploads");
    let half = || fs::read_dir(&uploads).is_ok_and(|mut entries| entries.next().is_some());
    until(half, "half of it lies there").await;
    node.signal("KILL");
    node.ended(PATIENCE).await;
    let _ = sent.await;
    // A restart takes longer than this one: surely longer ago than the file system's clock may be behind.
    for left in fs::read_dir(&uploads).unwrap() {
        let left = File::open(left.unwrap().path()).unwrap();
        left.set_modified(SystemTime::now() - Duration::from_secs(1)).unwrap();
    }
    let _node = home.start(&["--workers", "0"]);
    until(|| !half(), "it is gone").await;
}
