//! Over a real folder.

use super::*;
use std::collections::HashSet;

fn store() -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::local(folder.path()).unwrap();
    (folder, files)
}

fn count(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
}

async fn write(files: &Files, location: &str, content: &[u8]) -> Stored {
    let mut writer = files.create(location).await.unwrap();
    writer.write_all(content).await.unwrap();
    writer.finish().await.unwrap()
}

async fn read(files: &Files, location: &str, range: Range<u64>) -> Vec<u8> {
    let mut content = Vec::new();
    files.read(location, range).await.unwrap().read_to_end(&mut content).await.unwrap();
    content
}

#[tokio::test]
async fn a_file_comes_back_with_its_size_hash_and_head() {
    let (_folder, files) = store();
    let stored = write(&files, "uploads/a", b"abc").await;
    assert_eq!((stored.bytes, &stored.head[..]), (3, &b"abc"[..]));
    assert_eq!(stored.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(read(&files, "uploads/a", 0..3).await, b"abc");
    assert_eq!(read(&files, "uploads/a", 1..2).await, b"b");
    assert_eq!(read(&files, "uploads/a", 1..100).await, b"bc");
    assert_eq!(read(&files, "uploads/a", 3..3).await, b"");
}

#[tokio::test]
async fn a_file_of_many_parts_comes_back_whole() {
    let (_folder, files) = store();
    let content: Vec<u8> = (0..PART_BYTES * 2 + 17).map(|i| (i * 31 % 251) as u8).collect();
    let stored = write(&files, "uploads/big", &content).await;
    assert_eq!((stored.bytes, stored.head.len()), (content.len() as u64, HEAD_BYTES));
    assert!(read(&files, "uploads/big", 0..u64::MAX).await == content);
    let chunks = files.read("uploads/big", 5..content.len() as u64).await.unwrap().into_stream();
    let sizes: Vec<usize> = chunks.map_ok(|chunk| chunk.len()).try_collect().await.unwrap();
    assert_eq!(sizes.iter().sum::<usize>(), content.len() - 5);
}

#[tokio::test]
async fn an_unfinished_file_leaves_nothing() {
    let (folder, files) = store();
    for size in [10, PART_BYTES * 2] {
        let mut writer = files.create("uploads/half").await.unwrap();
        writer.write_all(&vec![1; size]).await.unwrap();
        drop(writer);
    }
    // The removal runs on a blocking thread; a later one on the same pool need not wait for it.
    while count(folder.path()) > 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(files.read("uploads/half", 0..1).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn deleting_is_safe_to_repeat() {
    let (folder, files) = store();
    for name in ["artifacts/t/l/a", "artifacts/t/l/b", "artifacts/t/m/a", "artifacts/tt"] {
        write(&files, name, b"x").await;
    }
    files.delete("artifacts/t/l/a").await.unwrap();
    files.delete("artifacts/t/l/a").await.unwrap();
    files.delete_folder("artifacts/t").await.unwrap();
    files.delete_folder("artifacts/t").await.unwrap();
    assert_eq!(count(folder.path()), 1);
    assert!(files.delete_folder("").await.is_err());
}

#[tokio::test]
async fn a_name_that_leaves_the_store_is_refused() {
    let (_folder, files) = store();
    for name in ["../outside", "uploads/../../x", "/etc//passwd"] {
        assert!(files.create(name).await.is_err(), "{name}");
    }
}

#[test]
fn a_full_disk_is_told_however_deep_it_lies() {
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    let deep = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(full()) };
    assert!(matches!(Error::from(io::Error::from(deep)), Error::Full));
    assert!(matches!(Error::from(full()), Error::Full));
}

#[tokio::test(flavor = "multi_thread")]
async fn blocking_code_reads_and_writes() {
    let (_folder, files) = store();
    let mut writer = files.create("uploads/a").await.unwrap();
    let writer = tokio::task::spawn_blocking(move || {
        let mut sink = writer.blocking();
        io::Write::write_all(&mut sink, b"hello").unwrap();
        io::Write::flush(&mut sink).unwrap();
        drop(sink);
        writer
    });
    writer.await.unwrap().finish().await.unwrap();
    let reader = files.read("uploads/a", 0..5).await.unwrap();
    let text = tokio::task::spawn_blocking(move || io::read_to_string(reader.into_blocking()).unwrap());
    assert_eq!(text.await.unwrap(), "hello");
}

#[tokio::test]
async fn a_folder_is_emptied_but_for_what_is_kept() {
    let (folder, files) = store();
    for name in ["artifacts/t/l/a", "artifacts/t/l/b", "artifacts/t/m/a", "artifacts/tt"] {
        write(&files, name, b"x").await;
    }
    std::fs::write(folder.path().join("artifacts/t/m/c#1"), "left by a killed process").unwrap();
    let keep = || HashSet::from(["artifacts/t/l/b".to_owned(), "artifacts/t/l/gone".to_owned()]);
    files.keep_only("artifacts/t", keep()).await.unwrap();
    files.keep_only("artifacts/t", keep()).await.unwrap();
    assert_eq!((count(folder.path()), &read(&files, "artifacts/t/l/b", 0..1).await[..]), (2, &b"x"[..]));
    assert!(files.holds_any("artifacts/t/l").await.unwrap());
    assert!(!files.holds_any("artifacts/t/m").await.unwrap(), "an empty folder goes too");
    files.delete_folder("artifacts/t").await.unwrap();
    assert!(!files.holds_any("artifacts/t").await.unwrap());
}

#[tokio::test]
async fn what_stood_in_a_growing_file_at_a_mark_is_there_without_an_end() {
    let (_folder, files) = store();
    let mut growing = files.grow("artifacts/t/l/a").await.unwrap();
    io::Write::write_all(&mut growing, b"abc").unwrap();
    let mark = growing.mark();
    io::Write::write_all(&mut growing, b"def").unwrap();
    assert_eq!((mark.bytes, mark.sha256.clone()), (3, write(&files, "uploads/a", b"abc").await.sha256));
    assert!(mark.sync().await.unwrap().is_none(), "a folder needs no more to go on");
    drop(growing);
    assert_eq!(read(&files, "artifacts/t/l/a", 0..3).await, b"abc");
}

#[tokio::test]
async fn a_growing_file_that_is_finished_is_as_any_other() {
    let (_folder, files) = store();
    let mut growing = files.grow("artifacts/t/l/a").await.unwrap();
    io::Write::write_all(&mut growing, b"abc").unwrap();
    let stored = growing.finish().await.unwrap();
    assert_eq!(stored, (3, write(&files, "uploads/a", b"abc").await.sha256));
    assert_eq!(read(&files, "artifacts/t/l/a", 0..3).await, b"abc");
}

#[tokio::test]
async fn a_file_is_held_until_its_last_copy_is_closed() {
    let (_folder, files) = store();
    let held = files.hold("artifacts/t/a/taken.txt").await.unwrap().unwrap();
    let copy = held.try_clone().unwrap();
    drop(held);
    assert!(files.is_held("artifacts/t/a/taken.txt").await.unwrap());
    drop(copy);
    assert!(!files.is_held("artifacts/t/a/taken.txt").await.unwrap());
    assert!(!files.is_held("artifacts/t/a/other.txt").await.unwrap(), "it is not there");
}
