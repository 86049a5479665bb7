// The bell: how many notifications are unread, and the way to them. All else about them is loaded when it is needed.

import { setAttr, setText } from "./dom.js";
import { get } from "./api.js";
import { now } from "./format.js";
import { poll } from "./poll.js";
import { onNews } from "./live.js";
import { navigate } from "./router.js";
import { setting } from "./settings.js";

/** How many the bell knows. */
export const NEWEST = 20;
/** How `poll` asks for notifications: beside the socket now and then; where tasks end all the time, once a second. */
export const PACE = { topic: "notifications", wakes: () => true, live: 30_000, rest: 1_000 };

const MOST = 99;
const LATE_MS = 10_000; // what ends may be told so much later
const HUSH_MS = 1_500; // what comes back by unmuting, or ended while nobody looked, is here by then
const bell = document.getElementById("bell");
const figure = bell.querySelector("b");
const words = bell.querySelector(".sr");
const changes = new EventTarget();
let state = { page: null, error: null };
let polling;
let known = null; // ids of the last answer
let since = ""; // what ended before is no news: it was not shown then
let quiet = 0; // until then nothing is news

/** {page, error}: the newest answer, null before the first one, and why the last try failed. */
export const inbox = () => state;

/** Calls `run` after every answer and failure. */
export const onInbox = (run) => changes.addEventListener("inbox", run);

/** Asks at once, after something was done. */
export function lookAgain() {
  hush();
  return polling.now();
}

/** Shows the bell and keeps it true. */
export function startBell() {
  bell.addEventListener("click", openDrawer);
  document.addEventListener("visibilitychange", () => document.hidden || hush());
  const { signal } = new AbortController();
  onNews("notifications", (frame) => frame?.type === "notificationsMarked" && hush(), signal);
  polling = poll(ask, { signal, ...PACE, hidden: alerting });
}

/** Opens the drawer; where it does not load, goes to the screen. */
export async function openDrawer() {
  try {
    (await import("./drawer.js")).open();
  } catch (error) {
    console.error(error);
    navigate("notifications");
  }
}

async function ask() {
  try {
    const { data } = await get(`api/notifications?limit=${NEWEST}`);
    state = { page: data, error: null };
    show(data);
    const news = newsOf(data.items);
    if (news.length && !document.hidden) (await import("./echo.js")).tell(news);
    if (news.length && alerting()) (await import("./alerts.js")).alertOf(news);
  } catch (error) {
    state = { ...state, error };
    bell.hidden = error.status === 403; // a worker's key
    if (!bell.hidden) throw error;
    return false;
  } finally {
    changes.dispatchEvent(new Event("inbox"));
  }
}

function show({ unread, unread_more: more }) {
  const many = more || unread > MOST;
  figure.hidden = !unread;
  setText(figure, many ? `${MOST}+` : unread);
  setText(words, `Notifications, ${many ? `more than ${MOST}` : unread || "none"} unread`);
  setAttr(bell, "title", words.textContent);
}

// What came since the last answer, and what of it a message is for. What ended while nobody looked is counted only.
function newsOf(items) {
  const about = setting("echo");
  const wanted = ({ id, at, read, level }) => !read && !known.has(id) && at > since && (about === "all" || level === "error");
  const news = known && (!document.hidden || alerting()) && Date.now() > quiet && about !== "off" ? items.filter(wanted) : [];
  known = new Set(items.map(({ id }) => id));
  since = new Date(now() - LATE_MS).toISOString();
  return news;
}

// Whether something is told also while nobody looks here.
const alerting = () => setting("desktop") === "on" || setting("sound") === "on";
const hush = () => (quiet = Date.now() + HUSH_MS);
