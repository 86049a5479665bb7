//! The statistics as a page: one file, without scripts and without anything from elsewhere.

use serde_json::Value;
use std::fmt::{Display, Write};

/// As many columns are shown; `statistics.json` has all of them.
const COLUMNS: usize = 300;
/// A chart's size, in its own units.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 100.0;
const STYLE: &str = "
:root { color-scheme: light dark; --bar: #3b6fd4; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 0; } h2 small { font-weight: normal; opacity: .7; }
section { border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 1rem 0; }
.parts { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem 2rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: normal; opacity: .7; vertical-align: top; }
td { font-variant-numeric: tabular-nums; text-align: right; } th, td { border-top: 1px solid var(--line); padding: .15rem .5rem .15rem 0; }
svg { width: 100%; height: auto; fill: var(--bar); } figure { margin: 0; } figcaption { display: flex; justify-content: space-between; opacity: .7; }
.bar { background: linear-gradient(var(--bar), var(--bar)) no-repeat left bottom / var(--part) 3px; }
";

/// The page of `result`, as `statistics.json` has it.
pub fn page(result: &Value) -> String {
    let columns = result["columns"].as_array().map_or(&[][..], Vec::as_slice);
    let mut page = String::with_capacity(4096 * (columns.len().min(COLUMNS) + 2));
    page += "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n";
    page += "<meta http-equiv=\"content-security-policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n";
    page += "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Statistics of a table</title>\n";
    let _ = writeln!(page, "<style>{STYLE}</style>\n<h1>Statistics of a table</h1>");
    summary(&mut page, result);
    columns.iter().take(COLUMNS).for_each(|column| section(&mut page, column));
    if columns.len() > COLUMNS {
        let _ = writeln!(page, "<p>The first {COLUMNS} of {} columns; statistics.json has all of them.", columns.len());
    }
    page
}

fn summary(page: &mut String, result: &Value) {
    let named = [
        ("rows", "Rows described"),
        ("rows_read", "Rows read"),
        ("rows_filtered_out", "Filtered out"),
        ("duplicates", "Duplicates"),
        ("bad_rows", "Bad rows"),
        ("encoding", "Encoding"),
        ("delimiter", "Delimiter"),
        ("has_header", "Header"),
    ];
    table(page, named.iter().map(|(member, name)| (*name, &result[*member])));
    list(page, "Warnings", result["warnings"].as_array(), words);
    list(page, "Bad rows", result["bad_row_examples"].as_array(), |bad| {
        format!("line {}: {}", words(&bad["line"]), words(&bad["reason"]))
    });
}

fn list(page: &mut String, title: &str, items: Option<&Vec<Value>>, text: impl Fn(&Value) -> String) {
    let Some(items) = items.filter(|items| !items.is_empty()) else { return };
    let _ = write!(page, "<details open><summary>{title} ({})</summary><ul>", items.len());
    items.iter().for_each(|item| {
        let _ = write!(page, "<li>{}", Escaped(&text(item)));
    });
    *page += "</ul></details>\n";
}

fn section(page: &mut String, column: &Value) {
    let (name, kind) = (words(&column["name"]), words(&column["type"]));
    let _ = writeln!(page, "<section><h2>{} <small>{kind}</small></h2><div class=\"parts\">", Escaped(&name));
    let about = |approx: &str| if column[approx] == true { "about " } else { "" };
    let distinct = Value::from(format!("{}{}", about("distinct_approx"), words(&column["distinct"])));
    let length = &column["length"];
    let lengths = Value::from(match length {
        Value::Null => String::new(),
        _ => format!("{} to {}, mean {}", words(&length["min"]), words(&length["max"]), words(&length["mean"])),
    });
    let figures = ["count", "nulls", "sum", "mean", "std", "min", "max"].map(|member| (member, &column[member]));
    let lengths = [("distinct", &distinct), ("length", &lengths)];
    *page += "<div>";
    table(page, figures.into_iter().chain(lengths));
    *page += "</div>";
    if let Some(quantiles) = column["quantiles"].as_object() {
        *page += "<div>";
        table(page, quantiles.iter().map(|(share, value)| (share.as_str(), value)));
        if let Some(error) = column["quantiles_rank_error"].as_f64() {
            let _ = write!(page, "<small>each share within {:.2} % in 99 of 100 cases</small>", error * 100.0);
        }
        *page += "</div>";
    }
    chart(page, &column["histogram"]);
    frequent(page, column);
    *page += "</div></section>\n";
}

/// Upright bars, the highest as high as the chart.
fn chart(page: &mut String, histogram: &Value) {
    let (Some(edges), Some(counts)) = (histogram["edges"].as_array(), histogram["counts"].as_array()) else { return };
    let most = counts.iter().filter_map(Value::as_u64).max().unwrap_or(0).max(1) as f64;
    let step = WIDTH / counts.len().max(1) as f64;
    let _ = write!(page, "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"histogram\">");
    for (i, count) in counts.iter().enumerate() {
        let height = count.as_f64().unwrap_or(0.0) / most * HEIGHT;
        let (x, y, width) = (i as f64 * step, HEIGHT - height, (step - 1.0).max(0.5));
        let title = format!("{} to {}: {}", words(&edges[i]), words(&edges[i + 1]), words(count));
        let _ = write!(
            page,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
            Escaped(&title)
        );
    }
    let ends = [edges.first(), edges.last()].map(|edge| edge.map(words).unwrap_or_default());
    let (low, high) = (Escaped(&ends[0]), Escaped(&ends[1]));
    let _ = write!(page, "</svg><figcaption><span>{low}</span><span>{high}</span></figcaption></figure>");
}

/// The most frequent values, each with its share of the column as a bar below it.
fn frequent(page: &mut String, column: &Value) {
    let Some(values) = column["frequent"].as_array().filter(|values| !values.is_empty()) else { return };
    let all = column["count"].as_f64().unwrap_or(1.0).max(1.0);
    *page += "<div><table>";
    for value in values {
        let part = value["count"].as_f64().unwrap_or(0.0) / all * 100.0;
        let (text, count) = (words(&value["value"]), words(&value["count"]));
        let text = Escaped(&text);
        let _ = write!(page, "<tr class=\"bar\" style=\"--part:{part:.1}%\"><th>{text}</th><td>{count}</td></tr>");
    }
    *page += "</table>";
    if let Some(error) = column["frequent_error"].as_u64() {
        let _ = write!(page, "<small>counts may be too low by up to {error}</small>");
    }
    *page += "</div>";
}

/// A row for each that has a value.
fn table<'a>(page: &mut String, rows: impl Iterator<Item = (&'a str, &'a Value)>) {
    *page += "<table>";
    for (name, value) in rows {
        let value = words(value);
        if !value.is_empty() {
            let _ = write!(page, "<tr><th>{name}</th><td>{}</td></tr>", Escaped(&value));
        }
    }
    *page += "</table>\n";
}

/// A value for a person: numbers to a few digits, which the JSON has in full.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text == "\t" => "tab".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => match number.as_f64().unwrap_or(0.0) {
            0.0 => "0".to_owned(),
            value if !(1e-4..1e15).contains(&value.abs()) => format!("{value:.6e}"),
            value => {
                let text = format!("{value:.6}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        },
        other => other.to_string(),
    }
}

/// Text that no markup comes out of.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, into: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => into.write_str("&amp;"),
            '<' => into.write_str("&lt;"),
            '>' => into.write_str("&gt;"),
            '"' => into.write_str("&quot;"),
            '\'' => into.write_str("&#39;"),
            other => into.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_of_a_table_is_markup() {
        let evil = "<img src=x onerror=alert(1)>\"'&";
        let page = page(&json!({
            "rows": 1, "warnings": [evil], "bad_row_examples": [{ "line": 2, "reason": evil }], "delimiter": "<",
            "columns": [{ "name": evil, "type": "text", "count": 1, "min": evil, "max": evil, "distinct": 1,
                "frequent": [{ "value": evil, "count": 1 }], "histogram": { "edges": [evil, evil], "counts": [1] } }],
        }));
        assert!(!page.contains("<img") && !page.contains("'&"), "{page}");
        assert_eq!(page.matches("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;").count(), 10);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (json!(1.0), "1"),
            (json!(0.1234567), "0.123457"),
            (json!(1e300), "1.000000e300"),
            (json!(9_007_199_254_740_993u64), "9007199254740993"),
            (json!(0.0), "0"),
        ] {
            assert_eq!(words(&value), text);
        }
    }

    #[test]
    fn many_columns_are_cut_and_told() {
        let column = json!({ "name": "x", "type": "text", "count": 0 });
        let page = page(&json!({ "columns": vec![column; COLUMNS + 1] }));
        assert!(page.matches("<section>").count() == COLUMNS && page.contains("300 of 301 columns"));
    }
}
