// Times, durations, sizes and names, as people read them.

import { h, setText, setAttr } from "./dom.js";
import { setting, onSettings } from "./settings.js";

let skew = 0; // the server's clock minus ours, ms

/** The server's time, as well as its `date` header (whole seconds) tells. */
export const now = () => Date.now() + skew;

/** Learns the server's clock from an answer's `date` header; under 2 s it is noise. */
export function learnClock(header) {
  const there = Date.parse(header ?? "");
  if (Number.isNaN(there)) return;
  const measured = there + 500 - Date.now();
  skew = Math.abs(measured) < 2000 ? 0 : measured;
}

/** A <time> that shows relative words, the exact time on hover, and keeps itself current. */
export function time(iso, prefix = "") {
  const element = h("time", { data: { prefix } });
  setTime(element, iso);
  return element;
}

/** Points a <time> made by time() at another moment; null shows a dash. */
export function setTime(element, iso, anew = false) {
  if (anew || element.getAttribute("datetime") !== (iso ?? null)) {
    setAttr(element, "datetime", iso ?? null);
    setAttr(element, "title", iso ? exact(iso) : null); // dear, where there are hundreds
  }
  setText(element, iso ? element.dataset.prefix + relative(iso) : "–");
}

/** "just now", "12 s ago", "in 3 min". */
export function relative(iso) {
  const ms = now() - Date.parse(iso);
  if (Math.abs(ms) < 2000) return "just now";
  const words = coarse(Math.abs(ms));
  return ms > 0 ? `${words} ago` : `in ${words}`;
}

/** The moment in the chosen time zone, to the millisecond. */
export function exact(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return String(iso);
  if (setting("zone") === "utc") return date.toISOString().replace("T", " ").replace("Z", " UTC");
  return date.toLocaleString(undefined, { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
}

/** The time of day in the chosen zone: 12:04, with `seconds` 12:04:31.120. */
export function clock(iso, seconds = false) {
  const date = new Date(iso);
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(seconds && { second: "2-digit", fractionalSecondDigits: 3 }) };
  return date.toLocaleTimeString("en-GB", setting("zone") === "utc" ? { ...options, timeZone: "UTC" } : options);
}

/** The day and the time of day in the chosen zone: 31 Jan 12:04. */
export function day(iso) {
  const zone = setting("zone") === "utc" ? { timeZone: "UTC" } : {};
  return `${new Date(iso).toLocaleDateString("en-GB", { day: "numeric", month: "short", ...zone })} ${clock(iso)}`;
}

/** A span of time: "480 ms", "3.2 s", "4 min 05 s", "2 h 10 min". */
export function duration(ms) {
  if (ms == null || Number.isNaN(ms)) return "–";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${String(minutes % 60).padStart(2, "0")} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long a task has run or ran, in ms; null when it never started. */
export function took(task) {
  if (!task.started_at) return null;
  if (!task.finished_at && task.status !== "RUNNING") return null;
  return (task.finished_at ? Date.parse(task.finished_at) : now()) - Date.parse(task.started_at);
}

/** A size: "512 B", "4.1 kB", "2.3 MB". */
export function bytes(n) {
  if (n == null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, n < 1000 ? 0 : Math.floor(Math.log10(n) / 3));
  const value = n / 1000 ** power;
  return `${power && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** A count with thin grouping; a dash when unknown, never a false zero. */
export const count = (n) => (n == null ? "–" : Number(n).toLocaleString("en-US"));

/** How many a second: "2.5", and of less than one a digit that counts, so that one a minute is not 0. */
export const rate = (n) => (n == null ? "–" : count(n < 1 ? Number(Number(n).toPrecision(1)) : Math.round(n * 10) / 10)); // may be a RawNumber

/** "1 task", "3 tasks", "2 tries". */
export const plural = (n, word) => `${count(n)} ${n === 1 ? word : /[^aeiou]y$/.test(word) ? word.slice(0, -1) + "ies" : `${word}s`}`;

/** The end of an id, enough to tell rows apart: a UUIDv7 starts with the time, so its head repeats. */
export const shortId = (id) => "…" + String(id).slice(-8);

/** Whether a task has a name that can be read. */
export const named = (task) => Boolean(task.name?.trim());

/** What a task is called: its name, else its type. */
export const title = (task) => (named(task) ? task.name : task.type);

/** A span of time in one unit: "7 min". */
export function coarse(ms) {
  const seconds = ms / 1000;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  const days = Math.round(seconds / 86400);
  return days < 730 ? `${days} days` : `${count(Math.round(days / 365.25))} years`;
}

function tick(anew) {
  if (document.hidden && !anew) return;
  for (const element of document.querySelectorAll("time[data-prefix][datetime]")) setTime(element, element.getAttribute("datetime"), anew);
}

setInterval(tick, 1000); // one second: the finest step that `relative` shows
onSettings(() => tick(true));
