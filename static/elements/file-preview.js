// Previews of files. Nothing of a file ever becomes markup of this page.

import { h } from "../dom.js";
import { get, head } from "../api.js";
import { bytes, count } from "../format.js";
import { parse } from "../json.js";
import { jsonView } from "./json-view.js";

const TEXT_BYTES = 64 * 1024; // enough for a first look, small enough for a phone
const IMAGE_BYTES = 20 * 1024 * 1024; // far more than any that the server made small

const IMAGES = /^image\/(png|jpeg|gif|webp|avif|bmp|tiff)$/;
const KINDS = [
  ["image", (file, type) => IMAGES.test(type)],
  ["csv", (file, type) => type === "text/csv" || /\.(csv|tsv)$/i.test(file.name)],
  ["mail", (file, type) => type === "message/rfc822" || /\.eml$/i.test(file.name)],
  ["json", (file, type) => (type === "application/json" || /\.json$/i.test(file.name)) && file.bytes <= TEXT_BYTES],
  ["text", (file, type) => /^text\/|json|xml|yaml/.test(type) || /\.(txt|log|md|ndjson|jsonl)$/i.test(file.name)],
];

const kindOf = (file) => KINDS.find(([, test]) => test(file, String(file.content_type ?? "").split(";")[0].trim().toLowerCase()))?.[0];

/** Whether preview() knows what to do with a file {name, bytes, content_type}. */
export const canPreview = (file) => Boolean(kindOf(file));

/** A node that shows the file at `path`. Rejects with ApiError. */
export async function preview(file, path, signal) {
  const kind = kindOf(file);
  // An AVIF is written by the server, but not read: the browser shows it as it is.
  const small = /^image\/avif/i.test(file.content_type) ? path : `${path}/preview`;
  if (kind === "image") return image((await head(small, IMAGE_BYTES, { signal })).blob, file, signal);
  if (kind === "csv") return table((await get(`${path}/preview`, { signal })).data);
  if (kind === "mail") return (await import("./mail-view.js")).mailView((await get(`${path}/preview`, { signal })).data);
  const { blob, total, partial } = await head(path, TEXT_BYTES, { signal });
  const text = await blob.text();
  if (kind === "json" && !partial) {
    try {
      return jsonView(parse(text), file.name);
    } catch {
      // Not JSON after all: show what it is.
    }
  }
  return h("div", null, h("pre", { class: "text-preview", tabindex: "0" }, text), partial && firstOf(blob.size, total));
}

function image(blob, file, signal) {
  const address = URL.createObjectURL(blob);
  signal.addEventListener("abort", () => URL.revokeObjectURL(address));
  return h("figure", null, h("img", { src: address, alt: `Preview of ${file.name}` }));
}

function table({ columns, rows, width, encoding, more }) {
  const numeric = columns.map((_, at) => rows.length > 0 && rows.every((row) => !row[at] || !Number.isNaN(Number(row[at]))));
  const note = [`${count(width)} columns`, `${more ? "first " : ""}${count(rows.length)} rows`, encoding !== "utf-8" && encoding].filter(Boolean).join(" · ");
  return h(
    "div",
    null,
    h(
      "div",
      { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Rows of the file" },
      h(
        "table",
        { class: "small-table grid-table" },
        h("thead", null, h("tr", null, h("th", { class: "num muted", scope: "col" }, "#"), columns.map((name, at) => h("th", { scope: "col", class: numeric[at] ? "num" : null }, name)))),
        h("tbody", null, rows.map((row, line) => h("tr", null, h("td", { class: "num muted" }, line + 1), columns.map((_, at) => h("td", { class: numeric[at] ? "num" : "clip" }, row[at] ?? ""))))),
      ),
    ),
    h("p", { class: "muted small" }, note),
  );
}

const firstOf = (size, total) => h("p", { class: "muted small" }, `The first ${bytes(size)} of ${bytes(total)}.`);
