// The dialog of saved views: go to one, call one something else, forget one, save what is shown now.

import { h, put, setText, icon, sr } from "../../dom.js";
import { link } from "../../api.js";
import { forgetView, renameView, saveView, views } from "../../views.js";
import { emptyState } from "../../elements/states.js";
import { toast } from "../../elements/toast-area.js";

/** Opens it over the list whose query is `query`. */
export function openViews(query) {
  const search = String(query) ? `?${query}` : "";
  let renamed = null; // the view that gets another name
  const list = h("ul", { class: "feed" });
  const name = h("input", { id: "view-name", autofocus: true, required: true, maxlength: 60, autocomplete: "off", placeholder: "Failed at night" });
  const label = h("label", { class: "field-label", htmlFor: "view-name" });
  const action = h("button", { class: "button primary" });
  const form = h("form", { on: { submit: save } }, h("p", { class: "field" }, label, name), h("div", { class: "row end" }, action));
  const dialog = h("dialog", { "aria-labelledby": "views-title" }, h("div", { class: "row" }, h("h2", { id: "views-title" }, "Views"), h("button", { type: "button", class: "plain", on: { click: () => dialog.close() } }, icon("close"), sr("Close"))), list, form);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  show();
  dialog.showModal();

  function show(view = null) {
    renamed = view;
    const all = views();
    put(list, all.length ? all.map(row) : h("li", null, emptyState("No view yet", "A view is the list's filters and order under a name.")));
    setText(label, view ? "New name" : "Save what is shown now as");
    setText(action, view ? "Rename" : "Save view");
    name.value = view?.name ?? "";
    name.select();
    name.focus();
  }

  function row(one) {
    const act = (iconName, words, run) => h("button", { type: "button", class: "plain", title: words, on: { click: run } }, icon(iconName), sr(`${words} ${one.name}`));
    const says = [...new URLSearchParams(one.search)].map(([member, value]) => `${member === "q" ? "search" : member}: ${value}`).join(" · ") || "all";
    return h("li", null, h("div", { class: "line" }, h("a", { class: "grow clip", href: link(`tasks${one.search}`), "aria-current": one.search === search ? "page" : null }, one.name), act("edit", "Rename", () => show(one)), act("close", "Forget", () => (forgetView(one.name), show()))), h("small", { class: "muted clip" }, says));
  }

  function save(event) {
    event.preventDefault();
    const called = name.value.trim();
    if (!called) return;
    try {
      if (renamed) return renameView(renamed.name, called), show();
      saveView(called, search);
      dialog.close();
      toast("View saved", { kind: "success", text: called });
    } catch {
      toast("The browser keeps nothing here", { kind: "error", text: "Its storage is off or full. The address of this page holds the same filters." });
    }
  }
}
