// What one may do with notifications, the same in the drawer and on the screen.

import { get, send, query, whoami } from "./api.js";
import { lookAgain } from "./bell.js";

const MOST_IDS = 200; // the server's own limit of ids said at once
const changes = new EventTarget();

/** Calls `run` when something was marked on this page, until `signal` ends. */
export function onMarked(run, signal) {
  changes.addEventListener("marked", () => run(), { signal });
}

/** Whether the caller may mark: a key with the role `read` may not. */
export const mayMark = () =>
  whoami().then(
    ({ role }) => role !== "read",
    () => false,
  );

export const markRead = (ids) => mark("POST", "api/notifications/read", { ids });
export const markUnread = (ids) => mark("POST", "api/notifications/unread", { ids });
/** That one and all that is older. */
export const markReadUpTo = (until) => mark("POST", "api/notifications/read", { until });
/** That one and all that is older is shown no more. Not to be taken back. */
export const clearUpTo = (until) => mark("DELETE", `api/notifications${query({ until })}`);
/** `what` is {type}, {queue} or {status}. */
export const mute = (what) => mark("PATCH", "api/notifications/muted", { mute: [what] });
export const unmute = (what) => mark("PATCH", "api/notifications/muted", { unmute: [what] });

/** The ids of all that is unread, to take back a mark; null where they are too many. */
export async function unreadIds() {
  const { data } = await get(`api/notifications?unread=true&limit=${MOST_IDS}`);
  return data.unread_more || data.items.length < data.unread ? null : data.items.map(({ id }) => id);
}

/** What a mute is called: "type noop", "all that fails". */
export function muteWords({ type, queue, status }) {
  if (type != null) return `type ${type}`;
  if (queue != null) return `queue ${queue}`;
  return { SUCCESS: "all that succeeds", FAILED: "all that fails", CANCELLED: "all that is cancelled" }[status] ?? `all that is ${status}`;
}

async function mark(...call) {
  await send(...call);
  lookAgain();
  changes.dispatchEvent(new Event("marked"));
}
