//! What stands for a key once, and for how long.

use super::keys::{execute, keys_of, other_node};
use super::new_key;
use crate::support::bed::Bed;
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::queue::keys::{Holder, Keys, NewKey, Refused, SessionId};
use errand::task::Role;
use futures_util::future::join_all;

on_both_databases![
    a_ticket_is_one_for_thirty_seconds_and_as_long_as_its_key,
    a_ticket_lets_in_once_however_many_show_it_at_whichever_node,
    a_ticket_that_was_asked_for_by_a_session_ends_with_it,
    a_ticket_of_nobody_is_none_once_there_is_a_key,
    a_ticket_is_kept_by_its_hash_and_goes_once_its_time_is_over,
    while_tickets_cannot_be_read_nobody_is_let_in,
];

/// A ticket of whoever has this key.
async fn ticket(keys: &Keys, key: &str) -> String {
    let holder = Holder { identity: keys.caller_of(key).await.unwrap(), session: None };
    keys.ticket(&holder).await.unwrap().0
}

fn is_unknown(answer: &Result<Holder, Refused>) -> bool {
    matches!(answer, Err(Refused::Unknown))
}

async fn a_ticket_is_one_for_thirty_seconds_and_as_long_as_its_key(bed: Bed) {
    let keys = keys_of(&bed.queue);
    let until = bed.clock.now().plus(100_000);
    let new = NewKey { expires_at: Some(until), types: Some(vec!["noop".into()]), ..new_key(Role::Submit, "alice") };
    let (key, text) = keys.create(new).await.unwrap();
    let (in_time, late) = (ticket(&keys, &text).await, ticket(&keys, &text).await);
    bed.clock.advance(29_999);
    let holder = keys.caller_of_ticket(&in_time).await.unwrap();
    assert_eq!(
        holder,
        Holder { identity: keys.caller_of(&text).await.unwrap(), session: None },
        "all that the key may"
    );
    bed.clock.advance(1);
    assert!(is_unknown(&keys.caller_of_ticket(&late).await));
    let before = ticket(&keys, &text).await;
    let (_, text) = keys.rotate(&key.id).await.unwrap();
    assert!(is_unknown(&keys.caller_of_ticket(&before).await), "of the secret before");
    bed.clock.advance(60_000);
    let expiring = ticket(&keys, &text).await;
    bed.clock.advance(10_000);
    assert!(matches!(keys.caller_of_ticket(&expiring).await, Err(Refused::Expired)));
    let (key, text) = keys.create(new_key(Role::Read, "bob")).await.unwrap();
    let revoked = ticket(&keys, &text).await;
    keys.revoke(&key.id).await.unwrap();
    assert!(matches!(keys.caller_of_ticket(&revoked).await, Err(Refused::Revoked)));
}

async fn a_ticket_lets_in_once_however_many_show_it_at_whichever_node(bed: Bed) {
    let (here, there) = (keys_of(&bed.queue), other_node(&bed).await);
    let (_, text) = here.create(new_key(Role::Read, "alice")).await.unwrap();
    for _ in 0..20 {
        let ticket = ticket(&here, &text).await;
        let shown = join_all((0..10).map(|n| if n % 2 == 0 { &here } else { &there }.caller_of_ticket(&ticket))).await;
        let (let_in, refused): (Vec<_>, Vec<_>) = shown.into_iter().partition(Result::is_ok);
        assert_eq!((let_in.len(), refused.iter().filter(|answer| is_unknown(answer)).count()), (1, 9));
    }
    for none in ["", "x", &"A".repeat(43), &"ä".repeat(43), &text] {
        assert!(is_unknown(&there.caller_of_ticket(none).await), "{none}");
    }
}

async fn a_ticket_that_was_asked_for_by_a_session_ends_with_it(bed: Bed) {
    let keys = keys_of(&bed.queue);
    let (_, text) = keys.create(new_key(Role::Read, "alice")).await.unwrap();
    let (identity, token) = keys.sign_in(&text).await.unwrap();
    let holder = Holder { identity, session: SessionId::of(&token) };
    let (first, _) = keys.ticket(&holder).await.unwrap();
    let (second, _) = keys.ticket(&holder).await.unwrap();
    assert_eq!(keys.caller_of_ticket(&first).await.unwrap(), holder, "it says by which session");
    keys.sign_out(&token).await.unwrap();
    assert!(is_unknown(&keys.caller_of_ticket(&second).await));
}

async fn a_ticket_of_nobody_is_none_once_there_is_a_key(bed: Bed) {
    let keys = keys_of(&bed.queue);
    let holder = Holder { identity: keys.anybody().await.unwrap(), session: None };
    let (first, _) = keys.ticket(&holder).await.unwrap();
    let (second, _) = keys.ticket(&holder).await.unwrap();
    assert_eq!(keys.caller_of_ticket(&first).await.unwrap(), holder);
    keys.create(new_key(Role::Admin, "root")).await.unwrap();
    assert!(is_unknown(&keys.caller_of_ticket(&second).await));
}

async fn a_ticket_is_kept_by_its_hash_and_goes_once_its_time_is_over(bed: Bed) {
    let keys = keys_of(&bed.queue);
    let (_, key) = keys.create(new_key(Role::Read, "alice")).await.unwrap();
    let mut tickets = Vec::new();
    for _ in 0..250 {
        tickets.push(ticket(&keys, &key).await);
    }
    let mut raw = Raw::open(&bed.url).await;
    let mut kept = async || {
        let rows = raw.everything().await.into_iter().filter(|row| row.starts_with("tickets: "));
        rows.collect::<Vec<_>>()
    };
    let rows = kept().await;
    assert_eq!(rows.len(), 250);
    assert!(tickets.iter().all(|ticket| rows.iter().all(|row| !row.contains(ticket))));
    keys.caller_of_ticket(&tickets[0]).await.unwrap();
    assert_eq!(kept().await.len(), 249, "with its use");
    bed.clock.advance(30_000);
    for left in [150, 51, 3] {
        ticket(&keys, &key).await;
        assert_eq!(kept().await.len(), left, "a hundred with each later one");
    }
}

async fn while_tickets_cannot_be_read_nobody_is_let_in(bed: Bed) {
    let keys = keys_of(&bed.queue);
    let (_, key) = keys.create(new_key(Role::Read, "alice")).await.unwrap();
    let ticket = ticket(&keys, &key).await;
    execute(&bed, "ALTER TABLE tickets RENAME TO hidden").await;
    assert!(matches!(keys.caller_of_ticket(&ticket).await, Err(Refused::Away(_))));
    execute(&bed, "ALTER TABLE hidden RENAME TO tickets").await;
    keys.caller_of_ticket(&ticket).await.unwrap();
}
