// What happens, told as it happens, over the browser's one socket. Polling goes on beside it, and keeps the page right without it.

import { base, whoami } from "./api.js";
import { onConnection, reportLive } from "./connection.js";
import { SharedConnection } from "./shared.js";

const HIDDEN_MS = 30_000; // a tab that nobody looks at for so long lets go

const news = new EventTarget();
const tell = (topic, what) => news.dispatchEvent(new CustomEvent(topic, { detail: what }));

const followed = new Map([["notifications", 1]]); // topic → by how many; the tasks are always told
let told = new Set(); // the topics that the socket is subscribed to
let socket = null; // until it is known whose page this is

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
  if (!before) socket?.want(followed.keys());
  signal.addEventListener("abort", () => {
    followed.set(topic, followed.get(topic) - 1);
    if (followed.get(topic)) return;
    followed.delete(topic);
    socket?.want(followed.keys());
  });
}

/** Stops being told, or goes on; polling is all there is meanwhile. Returns whether it is paused now. */
export function pauseLive() {
  paused = !paused;
  if (paused) socket?.close();
  else open();
  return paused;
}

function open(how) {
  if (!paused && !document.hidden) socket?.open(how);
}

function turned(state) {
  told.clear();
  if (state === "open") {
    reportLive(true);
    tell("tasks", null);
  } else if (state !== "connecting") reportLive(false);
}

function heard(frame) {
  if (frame.type === "resync") tell(frame.topic ?? "tasks", null);
  if (frame.type === "ack" && frame.topics) {
    const before = told;
    told = new Set(frame.topics);
    for (const topic of told) if (followed.has(topic) && !before.has(topic)) tell(topic, null);
  }
  if (frame.type === "metrics") tell("metrics", frame);
  if (frame.type === "activity") tell("activity", frame.entry);
  if (/^notification/.test(frame.type)) tell("notifications", frame);
  if (frame.event) tell(frame.type === "approval" ? "approvals" : "tasks", frame.task);
}

addEventListener("errand:identified", ({ detail: { key_id, owner } }) => {
  socket = new SharedConnection(address("ws?scope=owner"), `errand ${base.pathname} ${key_id} ${owner}`, () => whoami({ fresh: true }));
  socket.onState(turned);
  socket.onFrame(heard);
  socket.want(followed.keys());
  open();
});

document.addEventListener("visibilitychange", () => {
  clearTimeout(leave);
  if (document.hidden) leave = setTimeout(() => socket?.close(), HIDDEN_MS);
  else open();
});
addEventListener("online", () => open());
onConnection(({ state }) => {
  if (away && state !== "offline") open({ fresh: true });
  away = state === "offline";
});
