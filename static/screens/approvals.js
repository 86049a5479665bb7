// Approvals: what waits for a person, with what it would do, and the two answers to it.

import { h, put, button, keyed, icon, sr } from "../dom.js";
import { get, link, query as queryString } from "../api.js";
import { follow } from "../live.js";
import { poll } from "../poll.js";
import { bind } from "../keys.js";
import { named as isNamed, shortId, time, title as nameOf } from "../format.js";
import { copyText, curl } from "../copy.js";
import { exportButton } from "../actions.js";
import { approveTask, mayDecide, rejectTask } from "../approvals.js";
import { emptyState, errorState, skeleton } from "../elements/states.js";
import { jsonView } from "../elements/json-view.js";

export const title = "Approvals";

const PAGE = 50;

export function mount(root, { query, owner, signal }) {
  const cursor = query.get("cursor");
  const path = "api/approvals" + queryString({ limit: PAGE, cursor, owner });
  let shown = false;
  let may = false;

  const heading = h("h1", { tabindex: "-1" }, "Approvals");
  const body = h("div", null, skeleton(6));
  const next = h("a", { class: "button", hidden: true }, "More");
  const rows = h("ul", { class: "feed", "aria-label": "What waits for an approval" });
  put(
    root,
    h("header", { class: "head" }, heading, exportButton(() => ({ what: "approvals", row: "task", list: { path: "api/approvals", filters: { owner }, member: "tasks" } })), button("Copy as curl", "terminal", () => copyText(curl("GET", path), "curl line"))),
    h("p", { class: "muted" }, "These tasks run only once an admin has approved them."),
    h("section", { class: "card settings", "aria-label": "List" }, body),
    h("nav", { class: "row", "aria-label": "Pages" }, cursor && h("a", { class: "button", href: link("approvals" + queryString({ owner })) }, "First page"), next),
  );

  follow("approvals", signal);
  const polling = poll(
    async () => {
      const [{ data }, decides] = await Promise.all([get(path, { signal }), mayDecide()]);
      may = decides;
      show(data);
    },
    { signal, topic: "approvals", wakes: () => true, live: 30_000, failed: (error) => !shown && put(body, errorState(error, polling.now)) },
  );

  function show({ tasks, next_cursor }) {
    shown = true;
    next.hidden = !next_cursor;
    if (next_cursor) next.href = link("approvals" + queryString({ cursor: next_cursor, owner }));
    const at = [...rows.children].indexOf(current()?.row);
    keyed(rows, tasks, (task) => `${task.id} ${task.version} ${may}`, makeRow, () => {});
    if (at >= 0 && !current()) (rows.children[Math.min(at, tasks.length - 1)]?.querySelector("a") ?? heading).focus();
    if (tasks.length) return rows.parentElement !== body && put(body, rows);
    put(body, next_cursor ? emptyState("None on this page", "More may follow.") : emptyState("Nothing waits for an approval", "A task that needs one is shown here until somebody decides.", h("a", { class: "button", href: link("tasks") }, "All tasks")));
  }

  function makeRow(task) {
    const row = h("li", null);
    const due = Date.parse(task.run_at) - Date.parse(task.created_at) >= 1000;
    const params = h("details", null, h("summary", null, "Params", sr(` of ${nameOf(task)}`)));
    params.addEventListener("toggle", () => params.open && !params.querySelector("json-view") && params.append(jsonView(task.params, "Params")));
    const named = (label) => [label, sr(` ${nameOf(task)} ${shortId(task.id)}`)];
    const decide = (label, glyph, act, kind) => h("button", { type: "button", class: `button small ${kind}`, on: { click: () => decided(act, task) } }, icon(glyph), h("span", null, named(label)));
    row.task = task;
    put(
      row,
      h("div", { class: "line wrap" }, h("a", { class: "grow", href: link(`tasks/${encodeURIComponent(task.id)}`), title: task.id }, nameOf(task), " ", h("small", { class: "muted" }, isNamed(task) ? task.type : shortId(task.id))), may && [decide("Approve", "success", approveTask, "primary"), decide("Reject", "cancelled", rejectTask, "danger")]),
      h("p", { class: "muted small" }, `of ${task.owner} · asked for `, time(task.updated_at), due && [" · due ", time(task.run_at)]),
      params,
    );
    return row;
  }

  function current() {
    const row = rows.querySelector("li:focus-within");
    return row && { row, task: row.task };
  }

  async function decided(act, task) {
    await act(task);
    await polling.now(); // whoever was quicker is shown too
  }

  function move(by) {
    const all = [...rows.children];
    const at = all.indexOf(current()?.row);
    all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + by))]?.querySelector("a").focus();
  }

  const onRow = (act) => () => may && current() && decided(act, current().task);
  bind("j", "Next row", () => move(1), signal);
  bind("k", "Row before", () => move(-1), signal);
  bind("a", "Approve the row", onRow(approveTask), signal);
  bind("x", "Reject the row", onRow(rejectTask), signal);
  return polling.now();
}
