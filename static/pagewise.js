// The export of a list that the server does not export itself: read page by page, written here.

import { get, query } from "./api.js";
import { stringify } from "./json.js";

const PAGE = 100; // rows asked for at once

/** A list as a reader of bytes, like that of an answer: see `open` in export.js for what names it. */
export function pagewise({ path, filters, member, within }, format, signal) {
  const csv = format === "csv";
  const encoder = new TextEncoder();
  let cursor = null; // undefined: there is no more
  let headed = !csv;
  return {
    async cancel() {
      cursor = undefined;
    },
    async read() {
      if (cursor === undefined) return { done: true };
      const { data } = await get(path + query({ ...filters, limit: PAGE, cursor }), { signal });
      cursor = data.next_cursor ?? undefined;
      const rows = data[member].map(({ links, ...row }) => (csv ? flat(row, within) : row));
      const lines = rows.map((row) => (csv ? line(Object.values(row)) : `${stringify(row)}\n`));
      if (!headed && rows.length) lines.unshift(line(Object.keys(rows[0])));
      headed ||= rows.length > 0;
      return { done: false, value: encoder.encode(lines.join("")) };
    },
  };
}

// The members of that one member stand in columns of their own.
function flat(row, within) {
  return Object.fromEntries(Object.entries(row).flatMap(([name, value]) => (name === within ? Object.entries(value).map(([inner, one]) => [`${name}_${inner}`, one]) : [[name, value]])));
}

const line = (cells) => `${cells.map((value) => quoted(words(value))).join()}\n`;
const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

// As the server writes it: before what a spreadsheet would take for a formula stands a '.
function words(value) {
  if (value == null) return "";
  if (typeof value === "object") return stringify(value);
  return typeof value === "string" ? value.replace(/^[=+\-@\t\r]/, "'$&") : String(value);
}
