// The bar of what is selected: act on these, on all that match the filter, or compare two.

import { h, keepFocus, setAttr, setText, button } from "../../dom.js";
import { get, link, query, send } from "../../api.js";
import { count, plural, title as nameOf } from "../../format.js";
import { attempt, bulk, forActors, retryTask, undoable } from "../../actions.js";
import { badge } from "../../elements/status-badge.js";
import { toast } from "../../elements/toast-area.js";

const LOOKED_AT = 500; // the server's own limit of one page: more are "more than 500"
const NAMED = 5;
const MAY = { cancel: ["PENDING", "RUNNING"], retry: ["FAILED", "CANCELLED"] };

/** The bar. `rows()` are the shown tasks, `filters()` the list's, `more()` whether some are not shown, `changed()` is run after an action.
 * `matching(statuses)` is how many there are of these statuses in all, null where that is not known. */
export function chosenBar({ table, rows, filters, more, matching, changed }) {
  const words = h("span");
  const chosen = () => rows().filter((task) => table.selected.has(task.id));
  let all = false; // all that match, not only those that are selected
  const widen = button("", null, () => ((all = !all), show()), { class: "button small", hidden: true });
  const cancel = button("Cancel", "stop", () => act("cancel"), { class: "button danger" });
  const retry = button("Retry", "retry", () => act("retry"));
  forActors(widen, cancel, retry);
  const compare = h("a", { class: "button", hidden: true }, "Compare");
  const element = h("div", { class: "bulk row", role: "region", "aria-label": "Selected tasks", hidden: true }, words, widen, retry, cancel, compare, button("Clear", "close", () => table.selectAll(false)));

  table.addEventListener("selection", () => {
    if (table.selected.size < rows().length) all = false;
    show();
  });

  function show() {
    const tasks = chosen();
    const had = element.contains(document.activeElement);
    element.hidden = !tasks.length;
    if (had) keepFocus(table.querySelector("tbody input"));
    const total = matching();
    const number = total === null ? "" : `${count(total)} `;
    setText(words, all ? `All ${number}that match` : `${plural(tasks.length, "task")} selected`);
    widen.hidden = tasks.length < rows().length || !(more() || all);
    setText(widen, all ? "Only those shown" : `Select all ${number}that match`);
    // Offered only where at least one of them may.
    setAttr(cancel, "disabled", !all && !tasks.some((task) => task.links?.cancel));
    setAttr(retry, "disabled", !all && !tasks.some((task) => task.links?.retry));
    compare.hidden = all || tasks.length !== 2;
    if (!compare.hidden) compare.href = link("tasks/compare" + query({ a: tasks[1].id, b: tasks[0].id }));
  }

  async function act(kind) {
    const tasks = chosen();
    const answer = await (all ? allMatching(kind, filters(), matching) : kind === "retry" && tasks.length === 1 ? retryTask(tasks[0]) : bulk(kind, tasks));
    if (!answer) return;
    all = false;
    table.selectAll(false);
    changed();
  }

  return element;
}

// Shows what it would be about before it is done.
function allMatching(kind, filters, matching) {
  return attempt(async () => {
    const given = filters.status.filter((one) => MAY[kind].includes(one));
    const status = filters.status.length ? given : MAY[kind];
    const nothing = `None of them can be ${kind === "cancel" ? "cancelled" : "retried"}`;
    if (!status.length) return void toast(nothing, { kind: "warning" });
    const { data } = await get("api/tasks/" + query({ ...filters, status, limit: LOOKED_AT }));
    if (!data.tasks.length && !data.next_cursor) return void toast(nothing, { kind: "warning" });
    const total = data.next_cursor ? matching(status) : data.tasks.length; // the counts may be seconds old, a whole answer is not
    const n = total === null ? `more than ${plural(data.tasks.length, "task")}` : plural(Math.max(total, data.tasks.length), "task");
    if (!(await preview(kind, n, total, data))) return null;
    const body = Object.fromEntries(Object.entries({ ...filters, status }).filter(([, values]) => values.length).map(([name, values]) => [name, ["status", "type"].includes(name) ? values : values[0]]));
    const answer = await send("POST", `api/tasks/${kind}`, body);
    // Taken back is what was seen: of more than were looked at nobody knows which were cancelled before.
    const known = kind === "cancel" && answer.changed > 0 && !data.next_cursor && undoable(data.tasks);
    toast(`${count(answer.changed)} of ${plural(answer.matched, "task")} ${kind === "cancel" ? "cancelled" : "back in the queue"}`, { kind: answer.changed ? "success" : "warning", ...(known && { action: { label: "Undo", run: () => bulk("retry", data.tasks) } }) });
    return answer;
  });
}

function preview(kind, n, total, { tasks, next_cursor: more }) {
  const word = kind === "cancel" ? "Cancel" : "Retry";
  const rest = (total ?? tasks.length) - NAMED;
  const dialog = h(
    "dialog",
    { "aria-labelledby": "preview-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "preview-title" }, `${word} ${n}?`),
      h("p", null, "All that match the filter when it is done, those that are not shown and those that came meanwhile too. The newest now:"),
      h("ul", { class: "feed" }, tasks.slice(0, NAMED).map((task) => h("li", null, h("div", { class: "line" }, badge(task.status, task.phase), h("span", { class: "grow clip" }, nameOf(task)), h("small", { class: "muted" }, task.type))))),
      rest > 0 && h("p", { class: "muted" }, `and ${total === null && more ? "more than " : ""}${count(rest)} more`),
      h("div", { class: "row end" }, h("button", { class: "button", value: "no", autofocus: true }, "Keep"), h("button", { class: kind === "cancel" ? "button danger" : "button primary", value: "yes" }, `${word} ${n}`)),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    }),
  );
}
