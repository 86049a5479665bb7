// The dialog of saved views: go to one, forget one, save what is shown now.

import { h, put, icon, sr } from "../../dom.js";
import { link } from "../../api.js";
import { forgetView, saveView, views } from "../../views.js";
import { emptyState } from "../../elements/states.js";
import { toast } from "../../elements/toast-area.js";

/** Opens it over the list whose query is `query`. */
export function openViews(query) {
  const search = String(query) ? `?${query}` : "";
  const list = h("ul", { class: "feed" });
  const name = h("input", { id: "view-name", autofocus: true, required: true, maxlength: 60, autocomplete: "off", placeholder: "Failed at night" });
  const form = h("form", { on: { submit: save } }, h("p", { class: "field" }, h("label", { class: "field-label", htmlFor: "view-name" }, "Save what is shown now as"), name), h("div", { class: "row end" }, h("button", { class: "button primary" }, "Save view")));
  const dialog = h("dialog", { "aria-labelledby": "views-title" }, h("div", { class: "row" }, h("h2", { id: "views-title" }, "Views"), h("button", { type: "button", class: "plain", on: { click: () => dialog.close() } }, icon("close"), sr("Close"))), list, form);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  show();
  dialog.showModal();

  function show() {
    const all = views();
    const row = (one) => h("li", null, h("div", { class: "line" }, h("a", { class: "grow clip", href: link(`tasks${one.search}`), "aria-current": one.search === search ? "page" : null }, one.name), h("small", { class: "muted clip" }, decodeURIComponent(one.search.slice(1)).replaceAll("&", " · ") || "all"), h("button", { type: "button", class: "plain", on: { click: () => (forgetView(one.name), show(), name.focus()) } }, icon("close"), sr(`Forget ${one.name}`))));
    put(list, all.length ? all.map(row) : emptyState("No view yet", "A view is the list's filters and order under a name."));
  }

  function save(event) {
    event.preventDefault();
    if (!name.value.trim()) return;
    try {
      saveView(name.value.trim(), search);
      dialog.close();
      toast("View saved", { kind: "success", text: name.value.trim() });
    } catch {
      toast("The browser keeps nothing here", { kind: "error", text: "Its storage is off or full. The address of this page holds the same filters." });
    }
  }
}
