// What a screen shows when it has no data: not yet, none, or an error.

import { h, icon, button } from "../dom.js";

/** Grey bars while the first answer is on its way; never a number that could be taken for one. */
export function skeleton(lines = 4) {
  return h("div", { class: "skeleton", role: "status" }, h("span", { class: "sr" }, "Loading"), Array.from({ length: lines }, () => h("i", { "aria-hidden": "true" })));
}

/** Nothing here, and what to do next. `actions` are nodes. */
export function emptyState(heading, text, ...actions) {
  return h("div", { class: "empty" }, h("h2", null, heading), text && h("p", null, text), actions.length > 0 && h("div", { class: "row center" }, actions));
}

/** An error as an alert, with a way to try again. */
export function errorState(error, retry) {
  if (!("status" in error)) console.error(error); // a mistake of this page, not an answer
  return h(
    "div",
    { class: "notice error row", role: "alert" },
    icon("failed"),
    h("div", null, h("strong", null, error.title || "Something went wrong"), h("p", null, error.message), error.requestId && h("p", { class: "muted small" }, `Request ${error.requestId}`)),
    retry && button("Try again", "retry", retry),
  );
}

/** A read-only block of text with a copy button. */
export function codeBlock(text, copy) {
  return h("div", { class: "code" }, h("pre", { tabindex: "0" }, h("code", null, text)), copy && h("button", { type: "button", class: "plain copy", on: { click: copy } }, icon("copy"), h("span", { class: "sr" }, "Copy")));
}
