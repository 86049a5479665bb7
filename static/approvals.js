// What one may decide about a task that waits for an approval, the same from the list and from the task's own screen.

import { h } from "./dom.js";
import { send, whoami } from "./api.js";
import { attempt } from "./actions.js";
import { title } from "./format.js";
import { toast } from "./elements/toast-area.js";

const LONGEST_REASON = 1000; // the server's own limit

/** Whether the caller may decide: only an admin may. */
export const mayDecide = () =>
  whoami().then(
    ({ role }) => role === "admin",
    () => false,
  );

/** Lets a task run, now or at its own time. Resolves to the task or null. */
export function approveTask(task) {
  return attempt(async () => {
    const changed = await send("POST", address(task, "approve"));
    toast("Approved", { text: title(task), kind: "success" });
    return changed;
  });
}

/** Says, after asking why, that a task is not to run. Resolves to the task or null. */
export async function rejectTask(task) {
  const reason = await askWhy(task);
  if (reason === null) return null;
  return attempt(async () => {
    const changed = await send("POST", address(task, "reject"), reason ? { reason } : {});
    toast("Rejected", { text: title(task) });
    return changed;
  });
}

const address = (task, verdict) => `api/tasks/${encodeURIComponent(task.id)}/${verdict}`;

function askWhy(task) {
  const why = h("textarea", { id: "reject-why", rows: 3, maxlength: LONGEST_REASON, autofocus: true });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "reject-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "reject-title" }, `Reject “${title(task)}”?`),
      h("p", null, "It will not run. It can be retried, and then waits for an approval again."),
      h("p", { class: "field" }, h("label", { class: "field-label", htmlFor: "reject-why" }, "Why (optional)"), why),
      h("div", { class: "row end" }, h("button", { class: "button", value: "no" }, "Keep"), h("button", { class: "button danger", value: "yes" }, "Reject")),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? why.value.trim() : null);
    }),
  );
}
