// Metrics: how node and tasks are doing, told once a second over the socket; without it the list's own numbers, every 3 s.

import { h, put, button, icon, setAttr, setText, announce } from "../dom.js";
import { get, link, query as queryString } from "../api.js";
import { poll } from "../poll.js";
import { bind } from "../keys.js";
import { follow, onNews } from "../live.js";
import { duration, rate } from "../format.js";
import { connection } from "../connection.js";
import { copyText, curl } from "../copy.js";
import { errorState, skeleton } from "../elements/states.js";
import { begin, figureCards, remember } from "./metrics/figures.js";
import { breakdowns } from "./metrics/tables.js";
import "../elements/time-chart.js";

export const title = "Metrics";

const WINDOWS = [
  ["live", "Live"],
  ["1h", "1 h"],
  ["24h", "24 h"],
  ["7d", "7 d"],
];
const CHART_EVERY_MS = 15_000; // its points are minutes wide
const MINUTE = 60; // frames: so many a live chart is wide from the first
const STALE_MS = 2_500; // without a frame for so long, the numbers are asked for
const PACE = [
  ["submitted", "Submitted", "started"],
  ["succeeded", "Succeeded"],
  ["failed", "Failed"],
  ["cancelled", "Cancelled"],
];
const SPANS = [
  ["wait", "Wait p95", "started"],
  ["run", "Run p95", "succeeded"],
];

export function mount(root, context) {
  const { signal, owner } = context;
  let window = windowOf(context.query);
  let paused = false;
  let told = 0; // when the last frame came
  let shown = false;
  const address = () => "api/stats/timeseries" + queryString({ window, owner });

  const source = h("p", { class: "muted small", role: "status" }, sourceOf(null));
  const tabs = h("nav", { class: "tabs", "aria-label": "Time" });
  const pace = document.createElement("time-chart");
  const spans = document.createElement("time-chart");
  const trouble = h("div");
  const figures = figureCards(owner);
  begin(owner);
  const tables = breakdowns({ signal, owner });
  const lists = h("section", { class: "card wide" }, skeleton(16)); // until there is something to put into them
  const pause = button("Pause", "pause", togglePause, { "aria-pressed": "false", "aria-keyshortcuts": "l" });
  put(
    root,
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Metrics"), pause, button("Copy as curl", "terminal", () => copyText(curl("GET", window === "live" ? "api/stats" + queryString({ owner }) : address()), "curl line"))),
    source,
    trouble,
    figures.element,
    h(
      "div",
      { class: "cards" },
      h("section", { class: "card wide block" }, h("div", { class: "row filters" }, h("h2", null, "Throughput"), tabs), pace),
      h("section", { class: "card wide block" }, h("h2", null, "Waits and durations"), h("p", { class: "muted small" }, "95 of 100 tasks started, and ended, within this time. Live tells of the last hour."), spans),
      lists,
    ),
  );
  showTabs();
  pace.show([], { series: PACE });
  spans.show([], { series: SPANS });

  context.update = (query) => {
    window = windowOf(query);
    showTabs();
    return chart.now();
  };

  follow("metrics", signal);
  onNews("metrics", (frame) => frame && !owner && take(frame), signal); // frames are of all that one may see
  const stats = poll(
    async () => {
      if (paused || Date.now() - told < STALE_MS) return;
      const [{ data }, costs] = await Promise.all([get("api/stats" + queryString({ owner }), { signal }), get("api/costs" + queryString({ owner }), { signal })]);
      put(trouble);
      const { submitted_per_second: submitted, finished_per_second: finished } = data.throughput ?? {};
      take({ at: new Date().toISOString(), node: null, tasks: { ...data, per_second: { submitted, succeeded: finished }, costs: costs.data } }, { asked: true });
    },
    {
      signal,
      failed: (error) => {
        if (!paused) setText(source, "Not live: the last numbers that came.");
        put(trouble, errorState(error, () => stats.now()));
      },
    },
  );
  const chart = poll(
    async () => {
      if (window === "live" || paused) return;
      const { data } = await get(address(), { signal });
      if (window !== "live") {
        const { points = [] } = data;
        pace.show(points, { series: PACE, label: "Tasks over time" });
        spans.show(points.map(spanOf), { series: SPANS, lines: true, words: duration, label: "95 of 100 within", whole: spanOf(data) });
      }
    },
    { signal, every: CHART_EVERY_MS, failed: (error) => put(trouble, errorState(error, () => chart.now())) },
  );

  function take(frame, { asked = false } = {}) {
    if (!asked) {
      told = Date.now();
      put(trouble);
    }
    const points = remember(frame);
    if (paused) return;
    if (!shown && asked && !owner && connection().state !== "live") announce("Numbers every 3 seconds: there is no live connection");
    shown = true;
    setText(source, sourceOf(asked ? null : frame));
    if (!frame.tasks) return put(trouble, errorState({ status: 0, title: "The database does not answer", message: "Numbers of tasks come back with it." }));
    if (!asked) put(trouble);
    figures.show(frame, points);
    tables.show(frame);
    if (lists.isConnected) tables.first.then(() => lists.replaceWith(...tables.elements));
    if (window !== "live" || points.filter(({ submitted }) => submitted != null).length < 2) return;
    const placed = grown(points);
    pace.show(placed, { series: PACE, lines: true, seconds: true, words: perSecond, label: "Tasks a second" });
    spans.show(placed, { series: SPANS, lines: true, seconds: true, words: duration, label: "95 of 100 within" });
  }

  function sourceOf(frame) {
    if (owner) return `Those of ${owner}, asked for every 3 s. The numbers of the node stand beside those of all owners.`;
    if (!frame) return "Asked for every 3 s; the numbers of the node come with the live connection only.";
    return `Live, every second${frame.node ? `, told by node ${frame.node.id.slice(-8)}, version ${frame.node.version}, up ${duration(frame.node.uptime_seconds * 1000)}` : ""}`;
  }

  function togglePause() {
    paused = !paused;
    setAttr(pause, "aria-pressed", String(paused));
    put(pause, icon(paused ? "running" : "pause"), h("span", null, paused ? "Resume" : "Pause"));
    if (paused) setText(source, "Paused. What happens meanwhile is kept for the charts.");
    else stats.now();
  }

  function showTabs() {
    put(tabs, WINDOWS.map(([value, words]) => h("a", { href: link("insights" + queryString({ window: value === "live" ? null : value, owner })), "aria-current": value === window ? "page" : null }, words)));
    context.setTitle(window === "live" ? "Metrics" : `Metrics: ${WINDOWS.find(([value]) => value === window)[1]}`);
  }

  bind("l", "Pause or resume", togglePause, signal);
  return stats.now();
}

const windowOf = (query) => (WINDOWS.some(([value]) => value === query.get("window")) ? query.get("window") : "live");
const spanOf = ({ at, run_ms, wait_ms }) => ({ at, wait: wait_ms?.p95, run: run_ms?.p95 });
const perSecond = (n) => (n == null ? "–" : `${rate(n)} / s`);

// At the right end of a minute, until there is more than one.
function grown(points) {
  const lack = Math.max(0, MINUTE - points.length);
  const first = Date.parse(points[0].at);
  return [...Array.from({ length: lack }, (_, at) => ({ at: new Date(first - (lack - at) * 1000).toISOString() })), ...points];
}
