//! Expands the top-level `sqlx-data.json` (hash of a statement -> what its database says of it)
//! into files where the sqlx macros look for them, and tells a release build its commit. Nothing else.
//!
//! `scripts/prepare` makes that file: it compiles each store alone with `SQLX_PREPARE` set, the
//! macros then ask a live database and leave their answers in a folder that the script merges.

use std::{collections::BTreeMap, env, fs, path::Path, path::PathBuf, process::Command};

/// Grows with every commit, checkout and reset.
const COMMITS: &str = ".git/logs/HEAD";

fn main() {
    commit();
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=sqlx-data.json");
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-env-changed=SQLX_PREPARE");
    if env::var_os("SQLX_PREPARE").is_some() {
        return;
    }
    let folder = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("sqlx");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the build folder can be written");
    let text = fs::read_to_string("sqlx-data.json").expect("sqlx-data.json is there: see scripts/prepare");
    let statements: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).expect("sqlx-data.json is JSON");
    for (hash, data) in &statements {
        fs::write(folder.join(format!("query-{hash}.json")), data.to_string())
            .expect("the build folder can be written");
    }
    // These win over a DATABASE_URL in the caller's shell.
    println!("cargo:rustc-env=SQLX_OFFLINE=true");
    println!("cargo:rustc-env=SQLX_OFFLINE_DIR={}", folder.display());
}

/// Sets `ERRAND_COMMIT`, for a release build in a clone: a debug build would be made anew after every commit.
fn commit() {
    if env::var("PROFILE").is_ok_and(|profile| profile != "release") || !Path::new(COMMITS).exists() {
        return;
    }
    println!("cargo:rerun-if-changed={COMMITS}");
    let asked = Command::new("git").args(["rev-parse", "--short=10", "HEAD"]).output();
    if let Ok(told) = asked
        && told.status.success()
    {
        println!("cargo:rustc-env=ERRAND_COMMIT={}", String::from_utf8_lossy(&told.stdout).trim());
    }
}
