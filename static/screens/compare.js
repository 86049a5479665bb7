// Compare: two tasks side by side, what differs first.

import { h, put, button } from "../dom.js";
import { get, link } from "../api.js";
import { poll } from "../poll.js";
import { RawNumber, stringify } from "../json.js";
import { count, duration, exact, title as nameOf, took } from "../format.js";
import { copyText, curl } from "../copy.js";
import { badge } from "../elements/status-badge.js";
import { emptyState, errorState, skeleton } from "../elements/states.js";

export const title = "Compare two tasks";

const DEEPEST = 4; // members below this are compared as text
const MOST = 500; // rows
const LONGEST = 2000; // characters of a value

export function mount(root, { query, signal }) {
  const ids = ["a", "b"].map((name) => query.get(name));
  const body = h("div", null, skeleton(8));
  const differing = h("input", { type: "checkbox", checked: true });
  let shown = [];
  const paths = ids.map((id) => `api/tasks/${encodeURIComponent(id ?? "")}`);
  put(root, h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Compare two tasks"), button("Copy as curl", "terminal", () => copyText(paths.map((path) => curl("GET", path)).join("\n"), "curl lines"))), h("label", { class: "line" }, differing, h("span", null, "Only what differs")), body);
  if (ids.includes(null)) return void put(body, emptyState("Two tasks are needed", "Select two in the list and choose “Compare”.", h("a", { class: "button", href: link("tasks") }, "Tasks")));
  differing.addEventListener("change", () => draw());
  const polling = poll(
    async () => {
      const answers = await Promise.all(paths.map((path) => get(path, { signal })));
      const tasks = answers.map(({ data }) => data);
      if (tasks.every((task, at) => task === shown[at])) return;
      shown = tasks;
      draw();
    },
    { signal, wakes: (task) => ids.includes(task.id), failed: (error) => !shown.length && put(body, errorState(error, polling.now)) },
  );

  function draw() {
    const [left, right] = shown.map(facts);
    const names = [...new Set([...left.keys(), ...right.keys()])];
    const rows = names.map((name) => [name, left.get(name) ?? "", right.get(name) ?? ""]).filter(([, a, b]) => !differing.checked || a !== b);
    const heads = shown.map((task) => h("th", { scope: "col" }, h("a", { href: link(`tasks/${encodeURIComponent(task.id)}`) }, nameOf(task)), " ", badge(task.status)));
    put(
      body,
      h("div", { class: "card flush" }, h("table", { class: "small-table compare" }, h("caption", { class: "sr" }, "Both tasks"), h("thead", null, h("tr", null, h("th", { scope: "col" }, "What"), heads)), h("tbody", null, rows.slice(0, MOST).map(([name, a, b]) => h("tr", { class: a === b || differing.checked ? null : "chosen" }, h("th", { scope: "row" }, parted(name)), h("td", null, cut(a)), h("td", null, cut(b))))))),
      !rows.length && h("p", null, "They do not differ."),
      rows.length > MOST && h("p", { class: "muted" }, `The first ${MOST} of ${rows.length}.`),
    );
  }

  return polling.now();
}

const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${count(text.length)} characters)` : text);

// A path breaks behind its dots.
const parted = (path) => path.split(".").map((part, at) => [at > 0 && [".", h("wbr")], part]);

// Every member by its path, as text.
function facts(task) {
  const row = new Map();
  for (const name of ["type", "status", "phase", "queue", "priority", "attempt", "max_attempts", "worker", "client_id", "owner"]) row.set(name.replaceAll("_", " "), String(task[name] ?? ""));
  for (const name of ["created_at", "started_at", "finished_at"]) row.set(name.replaceAll("_", " "), task[name] ? exact(task[name]) : "");
  row.set("took", duration(took(task)));
  row.set("tags", (task.tags ?? []).join(", "));
  for (const name of ["error", "params", "result", "metrics"]) flatten(task[name], name, row, 0);
  return row;
}

function flatten(value, path, row, depth) {
  const branch = value !== null && typeof value === "object" && !(value instanceof RawNumber);
  if (!branch || depth === DEEPEST || !Object.keys(value).length) return value == null ? undefined : row.set(path, typeof value === "string" ? value : stringify(value));
  for (const [name, inner] of Object.entries(value)) flatten(inner, `${path}.${name}`, row, depth + 1);
}
