// The drawer behind the bell: the newest notifications. Loaded when it is first opened.

import { h, put, setAttr, icon, sr } from "./dom.js";
import { link } from "./api.js";
import { inbox, onInbox, lookAgain } from "./bell.js";
import { errorState, skeleton } from "./elements/states.js";
import "./elements/notification-list.js";

const list = document.createElement("notification-list");
const body = h("div", { class: "grow" }, skeleton(6));
const dialog = h(
  "dialog",
  { id: "drawer", "aria-labelledby": "drawer-title" },
  h("div", { class: "row" }, h("h2", { id: "drawer-title" }, "Notifications"), h("button", { type: "button", class: "plain", on: { click: () => dialog.close() } }, icon("close"), sr("Close"))),
  body,
  h("div", null, h("a", { class: "button", href: link("notifications") }, "All notifications")),
);
document.body.append(dialog);
dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // beside it
dialog.addEventListener("close", () => list.forget());
onInbox(show);

/** Opens it, over whatever is on the screen; Esc closes it, and the focus is where it was. */
export function open() {
  if (dialog.open) return;
  dialog.showModal();
  setAttr(dialog, "aria-busy", "true"); // what came before it was opened is no news in it
  show();
  lookAgain().finally(() => setAttr(dialog, "aria-busy", null));
}

function show() {
  if (!dialog.open) return;
  const { page, error } = inbox();
  if (!page && body.querySelector("[role=alert]")) return; // once is enough
  if (!page) return put(body, error ? errorState(error, lookAgain) : skeleton(6));
  if (dialog.hasAttribute("aria-busy")) list.forget();
  list.show(page);
  if (list.parentElement !== body) put(body, list);
}
