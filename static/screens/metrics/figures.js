// The figures at the top of Metrics, each with the line of its last minutes.

import { h, put, setText } from "../../dom.js";
import { bytes, count, duration, rate } from "../../format.js";
import { spark } from "../../elements/time-chart.js";

const KEPT = 300; // frames: five minutes
const LEAST = 60; // places a line has: it grows from the right
const DRAWN = 3; // fewer values are no line yet
const kept = []; // survives leaving the screen and coming back
let keptOf = null; // the owner whose they are; null: everybody's

const percent = (n) => (n == null ? null : `${Math.round(n)} %`);
const share = (part, whole) => (part == null || !whole ? null : (100 * part) / whole);

// [member of a point, label, its words]
const FIGURES = [
  ["submitted", "Submitted / s", (point) => rate(point.submitted)],
  ["finished", "Finished / s", (point) => rate(point.finished)],
  ["pending", "Waiting", (point) => count(point.pending)],
  ["busy", "Places busy", (point) => point.busy != null && `${point.busy} of ${point.places}`],
  ["wait", "Wait p95", (point) => duration(point.wait)],
  ["run", "Run p95", (point) => duration(point.run)],
  ["cpu", "CPU, this process", (point) => percent(point.cpu)],
  ["machine", "CPU, machine", (point) => percent(point.machine)],
  ["rss", "Memory, this process", (point) => point.rss != null && bytes(point.rss)],
  ["memory", "Memory in use", (point) => percent(point.memory)],
  ["free", "Disk free", (point) => bytes(point.free)],
  ["received", "Network in / s", (point) => point.received != null && bytes(point.received)],
  ["sent", "Network out / s", (point) => point.sent != null && bytes(point.sent)],
  ["sockets", "Sockets", (point) => point.sockets != null && count(point.sockets)],
  ["log", "Database log", (point) => point.log != null && bytes(point.log)],
];

const OF_TASKS = new Set(["submitted", "finished", "pending", "wait", "run"]);

/** Takes a frame of the topic `metrics` in; returns the points kept, the newest last. What was asked for before the first frame tells of a minute, not of a second: with that it goes. */
export function remember({ at, node, tasks }) {
  const { per_second, by_status: counts, wait_ms, run_ms } = tasks ?? {};
  // Null in the first frame. As numbers: one of many digits comes as its text.
  const speed = Object.fromEntries(Object.entries(per_second ?? {}).map(([name, one]) => [name, one == null ? null : Number(one)]));
  if (node && kept.at(-1)?.asked) kept.splice(0, kept.length, ...kept.filter((point) => !point.asked));
  const finished = [speed.succeeded, speed.failed, speed.cancelled].filter((one) => one != null);
  kept.push({
    at,
    asked: !node,
    ...speed,
    finished: finished.length ? finished.reduce((sum, one) => sum + one, 0) : null,
    pending: counts?.PENDING,
    wait: wait_ms?.p95,
    run: run_ms?.p95,
    busy: node?.busy,
    places: node?.workers,
    cpu: node?.cpu_percent,
    machine: node?.machine_cpu_percent,
    rss: node?.rss_bytes,
    memory: node && share(node.memory_total_bytes - node.memory_available_bytes, node.memory_total_bytes),
    free: node?.disk_free_bytes,
    received: node?.received_bytes_per_second,
    sent: node?.sent_bytes_per_second,
    sockets: node?.sockets,
    log: node?.database_log_bytes,
  });
  kept.splice(0, kept.length - KEPT);
  return kept;
}

/** Frames are of this owner's tasks now, or of everybody's. */
export function begin(owner) {
  if (owner !== keptOf) kept.length = 0;
  keptOf = owner;
}

/** {element, show(frame, points)}: a card a figure, a dash in it while nobody tells; an owner's are of tasks only. */
export function figureCards(owner) {
  const cards = FIGURES.filter(([member]) => !owner || OF_TASKS.has(member)).map(([member, label, words]) => {
    const value = h("strong", null, "–");
    const line = h("div", null, spark([]));
    const element = h("li", { class: "card" }, h("span", { class: "muted small" }, label), h("div", null, value), line);
    return { element, member, words, value, line };
  });
  const element = h("ul", { class: "counts" }, cards.map((card) => card.element));
  return {
    element,
    show(frame, points) {
      const now = points.at(-1);
      for (const { member, words, value, line } of cards) {
        setText(value, (now[member] != null && words(now)) || "–");
        const values = points.map((point) => point[member]);
        const known = values.filter((one) => one != null).length;
        put(line, known < DRAWN ? h("span", { class: "spark small muted" }, now[member] != null && "collecting …") : spark([...Array(Math.max(0, LEAST - values.length)), ...values]));
      }
    },
  };
}
