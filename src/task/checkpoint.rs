//! What an attempt leaves for the one after it, under a name.

use super::{Time, text};
use serde_json::value::RawValue;
use std::collections::HashSet;
use uuid::Uuid;

/// More JSON under one name is refused: what is larger goes into a file that the checkpoint names.
pub const MAX_BYTES: usize = 1024 * 1024;
/// A task has at most this many names.
pub const MAX_NAMES: i64 = 100;

/// What was last saved under a name. It stays until the task is `SUCCESS`: another attempt finds
/// it, and one after a retry by a caller too.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Whose it is.
    pub task: Uuid,
    /// What it is called: as an artifact.
    pub name: String,
    /// Which attempt saved it.
    pub attempt: i64,
    /// What was saved, byte for byte.
    pub data: Box<RawValue>,
    /// When it was saved.
    pub updated_at: Time,
}

impl Checkpoint {
    /// The files of the store that it names: every string in it that begins with `folder/`.
    pub fn files(&self, folder: &str) -> HashSet<String> {
        let begin = format!("\"{folder}/");
        let data = self.data.get();
        let from = |(at, _): (usize, &str)| data[at + 1..].split('"').next().map(str::to_owned);
        data.match_indices(&begin).filter_map(from).collect()
    }
}

/// What is wrong with a checkpoint of that name with so much JSON; `None` when nothing is.
pub fn fault(name: &str, bytes: usize) -> Option<String> {
    if let Some(wrong) = text::file_name(name) {
        return Some(format!("the name of a checkpoint {wrong}"));
    }
    (bytes > MAX_BYTES).then(|| format!("the checkpoint {name} is larger than 1 MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_that_of_a_file_and_data_has_its_limit() {
        assert_eq!((fault("mails", MAX_BYTES), fault("a.b-c_9", 2)), (None, None));
        for (name, bytes) in [("", 2), ("a/b", 2), ("ä", 2), (&*"x".repeat(101), 2), ("mails", MAX_BYTES + 1)] {
            assert!(fault(name, bytes).is_some(), "{name}");
        }
    }

    #[test]
    fn the_files_it_names_are_found_wherever_they_stand() {
        let data = r#"{"done":[{"location":"artifacts/t/l/a.eml","x":1},"artifacts/t/m/b"],"other":"artifacts/tt/c","t":"see artifacts/t/l/d"}"#;
        let data = RawValue::from_string(data.to_owned()).unwrap();
        let (task, name) = (Uuid::nil(), "mails".to_owned());
        let checkpoint = Checkpoint { task, name, attempt: 1, data, updated_at: Time(0) };
        let expected = ["artifacts/t/l/a.eml", "artifacts/t/m/b"].map(str::to_owned);
        assert_eq!(checkpoint.files("artifacts/t"), HashSet::from(expected));
    }

    proptest! {
        #[test]
        fn every_file_that_any_data_names_is_found(
            names in prop::collection::vec("[a-zA-Z0-9._-]{1,20}", 0..5), others in prop::collection::vec(any::<String>(), 0..5),
        ) {
            let named: Vec<String> = names.iter().map(|name| format!("artifacts/t/{name}")).collect();
            let data = serde_json::json!({ "done": named, "else": others, "files": named.first() });
            let data = serde_json::value::to_raw_value(&data).unwrap();
            let checkpoint =
                Checkpoint { task: Uuid::nil(), name: "x".to_owned(), attempt: 1, data, updated_at: Time(0) };
            let found = checkpoint.files("artifacts/t");
            prop_assert!(named.iter().all(|file| found.contains(file)), "{found:?}");
            prop_assert!(found.iter().all(|file| file.starts_with("artifacts/t/")), "{found:?}");
        }
    }
}
