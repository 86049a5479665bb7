//! The page's session: a cookie in the place of a key.

use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use errand::task::Role;
use serde_json::json;

on_both_databases![Service:
    a_key_is_exchanged_for_a_cookie_that_no_script_can_read,
    a_cookie_is_worth_nothing_once_its_session_has_ended,
    a_cookie_changes_nothing_from_a_page_of_another_origin,
    a_sign_in_takes_no_token_that_somebody_else_chose,
    nobody_signs_in_without_a_valid_key,
];

const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

async fn sign_in(service: &Service, key: &str, headers: &[(&'static str, &str)]) -> Answer {
    let headers = [&[("content-type", "application/json")], headers].concat();
    service.call("POST", "/api/session", &headers, json!({ "key": key }).to_string()).await
}

/// Name and value of the cookie.
fn cookie(answer: &Answer) -> String {
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{}", answer.json);
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn a_key_is_exchanged_for_a_cookie_that_no_script_can_read(service: Service) {
    let key = service.key(Role::Submit, "alice").await;
    let answer = sign_in(&service, &key, &[SAME]).await;
    let set = answer.header("set-cookie").to_owned();
    assert!(set.starts_with("errand=") && set.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{set}");
    assert!(!set.contains(&key[7..]));
    let me = service.call("GET", "/api/me", &[("cookie", &cookie(&answer))], "").await.ok();
    assert_eq!((&me["owner"], &me["role"]), (&json!("alice"), &json!("submit")));
    for tls in [("x-forwarded-proto", "https"), ("origin", "https://box")] {
        let answer = sign_in(&service, &key, &[SAME, tls]).await;
        let set = answer.header("set-cookie");
        assert!(set.starts_with("__Host-errand=") && set.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{set}");
        assert_eq!(service.call("GET", "/api/me", &[("cookie", &cookie(&answer))], "").await.status, 200);
    }
}

async fn a_cookie_is_worth_nothing_once_its_session_has_ended(service: Service) {
    let key = service.key(Role::Read, "alice").await;
    let (mine, other) = (cookie(&sign_in(&service, &key, &[]).await), cookie(&sign_in(&service, &key, &[]).await));
    let ended = service.call("DELETE", "/api/session", &[("cookie", &mine), SAME], "").await;
    assert_eq!(ended.status, 204);
    assert!(ended.header("set-cookie").starts_with("errand=; Path=/; Max-Age=0;"), "{}", ended.header("set-cookie"));
    for path in ["/api/me", "/api/tasks"] {
        service.call("GET", path, &[("cookie", &mine)], "").await.is_problem(401, "unauthenticated", "replayed");
    }
    assert_eq!(service.call("GET", "/api/me", &[("cookie", &other)], "").await.status, 200);
}

async fn a_cookie_changes_nothing_from_a_page_of_another_origin(service: Service) {
    let key = service.key(Role::Submit, "alice").await;
    let cookie = cookie(&sign_in(&service, &key, &[]).await);
    let submit = async |headers: &[(&'static str, &str)]| {
        let headers = [&[("cookie", cookie.as_str()), ("content-type", "application/json")], headers].concat();
        service.call("POST", "/api/tasks/submit", &headers, r#"{"type":"noop"}"#).await
    };
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "null"), ("host", "box")],
        &[("origin", "http://evil"), ("host", "box")],
    ] {
        submit(headers).await.is_problem(403, "forbidden", &format!("{headers:?}"));
    }
    assert_eq!(submit(&[SAME]).await.status, 201);
    assert_eq!(submit(&[("origin", "http://box"), ("host", "box")]).await.status, 201);
    let listed = service.call("GET", "/api/tasks", &[("cookie", &cookie)], "").await.ok();
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 2);
    // A key is not sent by a browser of itself.
    assert_eq!(service.call_as(&key, "POST", "/api/tasks/submit", json!({ "type": "noop" })).await.status, 201);
}

async fn a_sign_in_takes_no_token_that_somebody_else_chose(service: Service) {
    let key = service.key(Role::Read, "alice").await;
    let before = cookie(&sign_in(&service, &key, &[]).await);
    let after = cookie(&sign_in(&service, &key, &[("cookie", &before), SAME]).await);
    assert_ne!(before, after);
    assert_eq!(
        service.call("GET", "/api/me", &[("cookie", &before)], "").await.status,
        401,
        "the one before has ended"
    );
    let chosen = format!("errand={}", "A".repeat(43));
    assert_ne!(cookie(&sign_in(&service, &key, &[("cookie", &chosen), SAME]).await), chosen);
    assert_eq!(service.call("GET", "/api/me", &[("cookie", &chosen)], "").await.status, 401);
    for headers in [[("sec-fetch-site", "cross-site")], [("origin", "http://evil")]] {
        sign_in(&service, &key, &headers).await.is_problem(403, "forbidden", "from elsewhere");
    }
}

async fn nobody_signs_in_without_a_valid_key(service: Service) {
    let (key, revoked) = service.keys.create(crate::promises::new_key(Role::Read, "alice")).await.unwrap();
    service.keys.revoke(&key.id).await.unwrap();
    for (key, code) in [("", "unauthenticated"), ("x", "unauthenticated"), (revoked.as_str(), "key_revoked")] {
        let answer = sign_in(&service, key, &[SAME]).await;
        answer.is_problem(401, code, key);
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    let wrong = service.post("/api/session", json!({ "name": "x" })).await;
    assert_eq!((wrong.status, wrong.pointers()), (422, vec!["/key", "/name"]));
}
