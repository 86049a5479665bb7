// The command palette (Ctrl K): screens, commands, saved views, types and tasks, found by what one types.

import { h, put, setAttr, announce, debounce, icon, sr } from "./dom.js";
import { get, query } from "./api.js";
import { shortId, title as nameOf } from "./format.js";
import { bindings } from "./keys.js";
import { navigate } from "./router.js";
import { setSetting, setting } from "./settings.js";
import { views } from "./views.js";
import { WORDS } from "./elements/status-badge.js";

const SCREENS = [["Overview", ""], ["Tasks", "tasks"], ["Submit a task", "submit"], ["Approvals", "approvals"], ["Metrics", "insights"], ["Activity", "activity"], ["Notifications", "notifications"], ["Docs", "docs"], ["Realtime test page", "docs/realtime"], ["Settings", "settings"]];
const FOUND = 6; // tasks
const SHOWN = 12;

const input = h("input", { type: "text", id: "palette-input", autofocus: true, role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-autocomplete": "list", "aria-labelledby": "palette-title", autocomplete: "off", spellcheck: "false", placeholder: "Screen, command, task, id …" });
const list = h("ul", { id: "palette-list", role: "listbox", "aria-label": "Found" });
const dialog = h("dialog", { id: "palette", "aria-labelledby": "palette-title" }, h("div", { class: "row" }, h("h2", { id: "palette-title" }, "Go to, or do"), h("button", { type: "button", class: "plain", on: { click: () => dialog.close() } }, icon("close"), sr("Close"))), input, list);
document.body.append(dialog);

let options = []; // {words, about, run}
let at = 0;
let types = [];
let tasks = [];

dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // beside it
input.addEventListener("input", () => ((tasks = []), show(), move(0), look()));
input.addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by) {
    event.preventDefault();
    move((at + by + options.length) % options.length);
  } else if (event.key === "Enter" && options.length) {
    event.preventDefault();
    choose(options[at]);
  }
});

/** Opens it. */
export function open() {
  if (dialog.open) return;
  input.value = "";
  tasks = [];
  dialog.showModal();
  show();
  move(0);
  get("api/task-types").then(({ data }) => ((types = data.types), show()), () => {});
}

const look = debounce(async () => {
  const words = input.value.trim();
  if (words.length < 2) return;
  const { data } = await get("api/tasks/" + query({ q: words, limit: FOUND })).catch(() => ({ data: { tasks: [] } }));
  if (words !== input.value.trim()) return;
  tasks = data.tasks;
  show();
}, 200);

// What was chosen stays so, whatever comes later.
function show() {
  const chosen = options[at];
  const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const themes = ["system", "light", "dark"].filter((one) => one !== setting("theme"));
  const all = [
    ...SCREENS.map(([words, path]) => ({ words, about: "screen", run: () => navigate(path) })),
    ...views().map(({ name, search }) => ({ words: name, about: "view", run: () => navigate(`tasks${search}`) })),
    ...types.map(({ type }) => ({ words: `Submit ${type}`, about: "type", run: () => navigate(`submit${query({ type })}`) })),
    ...Object.entries(WORDS).map(([status, words]) => ({ words: `Tasks: ${words}`, about: "filter", run: () => navigate(`tasks${query({ status })}`) })),
    ...bindings().filter(({ key, run }) => run && !/^g |Ctrl/.test(key)).map(({ key, label, run }) => ({ words: label, about: `key ${key === "Escape" ? "Esc" : key}`, run })),
    ...themes.map((one) => ({ words: `Theme: ${one}`, about: "command", run: () => setSetting("theme", one) })),
    { words: "Outbox", about: "command", run: async () => (await import("./sending.js")).openOutbox() },
  ].filter(({ words, about }) => wanted.every((one) => `${words} ${about}`.toLowerCase().includes(one)));
  const found = tasks.map((task) => ({ words: nameOf(task), about: `${WORDS[task.status]} · ${task.type} ${shortId(task.id)}`, run: () => navigate(`tasks/${task.id}`) }));
  const search = wanted.length ? [{ words: `Search the tasks for “${input.value.trim()}”`, about: "search", run: () => navigate(`tasks${query({ q: input.value.trim() })}`) }] : [];
  options = [...all.slice(0, SHOWN - found.length - search.length), ...found, ...search];
  put(list, options.map((option, index) => h("li", { id: `palette-${index}`, role: "option", class: "line", on: { click: () => choose(option), pointermove: () => index !== at && move(index) } }, h("span", { class: "grow clip" }, option.words), h("small", { class: "muted" }, option.about))));
  move(Math.max(0, options.findIndex(({ words, about }) => words === chosen?.words && about === chosen.about)));
  if (wanted.length) announce(`${options.length} found`);
}

function move(to) {
  at = to;
  for (const [index, item] of [...list.children].entries()) setAttr(item, "aria-selected", String(index === at));
  list.children[at]?.scrollIntoView({ block: "nearest" });
  setAttr(input, "aria-activedescendant", options.length ? `palette-${at}` : null);
}

function choose({ run }) {
  dialog.close();
  run();
}
