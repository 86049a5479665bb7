// Export of a list: a dialog that says how much it will be before it starts, then a message that says how far it is and
// stops it. Loaded when it is first asked for.

import { h, setText, button, icon, sr } from "./dom.js";
import { query, reader } from "./api.js";
import { bytes, count, plural } from "./format.js";
import { copyText, curl } from "./copy.js";
import { pagewise } from "./pagewise.js";
import { toast, tellFailure } from "./elements/toast-area.js";

const FORMATS = [
  ["csv", "CSV", "text/csv"],
  ["ndjson", "NDJSON", "application/x-ndjson"],
];
const SAMPLE = 64 * 1024; // bytes, which tell how large a row is; a list that is smaller is known then
const PART = 8 * 1024 * 1024; // bytes, after which the browser may put what has come onto the disk
const TELL_MS = 500; // between two looks at how far it is

/**
 * Opens the dialog: `what` the file is called, what a `row` of it is, how many in `total` (null where nobody counts them), and
 * either the `address(format)` of the server's export or the `list` {path, filters, member, within}, which is read page by page:
 * rows are its `member`, and what is `within` that member of a row stands in columns of its own.
 */
export function open({ what, row, total = null, address, list }) {
  const begin = (of, signal) => (list ? pagewise(list, of, signal) : reader(address(of), { signal }));
  let [format] = FORMATS[0];
  let look = null; // at the beginning of what would come
  const words = h("p", { class: "muted", role: "status" });
  const choice = h("div", { class: "segments", role: "radiogroup", "aria-label": "Format" }, FORMATS.map(([value, label]) => {
    const input = h("input", { type: "radio", name: "format", value, checked: value === format, autofocus: value === format });
    input.addEventListener("change", () => ((format = value), measure()));
    return h("label", null, input, h("span", null, label));
  }));
  const copy = button("Copy as curl", "terminal", () => copyText(curl("GET", list ? list.path + query(list.filters) : address(format)), "curl line"));
  const dialog = h(
    "dialog",
    { "aria-labelledby": "export-title" },
    h("form", { on: { submit: start } }, h("div", { class: "row" }, h("h2", { id: "export-title" }, `Export ${what}`), h("button", { type: "button", class: "plain", on: { click: () => dialog.close() } }, icon("close"), sr("Close"))), choice, words, h("div", { class: "row end" }, copy, h("button", { class: "button primary" }, "Export"))),
  );
  document.body.append(dialog);
  dialog.addEventListener("close", () => (look?.abort(), dialog.remove()));
  dialog.showModal();
  measure();

  async function measure() {
    look?.abort();
    const mine = (look = new AbortController());
    const unknown = total === null ? "All that match the filters; how many is known at the end." : `${plural(total, row)} now.`;
    setText(words, total === null ? "Looking how much it is …" : unknown);
    try {
      const { rows, size, ended } = await beginning(begin, format, mine.signal);
      if (mine.signal.aborted) return;
      if (ended) setText(words, `${plural(rows, row)}, ${bytes(size)}.`);
      else setText(words, total !== null && rows > 0 ? `${plural(total, row)} now, about ${bytes(rounded((size / rows) * total))}.` : unknown);
    } catch {
      if (!mine.signal.aborted) setText(words, unknown); // the export itself says what is wrong
    }
  }

  function start(event) {
    event.preventDefault();
    dialog.close();
    run({ what, row, total, format, begin });
  }
}

async function beginning(begin, format, signal) {
  const source = await begin(format, signal);
  const rowsOf = counter(format);
  let [rows, size, ended] = [0, 0, false];
  while (!ended && size < SAMPLE && !signal.aborted) {
    const { done, value } = await source.read();
    ended = done;
    rows = done ? rows : rowsOf(value);
    size += value?.length ?? 0;
  }
  source.cancel().catch(() => {});
  return { rows, size, ended };
}

// Reads it to its end and hands it over as a file; what breaks off or is stopped is no file.
async function run({ what, row, total, format, begin }) {
  const stop = new AbortController();
  const name = `${what}.${format}`;
  const message = toast(`Exporting ${name}`, { kind: "progress", text: "Begins …", action: { label: "Stop", run: () => stop.abort() } });
  const rowsOf = counter(format);
  let [rows, size, told] = [0, 0, 0];
  try {
    const source = await begin(format, stop.signal);
    const parts = [];
    let held = [];
    for (;;) {
      const { done, value } = await source.read();
      if (stop.signal.aborted) throw new DOMException("stopped", "AbortError");
      if (done) break;
      held.push(value);
      rows = rowsOf(value);
      size += value.length;
      if (size > (parts.length + 1) * PART) {
        parts.push(new Blob(held));
        held = [];
      }
      if (Date.now() - told < TELL_MS) continue;
      told = Date.now();
      message.progress(total ? Math.min(1, rows / total) : null, `${count(rows)}${total ? ` of ${count(total)}` : ""} · ${bytes(size)}`);
    }
    save(new Blob([...parts, ...held], { type: FORMATS.find(([one]) => one === format)[2] }), name);
    toast(`${name} is complete`, { kind: "success", text: `${plural(rows, row)}, ${bytes(size)}` });
  } catch (error) {
    if (stop.signal.aborted) toast("Export stopped", { text: `Nothing of ${name} was kept.` });
    else tellFailure("status" in error ? error : { message: `It broke off after ${plural(rows, row)}; nothing of ${name} was kept.` }, "Not exported");
  } finally {
    message.remove();
  }
}

function save(blob, name) {
  const href = URL.createObjectURL(blob);
  const anchor = h("a", { href, download: name, hidden: true });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // by then the browser has it
}

// Counts rows as bytes come: a line of names is none, and a line that ends within quotes has not ended.
function counter(format) {
  const csv = format === "csv";
  let quoted = false;
  let lines = 0;
  return (piece) => {
    for (const byte of piece) {
      if (byte === 0x22) quoted = csv && !quoted;
      else if (byte === 0x0a && !quoted) lines += 1;
    }
    return Math.max(0, lines - csv);
  };
}

// What is guessed has two digits.
const rounded = (n) => Number(n.toPrecision(2));
