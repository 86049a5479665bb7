// A list of like objects as a table: the statistics of columns, the pictures made, the mails sent.

import { h } from "../dom.js";
import { RawNumber, stringify } from "../json.js";
import { count } from "../format.js";

const MAX_ROWS = 200;
const MAX_COLUMNS = 14;

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof RawNumber);
const isNumber = (value) => typeof value === "number" || typeof value === "bigint" || value instanceof RawNumber;
const text = (value) => (value == null ? "" : typeof value === "string" ? value : stringify(value));

/** One section for each member of `result` that is a list of objects; none where there is no such member. */
export function tablesOf(result) {
  if (!isObject(result)) return [];
  return Object.entries(result).filter(([, list]) => Array.isArray(list) && list.length && list.every(isObject)).map(([name, list]) => section(name, list));
}

function section(name, list) {
  const rows = list.slice(0, MAX_ROWS);
  const plain = new Set(rows.flatMap((row) => Object.keys(row).filter((key) => !isObject(row[key]) && !Array.isArray(row[key]))));
  const columns = [...plain].slice(0, MAX_COLUMNS);
  const numeric = columns.map((key) => rows.every((row) => row[key] == null || isNumber(row[key])));
  const head = h("thead", null, h("tr", null, columns.map((key, at) => h("th", { scope: "col", class: numeric[at] ? "num" : null }, key.replaceAll("_", " ")))));
  const body = h("tbody", null, rows.map((row) => h("tr", null, columns.map((key, at) => h("td", { class: numeric[at] ? "num" : "clip" }, text(row[key]))))));
  const title = name.replaceAll("_", " ");
  return h(
    "section",
    { class: "block" },
    h("h2", null, title[0].toUpperCase() + title.slice(1)),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, h("table", { class: "small-table grid-table" }, head, body)),
    list.length > rows.length && h("p", { class: "muted small" }, `first ${count(rows.length)} of ${count(list.length)}`),
  );
}
