// Activity: what people, programs and the system did, newest first and live. Filters stand in the address.

import { h, put, keyed, setText, setAttr, button, icon, announce, debounce } from "../dom.js";
import { get, link, query as queryString } from "../api.js";
import { poll } from "../poll.js";
import { follow } from "../live.js";
import { count, plural } from "../format.js";
import { copyText, curl } from "../copy.js";
import { exportButton, submitLink } from "../actions.js";
import { setSetting, setting } from "../settings.js";
import { emptyState, errorState, skeleton } from "../elements/states.js";
import { ACTIONS, OUTCOMES, entryRow } from "./activity/entry.js";

export const title = "Activity";

const PAGE = 50;
const LOOKS = 20; // answers without an entry that "load more" goes past before it asks again
const FILTERS = ["category", "action", "outcome", "owner", "key_id", "client_id", "request_id", "target", "q", "since", "until"];
const EVERY_MS = 10_000; // beside the socket

const categories = [...new Set(Object.keys(ACTIONS).map((action) => action.split(".")[0]))];

export function mount(root, context) {
  const { signal } = context;
  let query = context.query;
  let asked = 0; // grows with every change of filter; an answer to an older one is dropped
  let latest = null; // the newest page
  let rows = []; // what is shown
  let cursor = null;

  const choose = (name, all, values, words = (value) => value) => {
    const select = h("select", { "aria-label": all }, h("option", { value: "" }, all), values.map((value) => h("option", { value }, words(value))));
    select.addEventListener("change", () => filter(name, select.value));
    return [name, select];
  };
  const selects = [choose("category", "Any category", categories), choose("action", "Any action", Object.keys(ACTIONS)), choose("outcome", "Any outcome", Object.keys(OUTCOMES))];
  const find = h("input", { type: "search", placeholder: "Find words", "aria-label": "Find words", autocomplete: "off", maxlength: 200 });
  const live = h("input", { type: "checkbox", checked: setting("follow") === "on" });
  const chips = h("div", { class: "row" });
  const news = h("button", { type: "button", class: "button primary news", "aria-live": "polite", hidden: true, on: { click: showNews } });
  const list = h("ol", { class: "timeline", "aria-label": "What happened, newest first" });
  const body = h("section", { class: "card", "aria-label": "Entries" }, skeleton(10));
  const more = button("Load more", null, loadMore, { class: "button middle", hidden: true });
  put(
    root,
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Activity"), exportButton(() => ({ what: "activity", row: "entry", address: (format) => "api/activity/export" + queryString({ ...filters(), format }) })), button("Copy as curl", "terminal", () => copyText(curl("GET", address({})), "curl line"))),
    h("div", { class: "row tools" }, selects.map(([, select]) => select), find, h("label", { class: "line" }, live, h("span", null, "Show new ones at once"))),
    chips,
    h("div", null, news, body),
    more,
  );

  const filters = () => Object.fromEntries(FILTERS.map((name) => [name, query.getAll(name)]));
  const address = (extra) => "api/activity" + queryString({ ...filters(), ...extra });

  follow("activity", signal);
  const polling = poll(
    async () => {
      const mine = asked;
      const { data, changed } = await get(address({ limit: PAGE }), { signal });
      if (mine !== asked || (!changed && latest === data)) return;
      const first = latest === null;
      latest = data;
      if (first || !rows.length || (live.checked && scrollY < 200)) return replace(data);
      const known = new Set(rows.map(({ id }) => id));
      const waiting = data.activity.filter(({ id }) => !known.has(id)).length;
      news.hidden = !waiting;
      setText(news, waiting ? `${count(waiting)}${waiting === PAGE ? " or more" : ""} new – show` : "");
    },
    { signal, topic: "activity", wakes: () => true, live: EVERY_MS, rest: 500, failed: (error) => !latest && put(body, error.status === 422 ? refused(error) : errorState(error, polling.now)) },
  );
  showFrame();

  context.update = (next) => {
    query = next;
    asked += 1;
    latest = null;
    rows = [];
    news.hidden = more.hidden = true;
    put(body, skeleton(10));
    showFrame();
    return polling.now();
  };

  // What was loaded further down stays, while the new page reaches down to it.
  function replace(page) {
    const fresh = new Set(page.activity.map(({ id }) => id));
    const touches = rows.some(({ id }) => fresh.has(id));
    if (!touches) cursor = page.next_cursor;
    rows = touches ? [...page.activity, ...rows.filter(({ id }) => !fresh.has(id))] : page.activity;
    news.hidden = true;
    draw();
  }

  function showNews() {
    replace(latest);
    list.querySelector("summary")?.focus();
  }

  function draw() {
    more.hidden = !cursor;
    if (!rows.length) return put(body, empty());
    keyed(list, rows, ({ id }) => id, (entry) => entryRow(entry, (name, value) => link("activity" + queryString({ [name]: value }))));
    if (list.parentElement !== body) put(body, list);
  }

  async function loadMore() {
    const mine = asked;
    setAttr(more, "aria-disabled", "true");
    try {
      for (let turn = 0, found = false; cursor && !found && turn < LOOKS; turn++) {
        const { data } = await get(address({ limit: PAGE, cursor }), { signal });
        if (mine !== asked) return;
        const known = new Set(rows.map(({ id }) => id));
        rows = [...rows, ...data.activity.filter(({ id }) => !known.has(id))];
        cursor = data.next_cursor;
        found = data.activity.length > 0;
      }
      draw();
      announce(`${plural(rows.length, "entry")} shown`);
    } catch (error) {
      if (!signal.aborted) put(chips, errorState(error, loadMore));
    } finally {
      setAttr(more, "aria-disabled", null);
    }
  }

  function empty() {
    if (cursor) return emptyState("No match yet", "There is none among the newest entries. Load more to look further back.");
    if (FILTERS.some((name) => query.get(name))) return emptyState("Nothing matches", "No entry has all of these filters.", h("a", { class: "button", href: link("activity") }, "Clear filters"));
    return emptyState("Nothing happened yet", "Every change that is asked for, every access that is denied and what the system does is written down here.", submitLink("Submit a task"));
  }

  const refused = (error) => h("div", { role: "alert" }, emptyState(error.title || "The filter is not valid", error.message, h("a", { class: "button", href: link("activity") }, "Clear filters")));

  // Everything that follows from the address alone.
  function showFrame() {
    for (const [name, select] of selects) select.value = query.getAll(name).length === 1 ? query.get(name) : "";
    if (document.activeElement !== find) find.value = query.get("q") ?? "";
    const others = FILTERS.filter((name) => name !== "q").flatMap((name) => query.getAll(name).map((value) => [name, value])).filter(([name]) => !selects.some(([one]) => one === name) || query.getAll(name).length > 1);
    put(chips, others.map(([name, value]) => h("a", { class: "chip", href: link("activity" + without(name, value)) }, h("span", null, h("span", { class: "muted" }, `${name}: `), value), icon("close"), h("span", { class: "sr" }, "remove"))));
    context.setTitle(query.get("category") ? `Activity: ${query.get("category")}` : "Activity");
  }

  function without(name, value) {
    const rest = new URLSearchParams([...query].filter(([n, v]) => n !== name || v !== value));
    return String(rest) ? `?${rest}` : "";
  }

  function filter(name, value, options = {}) {
    const next = new URLSearchParams(query);
    next.delete(name);
    if (value) next.set(name, value);
    context.setQuery(next, options);
  }

  find.addEventListener("input", debounce(() => !signal.aborted && filter("q", find.value.trim(), { replace: true }), 250));
  live.addEventListener("change", () => {
    setSetting("follow", live.checked ? "on" : "off");
    if (live.checked && latest) replace(latest);
  });
  return polling.now();
}
