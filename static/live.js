// One socket: what happens to tasks, and notifications, told as it happens. Polling goes on beside it, and keeps the page right without it.

import { base } from "./api.js";
import { onConnection, reportLive } from "./connection.js";

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const HIDDEN_MS = 30_000; // a tab that nobody looks at for so long lets go
const BEAT_MS = 20_000;

const news = new EventTarget();
const tell = (topic, what) => news.dispatchEvent(new CustomEvent(topic, { detail: what }));

const followed = new Set(["notifications"]); // beside the tasks

let socket = null;
let failures = 0;
let again = 0;
let leave = 0;
let away = false; // the server

/**
 * Calls `run(what)` for everything that happens, until `signal` ends: the task in the topics `tasks` and `approvals`, the
 * frame in `notifications`; and `run(null)` when something may have been missed.
 */
export function onNews(topic, run, signal) {
  news.addEventListener(topic, ({ detail }) => run(detail), { signal });
}

/** Is told of a topic that not every screen wants, until `signal` ends. */
export function follow(topic, signal) {
  followed.add(topic);
  say("subscribe", [topic]);
  signal.addEventListener("abort", () => (followed.delete(topic), say("unsubscribe", [topic])));
}

const say = (type, topics) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ type, topics }));

function open() {
  clearTimeout(again);
  if (socket || document.hidden) return;
  const address = new URL("ws?scope=owner", base);
  address.protocol = base.protocol.replace("http", "ws");
  const mine = (socket = new WebSocket(address));
  let wait = null;
  let heard = true;
  const beat = setInterval(() => {
    if (!heard) return mine.close(); // half open: nobody is there
    heard = false;
    if (mine.readyState === WebSocket.OPEN) mine.send("ping");
  }, BEAT_MS);
  mine.onmessage = ({ data }) => {
    heard = true;
    const frame = JSON.parse(data);
    if (frame.type === "connection") {
      failures = 0;
      reportLive(true);
      say("subscribe", [...followed]);
      tell("tasks", null);
    }
    if (frame.type === "goodbye") wait = frame.reconnect_in_ms;
    if (frame.type === "resync") tell(frame.topic ?? "tasks", null);
    if (frame.type === "ack") for (const topic of followed) tell(topic, null);
    if (/^notification/.test(frame.type)) tell("notifications", frame);
    if (frame.event) tell(frame.type === "approval" ? "approvals" : "tasks", frame.task);
  };
  mine.onclose = () => {
    clearInterval(beat);
    socket = null;
    reportLive(false);
    failures += 1;
    again = setTimeout(open, wait ?? backoff());
  };
}

// Doubling with full jitter, so that many tabs do not return in step.
const backoff = () => FIRST_MS + Math.random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** failures);

document.addEventListener("visibilitychange", () => {
  clearTimeout(leave);
  if (document.hidden) leave = setTimeout(() => socket?.close(), HIDDEN_MS);
  else open();
});
addEventListener("online", open);
onConnection(({ state }) => {
  if (away && state !== "offline") {
    failures = 0;
    open();
  }
  away = state === "offline";
});
open();
