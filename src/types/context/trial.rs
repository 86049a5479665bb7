//! For the types' own tests: the attempts of one task, in a folder that removes itself or a bucket in memory.

use super::*;
use crate::types::AnyType;
use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A task, its uploads and what its attempts save.
pub struct Trial {
    _folder: Option<tempfile::TempDir>,
    files: Files,
    inputs: Vec<Input>,
    saved: Arc<Saved>,
    attempts: Mutex<i64>,
    /// Cancelled, it tells the attempt to stop.
    pub stop: CancellationToken,
}

/// What an attempt left: its result, its log, and its output files by name and by where they lie.
pub struct Left {
    pub result: Result<Value, Failure>,
    pub log: Vec<String>,
    pub outputs: Vec<(String, Vec<u8>)>,
    pub locations: Vec<String>,
}

/// The checkpoints, and how many more are kept before the lease is lost.
struct Saved {
    checkpoints: Mutex<BTreeMap<String, Checkpoint>>,
    saves_left: Mutex<usize>,
}

impl Trial {
    pub fn new() -> Trial {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::local(folder.path()).unwrap();
        Trial::over(files, Some(folder))
    }

    /// In a bucket, with parts of so few bytes.
    pub fn in_bucket(part_bytes: usize) -> Trial {
        Trial::over(Files::in_memory(part_bytes), None)
    }

    fn over(files: Files, folder: Option<tempfile::TempDir>) -> Trial {
        let saved = Arc::new(Saved { checkpoints: Mutex::default(), saves_left: Mutex::new(usize::MAX) });
        let (attempts, stop) = (Mutex::new(0), CancellationToken::new());
        Trial { _folder: folder, files, inputs: Vec::new(), saved, attempts, stop }
    }

    pub async fn upload(&mut self, name: &str, content: &[u8]) -> Uuid {
        let id = Uuid::now_v7();
        let sha256 = self.replace(id, content).await;
        let (location, bytes) = (format!("uploads/{id}"), content.len() as u64);
        let content_type = "application/octet-stream".to_owned();
        self.inputs.push(Input::new(id, name.to_owned(), bytes, content_type, sha256, location));
        id
    }

    /// Puts other content in an upload's place; answers its hash.
    pub async fn replace(&self, id: Uuid, content: &[u8]) -> String {
        let mut writer = self.files.create(&format!("uploads/{id}")).await.unwrap();
        writer.write_all(content).await.unwrap();
        writer.finish().await.unwrap().sha256
    }

    /// The next attempt's lease is lost once it has saved so often, as if its node were killed.
    pub fn lose_after(&self, saves: usize) {
        *self.saved.saves_left.lock().unwrap() = saves;
    }

    /// Forgets what was saved: the next attempt begins anew.
    pub fn forget(&self) {
        self.saved.checkpoints.lock().unwrap().clear();
    }

    /// Deletes a file behind the task's back.
    pub async fn delete(&self, location: &str) {
        self.files.delete(location).await.unwrap();
    }

    /// Whether a file is there.
    pub async fn has(&self, location: &str) -> bool {
        self.files.read(location, 0..1).await.is_ok()
    }

    /// What is saved under that name.
    pub fn checkpoint(&self, name: &str) -> Option<Value> {
        let checkpoints = self.saved.checkpoints.lock().unwrap();
        checkpoints.get(name).map(|checkpoint| serde_json::from_str(checkpoint.data.get()).unwrap())
    }

    /// The hands of the next attempt, which finds what the ones before it saved.
    pub fn attempt(&self) -> Context {
        let mut attempts = self.attempts.lock().unwrap();
        *attempts += 1;
        let params = RawValue::from_string("{}".to_owned()).unwrap();
        let draft = crate::task::Draft::new("trial", params, "owner", "client");
        let task = Task { attempt: *attempts, ..draft.into_task(Uuid::nil(), Time(0)) };
        let given = Given {
            inputs: self.inputs.clone(),
            checkpoints: self.saved.checkpoints.lock().unwrap().values().cloned().collect(),
            saves: self.saved.clone(),
            files: self.files.clone(),
            clock: Clock::by_hand(Time(0)),
            stop: self.stop.clone(),
            secrets: Secrets::default(),
        };
        Context::new(task, Uuid::from_u128(*attempts as u128), given)
    }

    /// Checks the params as a submit does and runs an attempt with the defaults filled in.
    pub async fn run(&self, r#type: impl AnyType, params: Value) -> Left {
        let params = serde_json::value::to_raw_value(&params).unwrap();
        let types = crate::types::Types::new(vec![Box::new(r#type)]);
        let entry = types.iter().next().unwrap();
        let checked = entry.check(&params).expect("params of a test fit");
        let params = serde_json::value::to_raw_value(&checked.params).unwrap();
        let ctx = self.attempt();
        let result = entry.r#type.run(&params, &ctx).await;
        self.left(&ctx, result.map(|result| serde_json::from_str(result.get()).unwrap())).await
    }

    /// What the attempt left that ended so.
    pub async fn left(&self, ctx: &Context, result: Result<Value, Failure>) -> Left {
        let (mut outputs, mut locations) = (Vec::new(), Vec::new());
        for output in ctx.outputs() {
            let mut content = Vec::new();
            let mut reader = self.files.read(&output.location, 0..output.bytes as u64).await.unwrap();
            reader.read_to_end(&mut content).await.unwrap();
            outputs.push((output.name, content));
            locations.push(output.location);
        }
        let log = ctx.take_said().1.into_iter().map(|line| line.message).collect();
        Left { result, log, outputs, locations }
    }
}

impl Left {
    pub fn result(self) -> Value {
        self.result.expect("it worked")
    }

    pub fn code(self) -> String {
        match self.result.expect_err("it failed") {
            Failure::Retry { code, .. } | Failure::Fatal { code, .. } => code,
            Failure::Stopped => "stopped".to_owned(),
        }
    }

    pub fn output(&self, name: &str) -> &[u8] {
        let found = self.outputs.iter().find(|output| output.0 == name);
        &found.unwrap_or_else(|| panic!("no output {name}")).1
    }
}

#[async_trait]
impl Saves for Saved {
    async fn save(&self, name: &str, data: Box<RawValue>) -> Result<(), Failure> {
        let mut left = self.saves_left.lock().unwrap();
        *left = left.checked_sub(1).ok_or(Failure::Stopped)?;
        let checkpoint = Checkpoint { task: Uuid::nil(), name: name.to_owned(), attempt: 0, data, updated_at: Time(0) };
        self.checkpoints.lock().unwrap().insert(name.to_owned(), checkpoint);
        Ok(())
    }
}
