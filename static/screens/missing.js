// An address this page does not know.

import { h, put } from "../dom.js";
import { link } from "../api.js";
import { emptyState } from "../elements/states.js";

export const title = "Not found";

export function mount(root) {
  put(root, h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Nothing here")), emptyState("This address leads nowhere", "The link may be mistyped or from another version.", h("a", { class: "button", href: link("") }, "Overview"), h("a", { class: "button", href: link("tasks") }, "Tasks")));
}
