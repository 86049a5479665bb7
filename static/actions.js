// What a person can do to tasks, the same from the list and from one task's screen.

import { button, h, icon } from "./dom.js";
import { link, send, whoami } from "./api.js";
import { plural, title } from "./format.js";
import { toast, tellFailure } from "./elements/toast-area.js";

/** Whether the caller may submit, cancel and retry; who cannot be asked is taken at their word. */
export const mayAct = () =>
  whoami().then(
    ({ role }) => role === "admin" || role === "submit",
    () => true,
  );

/** Takes these away from who may only read: each of them would fail. */
export const forActors = (...elements) => void mayAct().then((may) => may || elements.forEach((element) => element.remove()));

/** The way to the form. */
export function submitLink(words = "Submit", to = "submit") {
  const anchor = h("a", { class: "button primary", href: link(to) }, icon("submit"), h("span", null, words));
  forActors(anchor);
  return anchor;
}

/** Asks before something that cannot simply be taken back. Resolves to true for yes. */
export function confirm(heading, text, action) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("h2").textContent = heading;
  dialog.querySelector("p").textContent = text;
  document.getElementById("confirm-yes").textContent = action;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

/** Cancels one task after a confirm; the toast offers Undo, which is a retry. Resolves to the task or null. */
export async function cancelTask(task) {
  const running = task.status === "RUNNING";
  const text = running ? "It is running. What it did so far stays done; its output is thrown away." : "It has not started. It can be retried later.";
  if (!(await confirm(`Cancel “${title(task)}”?`, text, "Cancel task"))) return null;
  return attempt(async () => {
    const changed = await send("DELETE", `api/tasks/${encodeURIComponent(task.id)}`);
    const asked = changed?.status === "RUNNING";
    toast(asked ? "Asked to stop" : "Cancelled", { text: title(task), ...(!asked && undoable([task]) && { action: { label: "Undo", run: () => retryTask(task) } }) });
    return changed;
  });
}

/** Whether a cancel can be taken back. Undo is a retry, and a retry waits for no backoff: that would not bring back a task that was backing off. */
export const undoable = (tasks) => !tasks.some((task) => task.phase === "backing_off");

/** Retries one task. Resolves to the task or null. */
export function retryTask(task) {
  return attempt(async () => {
    const changed = await send("POST", `api/tasks/${encodeURIComponent(task.id)}/retry`);
    toast("Back in the queue", { text: title(task), kind: "success" });
    return changed;
  });
}

/** Submits the same task once more. Resolves to the new task or null. */
export function runAgain(task) {
  return attempt(async () => {
    const made = await send("POST", `api/tasks/${encodeURIComponent(task.id)}/clone`, {});
    toast("Submitted again", { text: title(made), kind: "success" });
    return made;
  });
}

/** Cancels or retries many. `kind` is "cancel" or "retry". Resolves to {matched, changed} or null. */
export async function bulk(kind, tasks) {
  const ids = tasks.map((task) => task.id);
  const all = plural(ids.length, "task");
  if (kind === "cancel" && !(await confirm(`Cancel ${all}?`, "Those that have finished by then are left as they are.", "Cancel tasks"))) return null;
  return attempt(async () => {
    const answer = await send("POST", `api/tasks/${kind}`, { ids });
    const words = `${answer.changed} of ${all} ${kind === "cancel" ? "cancelled" : "back in the queue"}`;
    toast(words, { kind: answer.changed ? "success" : "warning", ...(kind === "cancel" && answer.changed > 0 && undoable(tasks) && { action: { label: "Undo", run: () => bulk("retry", tasks) } }) });
    return answer;
  });
}

/** The button of a list's export; `of()` says what of: see export.js, which is loaded when it is needed. */
export const exportButton = (of) => button("Export", "download", () => attempt(async () => (await import("./export.js")).open(of())), { "aria-haspopup": "dialog" });

/** Runs a call; a failure is told in a toast and resolves to null. */
export async function attempt(run) {
  try {
    return await run();
  } catch (error) {
    tellFailure(error);
    return null;
  }
}
