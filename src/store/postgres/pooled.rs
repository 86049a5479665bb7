//! A pooler that gives the server's sessions to whoever speaks (pgbouncer's transaction mode): prepared
//! statements, LISTEN and the settings of a session do not survive it. It is found out and told.

use super::connect::connect;
use super::failed;
use crate::store::{Error, Result};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Executor, PgConnection, Row};

/// What to do about it.
const ADVICE: &str = "each connection needs a session of its own, which a pooler in transaction or statement mode does \
                      not give. Connect to Postgres directly, or set the pooler to session mode (pgbouncer: \
                      pool_mode = session, ignore_startup_parameters = extra_float_digits,options)";

/// What a server says when a statement comes to a session that knows another one by that name, or
/// none, and what pgbouncer says itself.
const CODES: [&str; 2] = ["42P05", "26000"];
const PROTOCOL: &str = "08P01";
const WORDS: [&str; 3] = ["bind message supplies", "unsupported startup parameter", "statement pooling mode"];

/// Whether an error says that a pooler is between, and not in session mode.
pub fn is_sign(code: &str, text: &str) -> bool {
    CODES.contains(&code) || (code == PROTOCOL && WORDS.iter().any(|words| text.contains(words)))
}

/// The error with what to do about it.
pub fn explain(text: &str) -> String {
    format!("{ADVICE}: {text}")
}

/// While opening there is no use in waiting for it to go away.
pub fn at_open(error: Error) -> Error {
    match error {
        Error::Unavailable(text) if text.starts_with(ADVICE) => Error::Setup(text),
        error => error,
    }
}

/// Fails if a connection is not one session: another one that speaks between makes a pooler show it.
/// It may not show; then the first call that meets it says so.
pub async fn check(options: &PgConnectOptions, one: &mut PgConnection) -> Result<()> {
    let mut other = connect(options).await?;
    one.execute("BEGIN").await.map_err(failed)?;
    let before = (process(one).await?, process(&mut other).await?);
    one.execute("COMMIT").await.map_err(failed)?;
    // What came back to a pooler last is given out first.
    let (others, ones) = (process(&mut other).await?, process(one).await?);
    let _ = sqlx::Connection::close(other).await;
    match (ones, others) == before {
        true => Ok(()),
        false => Err(Error::Setup(explain("two statements of one connection came to two sessions"))),
    }
}

/// The server's process that serves a connection.
async fn process(db: &mut PgConnection) -> Result<i32> {
    let row = db.fetch_one("SELECT pg_backend_pid()").await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres::is_broken;
    use sqlx::error::{DatabaseError, ErrorKind};
    use std::borrow::Cow;
    use std::error::Error as StdError;

    #[derive(Debug, thiserror::Error)]
    #[error("{1}")]
    struct Said(&'static str, &'static str);

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.1
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn said(code: &'static str, text: &'static str) -> Error {
        failed(sqlx::Error::Database(Box::new(Said(code, text))))
    }

    #[test]
    fn what_a_pooler_in_transaction_mode_breaks_says_that_session_mode_is_needed() {
        for (code, text) in [
            ("42P05", "prepared statement \"sqlx_s_1\" already exists"),
            ("26000", "prepared statement \"sqlx_s_1\" does not exist"),
            ("08P01", "bind message supplies 9 parameters, but prepared statement \"sqlx_s_1\" requires 0"),
            ("08P01", "unsupported startup parameter: extra_float_digits"),
            ("08P01", "transaction blocks not allowed in statement pooling mode"),
        ] {
            let error = said(code, text);
            assert!(matches!(&error, Error::Unavailable(said) if said.contains(text)), "{error}");
            let error = at_open(error).to_string();
            assert!(error.contains("pool_mode = session") && error.contains("cannot be used like this"), "{error}");
        }
    }

    #[test]
    fn other_errors_are_what_they_are() {
        let broken = at_open(said("08P01", "invalid message format"));
        assert!(matches!(broken, Error::Unavailable(_)) && is_broken(&broken), "{broken}");
        assert!(matches!(at_open(said("42601", "syntax error")), Error::Internal(_)));
    }
}
