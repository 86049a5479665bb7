// Overview: how the service is doing, on one page. A number not yet known is a bar, never a zero.

import { h, put, keyed, setText, button, icon } from "../dom.js";
import { get, link, query } from "../api.js";
import { poll } from "../poll.js";
import { count, duration, named, now, time, setTime, title as nameOf, took } from "../format.js";
import { copyText, curl } from "../copy.js";
import { mayAct, submitLink } from "../actions.js";
import { STATUSES, WORDS, badge } from "../elements/status-badge.js";
import { spark } from "../elements/time-chart.js";
import { attention } from "./overview/attention.js";
import { failures } from "./overview/failures.js";
import { rowsTable } from "../elements/rows-table.js";
import { codeBlock, emptyState, errorState, skeleton } from "../elements/states.js";
import "../elements/progress-bar.js";

export const title = "Overview";

const RUNNING_SHOWN = 8;
const LATEST_SHOWN = 10;
const QUEUES_REST_MS = 5_000; // ages do not change faster than one reads
const CHART_EVERY_MS = 15_000; // its points are minutes wide
const LATE_MS = 1_000; // nothing waits longer for what needs attention, which stands above it
const WINDOWS = [
  ["1h", "1 hour"],
  ["24h", "24 hours"],
  ["7d", "7 days"],
];
const SPANS = [
  ["run50", "Run p50", "succeeded"],
  ["run95", "Run p95", "started"],
  ["wait95", "Wait p95", "cancelled"],
];
const ENDS = [
  ["succeeded", "Succeeded"],
  ["failed", "Failed"],
  ["cancelled", "Cancelled"],
];
// What of the minutes belongs to a status: how many came to it.
const CAME = { PENDING: "submitted", RUNNING: "started", SUCCESS: "succeeded", FAILED: "failed", CANCELLED: "cancelled" };

export function mount(root, context) {
  const { signal, owner } = context;
  let window = windowOf(context.query);
  const notice = h("div");
  const counts = Object.fromEntries(STATUSES.map((status) => [status, h("span", { class: "figure" }, h("i", { class: "unknown" }, h("span", { class: "sr" }, "not known yet")))]));
  const trends = Object.fromEntries(STATUSES.map((status) => [status, h("span", { class: "muted small" }, trend([], "–", "–"))]));
  const cards = h("ul", { class: "counts" }, STATUSES.map((status) => h("li", null, h("a", { class: "card", href: link("tasks" + query({ status, owner })), data: { status } }, h("span", { class: "label" }, icon(status.toLowerCase()), WORDS[status]), counts[status], trends[status]))));
  const figures = h("dl", { class: "figures row" });
  const chart = document.createElement("time-chart");
  const spans = document.createElement("time-chart");
  const windows = h("nav", { class: "tabs", "aria-label": "Time" });
  const chartCard = h("section", { class: "card wide block" }, h("div", { class: "row filters" }, h("h2", null, "Ended tasks"), windows), chart, h("h2", null, "How long they waited and ran"), spans);
  const running = h("div", null, skeleton(3));
  const latest = h("div", null, skeleton(6));
  const latestList = h("ul", { class: "feed" });
  const paused = h("small", { class: "muted", role: "status" });
  let waits = null; // newer tasks, while latestList is held
  const queues = h("div", null, skeleton(2));
  const types = h("div", null, skeleton(3));
  const failed = failures({ signal, owner });
  // They come together: one by one, each would push the others away.
  const needs = attention({ signal, owner });
  const waiting = skeleton(24);
  const lists = h("section", { class: "card wide" }, skeleton(24));
  const grid = h("div", { class: "cards" }, chartCard, lists);
  const queueTable = queueRows(owner);
  const typeTable = breakdown("Type", "type", owner);
  const first = h("div");
  const copy = button("Copy as curl", "terminal", () => copyText(curl("GET", "api/stats" + query({ owner })), "curl line"));
  put(root, h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Overview"), copy, submitLink()), waiting);

  const overview = poll(
    async () => {
      const [stats, active, recent, ended] = await Promise.all([
        get("api/stats" + query({ owner }), { signal }),
        get("api/tasks/" + query({ status: "RUNNING", limit: RUNNING_SHOWN, owner }), { signal }),
        get("api/tasks/" + query({ limit: LATEST_SHOWN, owner }), { signal }),
        get("api/tasks/" + query({ sort: "-finished_at", limit: LATEST_SHOWN, owner }), { signal }),
      ]);
      put(notice);
      showStats(stats.data);
      showRunning(active.data.tasks, stats.data.by_status?.RUNNING);
      showLatest([ended, recent, active].flatMap(({ data }) => data.tasks));
    },
    { signal, wakes: () => true, failed: (error) => put(notice, errorState(error, () => overview.now())) },
  );
  const charts = poll(
    async () => {
      const mine = window;
      const [wide, hours] = await Promise.all([get("api/stats/timeseries" + query({ window, owner }), { signal }), get("api/stats/timeseries" + query({ minutes: 120, owner }), { signal })]);
      if (mine !== window) return;
      const { points = [] } = wide.data;
      chartCard.hidden = points.length < 2;
      chart.show(points, { series: ENDS, label: "Ended tasks" });
      spans.show(points.map(spanOf), { series: SPANS, lines: true, words: duration, label: "How long they waited and ran", whole: spanOf(wide.data) });
      showTrends(hours.data.points ?? []);
    },
    { signal, every: CHART_EVERY_MS, failed: () => {} },
  );
  const depths = poll(
    async () => {
      const { data } = await get("api/queues" + query({ owner }), { signal });
      if (queueTable.parentElement !== queues) put(queues, queueTable);
      queueTable.show(data.queues.map((one) => [one.queue, one]));
    },
    { signal, every: CHART_EVERY_MS, wakes: () => true, rest: QUEUES_REST_MS, failed: (error) => queueTable.parentElement !== queues && put(queues, errorState(error)) },
  );
  showWindows();
  Promise.race([needs.first, new Promise((late) => setTimeout(late, LATE_MS))]).then(() => waiting.replaceWith(notice, needs.list, cards, figures, first, grid));
  Promise.all([overview.first, depths.first, failed.first]).then(() =>
    lists.replaceWith(
      h("div", { class: "stack" }, titled("Running now", running), titled("Queues", queues), titled("Types", types)),
      h("div", { class: "stack" }, titled("Latest activity", latest, paused), failed.card),
    ),
  );
  for (const left of ["pointerleave", "focusout"]) latestList.addEventListener(left, () => setTimeout(() => waits && showLatest(waits)));
  showFigures(figures, {});
  chart.show([], { series: ENDS });
  spans.show([], { series: SPANS });

  context.update = (next) => {
    window = windowOf(next);
    showWindows();
    return charts.now();
  };

  function showWindows() {
    put(windows, WINDOWS.map(([value, words]) => h("a", { href: link(query({ window: value === "1h" ? null : value, owner })), "aria-current": value === window ? "page" : null }, words)));
  }

  // How many came to each status in the last hour, minute by minute, and against the hour before.
  function showTrends(points) {
    for (const status of STATUSES) {
      const values = points.map((point) => point[CAME[status]] ?? 0);
      const sum = (of) => of.reduce((so, n) => so + n, 0);
      const [before, last] = [sum(values.slice(0, -60)), sum(values.slice(-60))];
      const change = last - before;
      put(trends[status], trend(values.slice(-60), count(last), change ? `${count(Math.abs(change))} ${change > 0 ? "more" : "fewer"}` : "as before"));
    }
  }

  function showStats(stats) {
    for (const status of STATUSES) setText(counts[status], count(stats.by_status?.[status] ?? 0));
    const none = STATUSES.every((status) => !stats.by_status?.[status]);
    grid.hidden = figures.hidden = none;
    if (none && !first.firstChild) mayAct().then((may) => put(first, may ? firstRun() : emptyState("No tasks yet", "This key can only read: what others submit for its owner is shown here.")));
    if (!none) put(first);
    showFigures(figures, stats);
    if (typeTable.parentElement !== types) put(types, typeTable);
    typeTable.show(stats.by_type);
  }

  const runningList = h("ul", { class: "feed" });
  function showRunning(tasks, total) {
    if (!tasks.length) return put(running, h("p", { class: "muted" }, "Nothing runs at the moment."));
    keyed(runningList, tasks, (task) => task.id, runningRow, (row, task) => row.update(task));
    if (runningList.parentElement !== running) put(running, runningList);
    running.querySelector(".more")?.remove();
    if (total > tasks.length) running.append(h("p", { class: "more" }, h("a", { href: link("tasks" + query({ status: "RUNNING", owner })) }, `All ${count(total)}`)));
  }

  // While one points at a row or has come to it by keys, what is newer waits: nothing moves under the pointer.
  function showLatest(tasks) {
    const newest = new Map(); // of a task that is in two answers what is told last
    for (const task of tasks) if (!(newest.get(task.id)?.version > task.version)) newest.set(task.id, task);
    const sorted = [...newest.values()].sort((a, b) => (changedAt(a) < changedAt(b) ? 1 : -1)).slice(0, LATEST_SHOWN);
    const keyOf = (task) => `${task.id} ${task.status}`;
    if (latestList.matches(":hover, :focus-within")) {
      waits = tasks;
      return void setText(paused, latestList.firstChild?.dataset.key === keyOf(sorted[0]) ? "" : "newer ones wait");
    }
    waits = null;
    setText(paused, "");
    keyed(latestList, sorted, keyOf, latestRow, (row, task) => row.update(task));
    if (latestList.parentElement !== latest) put(latest, latestList);
  }

  return overview.now();
}

const titled = (heading, content, note) => h("section", { class: "card" }, h("h2", null, heading, note && [" ", note]), content);

function runningRow(task) {
  const bar = document.createElement("progress-bar");
  const step = h("small", { class: "muted" });
  const age = h("span", { class: "muted num" });
  const row = h("li", null, h("div", { class: "line" }, taskLink(task), age), h("div", { class: "line" }, bar), step);
  row.update = (now) => {
    bar.show(now, { long: true });
    setText(step, now.progress?.step ?? "");
    setText(age, duration(took(now)));
  };
  return row;
}

// A running task is updated with each of its steps: what is told of it is that it began.
const changedAt = (task) => (task.status === "RUNNING" && task.started_at) || task.updated_at;

function latestRow(task) {
  const when = time(changedAt(task));
  const row = h("li", null, h("div", { class: "line" }, badge(task.status, task.phase), taskLink(task), h("span", { class: "muted num" }, when)), task.error && task.status !== "SUCCESS" && h("small", { class: "note" }, String(task.error.message ?? task.error.code).split("\n")[0]));
  row.update = (now) => setTime(when, changedAt(now));
  return row;
}

const trend = (values, last, change) => [spark(values), h("span", { title: "In the last hour" }, `${last} / h`), h("br"), h("span", { title: "Against the hour before" }, change)];

const taskLink = (task) => h("a", { class: "grow clip", href: link(`tasks/${encodeURIComponent(task.id)}`) }, nameOf(task), named(task) && h("small", { class: "muted" }, ` ${task.type}`));

// What is not told is a dash: an idle server has no durations.
function showFigures(list, { throughput, wait_ms, run_ms }) {
  const figure = (label, value, help) => h("div", { class: "line", title: help }, h("dt", null, label), h("dd", null, value ?? "–"));
  const spread = (of) => (of?.p50 == null ? null : `${duration(of.p50)} · ${duration(of.p95)}`);
  const perMinute = (n) => (n == null ? null : `${count(Math.round(n * 60))} / min`);
  put(
    list,
    figure("Submitted", perMinute(throughput?.submitted_per_second), "Over the last minute"),
    figure("Finished", perMinute(throughput?.finished_per_second), "Over the last minute"),
    figure("Wait p50 · p95", spread(wait_ms), "Half, and 95 of 100 tasks, started within this time"),
    figure("Run p50 · p95", spread(run_ms), "Half, and 95 of 100 tasks, ran no longer than this"),
  );
}

// A table of counts whose rows stay when their numbers change.
function breakdown(label, filter, owner) {
  const body = h("tbody");
  const table = h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": `Tasks by ${filter}` },
    h("table", { class: "small-table" }, h("thead", null, h("tr", null, h("th", { scope: "col" }, label), STATUSES.map((status) => h("th", { scope: "col", class: "num", title: WORDS[status] }, icon(status.toLowerCase()), h("span", { class: "sr" }, WORDS[status]))))), body),
  );
  const make = ([name]) => {
    const cells = STATUSES.map(() => h("td"));
    const row = h("tr", null, h("th", { scope: "row" }, h("a", { href: link("tasks" + query({ [filter]: name, owner })) }, name)), cells);
    row.update = (counts) =>
      STATUSES.forEach((status, at) => {
        cells[at].className = counts?.[status] ? "num" : "num muted";
        setText(cells[at], count(counts?.[status] ?? 0));
      });
    return row;
  };
  table.show = (rows) => keyed(body, Object.entries(rows ?? {}).sort(([a], [b]) => a.localeCompare(b)), ([name]) => name, make, (row, [, counts]) => row.update(counts));
  return table;
}

const queueRows = (owner) =>
  rowsTable({
    label: "Queues",
    first: "Queue",
    none: "No task yet.",
    href: (queue) => link("tasks" + query({ queue, owner })),
    columns: [
      { label: "Waiting", cell: (one) => count(one.by_status.PENDING) },
      { label: "Oldest", cell: (one) => one.oldest_ready_at && duration(Math.max(0, now() - Date.parse(one.oldest_ready_at))) },
      { label: "Running", cell: (one) => count(one.by_status.RUNNING) },
      { label: "Failed", cell: (one) => count(one.by_status.FAILED) },
    ],
  });

function firstRun() {
  const line = curl("POST", "api/tasks/submit", { type: "demo", params: { name: "my first task", duration: 10000 } });
  return h(
    "section",
    { class: "card settings" },
    h("h2", null, "Ready for the first task"),
    h("p", null, "A task handed over here is on disk before you get the answer. It survives a crash, runs when a worker is free, and keeps its history."),
    h("div", null, submitLink("Fill in a form", "submit?type=demo")),
    h("p", null, "Or from a shell:"),
    codeBlock(line, () => copyText(line, "curl line")),
  );
}

const spanOf = ({ at, run_ms, wait_ms }) => ({ at, run50: run_ms?.p50, run95: run_ms?.p95, wait95: wait_ms?.p95 });
const windowOf = (from) => (WINDOWS.some(([value]) => value === from.get("window")) ? from.get("window") : "1h");
