//! Wrong keys: how many an address may send.

use super::access::slip;
use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use errand::task::Role;
use serde_json::json;

on_both_databases![Service:
    after_a_hundred_wrong_keys_an_address_is_told_to_wait_and_no_other_is,
    a_wrong_key_counts_where_it_is_exchanged_for_a_session_too,
    a_key_that_was_right_before_passes_however_many_wrong_ones_come_from_its_address,
    what_is_no_wrong_key_does_not_count,
];

/// From the hundred and first on, nobody looks.
const MOST: usize = 100;

async fn me(service: &Service, address: &str, key: &str) -> Answer {
    service.call_from(address, "GET", "/api/me", &[("authorization", &format!("Bearer {key}"))], "").await
}

async fn sign_in(service: &Service, address: &str, key: &str) -> Answer {
    let body = json!({ "key": key }).to_string();
    service.call_from(address, "POST", "/api/session", &[("content-type", "application/json")], body).await
}

/// That it is told to wait, for a minute at most.
#[track_caller]
fn waits(answer: &Answer) {
    answer.is_problem(429, "rate_limited", "too many wrong keys");
    assert!((1..=60).contains(&answer.header("retry-after").parse::<u32>().unwrap()), "{:?}", answer.headers);
}

async fn after_a_hundred_wrong_keys_an_address_is_told_to_wait_and_no_other_is(service: Service) {
    let key = service.key(Role::Read, "alice").await;
    let wrong = slip(&key);
    for n in 0..MOST {
        // Whoever it says it comes for.
        let forwarded = format!("10.0.{n}.1");
        let headers = [("x-api-key", wrong.as_str()), ("x-forwarded-for", &forwarded), ("forwarded", "for=10.1.1.1")];
        let answer = service.call_from("192.0.2.1", "GET", "/api/tasks", &headers, "").await;
        answer.is_problem(401, "unauthenticated", &format!("number {n}"));
    }
    waits(&me(&service, "192.0.2.1", &wrong).await);
    waits(&me(&service, "::ffff:192.0.2.1", "another").await);
    for other in ["192.0.2.2", "2001:db8::1", "127.0.0.1"] {
        assert_eq!(me(&service, other, &wrong).await.status, 401, "{other}");
        assert_eq!(me(&service, other, &key).await.status, 200, "{other}");
    }
}

async fn a_wrong_key_counts_where_it_is_exchanged_for_a_session_too(service: Service) {
    let key = service.key(Role::Read, "alice").await;
    for n in 0..MOST {
        // All of one network, as one household has it.
        let answer = sign_in(&service, &format!("2001:db8:0:7::{n:x}"), "errand_wrong").await;
        answer.is_problem(401, "unauthenticated", &format!("number {n}"));
    }
    waits(&sign_in(&service, "2001:db8:0:7:ffff::1", &key).await);
    waits(&me(&service, "2001:db8:0:7::1", &key).await);
    assert_eq!(sign_in(&service, "2001:db8:0:8::1", &key).await.status, 204);
}

async fn a_key_that_was_right_before_passes_however_many_wrong_ones_come_from_its_address(service: Service) {
    let (key, new) = (service.key(Role::Read, "alice").await, service.key(Role::Read, "bob").await);
    assert_eq!(me(&service, "192.0.2.9", &key).await.status, 200);
    for _ in 0..2 * MOST {
        me(&service, "192.0.2.1", "wrong").await;
    }
    assert_eq!(me(&service, "192.0.2.1", &key).await.status, 200, "from wherever it was right");
    assert_eq!(sign_in(&service, "192.0.2.1", &key).await.status, 204);
    waits(&me(&service, "192.0.2.1", &new).await);
    assert_eq!(me(&service, "192.0.2.9", &new).await.status, 200);
    assert_eq!(me(&service, "192.0.2.1", &new).await.status, 200);
}

async fn what_is_no_wrong_key_does_not_count(service: Service) {
    let (made, key) = service.keys.create(crate::promises::new_key(Role::Read, "alice")).await.unwrap();
    service.keys.revoke(&made.id).await.unwrap();
    for _ in 0..=MOST {
        me(&service, "192.0.2.1", &key).await.is_problem(401, "key_revoked", "it was one once");
        assert_eq!(service.call_from("192.0.2.1", "GET", "/api/me", &[], "").await.status, 401, "none at all");
    }
    me(&service, "192.0.2.1", "wrong").await.is_problem(401, "unauthenticated", "the first wrong one");
}
