// One entry of who did what: a sentence, who and when, and behind it every detail with links to what belongs to it.

import { h, icon } from "../../dom.js";
import { link } from "../../api.js";
import { clock, exact, plural, time } from "../../format.js";

const tasks = (n) => plural(n, "task");

/** Each action of the API in words. */
export const ACTIONS = {
  "task.submitted": (n) => `${tasks(n)} submitted`,
  "task.cancelled": (n) => `${tasks(n)} cancelled`,
  "task.retried": (n) => `${tasks(n)} retried`,
  "task.approved": () => "Task approved",
  "task.rejected": () => "Task rejected",
  "task.rescued": (n) => `${tasks(n)} taken back from lost workers`,
  "task.pruned": (n) => `${tasks(n)} deleted, kept long enough`,
  "file.uploaded": () => "File uploaded",
  "file.deleted": () => "File deleted",
  "key.created": () => "Key made",
  "key.rotated": () => "Key exchanged",
  "key.revoked": () => "Key revoked",
  "session.opened": () => "Signed in",
  "session.closed": () => "Signed out",
  "session.refused": () => "Sign-in refused",
  "ticket.created": () => "Ticket made",
  "notification.read": () => "Notifications marked",
  "notification.cleared": () => "Notifications cleared",
  "notification.muted": () => "Mutes changed",
  "access.denied": () => "Access denied",
  "node.started": () => "Node started",
  "node.stopped": () => "Node stopped",
  "activity.pruned": (n) => `${plural(n, "entry")} of activity deleted, kept long enough`,
  "activity.dropped": (n) => `${plural(n, "entry")} of activity lost`,
};

/** Each outcome and the tone it has. */
export const OUTCOMES = { done: "SUCCESS", denied: "FAILED", refused: "PENDING", failed: "FAILED", unanswered: "PENDING" };

const ICONS = { task: "tasks", file: "file", key: "settings", session: "info", ticket: "info", notification: "bell", access: "failed", node: "system", activity: "activity" };
const RELATED = ["target", "owner", "key_id", "client_id", "request_id"]; // what others are found by

/** A row; `related(name, value)` is the address of all entries with that. */
export function entryRow(entry, related) {
  const words = ACTIONS[entry.action]?.(entry.count) ?? entry.action;
  const task = entry.category === "task" && entry.target && entry.count <= 1 ? entry.target : null;
  const who = entry.owner ?? (entry.category === "node" || entry.address === null ? "the system" : "nobody known");
  const details = [["action", entry.action], ["at", exact(entry.at)], ...Object.entries(entry).filter(([name, value]) => value !== null && !["id", "at", "action", "category"].includes(name))];
  return h(
    "li",
    { data: { status: OUTCOMES[entry.outcome] ?? "CANCELLED" } },
    h(
      "details",
      null,
      h("summary", { class: "line wrap" }, icon(ICONS[entry.category] ?? "info"), h("strong", null, words), entry.outcome !== "done" && h("span", { class: "label small" }, entry.code ? `${entry.outcome}: ${entry.code}` : entry.outcome), h("span", { class: "muted grow" }, `by ${who}`), h("span", { class: "muted small desk" }, clock(entry.at, true)), h("span", { class: "small muted" }, time(entry.at))),
      h("dl", { class: "pairs" }, details.map(([name, value]) => h("div", null, h("dt", null, name.replaceAll("_", " ")), h("dd", null, RELATED.includes(name) ? h("a", { href: related(name, value), title: "All with this" }, String(value)) : String(value))))),
    ),
    task && h("p", { class: "small" }, h("a", { href: link(`tasks/${encodeURIComponent(task)}`) }, `Task …${task.slice(-8)}`), " · ", h("a", { href: related("target", task) }, "All about it")),
  );
}
