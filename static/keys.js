// Keys: single letters, "g x" pairs, and Ctrl+k. Letters are off while typing, in dialogs, and by the setting.

import { setting } from "./settings.js";
import { toast } from "./elements/toast-area.js";

const PAIR_MS = 1_200; // time for the second letter
const bound = new Map();
let first = "";
let timer = 0;

/** Binds a key ("c", "g t", "Escape", "Ctrl+k") with its words for the help, until `signal` ends. Without `run` it is only told: the browser does it. */
export function bind(key, label, run, signal) {
  const entry = { key, label, run };
  const before = bound.get(key); // what a screen stands in front of comes back
  bound.set(key, entry);
  signal?.addEventListener("abort", () => {
    if (bound.get(key) !== entry) return;
    if (before) bound.set(key, before);
    else bound.delete(key);
  });
}

/** What works right now: [{key, label, run}]. */
export const bindings = () => [...bound.values()];

/** Opens the help with the keys that work right now. */
export async function showHelp() {
  try {
    (await import("./help.js")).open();
  } catch {
    notLoaded();
  }
}

/** Says that what is loaded when it is first asked for did not come. */
export const notLoaded = () => toast("Not loaded", { kind: "warning", text: "The server does not answer. Try again once it does." });

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.isComposing) return;
  if (setting("keys") === "off" || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey) {
    const entry = bound.get(`Ctrl+${event.key.toLowerCase()}`);
    if (entry) event.preventDefault();
    return entry?.run(event);
  }
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
