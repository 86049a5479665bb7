//! Random requests, and what a worker does between them: the odd values on which databases differ.

use super::reference::End;
use proptest::prelude::*;
use proptest::sample::select;

/// One thing that is asked of both. Numbers name a task or a lease by its place, wrapped round.
#[derive(Debug, Clone)]
pub enum Call {
    Submit {
        body: String,
        key: Option<u8>,
        dry: bool,
    },
    Batch(Vec<String>),
    /// A list, followed to its last page.
    List(Vec<(&'static str, String)>),
    Export(Vec<(&'static str, String)>),
    Get(usize),
    Cancel(usize),
    Retry(usize),
    /// `approve` or `reject`, with a body.
    Judge(usize, &'static str, String),
    Approvals,
    Clone(usize, String),
    CancelMany(String),
    RetryMany(String),
    /// What is below a task, as `timeline`.
    Below(usize, &'static str),
    Changes(usize),
    Stats,
    Claim(i64, bool),
    Say(usize, String),
    Report(usize, End, String),
    Rescue,
    Promote,
    Clock(i64),
}

pub fn calls() -> impl Strategy<Value = Vec<Call>> {
    prop::collection::vec(call(), 1..60)
}

fn call() -> impl Strategy<Value = Call> {
    let which = || 0..64usize;
    let end =
        select(vec![End::Success, End::Success, End::Fatal, End::RetryAfter(0), End::RetryAfter(500), End::Released]);
    let below = select(vec!["timeline", "attempts", "logs", "logs?level=warn&after=1", "explain", "artifacts"]);
    let clock = select(vec![1, 1, 999, 1_000, 30_001, 86_400_000, -1, -3_600_000]);
    let clone = prop_oneof![Just("{}".to_owned()), draft()];
    let submit = (draft(), prop::option::weighted(0.2, 0..3u8), prop::bool::weighted(0.1));
    prop_oneof![
        12 => submit.prop_map(|(body, key, dry)| Call::Submit { body, key, dry }),
        1 => prop::collection::vec(draft(), 0..4).prop_map(Call::Batch),
        8 => query().prop_map(Call::List),
        2 => query().prop_map(Call::Export),
        3 => which().prop_map(Call::Get),
        3 => which().prop_map(Call::Cancel),
        2 => which().prop_map(Call::Retry),
        3 => (which(), prop::bool::weighted(0.7), judgement()).prop_map(|(task, approves, body)| {
            Call::Judge(task, if approves { "approve" } else { "reject" }, body)
        }),
        1 => Just(Call::Approvals),
        2 => (which(), clone).prop_map(|(task, body)| Call::Clone(task, body)),
        2 => filter_body().prop_map(Call::CancelMany),
        1 => filter_body().prop_map(Call::RetryMany),
        3 => (which(), below).prop_map(|(task, below)| Call::Below(task, below)),
        2 => (1..6usize).prop_map(Call::Changes),
        1 => Just(Call::Stats),
        4 => (1..4i64, any::<bool>()).prop_map(|(n, ahead)| Call::Claim(n, ahead)),
        3 => (which(), text()).prop_map(|(lease, text)| Call::Say(lease, text)),
        5 => (which(), end, text()).prop_map(|(lease, end, text)| Call::Report(lease, end, text)),
        1 => Just(Call::Rescue),
        2 => Just(Call::Promote),
        4 => clock.prop_map(Call::Clock),
    ]
}

/// Text on which databases, collations and encodings have been known to differ.
const TEXTS: &[&str] = &[
    "",
    " ",
    "z",
    "Z",
    "zz",
    "z ",
    " z",
    "z\t",
    "z\n",
    "ä",
    "Ä",
    "äz",
    "ÄZ",
    "ß",
    "ẞ",
    "ss",
    "SS",
    "ı",
    "İ",
    "i",
    "I",
    "é",
    "e\u{301}",
    "ﬁ",
    "fi",
    "ﬀ",
    "ω",
    "Ω",
    "ς",
    "Σ",
    "ǆ",
    "ǅ",
    "🦀",
    "👨\u{200d}👩\u{200d}👧",
    "שלום",
    "مرحبا",
    "\u{202e}abc",
    "\u{2028}",
    "\u{feff}",
    "\u{a0}",
    "\u{3000}",
    "\u{ad}",
    "\u{10ffff}",
    "\u{e000}",
    "\u{7f}",
    "\u{1b}[31m",
    "%",
    "_",
    "\\",
    "\\\\",
    "%z_",
    "'",
    "''",
    "\"",
    "`",
    "$1",
    "?1",
    ":z",
    "@z",
    "z;--",
    "/*z*/",
    "[]",
    "{}",
    "a,b",
    "null",
    "NULL",
    "true",
    "0",
    "-0",
    "1e3",
    "0x10",
    "z\u{0}z",
    "=z+1",
    "🦀🦀",
    "z🦀",
    "\u{1f1e9}\u{1f1ea}",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => select(TEXTS).prop_map(str::to_owned),
        1 => (select(TEXTS), 1..300usize).prop_map(|(text, times)| text.repeat(times)),
        2 => (select(TEXTS), select(TEXTS)).prop_map(|(one, other)| format!("{one} {other}")),
        2 => "\\PC{0,12}",
    ]
}

/// A JSON value, as text: not every number survives being read.
fn json() -> impl Strategy<Value = String> {
    let odd = [
        "0",
        "-0",
        "-0.0",
        "1.0",
        "1e0",
        "1E+2",
        "1e308",
        "1e-400",
        "1e400",
        "5e-324",
        "0.1",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "123456789012345678901234567890",
        "null",
        "true",
        "[]",
        "{}",
        "[1,[2,[3]]]",
        r#"{"b":1,"a":2}"#,
        r#""\u00e4""#,
        r#""\ud83e\udd80""#,
        r#""\ud83e""#,
        "[ 1 ,2]",
    ];
    prop_oneof![4 => select(odd.to_vec()).prop_map(str::to_owned), 2 => text().prop_map(|text| quoted(&text))]
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A task to submit: mostly sound, here and there with a member at its edge or beyond.
fn draft() -> impl Strategy<Value = String> {
    let one_of = |values: &[&'static str]| select(values.to_vec()).prop_map(str::to_owned);
    let params = (text(), json()).prop_map(|(name, value)| format!("{{{}: {value}}}", quoted(&name)));
    let tags = prop::collection::vec(text(), 0..4);
    let member = prop_oneof![
        params.prop_map(|params| ("params", params)),
        text().prop_map(|text| ("name", quoted(&text))),
        text().prop_map(|text| ("queue", quoted(&text))),
        text().prop_map(|text| ("client_id", quoted(&text))),
        tags.prop_map(|tags| ("tags", serde_json::to_string(&tags).unwrap())),
        one_of(&["-101", "-100", "-1", "0", "1", "100", "101", "1.0", "1e2"]).prop_map(|n| ("priority", n)),
        one_of(&["0", "1", "2", "100", "101"]).prop_map(|n| ("max_attempts", n)),
        one_of(&["0", "1", "604800", "604801", "null"]).prop_map(|n| ("timeout_seconds", n)),
        one_of(TIMES).prop_map(|time| ("run_at", quoted(&time))),
        one_of(&["true", "true", "false", "1"]).prop_map(|flag| ("needs_approval", flag)),
        one_of(&[
            "{}",
            r#"{"base_seconds":0.0005,"jitter":false}"#,
            r#"{"factor":100,"max_seconds":604800}"#,
            r#"{"factor":0}"#
        ])
        .prop_map(|backoff| ("backoff", backoff)),
    ];
    prop::collection::vec(member, 0..4).prop_map(|members| {
        let members: std::collections::BTreeMap<&str, String> = members.into_iter().collect();
        let members: String = members.iter().map(|(name, value)| format!(", \"{name}\": {value}")).collect();
        format!("{{\"type\": \"noop\"{members}}}")
    })
}

/// The body of an approval or a rejection.
fn judgement() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        1 => Just("{}".to_owned()),
        2 => text().prop_map(|text| format!("{{\"reason\": {}}}", quoted(&text))),
        2 => select(TIMES).prop_map(|time| format!("{{\"run_at\": {}}}", quoted(time))),
    ]
}

const TIMES: &[&str] = &[
    "1970-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999Z",
    "2999-12-31T23:59:59.999Z",
    "2999-12-31T23:59:59.9999Z",
    "3000-01-01T00:00:00Z",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.0004Z",
    "2026-01-01T00:00:00.0005Z",
    "2026-01-01T00:00:00.0009999Z",
    "2026-01-01T00:00:01.999999999Z",
    "2026-01-01T14:00:00.500+14:00",
    "2025-12-31T12:00:01-12:00",
    "2026-01-01t00:00:00z",
    "2026-01-01T00:00:30Z",
    "2026-02-29T00:00:00Z",
    "2028-02-29T00:00:00Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01 00:00:00Z",
];

/// The query of a list.
fn query() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let one_of = |values: &[&'static str]| select(values.to_vec()).prop_map(str::to_owned);
    let filter = prop_oneof![
        2 => one_of(&["PENDING", "RUNNING", "SUCCESS", "FAILED", "CANCELLED", "failed"]).prop_map(|word| ("status", word)),
        1 => one_of(&["noop", "NOOP", "demo"]).prop_map(|word| ("type", word)),
        2 => text().prop_map(|text| ("queue", text)),
        2 => text().prop_map(|text| ("tag", text)),
        2 => text().prop_map(|text| ("client_id", text)),
        6 => words().prop_map(|text| ("q", text)),
        1 => one_of(TIMES).prop_map(|time| ("created_after", time)),
        1 => one_of(TIMES).prop_map(|time| ("created_before", time)),
    ];
    let order = prop::option::of(one_of(&["created_at", "-created_at", "finished_at", "-finished_at"]));
    let limit = one_of(&["1", "2", "3", "7", "500"]);
    (prop::collection::vec(filter, 0..3), order, limit, any::<bool>()).prop_map(|(mut query, order, limit, full)| {
        query.extend(order.map(|order| ("sort", order)));
        query.push(("limit", limit));
        query.extend(full.then(|| ("view", "full".to_owned())));
        query
    })
}

/// A search. Ids are drawn by chance, so words that could stand in one are left out.
fn words() -> impl Strategy<Value = String> {
    text().prop_map(|text| {
        let in_an_id = |word: &str| word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let words: Vec<&str> = text.split_whitespace().filter(|word| !in_an_id(word)).collect();
        words.join(" ")
    })
}

/// The filter of a bulk action.
fn filter_body() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{\"all\": true}".to_owned()),
        Just("{}".to_owned()),
        text().prop_map(|text| format!("{{\"queue\": {}}}", quoted(&text))),
        text().prop_map(|text| format!("{{\"tag\": {}}}", quoted(&text))),
        words().prop_map(|text| format!("{{\"q\": {}}}", quoted(&text))),
        Just("{\"status\": [\"PENDING\", \"FAILED\"]}".to_owned()),
    ]
}
