//! A database beside the configured one, for measuring.

use super::connect::connect;
use super::{Postgres, failed};
use crate::store::{Error, Result};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::str::FromStr;
use uuid::Uuid;

impl Postgres {
    /// Makes an empty database on the server of `url`; answers its URL. Its name is random and ours.
    pub async fn create_scratch(url: &str) -> Result<String> {
        let name = format!("errand_bench_{}", Uuid::new_v4().simple());
        execute(url, format!("CREATE DATABASE {name}")).await?;
        let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
        let server =
            base.rsplit_once('/').filter(|(server, _)| !server.ends_with('/')).map_or(base, |(server, _)| server);
        Ok(format!("{server}/{name}{}", query.map(|query| format!("?{query}")).unwrap_or_default()))
    }

    /// Drops a database made by [`Postgres::create_scratch`] on the server of `url`.
    pub async fn drop_scratch(url: &str, scratch: &str) -> Result<()> {
        let path = scratch.split('?').next().unwrap_or_default();
        match path.rsplit_once('/') {
            Some((_, name)) if name.starts_with("errand_bench_") => {
                execute(url, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
            }
            _ => Err(Error::Internal("that is no database made for measuring".to_owned())),
        }
    }
}

/// A snapshot of a database, for measuring: as long as it is there, Postgres forgets nothing that was written since.
pub struct HeldSnapshot {
    _connection: PgConnection,
}

impl Postgres {
    /// Holds one of the database at `url`.
    pub async fn hold_snapshot(url: &str) -> Result<HeldSnapshot> {
        let mut connection = connect(&PgConnectOptions::from_str(url).map_err(failed)?).await?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM counts";
        connection.execute(begin).await.map_err(failed)?;
        Ok(HeldSnapshot { _connection: connection })
    }

    /// Vacuums the database at `url` and has it learn what its tables hold, as autovacuum has long done
    /// behind a history that took its time.
    pub async fn settle(url: &str) -> Result<()> {
        let mut connection = connect(&PgConnectOptions::from_str(url).map_err(failed)?).await?;
        for statement in ["SET statement_timeout = 0", "VACUUM (ANALYZE)"] {
            connection.execute(statement).await.map_err(failed)?;
        }
        Ok(())
    }
}

async fn execute(url: &str, statement: String) -> Result<()> {
    let options = PgConnectOptions::from_str(url).map_err(failed)?;
    connect(&options).await?.execute(AssertSqlSafe(statement)).await.map_err(failed)?;
    Ok(())
}
