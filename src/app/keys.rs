//! `errand keys`: makes, lists and revokes keys, beside the nodes that use the database.

use super::{Failure, complain, open_store, say};
use crate::clock::Clock;
use crate::config::{Config, CreateKeyArgs, DatabaseUrl, KeysCommand};
use crate::queue::Journal;
use crate::queue::keys::{self, KeyError, NewKey};
use crate::store::{self, ActivityLog, Key, KeyStore, KeysBeside, Sqlite, Store};
use crate::task::{Action, Activity, Ending, Role, Time, text};
use serde_json::json;
use std::sync::Arc;

/// Where keys are kept.
enum Place {
    Opened(Arc<dyn Store>),
    /// Another process has the SQLite file: only its keys are touched.
    Beside(Arc<KeysBeside>),
}

/// Runs it.
pub async fn run(config: &Config, command: KeysCommand) -> Result<(), Failure> {
    let new = match &command {
        KeysCommand::Create(args) => Some(read(args)?),
        _ => None,
    };
    let place = Place::open(&config.database, new.is_some()).await?;
    let done = place.run(command, new).await;
    if let Place::Opened(store) = &place {
        store.close().await;
    }
    done
}

impl Place {
    /// A database is made for a first key, and for nothing else.
    async fn open(database: &DatabaseUrl, may_be_made: bool) -> Result<Place, Failure> {
        if let DatabaseUrl::Sqlite(path) = database
            && !may_be_made
            && !path.exists()
        {
            return Err(Failure::Other(format!("there is no database at {}", path.display())));
        }
        match (open_store(database).await, database) {
            (Err(store::Error::InUse(_)), DatabaseUrl::Sqlite(path)) => {
                Ok(Place::Beside(Arc::new(Sqlite::keys_beside(path).await?)))
            }
            (opened, _) => Ok(Place::Opened(opened?)),
        }
    }

    fn store(&self) -> &dyn KeyStore {
        match self {
            Place::Opened(store) => &**store,
            Place::Beside(store) => &**store,
        }
    }

    /// Writes down what was done. Where that fails it is told: it was done all the same.
    async fn note(&self, action: Action, key: &str, now: Time) {
        let log: Arc<dyn ActivityLog> = match self {
            Place::Opened(store) => store.clone(),
            Place::Beside(store) => store.clone(),
        };
        let clock = Clock::system();
        clock.follow(now);
        let journal = Journal::new(log, clock);
        journal.call("command line");
        journal.note(Activity { target: Some(key.to_owned()), ..Activity::new(action, Ending::Done) });
        if !journal.settle().await {
            complain(&"that this was done could not be written down");
        }
    }

    async fn now(&self) -> Result<Time, Failure> {
        match self {
            Place::Opened(store) => Ok(store.now().await?),
            Place::Beside(_) => Ok(Clock::system().now()),
        }
    }

    async fn run(&self, command: KeysCommand, new: Option<NewKey>) -> Result<(), Failure> {
        let now = self.now().await?;
        match (command, new) {
            (KeysCommand::Create(_), Some(new)) => {
                if new.expires_at.is_some_and(|at| at <= now) {
                    return Err(Failure::Usage("--expires-at must lie in the future".to_owned()));
                }
                let (key, text) = keys::create(self.store(), new, now).await?;
                self.note(Action::KeyCreated, &key.id, now).await;
                say(&text)
            }
            (KeysCommand::List { json }, _) => {
                let keys = self.store().keys().await?;
                say(&if json { as_json(&keys) } else { as_table(&keys, now) })
            }
            (KeysCommand::Revoke { id }, _) => {
                keys::revoke(self.store(), &id, now).await?;
                self.note(Action::KeyRevoked, &id, now).await;
                say(&format!("{id}: revoked; every node refuses it within 5 s"))
            }
            (KeysCommand::Rotate { id }, _) => {
                let (_, text) = keys::rotate(self.store(), &id).await?;
                self.note(Action::KeyRotated, &id, now).await;
                say(&text)
            }
            (KeysCommand::Create(_), None) => Err(Failure::Other("no key was described".to_owned())),
        }
    }
}

/// What the arguments describe, by the rules of the API.
fn read(args: &CreateKeyArgs) -> Result<NewKey, Failure> {
    let usage = |what: &str, wrong: String| Failure::Usage(format!("{what} {wrong}"));
    let role = Role::of(&args.role).ok_or_else(|| usage("--role", "is none of ours".to_owned()))?;
    let labels =
        [("--owner", std::slice::from_ref(&args.owner)), ("--type", &args.types), ("--queue", &args.key_queues)];
    for (what, words) in labels {
        if let Some(wrong) = words.iter().find_map(|word| text::label(word, 100)) {
            return Err(usage(what, wrong));
        }
    }
    if let Some(wrong) = args.name.as_deref().and_then(|name| text::free(name, 200)) {
        return Err(usage("--name", wrong));
    }
    let time = |text: &String| {
        Time::parse(text).ok_or_else(|| usage("--expires-at", "must be as 2027-01-31T12:00:00Z".to_owned()))
    };
    let expires_at = args.expires_at.as_ref().map(time).transpose()?;
    let list = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
    let (owner, name) = (args.owner.clone(), args.name.clone());
    Ok(NewKey { role, owner, name, expires_at, types: list(&args.types), queues: list(&args.key_queues) })
}

fn as_table(keys: &[Key], now: Time) -> String {
    let state = |key: &Key| match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at <= now => format!("expired {at}"),
        (None, Some(at)) => format!("valid until {at}"),
        (None, None) => "valid".to_owned(),
    };
    let used = |key: &Key| key.last_used_at.map_or("never used".to_owned(), |at| format!("used {at}"));
    let shown = |text: &str| text.escape_debug().to_string();
    let line = |key: &Key| {
        let name = shown(key.name.as_deref().unwrap_or("-"));
        format!("{}  {:6}  {}  {name}  {}  {}", key.id, key.role.word(), shown(&key.owner), state(key), used(key))
    };
    match keys.is_empty() {
        true => "there is no key: whoever reaches the port may do everything".to_owned(),
        false => keys.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}

fn as_json(keys: &[Key]) -> String {
    let one = |key: &Key| {
        json!({
            "id": key.id, "role": key.role.word(), "owner": key.owner, "name": key.name, "types": key.types,
            "queues": key.queues, "created_at": key.created_at, "expires_at": key.expires_at,
            "revoked_at": key.revoked_at, "last_used_at": key.last_used_at,
        })
    };
    json!({ "keys": keys.iter().map(one).collect::<Vec<_>>() }).to_string()
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Failure {
        match error {
            KeyError::NotFound => Failure::Other("there is no such key, or it is revoked".to_owned()),
            KeyError::Store(error) => error.into(),
        }
    }
}
