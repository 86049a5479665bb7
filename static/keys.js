// Keys: single letters and "g x" pairs. Off while typing, in dialogs, and by the setting.

import { h, put } from "./dom.js";
import { setting } from "./settings.js";

const PAIR_MS = 1_200; // time for the second letter
const bound = new Map();
let first = "";
let timer = 0;

/** Binds a key ("c", "g t", "Escape") with its words for the help, until `signal` ends. Without `run` it is only told: the browser does it. */
export function bind(key, label, run, signal) {
  const entry = { key, label, run };
  bound.set(key, entry);
  signal?.addEventListener("abort", () => bound.get(key) === entry && bound.delete(key));
}

/** Fills and opens the help dialog with the keys that work right now. */
export function showHelp() {
  const dialog = document.getElementById("help");
  const rows = [...bound.values()].map(({ key, label }) => h("div", null, h("dt", null, key.split(" ").map((one) => h("kbd", null, one === "Escape" ? "Esc" : one))), h("dd", null, label)));
  put(document.getElementById("help-keys"), setting("keys") === "off" && h("p", { class: "notice row" }, "Keys are switched off in Settings."), h("dl", { class: "keys" }, rows));
  if (!dialog.open) dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (setting("keys") === "off" || document.querySelector("dialog[open]")) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const entry = bound.get(first ? `${first} ${event.key}` : event.key) ?? bound.get(event.key);
  first = "";
  clearTimeout(timer);
  if (entry?.run) {
    event.preventDefault();
    entry.run(event);
  } else if (event.key === "g") {
    first = "g";
    timer = setTimeout(() => (first = ""), PAIR_MS);
  }
});

function typing(target) {
  return target.isContentEditable || target.matches?.("textarea, select, input:not([type=checkbox], [type=radio], [type=button])");
}
