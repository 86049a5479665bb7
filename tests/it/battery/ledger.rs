//! What a client knows of what it asked for: the oracle of the battery, never the database.

use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// The log of one client, over the lives of several nodes.
#[derive(Default)]
pub struct Ledger {
    book: Mutex<Book>,
}

/// What stands in it.
#[derive(Default)]
pub struct Book {
    pub submits: Vec<Submit>,
    /// Tasks whose end was asked for, with the last answer; `None` while it is unknown.
    pub cancels: HashMap<String, Option<u16>>,
    /// Tasks that were set going again: how often that was asked for, and how often granted.
    pub retries: HashMap<String, (u32, u32)>,
    pub uploads: HashMap<String, Upload>,
    /// Tasks that run for long and are to be cancelled.
    pub doomed: Vec<String>,
}

/// A submit of one task or many.
#[derive(Clone)]
pub struct Submit {
    pub path: &'static str,
    pub key: String,
    pub body: Value,
    /// The tasks, once an answer came; without one they may exist or not.
    pub ids: Option<Vec<String>>,
}

/// A file that was acknowledged.
#[derive(Clone)]
pub struct Upload {
    pub content: bytes::Bytes,
    /// Whether its end was asked for.
    pub deleted: bool,
}

impl Ledger {
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// Writes a submit down before it is sent; answers its number.
    pub fn asks(&self, path: &'static str, body: Value) -> usize {
        let mut book = self.book();
        book.submits.push(Submit { path, key: Uuid::new_v4().to_string(), body, ids: None });
        book.submits.len() - 1
    }

    /// The submits without an answer.
    pub fn unknown(&self) -> Vec<usize> {
        let book = self.book();
        (0..book.submits.len()).filter(|n| book.submits[*n].ids.is_none()).collect()
    }
}

impl Book {
    /// Every acknowledged task, with the body it was submitted with.
    pub fn tasks(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.submits.iter().flat_map(|submit| submit.ids.iter().flatten().zip(submit.tasks()))
    }
}

impl Submit {
    /// What each task of it was submitted with.
    pub fn tasks(&self) -> Vec<&Value> {
        match self.body["tasks"].as_array() {
            Some(tasks) => tasks.iter().collect(),
            None => vec![&self.body],
        }
    }
}
