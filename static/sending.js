// The page's own outbox: a button in the bar while something waits, and the dialog behind it.

import { h, icon, setText, sr } from "./dom.js";
import { navigate } from "./router.js";
import { title as nameOf } from "./format.js";
import { Outbox } from "./outbox.js";
import { outboxWords } from "./elements/outbox-list.js";
import { toast } from "./elements/toast-area.js";

/** Where it is kept; app.js looks there whether this module is needed. */
const KEY = "errand.outbox";

export const outbox = new Outbox(KEY);

const words = h("span");
const opener = h("button", { type: "button", class: "chip", id: "outbox-open", "aria-haspopup": "dialog", on: { click: openOutbox } }, icon("upload"), words);
const list = document.createElement("outbox-list");
const dialog = h("dialog", { id: "outbox", "aria-labelledby": "outbox-title" }, h("div", { class: "row" }, h("h2", { id: "outbox-title" }, "Outbox"), h("button", { type: "button", class: "plain", on: { click: () => dialog.close() } }, icon("close"), sr("Close"))), list);
document.body.append(dialog);
document.getElementById("light").before(opener);
list.show(outbox, new AbortController().signal);
outbox.onChange(told);
told({ kind: "changed" });

/** Opens the dialog of what waits. */
export function openOutbox() {
  if (!dialog.open) dialog.showModal();
}

/** Puts a task in that could not be submitted with this Idempotency-Key; it goes as soon as the server answers. */
export async function submitLater(body, key) {
  const label = nameOf(body);
  await outbox.add({ path: "api/tasks/submit", body, priority: Number(body.priority) || 0, label, key, tries: 1 });
  toast("Kept in the outbox", { text: `${label} is sent as soon as the server answers, once, also after a reload.`, kind: "warning", action: { label: "Show", run: openOutbox } });
}

function told({ kind, item, answer }) {
  const many = outbox.items.length;
  opener.hidden = !many && !outbox.paused;
  setText(words, outboxWords(outbox));
  if (kind === "sent") toast("Submitted from the outbox", { kind: "success", text: item.label, action: answer?.id && { label: "Open", run: () => navigate(`tasks/${answer.id}`) } });
  if (kind === "refused") toast("The server refused it", { kind: "error", text: `${item.label}: ${item.error}`, action: { label: "Show", run: openOutbox } });
}
