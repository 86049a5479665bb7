//! What a key is, and for how long.

use super::new_key;
use crate::support::bed::{Bed, DatabaseUrl};
use crate::support::on_both_databases;
use errand::queue::Queue;
use errand::queue::keys::{Configured, Identity, KeyError, Keys, NewKey, Refused, SessionId};
use errand::store::Database;
use errand::task::{Role, Scope};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use std::time::{Duration, Instant};

on_both_databases![
    a_key_is_one_until_it_has_expired_or_was_revoked,
    a_key_is_kept_by_its_hash_alone,
    a_secret_that_was_replaced_is_no_key_any_more,
    what_changes_at_one_node_is_so_at_every_node_within_five_seconds,
    whoever_holds_on_is_told_when_the_key_is_one_no_more,
    once_there_was_a_key_nobody_is_let_in_without_one,
    a_key_of_the_settings_is_one,
    while_the_keys_cannot_be_read_nobody_is_let_in,
    a_session_is_one_until_its_browser_signs_out_or_its_time_is_over,
    a_session_ends_with_the_key_it_was_begun_with,
    when_a_key_was_used_is_written_down_once_a_minute,
];

/// As promised for all nodes.
const SOON: Duration = Duration::from_secs(5);

pub fn keys_of(queue: &Queue) -> Keys {
    Keys::new(queue.store().clone(), queue.clock().clone(), &[], true)
}

/// Another node's; on SQLite there is none, but another memory.
pub async fn other_node(bed: &Bed) -> Keys {
    match bed.queue.store().database() {
        Database::Sqlite => keys_of(&bed.queue),
        Database::Postgres => keys_of(&bed.another_node().await),
    }
}

/// Who that is, once it is somebody; why it is nobody, once it is nobody.
async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < SOON, "not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn let_in(keys: &Keys, key: &str) -> Identity {
    (*keys.caller_of(key).await.unwrap()).clone()
}

async fn a_key_is_one_until_it_has_expired_or_was_revoked(bed: Bed) {
    let keys = keys_of(&bed.queue);
    let until = bed.clock.now().plus(60_000);
    let (_, lasting) = keys.create(new_key(Role::Submit, "a")).await.unwrap();
    let (_, brief) = keys.create(NewKey { expires_at: Some(until), ..new_key(Role::Admin, "b") }).await.unwrap();
    let (owner, scope) = ("a".to_owned(), Scope::Owner("a".to_owned()));
    let identity = let_in(&keys, &lasting).await;
    assert_eq!((identity.owner, identity.scope, identity.role), (owner, scope, Role::Submit));
    assert_eq!(let_in(&keys, &brief).await.scope, Scope::Everyone);
    bed.clock.advance(60_000);
    assert!(matches!(keys.caller_of(&brief).await, Err(Refused::Expired)));
    let id = let_in(&keys, &lasting).await.key_id.unwrap();
    let revoked = keys.revoke(&id).await.unwrap();
    bed.clock.advance(1);
    assert_eq!(keys.revoke(&id).await.unwrap().revoked_at, revoked.revoked_at, "again: as it is");
    assert!(matches!(keys.caller_of(&lasting).await, Err(Refused::Revoked)));
    assert!(matches!(keys.revoke("nope").await, Err(KeyError::NotFound)));
}

async fn a_key_is_kept_by_its_hash_alone(bed: Bed) {
    let keys = keys_of(&bed.queue);
    let (key, text) = keys.create(new_key(Role::Read, "a")).await.unwrap();
    let secret = text.strip_prefix(&format!("errand_{}_", key.id)).unwrap().to_owned();
    assert!(secret.len() == 48 && !format!("{:?}", keys.list().await.unwrap()).contains(&secret));
    // Another key's secret under this id, and slips.
    let (_, other) = keys.create(new_key(Role::Read, "b")).await.unwrap();
    let other = other.rsplit_once('_').map(|(id, _)| other.replace(id, &format!("errand_{}", key.id))).unwrap();
    for wrong in [other, text.to_uppercase(), format!("{text}A"), text[1..].to_owned(), String::new()] {
        assert!(matches!(keys.caller_of(&wrong).await, Err(Refused::Unknown)), "{wrong}");
    }
}

async fn a_secret_that_was_replaced_is_no_key_any_more(bed: Bed) {
    let keys = keys_of(&bed.queue);
    let (key, old) = keys.create(new_key(Role::Read, "a")).await.unwrap();
    let (same, new) = keys.rotate(&key.id).await.unwrap();
    assert_eq!(same.id, key.id);
    assert!(matches!(keys.caller_of(&old).await, Err(Refused::Unknown)));
    assert_eq!(let_in(&keys, &new).await.key_id, Some(key.id.clone()));
    keys.revoke(&key.id).await.unwrap();
    assert!(matches!(keys.rotate(&key.id).await, Err(KeyError::NotFound)), "a revoked key stays so");
}

async fn what_changes_at_one_node_is_so_at_every_node_within_five_seconds(bed: Bed) {
    let (here, there) = (keys_of(&bed.queue), other_node(&bed).await);
    assert!(there.anybody().await.is_ok());
    let (key, text) = here.create(new_key(Role::Read, "a")).await.unwrap();
    until(async || there.caller_of(&text).await.ok()).await;
    assert!(there.anybody().await.is_err());
    let (_, new) = here.rotate(&key.id).await.unwrap();
    until(async || there.caller_of(&text).await.err()).await;
    until(async || there.caller_of(&new).await.ok()).await;
    here.revoke(&key.id).await.unwrap();
    until(async || there.caller_of(&new).await.err()).await;
}

async fn whoever_holds_on_is_told_when_the_key_is_one_no_more(bed: Bed) {
    let (here, there) = (keys_of(&bed.queue), other_node(&bed).await);
    let (key, text) = here.create(new_key(Role::Read, "a")).await.unwrap();
    let until = bed.clock.now().plus(60_000);
    let (_, brief) = here.create(NewKey { expires_at: Some(until), ..new_key(Role::Read, "a") }).await.unwrap();
    let (revoked, expired) = (let_in(&there, &text).await, let_in(&there, &brief).await);
    let (ended, _) = tokio::join!(tokio::time::timeout(SOON, there.ended(&revoked)), here.revoke(&key.id));
    assert!(matches!(ended, Ok(Refused::Revoked)), "{ended:?}");
    bed.clock.advance(60_000);
    let ended = tokio::time::timeout(SOON, there.ended(&expired)).await;
    assert!(matches!(ended, Ok(Refused::Expired)), "{ended:?}");
}

async fn once_there_was_a_key_nobody_is_let_in_without_one(bed: Bed) {
    let keys = keys_of(&bed.queue);
    let anybody = keys.anybody().await.unwrap();
    assert_eq!((anybody.owner.as_str(), anybody.key_id.as_deref(), anybody.role), ("default", None, Role::Admin));
    let elsewhere = Keys::new(bed.queue.store().clone(), bed.clock.clone(), &[], false);
    assert!(elsewhere.anybody().await.is_err(), "where others can call, nobody is ever let in without a key");
    let (key, _) = keys.create(new_key(Role::Admin, "a")).await.unwrap();
    assert!(keys.anybody().await.is_err() && keys.still(&anybody).await.is_err());
    keys.revoke(&key.id).await.unwrap();
    assert!(keys.anybody().await.is_err(), "to revoke the last key opens nothing");
    assert!(!keys.any().await.unwrap());
}

async fn a_key_of_the_settings_is_one(bed: Bed) {
    let of = |role, owner: &str, key: &str| Configured { role, owner: owner.to_owned(), key: key.to_owned() };
    let configured = [of(Role::Submit, "a", "a-key-of-the-settings"), of(Role::Worker, "*", "another-of-the-settings")];
    let keys = Keys::new(bed.queue.store().clone(), bed.clock.clone(), &configured, true);
    assert!(keys.anybody().await.is_err() && keys.any().await.unwrap());
    let identity = let_in(&keys, "a-key-of-the-settings").await;
    assert_eq!((identity.owner.as_str(), identity.key_id.as_deref()), ("a", Some("settings-1")));
    assert_eq!(let_in(&keys, "another-of-the-settings").await.scope, Scope::Everyone);
    assert!(keys.caller_of("a-key-of-the-setting").await.is_err());
    assert!(!format!("{configured:?}").contains("of-the-settings"));
}

async fn while_the_keys_cannot_be_read_nobody_is_let_in(bed: Bed) {
    let (keys, open) = (keys_of(&bed.queue), keys_of(&bed.queue));
    open.anybody().await.unwrap();
    let (_, text) = keys.create(new_key(Role::Admin, "a")).await.unwrap();
    let (identity, token) = keys.sign_in(&text).await.unwrap();
    execute(&bed, "ALTER TABLE key_changes RENAME TO hidden").await;
    let is_away = |refused: &Refused| matches!(refused, Refused::Away(_));
    until(async || keys.caller_of(&text).await.err().filter(is_away)).await;
    until(async || keys.caller_of_session(&token).await.err().filter(is_away)).await;
    until(async || open.anybody().await.err().filter(is_away)).await;
    assert!(is_away(&tokio::time::timeout(SOON, keys.ended(&identity)).await.unwrap()));
    execute(&bed, "ALTER TABLE hidden RENAME TO key_changes").await;
    let_in(&keys, &text).await;
}

async fn a_session_is_one_until_its_browser_signs_out_or_its_time_is_over(bed: Bed) {
    let (here, there) = (keys_of(&bed.queue), other_node(&bed).await);
    let (key, text) = here.create(new_key(Role::Read, "a")).await.unwrap();
    let (identity, token) = here.sign_in(&text).await.unwrap();
    let (_, other) = here.sign_in(&text).await.unwrap();
    assert!(token != other && identity.key_id == Some(key.id));
    for keys in [&here, &there] {
        assert_eq!(keys.caller_of_session(&token).await.unwrap(), identity);
    }
    let session = SessionId::of(&token).unwrap();
    let (told, _) = tokio::join!(tokio::time::timeout(SOON, there.session_ended(&session)), here.sign_out(&token));
    assert!(matches!(told, Ok(Refused::Unknown)), "{told:?}");
    assert!(matches!(here.caller_of_session(&token).await, Err(Refused::Unknown)));
    until(async || there.caller_of_session(&token).await.err()).await;
    here.caller_of_session(&other).await.unwrap();
    bed.clock.advance(12 * 3_600_000);
    assert!(matches!(here.caller_of_session(&other).await, Err(Refused::Unknown)));
}

async fn a_session_ends_with_the_key_it_was_begun_with(bed: Bed) {
    let keys = keys_of(&bed.queue);
    for rotated in [true, false] {
        let (key, text) = keys.create(new_key(Role::Read, "a")).await.unwrap();
        let (_, token) = keys.sign_in(&text).await.unwrap();
        keys.caller_of_session(&token).await.unwrap();
        if rotated {
            keys.rotate(&key.id).await.unwrap();
        } else {
            keys.revoke(&key.id).await.unwrap();
        }
        assert!(keys.caller_of_session(&token).await.is_err(), "rotated: {rotated}");
    }
}

async fn when_a_key_was_used_is_written_down_once_a_minute(bed: Bed) {
    let keys = keys_of(&bed.queue);
    let begin = bed.clock.now();
    let (key, text) = keys.create(new_key(Role::Read, "a")).await.unwrap();
    for (at, written) in [(0, 0), (59_000, 0), (61_000, 61_000)] {
        bed.clock.advance(begin.plus(at).since(bed.clock.now()));
        let_in(&keys, &text).await;
        // Every change of a key has them read again, and what is due written down.
        keys.rotate(&keys.create(new_key(Role::Read, "b")).await.unwrap().0.id).await.unwrap();
        until(async || {
            let used = keys.list().await.unwrap().into_iter().find(|one| one.id == key.id)?.last_used_at?;
            assert_ne!(used, begin.plus(59_000), "not twice a minute");
            (used == begin.plus(written)).then_some(())
        })
        .await;
    }
}

pub async fn execute(bed: &Bed, statement: &'static str) {
    match &bed.url {
        DatabaseUrl::Sqlite(path) => {
            let mut db = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
            db.execute(statement).await.unwrap();
            std::mem::forget(db); // to close it would cut the log under the store
        }
        DatabaseUrl::Postgres(url) => {
            PgConnection::connect(url).await.unwrap().execute(statement).await.unwrap();
        }
    }
}
