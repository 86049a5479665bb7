// What happens, told as it happens, over one socket. Polling goes on beside it, and keeps the page right without it.

import { base } from "./api.js";
import { onConnection, reportLive } from "./connection.js";
import { Connection } from "./socket.js";

const HIDDEN_MS = 30_000; // a tab that nobody looks at for so long lets go

const news = new EventTarget();
const tell = (topic, what) => news.dispatchEvent(new CustomEvent(topic, { detail: what }));

const followed = new Map([["notifications", 1]]); // topic → by how many; the tasks are always told

/** The page's own socket. */
export const socket = new Connection(address("ws?scope=owner"));

let leave = 0;
let away = false; // the server
let paused = false;

/** The ws: address of a path under the root. */
export function address(path) {
  const url = new URL(path, base);
  url.protocol = base.protocol.replace("http", "ws");
  return url;
}

/**
 * Calls `run(what)` for everything that happens, until `signal` ends: the task in the topics `tasks` and `approvals`, the
 * frame in `notifications` and `metrics`, the entry in `activity`; and `run(null)` when something may have been missed.
 */
export function onNews(topic, run, signal) {
  news.addEventListener(topic, ({ detail }) => run(detail), { signal });
}

/** Is told of a topic that not every screen wants, until `signal` ends. */
export function follow(topic, signal) {
  const before = followed.get(topic) ?? 0;
  followed.set(topic, before + 1);
  if (!before) socket.say({ type: "subscribe", topics: [topic] });
  signal.addEventListener("abort", () => {
    followed.set(topic, followed.get(topic) - 1);
    if (followed.get(topic)) return;
    followed.delete(topic);
    socket.say({ type: "unsubscribe", topics: [topic] });
  });
}

/** Stops being told, or goes on; polling is all there is meanwhile. Returns whether it is paused now. */
export function pauseLive() {
  paused = !paused;
  if (paused) socket.close();
  else open();
  return paused;
}

function open(how) {
  if (!paused && !document.hidden) socket.open(how);
}

socket.onState((state) => {
  if (state === "open") {
    reportLive(true);
    socket.say({ type: "subscribe", topics: [...followed.keys()] });
    tell("tasks", null);
  } else if (state !== "connecting") reportLive(false);
});
socket.onFrame((frame) => {
  if (frame.type === "resync") tell(frame.topic ?? "tasks", null);
  if (frame.type === "ack" && frame.topics) for (const topic of followed.keys()) tell(topic, null);
  if (frame.type === "metrics") tell("metrics", frame);
  if (frame.type === "activity") tell("activity", frame.entry);
  if (/^notification/.test(frame.type)) tell("notifications", frame);
  if (frame.event) tell(frame.type === "approval" ? "approvals" : "tasks", frame.task);
});

document.addEventListener("visibilitychange", () => {
  clearTimeout(leave);
  if (document.hidden) leave = setTimeout(() => socket.close(), HIDDEN_MS);
  else open();
});
addEventListener("online", () => open());
onConnection(({ state }) => {
  if (away && state !== "offline") open({ fresh: true });
  away = state === "offline";
});
open();
