//! The first form: a table of its own making, for anyone to try.

use super::Made;
use super::cell::{Cell, Reading};
use super::numbers::Numbers;
use crate::types::{Context, Failure};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

/// The table is made in so many steps, each with its share of `processing_time`.
const STEPS: u64 = 100;
/// The checkpoint's name: the last step that is done. The rows up to it are made again, without the
/// time they took.
const STEP: &str = "step";
/// It is saved no more often than this: as much of `processing_time` may repeat.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// The columns of the table.
const HEADER: [&str; 6] = ["id", "name", "city", "amount", "quantity", "date"];
const NAMES: [&str; 8] = ["Ada", "Barbara", "Edsger", "Frances", "Grace", "Ken", "Leslie", "Zoë"];
const CITIES: [&str; 6] = ["Berlin", "Lagos", "Lima", "Osaka", "Rome", "São Paulo"];
/// One cell in so many has no value.
const NULL_ODDS: u32 = 50;

/// Makes the table, keeps it as `table.csv`, reads it back and gives its statistics.
pub async fn run(made: &Made, ctx: &Context) -> Result<Value, Failure> {
    let seed = made.seed.unwrap_or_else(|| ctx.task_id().as_u128() as u64);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut table = HEADER.join(",") + "\n";
    let (rows, mut id) = (u64::from(made.num_rows), 0);
    let (before, mut saved) = (ctx.checkpoint::<u64>(STEP).unwrap_or(0), Instant::now());
    for step in 1..=STEPS {
        while id < rows * step / STEPS {
            id += 1;
            push_row(&mut table, id, &mut random);
        }
        if step <= before {
            if step == before.min(STEPS) {
                ctx.going_on(id as i64, &format!("row {id} of {rows}"));
            }
            continue;
        }
        ctx.sleep(Duration::from_secs_f64(made.processing_time) / STEPS as u32).await?;
        ctx.progress(id as i64, rows as i64, Some(format!("row {id} of {rows}")));
        if saved.elapsed() >= SAVE_EVERY {
            ctx.save(STEP, &step).await?;
            saved = Instant::now();
        }
    }
    let mut output = ctx.output("table.csv", "text/csv").await?;
    output.writer.write_all(table.as_bytes()).await.map_err(crate::files::Error::from)?;
    let result = ctx.blocking(move |_| statistics(&table)).await?;
    output.keep().await?;
    Ok(result)
}

fn push_row(table: &mut String, id: u64, random: &mut Xoshiro256PlusPlus) {
    use std::fmt::Write;
    let name = NAMES[random.random_range(0..NAMES.len())];
    let city = CITIES[random.random_range(0..CITIES.len())];
    let city = or_null(city.to_owned(), random);
    let amount = or_null(format!("{:.2}", f64::from(random.random_range(-10_000..=1_000_000i32)) / 100.0), random);
    let quantity = or_null(random.random_range(1..=100u32).to_string(), random);
    let (month, day) = (random.random_range(1..=12u32), random.random_range(1..=28u32));
    // Writing to a String cannot fail.
    let _ = writeln!(table, "{id},{name},{city},{amount},{quantity},2026-{month:02}-{day:02}");
}

fn or_null(value: String, random: &mut Xoshiro256PlusPlus) -> String {
    if random.random_ratio(1, NULL_ODDS) { String::new() } else { value }
}

/// Reads the table as anyone would and adds up its columns of numbers.
fn statistics(table: &str) -> Result<Value, Failure> {
    let wrong = |error: csv::Error| Failure::fatal("internal", format!("the table made cannot be read: {error}"));
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header = reader.byte_headers().map_err(wrong)?.clone();
    let mut columns: Vec<Option<Numbers>> = header.iter().map(|_| Some(Numbers::default())).collect();
    let nulls = Reading::new(None);
    let mut rows = 0;
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(wrong)? {
        rows += 1;
        for (cell, column) in record.iter().zip(&mut columns) {
            match (nulls.read(cell), column.as_mut()) {
                (Cell::Integer(value), Some(numbers)) => numbers.add_integer(value),
                (Cell::Decimal(value), Some(numbers)) => numbers.add_decimal(value),
                (Cell::Null, _) | (_, None) => {}
                // One other cell, and it is no column of numbers.
                (_, Some(_)) => *column = None,
            }
        }
    }
    let of = |(name, numbers): (&[u8], Numbers)| {
        let (min, max) = numbers.extremes();
        let column = json!({ "sum": numbers.sum(), "avg": numbers.mean(), "min": min, "max": max });
        (String::from_utf8_lossy(name).into_owned(), column)
    };
    let numeric = header.iter().zip(columns).filter_map(|(name, numbers)| Some((name, numbers?)));
    let statistics: Map<String, Value> = numeric.map(of).collect();
    Ok(json!({ "rows": rows, "statistics": statistics }))
}
