//! From text to values. An error is the second half of a sentence: what is allowed.

use super::{ApiKey, DatabaseUrl, LogFormat, PageScope, SecretText};
use crate::task::{Role, text};
use reqwest::Url;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

pub(super) fn bind(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let problem = "must be an address and a port, as 127.0.0.1:8080 or [::1]:8080";
    numeric.as_deref().unwrap_or(text).parse().map_err(|_| problem.to_owned())
}

/// The shortest key that may be made by hand: what `errand keys create` makes is far longer.
const MIN_KEY_CHARS: usize = 16;

/// What an hour may cost.
const MAX_RATE: f64 = 1e9;

/// An error tells which one, not what it says.
pub(super) fn api_keys(text: &str) -> Result<Vec<ApiKey>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let one = |(n, part): (i32, &str)| {
        let (role, rest) = part.split_once(':').unwrap_or((part, ""));
        let (owner, key) = rest.split_once(':').unwrap_or((rest, ""));
        let role = Role::of(role).ok_or(format!("must be ROLE:OWNER:KEY, …; number {n} has no role of ours"))?;
        if let Some(wrong) = text::label(owner, 100) {
            return Err(format!("must be ROLE:OWNER:KEY, …; the owner of number {n} {wrong}"));
        }
        if key.len() < MIN_KEY_CHARS || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "must be ROLE:OWNER:KEY, …; the key of number {n} must be {MIN_KEY_CHARS} or more printable ASCII \
                 characters without a comma"
            ));
        }
        Ok(ApiKey { role, owner: owner.to_owned(), key: key.to_owned() })
    };
    (1..).zip(parts).map(one).collect()
}

/// Each as a browser says it, so that nothing has to be made of what one says: it is equal, or another.
pub(super) fn origins(text: &str) -> Result<Vec<String>, String> {
    let one = |part: &str| {
        let wrong =
            |why: String| Err(format!("must be origins as https://app.example.org, separated by commas; {why}"));
        if part.contains('*') {
            return wrong(format!("{part:?} would be any of many: name each one"));
        }
        let url = Url::parse(part).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        match url.map(|url| url.origin().ascii_serialization()) {
            None => wrong(format!("{part:?} is none")),
            Some(origin) if origin != part => wrong(format!("write {origin} in the place of {part:?}")),
            Some(origin) => Ok(origin),
        }
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(one).collect()
}

pub(super) fn key(text: &str) -> Result<Option<SecretText>, String> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok((!text.is_empty()).then(|| SecretText(text.to_owned()))),
        false => Err("must be printable ASCII characters".to_owned()),
    }
}

pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    match text.contains('\0') || text.is_empty() {
        true => Err("must be the path of a folder".to_owned()),
        false => Ok(PathBuf::from(text)),
    }
}

/// A path is taken as it stands: nothing in it is percent-decoded.
pub(super) fn database(text: &str) -> Result<DatabaseUrl, String> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        let problem = |error| format!("must be postgres://USER:PASSWORD@HOST:PORT/DATABASE: {error}");
        return Url::parse(text).map(|_| DatabaseUrl::Postgres(text.to_owned())).map_err(problem);
    }
    let Some(path) = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")) else {
        return Err("must begin with sqlite:// or postgres://".to_owned());
    };
    // `mode=rwc`, to make the file if it is missing, is what we do anyway.
    let path = path.strip_suffix("?mode=rwc").unwrap_or(path);
    if path.is_empty() || path == ":memory:" || path.contains(['?', '\0']) {
        return Err("must be sqlite:// and the path of a file, without options".to_owned());
    }
    Ok(DatabaseUrl::Sqlite(PathBuf::from(path)))
}

pub(super) fn whole(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> {
    move |text| {
        let problem = || format!("must be a whole number from {} to {}", range.start(), range.end());
        text.parse().ok().filter(|n| range.contains(n)).ok_or_else(problem)
    }
}

pub(super) fn workers(text: &str) -> Result<usize, String> {
    whole(0..=1024)(text).map(|n| n as usize)
}

pub(super) fn seconds(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<Duration, String> {
    let whole = whole(range);
    move |text| whole(text).map(Duration::from_secs)
}

/// Hours; nothing is for ever.
pub(super) fn kept(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "" => Ok(None),
        hours => whole(1..=876_000)(hours).map(|hours| Some(Duration::from_secs(hours * 3600))),
    }
}

/// So many a second; nothing or 0 is any number.
pub(super) fn rate(text: &str) -> Result<Option<u32>, String> {
    match text {
        "" => Ok(None),
        number => whole(0..=1_000_000)(number).map(|n| (n > 0).then_some(n as u32)),
    }
}

/// Nothing or 0 is any number.
pub(super) fn quota(text: &str) -> Result<Option<u64>, String> {
    match text {
        "" => Ok(None),
        number => whole(0..=1 << 50)(number).map(|n| (n > 0).then_some(n)),
    }
}

/// Days; 0 is for ever.
pub(super) fn kept_days(text: &str) -> Result<Option<Duration>, String> {
    let days = whole(0..=36_500)(text)?;
    Ok((days > 0).then(|| Duration::from_secs(days * 24 * 3600)))
}

/// Rates by type; each type once.
pub(super) fn costs(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let mut rates = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, rate) = part.split_once('=').unwrap_or((part, ""));
        let rate = rate.trim().parse().ok().filter(|rate| (0.0..=MAX_RATE).contains(rate));
        let name = Some(name.trim()).filter(|name| text::label(name, 100).is_none());
        let pair = name.zip(rate).filter(|(name, _)| !rates.contains_key(*name));
        let problem = || "must be TYPE=RATE, …: each type once, each rate a number from 0 to 1000000000";
        let (name, rate) = pair.ok_or_else(problem)?;
        rates.insert(name.to_owned(), rate);
    }
    Ok(rates)
}

pub(super) fn queues(text: &str) -> Result<Vec<String>, String> {
    names(text, "queues")
}

pub(super) fn approve_types(text: &str) -> Result<Vec<String>, String> {
    names(text, "task types")
}

fn names(text: &str, of: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    match names.iter().find_map(|name| text::label(name, 100)) {
        Some(problem) => Err(format!("must be names of {of}, separated by commas; each {problem}")),
        None => Ok(names),
    }
}

/// A bare word that is no level would be read as the name of a target, and silence all else.
pub(super) fn log(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let known = |part: &str| part.contains(['=', '[']) || LEVELS.contains(&part.to_ascii_lowercase().as_str());
    match text.split(',').all(|part| known(part.trim())) && tracing_subscriber::EnvFilter::try_new(text).is_ok() {
        true => Ok(text.to_owned()),
        false => Err(format!("must be one of {}, or directives as info,errand::queue=debug", LEVELS.join(", "))),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be auto, text or json".to_owned()),
    }
}

pub(super) fn page_scope(text: &str) -> Result<PageScope, String> {
    match text {
        "all" => Ok(PageScope::All),
        "mine" => Ok(PageScope::Mine),
        _ => Err("must be all or mine".to_owned()),
    }
}

/// Without a slash at its end, so that paths can be appended.
pub(super) fn url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url.filter(|url| url.query().is_none() && url.fragment().is_none()) {
        Some(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        None => Err("must be an address as http://127.0.0.1:8080".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_file_or_a_postgres() {
        assert_eq!(database("sqlite://a/b.db"), Ok(DatabaseUrl::Sqlite("a/b.db".into())));
        assert_eq!(database("sqlite:///a/b.db?mode=rwc"), Ok(DatabaseUrl::Sqlite("/a/b.db".into())));
        assert_eq!(database("sqlite:b.db"), Ok(DatabaseUrl::Sqlite("b.db".into())));
        let socket = "postgres:///errand?host=/run/postgresql";
        assert_eq!(database(socket), Ok(DatabaseUrl::Postgres(socket.to_owned())));
        for bad in ["", "mysql://h/d", "sqlite::memory:", "sqlite://", "sqlite://a?mode=ro", "postgres://h:port/d"] {
            assert!(database(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_has_a_role_an_owner_and_enough_of_its_own_and_no_error_shows_it() {
        let keys = api_keys("admin:ops:0123456789:abcdef, worker:*:0123456789abcdef,").expect("they are sound");
        assert_eq!(
            (keys[0].role, keys[0].owner.as_str(), keys[0].key.as_str()),
            (Role::Admin, "ops", "0123456789:abcdef")
        );
        assert_eq!((keys[1].owner.as_str(), keys.len()), ("*", 2));
        for bad in [
            "root:a:0123456789abcdef",
            "read::0123456789abcdef",
            "read:a:0123456789",
            "read:a",
            "0123456789abcdef",
            "read:a:0123456789 abcdef",
        ] {
            let error = api_keys(&format!("admin:ops:0123456789abcdef,{bad}")).expect_err(bad);
            assert!(error.contains("number 2") && !error.contains("0123456789"), "{error}");
        }
        assert_eq!((api_keys(""), key("")), (Ok(vec![]), Ok(None)));
    }

    #[test]
    fn an_origin_stands_as_a_browser_says_it_and_nothing_stands_for_many() {
        let given = "https://app.example.org, http://localhost:3000,http://[::1]:8081,";
        assert_eq!(origins(given).unwrap(), ["https://app.example.org", "http://localhost:3000", "http://[::1]:8081"]);
        assert_eq!(origins(""), Ok(Vec::new()));
        for (bad, word) in [
            ("*", "name each one"),
            ("https://*.example.org", "name each one"),
            ("null", "\"null\" is none"),
            ("app.example.org", "is none"),
            ("ftp://app.example.org", "is none"),
            ("chrome-extension://abc", "is none"),
            ("file:///", "is none"),
            ("https://", "is none"),
            ("https://app.example.org/", "write https://app.example.org in the place"),
            ("https://app.example.org/page", "write https://app.example.org in the place"),
            ("https://App.example.org:443", "write https://app.example.org in the place"),
            ("https://me@app.example.org", "write https://app.example.org in the place"),
            ("https://äpp.example.org", "write https://xn--pp-uia.example.org in the place"),
            ("http://a b", "is none"),
        ] {
            let error = origins(&format!("http://localhost:3000,{bad}")).expect_err(bad);
            assert!(error.contains(word), "{bad}: {error}");
        }
    }

    #[test]
    fn an_address_needs_a_port() {
        assert_eq!(bind("localhost:1"), Ok(SocketAddr::from(([127, 0, 0, 1], 1))));
        assert!(bind("[::1]:0").is_ok());
        assert!(bind("127.0.0.1").is_err() && bind("example.org:80").is_err() && bind("127.0.0.1:65536").is_err());
    }

    #[test]
    fn a_number_is_whole_and_within_its_range() {
        assert_eq!((workers("0"), workers("1024")), (Ok(0), Ok(1024)));
        for bad in ["1025", "-1", "1.5", "", "1e3", "many"] {
            assert_eq!(workers(bad), Err("must be a whole number from 0 to 1024".to_owned()), "{bad}");
        }
    }

    #[test]
    fn queues_are_names_between_commas() {
        assert_eq!(queues(" mails, ,reports "), Ok(vec!["mails".to_owned(), "reports".to_owned()]));
        assert_eq!(queues(""), Ok(Vec::new()));
        assert!(queues("a\u{1b}[31m").is_err());
    }

    #[test]
    fn each_type_has_one_rate_that_is_a_number() {
        let rates = costs(" csv_processing=0.5, demo = 2,").unwrap();
        assert_eq!((rates["csv_processing"], rates["demo"], rates.len()), (0.5, 2.0, 2));
        assert_eq!(costs(""), Ok(BTreeMap::new()));
        for bad in ["demo", "demo=", "demo=x", "demo=-1", "demo=NaN", "demo=inf", "demo=1e10", "=1", "demo=1,demo=1"] {
            assert!(costs(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_no_log_setting() {
        assert!(log("INFO").is_ok() && log("warn,errand::queue=debug").is_ok());
        assert!(log("verbose").is_err() && log("errand=loud").is_err());
    }

    #[test]
    fn an_address_to_call_may_have_a_path() {
        assert_eq!(url("https://host/errand/"), Ok("https://host/errand".to_owned()));
        assert!(url("127.0.0.1:8080").is_err() && url("ftp://host").is_err() && url("http://host/?a").is_err());
    }
}
