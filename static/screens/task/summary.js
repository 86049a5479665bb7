// Summary: what went in, what came out, or what went wrong.

import { h, put, setText, icon } from "../../dom.js";
import { copyText, curl } from "../../copy.js";
import { codeBlock } from "../../elements/states.js";
import { tablesOf } from "../../elements/data-table.js";
import "../../elements/json-view.js";

// What the task wants known about its own success.
function warnings(result) {
  const texts = Array.isArray(result?.warnings) ? result.warnings.filter((one) => typeof one === "string") : [];
  return texts.length > 0 && h("div", { class: "notice row" }, icon("info"), h("div", null, h("ul", null, texts.map((text) => h("li", null, text)))));
}

export function summaryPanel() {
  const error = h("div");
  const params = document.createElement("json-view");
  const result = document.createElement("json-view");
  const heading = h("h2", null, "Result");
  const tables = h("div", { class: "block" });
  const outcome = h("section", { class: "block" }, heading, result);
  const line = h("div");
  const element = h("div", null, error, tables, outcome, h("section", { class: "block" }, h("h2", null, "Params"), params), h("details", { class: "more" }, h("summary", null, "Submit the same with curl"), line));
  let shown = null;

  return {
    element,
    update(task) {
      if (task === shown) return;
      shown = task;
      const bad = task.error && task.status !== "SUCCESS";
      put(error, bad && h("section", { class: "block" }, h("h2", null, task.status === "FAILED" ? "Error" : "Last error"), h("p", { class: "line wrap" }, h("code", { class: "chip" }, task.error.code), task.error.attempt && h("span", { class: "muted" }, `attempt ${task.error.attempt}`)), h("pre", { class: "error-text", tabindex: "0" }, String(task.error.message ?? ""))));
      outcome.hidden = task.result == null;
      const found = task.result == null ? [] : tablesOf(task.result);
      put(tables, warnings(task.result), found);
      setText(heading, found.length ? "Result as JSON" : "Result");
      if (task.result != null) result.show(task.result, "result");
      params.show(task.params, "params");
      const command = curl("POST", "api/tasks/submit", { type: task.type, params: task.params });
      put(line, codeBlock(command, () => copyText(command, "curl line")));
    },
  };
}
