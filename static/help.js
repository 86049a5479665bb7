// The help: the keys that work right now. Loaded when it is first asked for.

import { h, icon, put, sr } from "./dom.js";
import { link } from "./api.js";
import { setting } from "./settings.js";
import { bindings } from "./keys.js";

const rows = h("div", { id: "help-keys" });
const dialog = h(
  "dialog",
  { id: "help", "aria-labelledby": "help-title" },
  h(
    "form",
    { method: "dialog" },
    h("div", { class: "row" }, h("h2", { id: "help-title" }, "Keys"), h("button", { class: "plain", value: "" }, icon("close"), sr("Close"))),
    rows,
    h("p", { class: "muted" }, "Single letters rest while you type. They can be switched off in ", h("a", { href: link("settings") }, "Settings"), ". Every call is described in ", h("a", { href: link("docs") }, "Docs"), "."),
  ),
);
document.body.append(dialog);

/** Opens it. */
export function open() {
  const name = (key) => ({ Escape: "Esc", "Ctrl+k": "Ctrl K" })[key] ?? key;
  const row = ({ key, label }) => h("div", null, h("dt", null, key.split(" ").map((one) => h("kbd", null, name(one)))), h("dd", null, label));
  put(rows, setting("keys") === "off" && h("p", { class: "notice row" }, "Keys are switched off in Settings."), h("dl", { class: "keys" }, bindings().map(row)));
  if (!dialog.open) dialog.showModal();
}
