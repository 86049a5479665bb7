// Task: everything about one task. The tab stands in the address; the head follows every poll.

import { h, put, setText, setAttr, button, icon, sr, announce, keepFocus, revealCurrent } from "../dom.js";
import { get, link } from "../api.js";
import { poll } from "../poll.js";
import { bind } from "../keys.js";
import { navigate, back } from "../router.js";
import { duration, time, setTime, took, title as nameOf } from "../format.js";
import { cancelTask, forActors, retryTask, runAgain } from "../actions.js";
import { copyText, curl } from "../copy.js";
import { approveTask, mayDecide, rejectTask } from "../approvals.js";
import { WORDS } from "../elements/status-badge.js";
import { emptyState, errorState, skeleton } from "../elements/states.js";
import { summaryPanel } from "./task/summary.js";
import { attemptsPanel } from "./task/attempts.js";
import { logsPanel } from "./task/logs.js";
import { timelinePanel } from "./task/timeline.js";
import { artifactsPanel } from "./task/artifacts.js";
import { relatedPanel } from "./task/related.js";
import { waitReasons } from "./task/explain.js";
import "../elements/progress-bar.js";

export const title = "Task";

const LIVELY_MS = 1_000; // one running task that somebody looks at
const DONE = new Set(["SUCCESS", "FAILED", "CANCELLED"]);

/** Each panel: (place) => {element, update(task)}; place = {path, signal}. `update` runs when the task changed and while it runs. */
const TABS = [
  ["summary", "Summary", summaryPanel],
  ["attempts", "Attempts", attemptsPanel],
  ["logs", "Logs", logsPanel],
  ["timeline", "Timeline", timelinePanel],
  ["artifacts", "Artifacts", artifactsPanel],
  ["related", "Related", relatedPanel],
];

export function mount(root, context) {
  const { signal } = context;
  const id = context.params.id;
  const path = `api/tasks/${encodeURIComponent(id)}`;
  const page = link(`tasks/${encodeURIComponent(id)}`);
  let task = null;
  let panel = null; // {name, element, update, end, running, loaded}

  const heading = h("h1", { tabindex: "-1" }, "Task");
  const status = document.createElement("status-badge");
  const ident = h("span", { class: "line" }, h("code", { class: "ident" }, id), h("button", { type: "button", class: "plain", title: "Copy id", on: { click: () => copyText(id, "Id") } }, icon("copy"), sr("Copy id")));
  const buttons = h("div", { class: "row actions" });
  const wait = h("div");
  const progress = document.createElement("progress-bar");
  const step = h("p", { class: "muted small" });
  const run = h("section", { class: "run", "aria-label": "Progress", hidden: true }, progress, step);
  const facts = h("aside", { class: "card facts", "aria-label": "Facts" });
  const tabs = h("nav", { class: "tabs", "aria-label": "Parts of the task" });
  const body = h("div", { class: "panel" });
  // They come together: one by one, each would push the others away.
  const parts = [run, wait, h("div", { class: "split" }, h("div", { class: "grow" }, tabs, body), facts)];
  const waiting = h("div", { class: "block" }, skeleton(24));
  put(
    root,
    h("div", { class: "crumb" }, h("a", { href: link("tasks") }, icon("back"), "Tasks")),
    h("header", { class: "head task-head" }, h("div", { class: "grow" }, heading, h("p", { class: "line wrap" }, status, ident)), buttons),
    waiting,
  );

  const polling = poll(
    async () => {
      const { data } = await get(path, { signal });
      const before = task;
      task = data;
      if (before !== task) show(before);
      else if (task.status === "RUNNING") showFacts();
      if (!panel) openTab(context.query.get("tab"));
      await Promise.all([refresh(), explain()]).finally(arrived);
      return task.status === "RUNNING" ? LIVELY_MS : undefined;
    },
    { signal, wakes: (news) => news.id === id, failed: (error) => (error.status === 404 ? missing() : !task && put(waiting, errorState(error, polling.now))) },
  );

  context.update = (query) => {
    if (!task) return;
    openTab(query.get("tab"));
    refresh().catch(() => {}); // shown by refresh; the next poll tries again
  };

  function arrived() {
    setText(heading, nameOf(task));
    status.show(task.status, task.phase);
    showButtons();
    if (!waiting.isConnected || signal.aborted) return;
    waiting.replaceWith(...parts);
    revealCurrent(tabs);
  }

  function show(before) {
    context.setTitle(nameOf(task));
    showFacts();
    run.hidden = task.status !== "RUNNING" && !(task.progress?.percent > 0 && task.status !== "SUCCESS");
    progress.show(task, { long: true });
    setText(step, task.progress?.step ?? "");
    if (before && before.status !== task.status) announce(`${nameOf(task)}: ${WORDS[task.status]}`);
  }

  // Made once, shown when allowed: a focused button must not be replaced under the finger.
  const cancel = button("Cancel", "stop", () => act(cancelTask), { class: "button danger" });
  const retry = button("Retry", "retry", () => act(retryTask), { class: "button primary" });
  const approve = button("Approve", "success", () => act(approveTask), { class: "button primary", hidden: true });
  const reject = button("Reject", "cancelled", () => act(rejectTask), { class: "button danger", hidden: true });
  const again = button("Run again", "clone", async () => {
    const made = await runAgain(task);
    if (made) navigate(`tasks/${made.id}`);
  });
  const edit = h("a", { class: "button", href: link(`submit?clone=${encodeURIComponent(id)}`) }, icon("edit"), h("span", null, "Clone and edit"));
  const copyCurl = button("Copy as curl", "terminal", () => copyText(curl("GET", path), "curl line"));
  forActors(again, edit);
  again.disabled = cancel.hidden = retry.hidden = true;
  put(buttons, approve, reject, cancel, retry, again, edit, copyCurl); // there from the first, so that nothing below jumps
  function showButtons() {
    const had = buttons.contains(document.activeElement);
    again.disabled = false;
    cancel.hidden = !task.links?.cancel;
    retry.hidden = !task.links?.retry;
    mayDecide().then((may) => {
      approve.hidden = reject.hidden = !(may && task.links?.approve);
      if (had) keepFocus(heading);
    });
    const asked = Boolean(task.cancel_requested_at) && !DONE.has(task.status);
    setAttr(cancel, "disabled", asked);
    setText(cancel.querySelector("span"), asked ? "Cancelling" : "Cancel");
    if (had) keepFocus(heading);
  }

  async function act(run) {
    if (await run(task)) await polling.now();
  }

  const rows = {
    type: h("a"),
    queue: h("a"),
    priority: h("span"),
    attempt: h("span"),
    created: time(null),
    run_at: time(null),
    started: time(null),
    finished: time(null),
    waited: h("span"),
    took: h("span"),
    limit: h("span"),
    worker: h("span"),
    owner: h("span"),
    client: h("span"),
    tags: h("span", { class: "row" }),
  };
  const fact = (label, node) => h("div", null, h("dt", null, label), h("dd", null, node));
  const list = h("dl", { class: "pairs" }, [
    ["Type", rows.type],
    ["Queue", rows.queue],
    ["Priority", rows.priority],
    ["Attempt", rows.attempt],
    ["Created", rows.created],
    ["Due", rows.run_at],
    ["Started", rows.started],
    ["Finished", rows.finished],
    ["Waited", rows.waited],
    ["Took", rows.took],
    ["Time limit", rows.limit],
    ["Worker", rows.worker],
    ["Owner", rows.owner],
    ["Client", rows.client],
    ["Tags", rows.tags],
  ].map(([label, node]) => fact(label, node)));

  function showFacts() {
    if (list.parentElement !== facts) put(facts, list);
    const filter = (element, name) => {
      setText(element, task[name]);
      element.href = link("tasks?" + new URLSearchParams({ [name]: task[name] ?? "" }));
    };
    const only = (element, text) => {
      setText(element, text ?? "");
      setAttr(element, "title", text ?? null);
      element.closest("div").hidden = text == null;
    };
    filter(rows.type, "type");
    filter(rows.queue, "queue");
    setText(rows.priority, task.priority);
    setText(rows.attempt, task.attempt ? `${task.attempt} of ${Math.max(task.max_attempts, task.attempt)}` : `none of ${task.max_attempts} yet`);
    setTime(rows.created, task.created_at);
    setTime(rows.run_at, task.run_at);
    rows.run_at.closest("div").hidden = !task.run_at || DONE.has(task.status) || Date.parse(task.run_at) - Date.parse(task.created_at) < 1000;
    setTime(rows.started, task.started_at);
    setTime(rows.finished, task.finished_at);
    only(rows.waited, task.started_at ? duration(Math.max(0, Date.parse(task.started_at) - Math.max(Date.parse(task.created_at), Date.parse(task.run_at) || 0))) : null);
    if (task.attempt > 1) rows.waited.closest("div").hidden = true; // run_at has moved since
    only(rows.took, took(task) == null ? null : duration(took(task)));
    only(rows.limit, task.timeout_seconds ? duration(task.timeout_seconds * 1000) : null);
    only(rows.worker, task.worker);
    only(rows.owner, task.owner);
    only(rows.client, task.client_id);
    rows.tags.closest("div").hidden = !task.tags?.length;
    if (rows.tags.textContent !== (task.tags ?? []).join("")) put(rows.tags, (task.tags ?? []).map((tag) => h("a", { class: "chip", href: link("tasks?" + new URLSearchParams({ tag })) }, tag)));
  }

  async function explain() {
    if (task.status !== "PENDING") return put(wait);
    const { data } = await get(`${path}/explain`, { signal }).catch(() => ({ data: null }));
    waitReasons(wait, data);
  }

  function openTab(wanted) {
    const [name, , make] = TABS.find(([name]) => name === wanted) ?? TABS[0];
    if (panel?.name === name) return;
    panel?.end.abort();
    put(tabs, TABS.map(([one, label]) => h("a", { href: one === TABS[0][0] ? page : `${page}?tab=${one}`, "aria-current": one === name ? "page" : null }, label)));
    revealCurrent(tabs);
    const end = new AbortController();
    signal.addEventListener("abort", () => end.abort(), { signal: end.signal });
    panel = { name, end, ...make({ path, id, signal: end.signal }) };
    put(body, panel.element);
  }

  // One update at a time: two at once would read the same log lines. A finished task's panel rests.
  async function refresh() {
    const mine = panel;
    if (mine.loaded === task && DONE.has(task.status)) return;
    const about = task;
    mine.running ??= Promise.resolve(mine.update(about)).finally(() => (mine.running = null));
    try {
      await mine.running;
      mine.loaded = about;
      if (mine === panel && mine.element.parentElement !== body) put(body, mine.element);
    } catch (error) {
      if (mine !== panel || signal.aborted) return;
      if (!mine.loaded) put(body, errorState(error, polling.now));
      throw error;
    }
  }

  function missing() {
    put(root, h("h1", { tabindex: "-1" }, "No such task"), emptyState("This task does not exist", "It may have been removed after its time, or it belongs to someone else.", h("a", { class: "button", href: link("tasks") }, "All tasks")));
  }

  bind("Escape", "Back", () => back("tasks"), signal);
  bind("r", "Retry, where allowed", () => task?.links?.retry && act(retryTask), signal);
  return polling.now();
}
