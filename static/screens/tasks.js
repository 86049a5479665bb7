// Tasks: the list. All its state stands in the address; rows never jump under the pointer.

import { h, put, setText, setAttr, button, icon, announce, debounce, revealCurrent } from "../dom.js";
import { clientId, get, link, query as queryString } from "../api.js";
import { poll } from "../poll.js";
import { bind } from "../keys.js";
import { count, plural } from "../format.js";
import { exportButton, retryTask, submitLink } from "../actions.js";
import { copyText, curl } from "../copy.js";
import { chosenBar } from "./tasks/chosen.js";
import { openViews } from "./tasks/views-dialog.js";
import { STATUSES, WORDS } from "../elements/status-badge.js";
import { emptyState, errorState, skeleton } from "../elements/states.js";
import "../elements/task-table.js";

export const title = "Tasks";

const PAGE = 50;
// Answers without a row that "load more" goes past before it asks again.
const LOOKS = 20;
const MOST = 500; // the server's own limit of one page, so what is shown can be asked for in one go
const FILTERS = ["status", "type", "queue", "tag", "q", "client_id", "owner"];
const WORDS_OFFERED = 30; // by the search box
const DEFAULT_SORT = "-created_at";

export function mount(root, context) {
  const { signal } = context;
  let query = context.query;
  let asked = 0; // grows with every change of filter; an answer to an older one is dropped
  let wanted = history.state?.rows ?? 0; // how many were shown when one left: back shows them again
  let rows = []; // what is shown, in its order
  let left = new Set(); // ids of shown rows that no longer match
  let latest = null; // the newest answer
  let cursor = null;
  let stats = null; // for the counts on the tabs
  let preset = "all"; // or "mine", as the server says

  const table = document.createElement("task-table");
  const tabs = h("nav", { class: "tabs", "aria-label": "Status" });
  const type = h("select", { "aria-label": "Type" }, h("option", { value: "" }, "All types"));
  const chips = h("div", { class: "row" });
  const news = h("button", { type: "button", class: "button primary news", "aria-live": "polite", hidden: true });
  const body = h("div", { class: "list" }, skeleton(8));
  const moreButton = button("Load more", null, () => loadMore(), { class: "button middle", hidden: true });
  const scope = h("nav", { class: "tabs", "aria-label": "Whose" });
  const known = h("datalist", { id: "search-words" }); // names and tags that are shown: what a search may be for
  const chosen = chosenBar({ table, rows: () => rows, filters: () => named(), more: () => Boolean(cursor), matching: (statuses) => matching(statuses), changed: () => polling.now() });
  put(
    root,
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Tasks"), button("Views", null, () => openViews(query)), exportButton(() => ({ what: "tasks", row: "task", total: matching(), address: (format) => "api/tasks/export" + queryString({ ...named(), sort: query.get("sort"), format }) })), button("Copy as curl", "terminal", () => copyText(curl("GET", address()), "curl line")), submitLink()),
    tabs, // a row of their own: with large counts they would push the others into the next one
    h("div", { class: "filters row" }, scope, type),
    chips,
    h("div", null, news, body),
    moreButton,
    chosen,
    known,
  );

  const sort = () => query.get("sort") || DEFAULT_SORT;
  const filters = () => Object.fromEntries(FILTERS.map((name) => [name, query.getAll(name)]));
  const mine = () => (query.get("scope") ?? preset) === "mine";
  // As the API names them: one's own are those of this browser's client id.
  const named = () => (mine() ? { ...filters(), client_id: [clientId()] } : filters());
  const filtered = () => FILTERS.some((name) => query.get(name));
  const address = (extra) => "api/tasks/" + queryString({ ...named(), sort: query.get("sort"), ...extra });

  const scoped = get("api/version", { signal }).then(({ data }) => {
    if (data.page_scope !== preset) (preset = data.page_scope), showFrame();
  }, () => {});
  const polling = poll(
    async () => {
      const mine = asked;
      await scoped;
      const { data } = await get(address({ limit: Math.min(MOST, Math.max(PAGE, rows.length || wanted)) }), { signal });
      if (mine !== asked) return;
      showSearchProblem("");
      if (latest !== data) await merge(data);
      else if (rows.length) table.show(rows, left);
    },
    { signal, wakes: () => true, failed: (error) => !latest && put(body, error.status === 422 ? refused(error) : errorState(error, polling.now)) },
  );
  poll(async () => showCounts((await get("api/stats" + queryString({ owner: context.owner }), { signal })).data), { signal, wakes: () => true, failed: () => {} });
  loadTypes();
  showFrame();

  context.update = (next) => {
    query = next;
    wanted = history.state?.rows ?? 0;
    asked += 1;
    rows = [];
    left = new Set();
    latest = null;
    table.selectAll(false);
    put(body, skeleton(8));
    moreButton.hidden = news.hidden = true;
    showSearchProblem("");
    showFrame();
    return polling.now();
  };

  // Takes a fresh answer in: known rows are updated in place, new ones wait behind the bar.
  async function merge(data) {
    const first = latest === null;
    latest = data;
    if (first || !rows.length) return replace(data);
    const fresh = new Map(data.tasks.map((task) => [task.id, task]));
    const known = new Set(rows.map((task) => task.id));
    const lastKept = rows.findLastIndex((task) => fresh.has(task.id));
    // Missing although rows after it are there (or nothing follows): it left the filter.
    const gone = rows.filter((task, at) => !fresh.has(task.id) && (at < lastKept || !data.next_cursor));
    left = new Set(gone.map((task) => task.id));
    const seen = await Promise.all(gone.slice(0, 10).map((task) => get(`api/tasks/${task.id}`, { signal }).then(({ data }) => data, () => null)));
    for (const task of seen) if (task) fresh.set(task.id, task);
    if (signal.aborted || latest !== data) return;
    rows = rows.map((task) => fresh.get(task.id) ?? task);
    table.show(rows, left);
    const waiting = data.tasks.filter((task) => !known.has(task.id)).length;
    const words = [waiting && `${count(waiting)} new`, left.size && `${count(left.size)} no longer match`].filter(Boolean);
    news.hidden = !words.length;
    setText(news, words.length ? `${words.join(" · ")} – show` : "");
  }

  function replace(data) {
    rows = data.tasks;
    left = new Set();
    cursor = data.next_cursor;
    news.hidden = true;
    moreButton.hidden = !cursor;
    if (!rows.length) return put(body, empty());
    if (table.parentElement !== body) put(body, table);
    table.show(rows);
    put(known, [...new Set(rows.flatMap((task) => [task.name, ...(task.tags ?? [])]))].filter(Boolean).slice(0, WORDS_OFFERED).map((value) => h("option", { value })));
  }

  const remember = () => history.replaceState({ ...history.state, rows: rows.length }, "");

  async function loadMore() {
    const mine = asked;
    moreButton.disabled = true;
    try {
      // Matches may be so rare that an answer has none, and a place to go on from.
      for (let turn = 0, found = false; cursor && !found && turn < LOOKS; turn++) {
        const { data } = await get(address({ limit: PAGE, cursor }), { signal });
        if (mine !== asked) return;
        const known = new Set(rows.map((task) => task.id));
        rows = [...rows, ...data.tasks.filter((task) => !known.has(task.id))];
        cursor = data.next_cursor;
        found = data.tasks.length > 0;
      }
      if (!rows.length) put(body, empty());
      else if (table.parentElement !== body) put(body, table);
      table.show(rows, left);
      remember();
      announce(`${plural(rows.length, "task")} shown`);
    } catch (error) {
      if (!signal.aborted) put(chips, errorState(error, loadMore));
    }
    moreButton.disabled = false;
    moreButton.hidden = !cursor;
  }

  function empty() {
    const curlLine = button("Copy as curl", "terminal", () => copyText(curl("GET", address()), "curl line"));
    if (cursor) return emptyState("No match yet", "There is none among the newest tasks. Load more to look further back.", curlLine);
    if (filtered() || mine()) return emptyState("No task matches", "Nothing has all of these filters.", h("a", { class: "button", href: link("tasks") }, "Clear filters"), curlLine);
    return emptyState("No tasks yet", "Hand over the first one: it is kept on disk until it is done.", submitLink("Submit a task"));
  }

  // Asking again would be answered the same: the address is what has to change.
  function refused(error) {
    const problem = error.errors.find(({ pointer }) => pointer === "/q")?.detail;
    showSearchProblem(problem ? `The search ${problem}` : "");
    return h("div", { role: !problem && "alert" }, emptyState(error.title || "The filter is not valid", error.message, h("a", { class: "button", href: link("tasks") }, "Clear filters")));
  }

  function showSearchProblem(words) {
    setText(document.getElementById("search-problem"), words);
    setAttr(search, "aria-invalid", words ? "true" : null);
  }

  // Everything that follows from the address alone.
  function showFrame() {
    const status = query.getAll("status");
    const tab = (value, label) =>
      h("a", { href: link("tasks" + queryString({ ...filters(), scope: query.get("scope"), sort: query.get("sort"), status: value })), "aria-current": (value ? status.length === 1 && status[0] === value : !status.length) ? "page" : null }, value && icon(value.toLowerCase()), label, h("span", { class: "count small", data: { status: value ?? "" } }));
    put(tabs, tab(null, "All"), STATUSES.map((value) => tab(value, WORDS[value])));
    revealCurrent(tabs);
    const whose = (value, label) => h("a", { href: link("tasks" + queryString({ ...filters(), sort: query.get("sort"), scope: value === preset ? null : value })), "aria-current": (value === "mine") === mine() ? "page" : null, title: value === "mine" && "Submitted in this browser" }, label);
    put(scope, whose("all", "Everyone’s"), whose("mine", "Mine"));
    showCounts(stats);
    const types = query.getAll("type");
    type.value = types.length === 1 ? types[0] : "";
    const shown = FILTERS.flatMap((name) => query.getAll(name).map((value) => [name, value])).filter(([name]) => (name !== "status" || status.length > 1) && (name !== "type" || types.length > 1));
    put(chips, shown.map(([name, value]) => h("a", { class: "chip", href: link("tasks" + without(name, value)) }, h("span", null, h("span", { class: "muted" }, `${name === "q" ? "search" : name}: `), value), icon("close"), h("span", { class: "sr" }, "remove"))));
    table.headers(sort(), (value) => link("tasks" + queryString({ ...filters(), scope: query.get("scope"), sort: value === DEFAULT_SORT ? null : value })));
    const words = [status.map((one) => WORDS[one] ?? one).join(", "), types.join(", ")].filter(Boolean).join(" · ");
    context.setTitle(words ? `Tasks: ${words}` : "Tasks");
  }

  function showCounts(data) {
    stats = data;
    for (const element of tabs.querySelectorAll(".count")) {
      const many = matching(element.dataset.status ? [element.dataset.status] : STATUSES);
      setText(element, many === null ? "" : count(many));
    }
  }

  // How many there are of these statuses; exact while besides them only one type is chosen. A search has no counters: null.
  function matching(statuses = query.getAll("status")) {
    if (!stats || mine() || ["queue", "tag", "q", "client_id"].some((name) => query.get(name)) || query.getAll("type").length > 1) return null;
    const source = query.get("type") ? (stats.by_type?.[query.get("type")] ?? {}) : stats.by_status;
    return (statuses.length ? statuses : STATUSES).reduce((sum, status) => sum + Number(source[status] ?? 0), 0);
  }

  async function loadTypes() {
    const { data } = await get("api/task-types", { signal }).catch(() => ({ data: { types: [] } }));
    type.append(...data.types.map((one) => h("option", { value: one.type }, one.type)));
    const chosenTypes = query.getAll("type");
    if (chosenTypes.length === 1 && !data.types.some((one) => one.type === chosenTypes[0])) type.append(h("option", { value: chosenTypes[0] }, chosenTypes[0]));
    type.value = chosenTypes.length === 1 ? chosenTypes[0] : "";
  }

  function without(name, value) {
    const rest = new URLSearchParams([...query].filter(([n, v]) => n !== name || v !== value));
    return String(rest) ? `?${rest}` : "";
  }

  type.addEventListener("change", () => {
    const next = new URLSearchParams(query);
    next.delete("type");
    if (type.value) next.set("type", type.value);
    context.setQuery(next, {});
  });
  news.addEventListener("click", () => {
    rows = [];
    wanted = 0;
    latest = null;
    polling.now().then(() => (remember(), table.move(0)));
  });

  // The frame's search box filters as one types.
  const search = document.querySelector("#search input");
  const typed = debounce(() => {
    if (signal.aborted) return;
    const next = new URLSearchParams(query);
    next.delete("q");
    if (search.value.trim()) next.set("q", search.value.trim());
    if (String(next) !== String(query)) context.setQuery(next);
  }, 250);
  search.addEventListener("input", typed, { signal });
  setAttr(search, "list", known.id);
  signal.addEventListener("abort", () => setAttr(search, "list", null));
  if (document.activeElement === search) typed(); // typed before this screen was there
  signal.addEventListener("abort", () => showSearchProblem(""));

  bind("j", "Next row", () => table.move(1), signal);
  bind("k", "Row before", () => table.move(-1), signal);
  bind("Enter", "Open the row", null, signal);
  bind("x", "Select the row", () => table.current() && table.toggle(table.current().id), signal);
  bind("r", "Retry the row, where allowed", async () => {
    const task = table.current();
    if (task?.links?.retry && (await retryTask(task))) polling.now();
  }, signal);
  bind("Escape", "Clear the selection", () => table.selectAll(false), signal);

  return polling.now();
}
