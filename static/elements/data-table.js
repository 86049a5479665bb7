// The tables inside a result: a list of records, or an object of records, as rows and columns.

import { h } from "../dom.js";
import { bytes, count } from "../format.js";
import { RawNumber, stringify } from "../json.js";

const ROWS = 100; // the rest is in the JSON below it
const COLUMNS = 24;
const COUNTS = /^(count|nulls|distinct|rows)$/; // numbers one reads, not ids

/** One node a member of `result` that is a table; an empty list when there is none. */
export function tablesOf(result) {
  return Object.entries(isRecord(result) ? result : {}).flatMap(([name, value]) => {
    const records = Array.isArray(value) ? value.map((one, at) => [at + 1, one]) : isRecord(value) ? Object.entries(value) : [];
    if (!records.length || !records.every(([, one]) => isRecord(one) && Object.keys(one).length)) return [];
    return [table(name, records, Array.isArray(value))];
  });
}

const isRecord = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof RawNumber);

function table(name, records, listed) {
  const rows = records.slice(0, ROWS).map(([key, record]) => [key, flat(record)]);
  const columns = [...new Set(rows.flatMap(([, row]) => [...row.keys()]))].slice(0, COLUMNS);
  const numeric = new Set(columns.filter((column) => rows.every(([, row]) => row.get(column) == null || isNumber(row.get(column))) && rows.some(([, row]) => isNumber(row.get(column)))));
  const label = name.replaceAll("_", " ");
  return h(
    "section",
    { class: "block" },
    h("h2", null, label[0].toUpperCase() + label.slice(1)),
    h(
      "div",
      { class: "scroll card flush", tabindex: "0", role: "region", "aria-label": label },
      h(
        "table",
        { class: "small-table grid-table" },
        h("thead", null, h("tr", null, !listed && h("th", { scope: "col" }, h("span", { class: "sr" }, "Name")), columns.map((column) => h("th", { scope: "col", class: numeric.has(column) ? "num" : null }, heading(column))))),
        h("tbody", null, rows.map(([key, row]) => h("tr", null, !listed && h("th", { scope: "row" }, key), columns.map((column, at) => h(listed && at === 0 ? "th" : "td", { scope: listed && at === 0 ? "row" : null, class: numeric.has(column) ? "num" : "clip", title: words(row.get(column)).length > 36 ? words(row.get(column)) : null }, cell(column, row.get(column))))))),
      ),
    ),
    records.length > ROWS && h("p", { class: "muted small" }, `The first ${count(ROWS)} of ${count(records.length)}.`),
  );
}

// A record inside a record gives its members to the row: quantiles 0.5, original width.
function flat(record, prefix = "", row = new Map()) {
  for (const [name, value] of Object.entries(record)) {
    if (name === "histogram") continue; // bars are no cells; the report draws them
    if (isRecord(value) && !prefix) flat(value, `${name} `, row);
    else row.set(prefix + name, value);
  }
  return row;
}

const heading = (column) => column.replace(/^quantiles 0?\.(\d+)$/, (_, digits) => `p${Number(digits.padEnd(2, "0"))}`).replaceAll("_", " ");
const cell = (column, value) => (COUNTS.test(column) && typeof value === "number" ? count(value) : /(^|[ _])bytes$/.test(column) && typeof value === "number" ? bytes(value) : words(value));
const isCounted = (value) => isRecord(value) && Object.keys(value).join() === "value,count";
const isNumber = (value) => typeof value === "number" || value instanceof RawNumber;

// Twelve digits say enough; the JSON has them all.
function words(value) {
  if (value == null) return "";
  if (typeof value === "number" && !Number.isInteger(value)) return String(Math.abs(value) >= 1e15 || Math.abs(value) < 1e-4 ? Number(value.toPrecision(6)) : Number(value.toFixed(Math.abs(value) < 1 ? 6 : 3)));
  if (value instanceof RawNumber && /[.eE]/.test(value.source)) return String(Number(Number(value.source).toPrecision(12)));
  if (Array.isArray(value) && value.length && value.every(isCounted)) return value.map((one) => `${words(one.value)} × ${words(one.count)}`).join(", ");
  return typeof value === "object" && !(value instanceof RawNumber) ? stringify(value) : String(value);
}
