//! The database file damaged, deleted or replaced: told, and never begun anew in its place.

use super::{PATIENCE, knows, noop, refused, submit, until};
use crate::support::node::{Home, Node};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The size of a page of a file that Errand made.
const PAGE: usize = 8192;
/// What a running node gets to see that its file is gone, and to end.
const SOON: Duration = Duration::from_secs(2);

/// A database with some tasks in it, closed.
async fn closed() -> Home {
    let home = Home::sqlite();
    let mut node = home.start(&[]);
    submit(&node, 20).await;
    stop(&mut node).await;
    home
}

/// A node with some tasks, killed: its last commits are in the log only.
async fn killed() -> (Home, Vec<String>) {
    let home = Home::sqlite();
    let mut node = home.start(&["--workers", "0"]);
    let ids = submit(&node, 20).await;
    node.signal("KILL");
    node.ended(PATIENCE).await;
    (home, ids)
}

async fn stop(node: &mut Node) {
    node.signal("TERM");
    assert_eq!(node.ended(PATIENCE).await.code(), Some(0));
}

fn beside(home: &Home, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", home.database_file().display()))
}

/// Fails unless a start is refused as damaged, with the way out told and the file as it was.
#[track_caller]
fn is_refused_and_left_alone(home: &Home, what: &str) {
    let before = fs::read(home.database_file()).unwrap();
    let said = refused(home, 3);
    assert!(said.contains("cannot be used") && said.contains("`errand backup FILE`"), "{what}: {said}");
    assert!(fs::read(home.database_file()).unwrap() == before, "{what}: the file was touched");
}

#[tokio::test]
async fn an_empty_a_cut_and_a_foreign_file_end_with_code_3_and_are_left_alone() {
    let home = closed().await;
    let file = home.database_file();
    let whole = fs::read(file).unwrap();
    for kept in [0, 50, 4096, PAGE, whole.len() / 2, whole.len() - PAGE] {
        fs::write(file, &whole[..kept]).unwrap();
        is_refused_and_left_alone(&home, &format!("the first {kept} bytes of {}", whole.len()));
    }
    fs::write(file, "this was never a database ".repeat(1000)).unwrap();
    is_refused_and_left_alone(&home, "text");
    for foreign in ["PRAGMA application_id = 7; CREATE TABLE notes (a)", "CREATE TABLE notes (a)"] {
        fs::remove_file(file).unwrap();
        sqlite(file, foreign);
        is_refused_and_left_alone(&home, foreign);
    }
}

#[tokio::test]
async fn one_flipped_bit_in_the_structure_ends_with_code_3_and_the_file_is_left_alone() {
    let home = closed().await;
    let file = home.database_file();
    let whole = fs::read(file).unwrap();
    let pages = whole.len() / PAGE;
    assert!(pages > 10, "{pages} pages");
    // A table that a start does not read: whoever reads it later would find out.
    let unread = "SELECT rootpage - 1 FROM sqlite_schema WHERE name = 'artifacts'";
    let unread = Command::new("sqlite3").arg(file).arg(unread).output().unwrap().stdout;
    let unread: usize = String::from_utf8(unread).unwrap().trim().parse().unwrap();
    for page in [0, 1, 2, pages / 2, pages - 1, unread] {
        // Where each page says what kind of page it is; the first one's stands behind the file's header.
        let at = if page == 0 { 100 } else { page * PAGE };
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(file, flipped).unwrap();
        is_refused_and_left_alone(&home, &format!("page {page}"));
    }
    let said = refused(&home, 3);
    assert!(said.contains("quick_check"), "{said}");
    fs::write(file, whole).unwrap();
    home.start(&[]);
}

#[tokio::test]
async fn a_file_that_a_newer_errand_wrote_ends_with_code_3_and_is_left_alone() {
    let home = closed().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'tomorrow', 1, x'00', 1); PRAGMA wal_checkpoint(TRUNCATE)";
    sqlite(home.database_file(), newer);
    is_refused_and_left_alone(&home, "a migration of tomorrow");
    assert!(refused(&home, 3).contains("newer Errand (migration 9999)"));
}

#[tokio::test]
async fn a_log_that_was_deleted_after_a_kill_is_told_and_one_can_go_on_knowingly() {
    let (home, _) = killed().await;
    let log = beside(&home, "-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0, "the last commits are in the log");
    fs::remove_file(&log).unwrap();
    let said = refused(&home, 3);
    assert!(said.contains("-wal is gone") && said.contains("errand.db.open to go on"), "{said}");
    fs::remove_file(beside(&home, ".open")).unwrap();
    home.start(&[]);
}

#[tokio::test]
async fn a_kill_with_its_log_left_loses_nothing_and_needs_no_hand() {
    let (home, ids) = killed().await;
    let mut node = home.start(&["--workers", "0"]);
    knows(&node, &ids).await;
    stop(&mut node).await;
    assert!(!beside(&home, ".open").exists(), "a clean end leaves no mark");
    assert_eq!(fs::metadata(beside(&home, "-wal")).map_or(0, |log| log.len()), 0, "all of it is in the file");
    knows(&home.start(&[]), &ids).await;
}

#[tokio::test]
async fn a_file_that_was_deleted_or_replaced_after_a_kill_is_told_and_never_begun_anew() {
    let older = closed().await;
    let (home, ids) = killed().await;
    let kept = beside(&home, ".kept");
    fs::rename(home.database_file(), &kept).unwrap();
    let said = refused(&home, 3);
    assert!(said.contains("is gone") && !home.database_file().exists(), "{said}");
    // Another database in its place: the log beside it would be written into it.
    fs::copy(older.database_file(), home.database_file()).unwrap();
    is_refused_and_left_alone(&home, "another database under the old log");
    fs::rename(&kept, home.database_file()).unwrap();
    knows(&home.start(&["--workers", "0"]), &ids).await;
}

#[tokio::test]
async fn a_log_without_its_database_is_told() {
    let (home, _) = killed().await;
    fs::remove_file(beside(&home, ".open")).unwrap();
    fs::remove_file(home.database_file()).unwrap();
    assert!(refused(&home, 3).contains("is not there"));
    assert!(!home.database_file().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_file_is_deleted_under_it_acknowledges_nothing_more_and_ends_with_code_3() {
    loses(|database| fs::remove_file(database).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_file_is_replaced_under_it_acknowledges_nothing_more_and_ends_with_code_3() {
    loses(|database| {
        let copy = database.with_extension("copy");
        fs::copy(database, &copy).unwrap();
        fs::rename(copy, database).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_is_deleted_under_it_acknowledges_nothing_more_and_ends_with_code_3() {
    loses(|database| fs::remove_file(format!("{}-wal", database.display())).unwrap()).await;
}

async fn loses(lose: impl FnOnce(&Path)) {
    let home = Home::sqlite();
    let mut node = home.start(&[]);
    submit(&node, 5).await;
    lose(home.database_file());
    let lost = Instant::now();
    // Refused, or no answer any more: anything but an acknowledgement.
    while let Ok((status, answer)) = node.post("/api/tasks/submit", noop(0)).await {
        assert_ne!(status, 201, "{answer}");
    }
    assert_eq!(node.ended(PATIENCE).await.code(), Some(3));
    assert!(lost.elapsed() < SOON, "{:?}", lost.elapsed());
    let said = node.log();
    assert!(said.contains("deleted or replaced while it was open"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg(debug_assertions)] // only debug builds have fail points
async fn a_write_under_which_the_file_is_deleted_is_not_acknowledged() {
    let home = Home::sqlite();
    // Each write waits before its commit: the file is there when it begins.
    let mut node = home.start_armed(&["--workers", "0"], "sqlite_uncommitted=delay:400@1-").unwrap();
    let waited = |node: &Node| node.lines().iter().filter(|line| line.contains("sqlite_uncommitted")).count();
    let before = waited(&node);
    let (http, url) = (node.http.clone(), format!("{}/api/tasks/submit", node.url));
    let submit = tokio::spawn(async move { http.post(url).json(&noop(0)).send().await });
    until(|| waited(&node) > before, "it is about to commit").await;
    fs::remove_file(home.database_file()).unwrap();
    let answer = submit.await.unwrap();
    assert!(answer.as_ref().is_ok_and(|answer| answer.status() != 201) || answer.is_err(), "{answer:?}");
    assert_eq!(node.ended(PATIENCE).await.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_nothing_to_do_sees_within_two_seconds_that_its_file_is_gone() {
    let home = Home::sqlite();
    let mut node = home.start(&["--workers", "0"]);
    let lost = Instant::now();
    fs::remove_file(home.database_file()).unwrap();
    assert_eq!(node.ended(PATIENCE).await.code(), Some(3));
    assert!(lost.elapsed() < SOON, "{:?}", lost.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_under_load_has_all_that_was_acknowledged_before_it_and_starts() {
    let home = Home::sqlite();
    let node = Arc::new(home.start(&[]));
    let before = submit(&node, 50).await;
    let (loaded, more) = (node.clone(), Arc::new(AtomicBool::new(true)));
    let go_on = more.clone();
    let load = tokio::spawn(async move {
        while go_on.load(Ordering::Relaxed) {
            submit(&loaded, 10).await;
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("errand.db");
    let made = backup(&home, &copy);
    assert!(made.status.success(), "{made:?}");
    assert_eq!(backup(&home, &copy).status.code(), Some(2), "it is not written over");
    more.store(false, Ordering::Relaxed);
    load.await.unwrap();
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["errand.db"], "and nothing else is left");

    let restored = Home::sqlite();
    fs::copy(&copy, restored.database_file()).unwrap();
    let verified = restored.command(&["verify"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    knows(&restored.start(&[]), &before).await;
}

#[tokio::test]
async fn a_backup_that_cannot_be_made_leaves_nothing_and_says_why() {
    let home = closed().await;
    let folder = tempfile::tempdir().unwrap();
    let missing = backup(&home, &folder.path().join("missing/errand.db"));
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    let whole = fs::read(home.database_file()).unwrap();
    fs::write(home.database_file(), &whole[..PAGE * 4]).unwrap();
    let damaged = backup(&home, &folder.path().join("errand.db"));
    assert_eq!(damaged.status.code(), Some(3), "{damaged:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let none = backup(&Home::sqlite(), &folder.path().join("errand.db"));
    assert_eq!(none.status.code(), Some(1), "{none:?}");
}

#[tokio::test]
async fn the_backup_of_a_postgres_is_pg_dump_s() {
    let home = Home::postgres().await;
    let refused = backup(&home, Path::new("copy.db"));
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("pg_dump"));
}

fn backup(home: &Home, to: &Path) -> Output {
    home.command(&["backup"]).arg(to).output().unwrap()
}

/// Runs statements by the command line's SQLite, on a file that nobody has open.
fn sqlite(file: &Path, statements: &str) {
    let done = Command::new("sqlite3").arg("-bail").arg(file).arg(statements).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}
