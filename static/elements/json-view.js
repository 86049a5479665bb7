// <json-view>: a JSON value as a tree. Branches are built when opened, so a big value is cheap.

import { h, put, button } from "../dom.js";
import { stringify, RawNumber } from "../json.js";
import { count } from "../format.js";
import { copyText } from "../copy.js";

const OPEN_LEVELS = 2;
const OPEN_ENTRIES = 30; // a longer branch starts closed
const AT_ONCE = 200; // entries shown before "more"
const TEXT = 400; // characters of a string shown before "more"

class JsonView extends HTMLElement {
  #text = null;

  /** Shows a value (from json.parse); nothing is redrawn while it stays the same. */
  show(value, name = "JSON") {
    const text = stringify(value, 2);
    if (text === this.#text) return;
    this.#text = text;
    put(this, h("div", { class: "tools" }, button("Copy", "copy", () => copyText(text, name), { class: "button small", "aria-label": `Copy ${name}` })), tree(value, 0));
  }
}

customElements.define("json-view", JsonView);

/** A tree for a value. */
export function jsonView(value, name) {
  const element = document.createElement("json-view");
  element.show(value, name);
  return element;
}

function tree(value, level) {
  if (value === null || typeof value !== "object" || value instanceof RawNumber) return h("p", { class: "leaf" }, leaf(value));
  const entries = Object.entries(value);
  if (!entries.length) return h("p", { class: "leaf muted" }, Array.isArray(value) ? "empty list" : "empty object");
  const list = h("ul");
  more(list, entries, 0, level);
  return list;
}

function more(list, entries, from, level) {
  const end = Math.min(entries.length, from + AT_ONCE);
  list.append(...entries.slice(from, end).map(([name, value]) => h("li", null, branch(name, value, level))));
  if (end === entries.length) return;
  const next = button(`${count(entries.length - end)} more`, null, () => {
    next.parentElement.remove();
    more(list, entries, end, level);
  }, { class: "button small" });
  list.append(h("li", null, next));
}

function branch(name, value, level) {
  const label = h("span", { class: "name" }, name);
  const nested = value !== null && typeof value === "object" && !(value instanceof RawNumber);
  const size = nested ? Object.keys(value).length : 0;
  if (!nested || !size) return h("div", { class: "leaf" }, label, nested ? h("span", { class: "muted" }, Array.isArray(value) ? "[ ]" : "{ }") : leaf(value));
  const details = h("details", null, h("summary", null, label, h("span", { class: "muted" }, Array.isArray(value) ? `[${size}]` : `{${size}}`)));
  let built = false;
  const build = () => {
    if (built) return;
    built = true;
    details.append(tree(value, level + 1));
  };
  details.addEventListener("toggle", () => details.open && build());
  if (level < OPEN_LEVELS - 1 && size <= OPEN_ENTRIES) {
    build();
    details.open = true;
  }
  return details;
}

function leaf(value) {
  if (value instanceof RawNumber) return h("span", { class: "number" }, value.source);
  if (typeof value !== "string") return h("span", { class: typeof value === "number" ? "number" : "word" }, String(value));
  if (value.length <= TEXT) return h("span", { class: "string" }, JSON.stringify(value));
  const text = h("span", { class: "string" }, JSON.stringify(value.slice(0, TEXT)) + "…");
  const all = button(`all ${value.length} characters`, null, () => {
    text.textContent = JSON.stringify(value);
    all.remove();
  }, { class: "button small" });
  return h("span", null, text, " ", all);
}

