// <task-table>: tasks as rows that keep their place, focus and selection while data changes.
//
// Events: "selection" (see `selected`). Rows are real links; on a phone CSS turns them into cards.

import { h, keyed, put, setText, setAttr } from "../dom.js";
import { link } from "../api.js";
import { time, setTime, took, duration, named, shortId, title, relative } from "../format.js";
import "./status-badge.js";
import "./progress-bar.js";

const COLUMNS = [
  { label: "Status" },
  { label: "Task" },
  { label: "Type", class: "type" },
  { label: "Progress" },
  { label: "Attempt", class: "num attempt" },
  { label: "Created", sort: "created_at", class: "num" },
  { label: "Finished", sort: "finished_at", class: "num finished" },
  { label: "Took", class: "num" },
];

class TaskTable extends HTMLElement {
  selected = new Set();
  #tasks = [];
  #anchor = null; // where a shift-click's range starts
  #body = h("tbody");
  #head = h("tr");
  #all = h("input", { type: "checkbox", "aria-label": "Select all shown" });

  connectedCallback() {
    if (this.firstChild) return;
    this.#all.addEventListener("change", () => this.selectAll(this.#all.checked));
    this.append(h("table", null, h("caption", { class: "sr" }, "Tasks"), h("thead", null, this.#head), this.#body));
    this.#body.addEventListener("click", (event) => this.#click(event));
  }

  /** Draws the headers; `href(sort)` gives the address that sorts by it, `sort` is the current one ("-created_at"). */
  headers(sort, href) {
    const cells = COLUMNS.map((column) => {
      if (!column.sort) return h("th", { scope: "col", class: column.class }, column.label);
      const current = sort.replace("-", "") === column.sort;
      const down = current && sort.startsWith("-");
      const next = current && down ? column.sort : `-${column.sort}`;
      return h("th", { scope: "col", class: column.class, "aria-sort": current ? (down ? "descending" : "ascending") : null }, h("a", { href: href(next) }, column.label, h("span", { class: "arrow", "aria-hidden": "true" }, current ? (down ? "↓" : "↑") : "↕")));
    });
    put(this.#head, h("th", { scope: "col", class: "check" }, this.#all), cells);
  }

  /** Shows these tasks; those in `left` no longer match the filter and are dimmed. */
  show(tasks, left = new Set()) {
    this.#tasks = tasks;
    const shown = new Set(tasks.map((task) => task.id));
    for (const id of this.selected) if (!shown.has(id)) this.selected.delete(id);
    keyed(this.#body, tasks, (task) => task.id, makeRow, (row, task) => {
      updateRow(row, task);
      row.classList.toggle("left", left.has(task.id));
    });
    this.#showSelection();
  }

  /** The task whose row holds the focus, or null. */
  current() {
    const row = this.#body.querySelector("tr:focus-within");
    return this.#tasks.find((task) => task.id === row?.dataset.key) ?? null;
  }

  /** Moves the focus by rows. */
  move(by) {
    const rows = [...this.#body.children];
    const at = rows.findIndex((row) => row.matches(":focus-within"));
    const to = at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + by));
    rows[to]?.querySelector("a").focus();
    rows[to]?.scrollIntoView({ block: "nearest" });
  }

  /** Selects or clears one task. */
  toggle(id, on = !this.selected.has(id)) {
    if (on) this.selected.add(id);
    else this.selected.delete(id);
    this.#anchor = id;
    this.#showSelection();
  }

  /** Selects all shown tasks, or none. */
  selectAll(on) {
    this.selected = new Set(on ? this.#tasks.map((task) => task.id) : []);
    this.#showSelection();
  }

  #click(event) {
    const box = event.target.closest("input[type=checkbox]");
    if (!box) return;
    const ids = this.#tasks.map((task) => task.id);
    const id = box.closest("tr").dataset.key;
    const [from, to] = [ids.indexOf(this.#anchor), ids.indexOf(id)].sort((a, b) => a - b);
    const range = event.shiftKey && from >= 0 ? ids.slice(from, to + 1) : [id];
    for (const one of range) {
      if (box.checked) this.selected.add(one);
      else this.selected.delete(one);
    }
    this.#anchor = id;
    this.#showSelection();
  }

  #showSelection() {
    for (const row of this.#body.children) {
      const on = this.selected.has(row.dataset.key);
      row.parts.check.checked = on;
      row.classList.toggle("chosen", on);
    }
    this.#all.checked = this.selected.size > 0 && this.selected.size === this.#tasks.length;
    this.#all.indeterminate = this.selected.size > 0 && !this.#all.checked;
    this.dispatchEvent(new Event("selection"));
  }
}

function makeRow(task) {
  const parts = {
    check: h("input", { type: "checkbox" }),
    status: document.createElement("status-badge"),
    name: h("span"),
    ident: h("small"),
    note: h("span", { class: "note clip" }),
    progress: document.createElement("progress-bar"),
    type: h("td", { class: "type" }),
    attempt: h("td", { class: "num attempt" }),
    created: time(task.created_at),
    finished: time(task.finished_at),
    took: h("td", { class: "num took" }),
  };
  const row = h(
    "tr",
    null,
    h("td", { class: "check" }, h("label", { class: "line" }, parts.check)),
    h("td", { class: "status" }, parts.status),
    h("td", { class: "task" }, h("a", { class: "clip", href: link(`tasks/${encodeURIComponent(task.id)}`), title: task.id }, parts.name, parts.ident), parts.note),
    parts.type,
    h("td", { class: "progress" }, parts.progress),
    parts.attempt,
    h("td", { class: "num created" }, parts.created),
    h("td", { class: "num finished" }, parts.finished),
    parts.took,
  );
  row.parts = parts;
  return row;
}

function updateRow({ parts }, task) {
  const last = parts.task;
  parts.task = task;
  if (last?.version === task.version && last.phase === task.phase && task.status !== "RUNNING") return; // nothing moved but the clock
  parts.status.show(task.status, task.phase);
  setText(parts.name, title(task));
  setText(parts.ident, named(task) ? "" : shortId(task.id));
  setAttr(parts.check, "aria-label", `Select ${title(task)} ${shortId(task.id)}`);
  setText(parts.type, task.type);
  parts.progress.show(task);
  parts.progress.hidden = !task.attempt; // before the first start a bar would say nothing
  const note = noteOf(task);
  setText(parts.note, note);
  setAttr(parts.note, "title", note || null);
  setText(parts.attempt, task.attempt ? `${task.attempt}/${Math.max(task.max_attempts, task.attempt)}` : "–");
  setTime(parts.created, task.created_at);
  setTime(parts.finished, task.finished_at);
  setText(parts.took, task.attempt ? duration(took(task)) : "");
}

// The one line worth reading beneath the name.
function noteOf(task) {
  if (task.error && task.status !== "SUCCESS") return String(task.error.message ?? task.error.code).split("\n")[0];
  if (task.status === "RUNNING") return task.progress?.step ?? "";
  if (task.phase === "scheduled") return `runs ${relative(task.run_at)}`;
  return "";
}

customElements.define("task-table", TaskTable);
