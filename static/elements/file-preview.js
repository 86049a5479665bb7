// Previews of files. Nothing of a file ever becomes markup of this page.

import { h } from "../dom.js";
import { head } from "../api.js";
import { bytes, count } from "../format.js";
import { parse } from "../json.js";
import { parseCsv } from "./csv.js";
import { jsonView } from "./json-view.js";

const TEXT_BYTES = 64 * 1024; // enough for a first look, small enough for a phone
const IMAGE_BYTES = 20 * 1024 * 1024;
const CSV_ROWS = 50;
const CSV_COLUMNS = 40;

const IMAGES = /^image\/(png|jpeg|gif|webp|avif|bmp)$/;
const KINDS = [
  ["image", (file, type) => IMAGES.test(type) && file.bytes <= IMAGE_BYTES],
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
  const { blob, total, partial } = await head(path, kind === "image" ? IMAGE_BYTES : TEXT_BYTES, { signal });
  if (kind === "image") return image(blob, file, signal);
  if (kind === "mail") return (await import("./mail-view.js")).mailView(new Uint8Array(await blob.arrayBuffer()), partial);
  const text = await blob.text();
  if (kind === "csv") return table(text, partial, total);
  if (kind === "json" && !partial) {
    try {
      return jsonView(parse(text), file.name);
    } catch {
      // Not JSON after all: show what it is.
    }
  }
  return h("div", null, h("pre", { class: "text-preview", tabindex: "0" }, text), partial && firstOf(blob.size, total));
}

async function image(blob, file, signal) {
  const address = URL.createObjectURL(blob);
  signal.addEventListener("abort", () => URL.revokeObjectURL(address));
  const size = h("figcaption", { class: "muted small" });
  const picture = h("img", { src: address, alt: `Preview of ${file.name}` });
  picture.addEventListener("load", () => (size.textContent = `${picture.naturalWidth} × ${picture.naturalHeight} pixels`));
  picture.addEventListener("error", () => (size.textContent = "The browser cannot show this image."));
  return h("figure", null, picture, size);
}

function table(text, partial, total) {
  // The last line of a cut piece is cut too.
  const rows = parseCsv(partial ? text.slice(0, text.lastIndexOf("\n")) : text, CSV_ROWS + 1);
  if (!rows.length) return h("p", { class: "muted" }, "The file is empty.");
  const [names, ...body] = rows.map((row) => row.slice(0, CSV_COLUMNS));
  const numeric = names.map((_, at) => body.length > 0 && body.every((row) => !row[at] || !Number.isNaN(Number(row[at]))));
  const note = [`${names.length} columns`, `first ${count(body.length)} rows`, partial && `of ${bytes(total)}`].filter(Boolean).join(" · ");
  return h(
    "div",
    null,
    h(
      "div",
      { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Rows of the file" },
      h(
        "table",
        { class: "small-table grid-table" },
        h("thead", null, h("tr", null, h("th", { class: "num muted", scope: "col" }, "#"), names.map((name, at) => h("th", { scope: "col", class: numeric[at] ? "num" : null }, name)))),
        h("tbody", null, body.map((row, line) => h("tr", null, h("td", { class: "num muted" }, line + 1), names.map((_, at) => h("td", { class: numeric[at] ? "num" : "clip" }, row[at] ?? ""))))),
      ),
    ),
    h("p", { class: "muted small" }, note),
  );
}

const firstOf = (size, total) => h("p", { class: "muted small" }, `The first ${bytes(size)} of ${bytes(total)}.`);
