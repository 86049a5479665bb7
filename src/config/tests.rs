//! Promises of the configuration.

use super::*;

fn load(flags: Flags, environment: &[(&str, &str)], dotenv: &str) -> Result<Config, Vec<String>> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(&flags, environment, dotenv).map_err(|problems| problems.iter().map(Problem::to_string).collect())
}

fn origin(config: &Config, name: &str) -> Origin {
    config.shown.iter().find(|shown| shown.name == name).expect("it is in the table").origin
}

#[test]
fn with_nothing_given_every_default_holds() {
    let config = load(Flags::default(), &[], "").expect("the defaults are sound");
    assert_eq!(config.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database, DatabaseUrl::Sqlite("./data/errand.db".into()));
    assert_eq!((config.lease.as_secs(), config.drain.as_secs()), (30, 25));
    assert_eq!(config.max_file_bytes, 2 << 30);
    assert!(config.workers >= 2 && config.queues.is_empty());
    assert_eq!(config.shown.len(), SETTINGS.len());
    assert!(config.shown.iter().all(|shown| shown.origin == Origin::Default));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "ERRAND_WORKERS=1\nERRAND_LEASE_SECONDS=11\nERRAND_LOG=debug\n";
    let environment = [("ERRAND_WORKERS", "2"), ("ERRAND_LEASE_SECONDS", "12"), ("PATH", "/bin")];
    let config = load(Flags::default().set("ERRAND_WORKERS", "3"), &environment, file).expect("all are sound");
    assert_eq!((config.workers, config.lease.as_secs(), config.log.as_str()), (3, 12, "debug"));
    assert_eq!(origin(&config, "ERRAND_WORKERS"), Origin::Flag);
    assert_eq!(origin(&config, "ERRAND_LEASE_SECONDS"), Origin::Environment);
    assert_eq!(origin(&config, "ERRAND_LOG"), Origin::DotEnv);
    assert_eq!(origin(&config, "ERRAND_BIND"), Origin::Default);
}

#[test]
fn the_database_file_follows_the_data_folder() {
    let config = load(Flags::default().set("ERRAND_DATA_DIR", "/srv/errand"), &[], "").expect("it is sound");
    assert_eq!(config.database, DatabaseUrl::Sqlite("/srv/errand/errand.db".into()));
    assert_eq!(origin(&config, "DATABASE_URL"), Origin::Default);
}

#[test]
fn an_empty_variable_counts_as_not_given() {
    let config = load(Flags::default(), &[("ERRAND_BIND", ""), ("ERRAND_QUEUES", "")], "ERRAND_WORKERS=").expect("ok");
    assert!(config.shown.iter().all(|shown| shown.origin == Origin::Default));
}

#[test]
fn an_unknown_variable_is_named_with_the_nearest_known_one() {
    let problems = load(Flags::default(), &[("ERRAND_WORKER", "3"), ("HOME", "/")], "ERRAND_LOGS=info");
    assert_eq!(
        problems.expect_err("both are unknown"),
        [
            "ERRAND_LOGS (.env): there is no such setting; the nearest is ERRAND_LOG",
            "ERRAND_WORKER (environment): there is no such setting; the nearest is ERRAND_WORKERS",
        ]
    );
}

#[test]
fn every_bad_value_is_told_at_once() {
    let flags = Flags::default().set("ERRAND_BIND", "here").set("ERRAND_PAGE_SCOPE", "ours");
    let environment = [("ERRAND_WORKERS", "1025"), ("ERRAND_LEASE_SECONDS", "4"), ("ERRAND_URL", "ftp://h")];
    let problems = load(flags, &environment, "ERRAND_LOG_FORMAT=xml").expect_err("six are bad");
    assert_eq!(
        problems,
        [
            r#"ERRAND_BIND (flag): "here" must be an address and a port, as 127.0.0.1:8080 or [::1]:8080"#,
            r#"ERRAND_WORKERS (environment): "1025" must be a whole number from 0 to 1024"#,
            r#"ERRAND_LEASE_SECONDS (environment): "4" must be a whole number from 5 to 3600"#,
            r#"ERRAND_LOG_FORMAT (.env): "xml" must be auto, text or json"#,
            r#"ERRAND_PAGE_SCOPE (flag): "ours" must be all or mine"#,
            r#"ERRAND_URL (environment): "ftp://h" must be an address as http://127.0.0.1:8080"#,
        ]
    );
}

#[test]
fn a_line_of_the_file_that_cannot_be_read_is_told_by_its_number_alone() {
    let problems = load(Flags::default(), &[], "ERRAND_LOG=info\nERRAND_SECRET=\"open\n").expect_err("a quote is open");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with(".env") && !problems[0].contains("open"), "{}", problems[0]);
}

#[test]
fn a_password_is_in_no_output_and_in_no_error() {
    let good = load(Flags::default(), &[("DATABASE_URL", "postgres://u:sesame@h/d")], "").expect("it is sound");
    assert_eq!(good.database, DatabaseUrl::Postgres("postgres://u:sesame@h/d".to_owned()));
    for text in [format!("{good:?}"), show::table(&good.shown), show::json(&good.shown)] {
        assert!(text.contains("u:***@h") && !text.contains("sesame"), "{text}");
    }
    let bad = load(Flags::default(), &[("DATABASE_URL", "mysql://u:sesame@h/d")], "").expect_err("no such database");
    assert_eq!(bad, [r#"DATABASE_URL (environment): "mysql://u:***@h/d" must begin with sqlite:// or postgres://"#]);
}

#[test]
fn to_listen_beyond_this_machine_is_refused_with_the_words_to_mend_it() {
    let config = |bind: &str| load(Flags::default().set("ERRAND_BIND", bind), &[], "").expect("ok");
    for inside in ["127.0.0.1:80", "127.8.8.8:80", "[::1]:80", "localhost:80", "[::ffff:127.0.0.1]:80"] {
        assert!(config(inside).is_local(), "{inside}");
    }
    for outside in ["0.0.0.0:80", "[::]:80", "192.168.0.2:80", "[::ffff:10.0.0.1]:80"] {
        let problem = config(outside).exposure().to_string();
        assert!(!config(outside).is_local() && problem.contains("listen on 127.0.0.1:80"), "{problem}");
        assert!(problem.contains("errand keys create"), "{problem}");
    }
}

#[test]
fn a_key_is_in_no_output_and_in_no_error() {
    let given = [("ERRAND_API_KEYS", "admin:ops:x://sesame-sesame-sesame"), ("ERRAND_KEY", "sesame")];
    let good = load(Flags::default(), &given, "").expect("it is sound");
    assert_eq!(
        (good.api_keys[0].key.as_str(), good.key.as_ref().map(|key| key.0.len())),
        ("x://sesame-sesame-sesame", Some(6))
    );
    for text in [format!("{good:?}"), show::table(&good.shown), show::json(&good.shown)] {
        assert!(text.contains("***") && !text.contains("sesame"), "{text}");
    }
    let bad = load(Flags::default(), &[("ERRAND_API_KEYS", "admin:ops:sesame")], "").expect_err("too short");
    assert!(bad[0].contains("number 1") && !bad[0].contains("sesame"), "{bad:?}");
}

#[test]
fn the_settings_are_printed_as_an_aligned_table() {
    let config = load(Flags::default().set("ERRAND_WORKERS", "3"), &[], "").expect("it is sound");
    let table = show::table(&config.shown);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), SETTINGS.len());
    assert_eq!(lines[0], "DATABASE_URL                   sqlite://./data/errand.db  default");
    assert_eq!(lines[6], "ERRAND_WORKERS                 3                          flag");
}
#[test]
fn every_line_of_the_example_can_be_uncommented() {
    let uncommented = example().replace("# ERRAND_", "ERRAND_").replace("# DATABASE_URL=", "DATABASE_URL=");
    let config = load(Flags::default(), &[], &uncommented).expect("it is sound");
    assert_eq!(config.lease.as_secs(), 30);
    assert_eq!(origin(&config, "ERRAND_LEASE_SECONDS"), Origin::DotEnv);
    assert_eq!(config.database, DatabaseUrl::Sqlite("./data/errand.db".into()));
}
