//! The way in: drafts are checked, become tasks, and are written.

use super::{Error, Queue};
use crate::fault;
use crate::store::{self, Once, Submission, Submitted};
use crate::task::text::FieldError;
use crate::task::{Draft, Scope, Task};
use crate::types::Checked;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// How the error of a draft with an unknown type begins, at `/type`.
pub const UNKNOWN_TYPE: &str = "is no task type";

/// Drafts that passed, as the tasks they will be.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The tasks, in the order of the drafts. Nothing is written yet.
    pub tasks: Vec<Task>,
}

/// Why drafts did not pass: nothing was written.
#[derive(Debug)]
pub enum Invalid {
    /// For each bad draft its index and what is wrong with it; pointers begin at the draft.
    Drafts(Vec<(usize, Vec<FieldError>)>),
    /// The files that one of them names are too large together: what its type says of that.
    TooLarge(String),
    /// The database could not be asked about the files they name.
    Store(crate::store::Error),
}

/// What a submit with this fingerprint is answered, where its key was used before.
fn first_answer(submitted: Submitted, fingerprint: Option<String>) -> Result<Option<String>, Error> {
    match submitted {
        Submitted::New => Ok(None),
        Submitted::Before { fingerprint: first, answer } if Some(&first) == fingerprint.as_ref() => Ok(Some(answer)),
        Submitted::Before { .. } => Err(Error::KeyReused),
    }
}

impl Queue {
    /// The params of a draft with defaults filled in, if everything about it is right; nothing is
    /// written. A file that is missing and one of another owner get the same words.
    pub async fn check(&self, draft: &Draft) -> Result<Checked, Invalid> {
        let checked = self.check_type(draft).map_err(|errors| Invalid::Drafts(vec![(0, errors)]))?;
        self.check_files(std::slice::from_ref(draft), std::slice::from_ref(&checked)).await?;
        Ok(checked)
    }

    /// Checks drafts and makes them tasks with ids and times. Either all pass or every bad one is named.
    pub async fn prepare(&self, drafts: Vec<Draft>) -> Result<Prepared, Invalid> {
        let mut all_checked = Vec::with_capacity(drafts.len());
        let mut problems = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            match self.check_type(draft) {
                Ok(checked) => all_checked.push(checked),
                Err(errors) => problems.push((index, errors)),
            }
        }
        if !problems.is_empty() {
            return Err(Invalid::Drafts(problems));
        }
        self.check_files(&drafts, &all_checked).await?;
        let now = self.inner.clock.now();
        let task = |mut draft: Draft| {
            draft.needs_approval |= self.inner.types.needs_approval(&draft.r#type);
            draft.into_task(self.inner.ids.next(now), now)
        };
        let tasks = drafts.into_iter().map(task).collect();
        Ok(Prepared { tasks })
    }

    /// Writes prepared tasks, all or none. On `Ok` they are on disk: they survive kill -9 and a
    /// power cut. `Ok(Some(answer))`: the key was used before with the same body; nothing was
    /// written, and that is the first answer. On `Err(Store(Unavailable))` they may or may not exist.
    /// `QuotaExceeded`: nothing was written, and the key was not used before.
    pub async fn submit(&self, prepared: Prepared, once: Option<Once>) -> Result<Option<String>, Error> {
        // They are one caller's.
        let owner = prepared.tasks.first().map_or("", |task| &task.owner);
        let places = self.places(owner, prepared.tasks.len()).await;
        let fingerprint = once.as_ref().map(|once| once.fingerprint.clone());
        let mut places = match (places, &once) {
            // What was heard before needs no place.
            (Err(exceeded @ Error::QuotaExceeded { .. }), Some(once)) => {
                let before = self.inner.store.used(once).await?;
                return first_answer(before.ok_or(exceeded)?, fingerprint);
            }
            (places, _) => places?,
        };
        let submission = Submission { tasks: prepared.tasks, once };
        fault::point("submit_prepared").await;
        places.begin();
        let submitted = self.inner.submits.write(submission).await;
        match &submitted {
            Ok(Submitted::New) | Err(store::Error::Unavailable(_)) => drop(places),
            Ok(Submitted::Before { .. }) | Err(_) => places.give_back(),
        }
        let submitted = submitted?;
        fault::point("submit_answered").await;
        first_answer(submitted, fingerprint)
    }

    fn check_type(&self, draft: &Draft) -> Result<Checked, Vec<FieldError>> {
        let Some(entry) = self.inner.types.get(&draft.r#type) else {
            let known = self.inner.types.names().join(", ");
            return Err(vec![FieldError::new("/type", format!("{UNKNOWN_TYPE}; the types are {known}"))]);
        };
        entry.check(&draft.params).map_err(|errors| {
            let below = |error: FieldError| FieldError::new(format!("/params{}", error.pointer), error.detail);
            errors.into_iter().map(below).collect()
        })
    }

    async fn check_files(&self, drafts: &[Draft], checked: &[Checked]) -> Result<(), Invalid> {
        let wanted: HashSet<(&str, Uuid)> = drafts
            .iter()
            .zip(checked)
            .flat_map(|(draft, checked)| checked.files.iter().map(|(_, id)| (draft.owner.as_str(), *id)))
            .collect();
        let mut known = HashMap::new();
        for owner in wanted.iter().map(|(owner, _)| *owner).collect::<HashSet<_>>() {
            let ids: Vec<Uuid> = wanted.iter().filter(|(of, _)| *of == owner).map(|(_, id)| *id).collect();
            let files = self.inner.store.files(&Scope::Owner(owner.to_owned()), &ids).await;
            known.extend(files.map_err(Invalid::Store)?.into_iter().map(|file| ((owner, file.id), file.bytes)));
        }
        let missing = |(index, (draft, checked)): (usize, (&Draft, &Checked))| {
            let errors: Vec<FieldError> = checked
                .files
                .iter()
                .filter(|(_, id)| !known.contains_key(&(draft.owner.as_str(), *id)))
                .map(|(pointer, _)| FieldError::new(format!("/params{pointer}"), "is no uploaded file"))
                .collect();
            (!errors.is_empty()).then_some((index, errors))
        };
        let problems: Vec<_> = drafts.iter().zip(checked).enumerate().filter_map(missing).collect();
        if !problems.is_empty() {
            return Err(Invalid::Drafts(problems));
        }
        for (draft, checked) in drafts.iter().zip(checked).filter(|(_, checked)| !checked.files.is_empty()) {
            let bytes = |id: &Uuid| known.get(&(draft.owner.as_str(), *id)).map_or(0, |bytes| *bytes as u64);
            let inputs: Vec<_> = checked.files.iter().map(|(pointer, id)| (pointer.as_str(), bytes(id))).collect();
            let entry = self.inner.types.get(&draft.r#type);
            if let Some(why) = entry.and_then(|entry| entry.r#type.too_large(&inputs)) {
                return Err(Invalid::TooLarge(why));
            }
        }
        Ok(())
    }
}
