// Attempts: each run with its worker, times and outcome, the newest first.

import { h, keyed, put, setText } from "../../dom.js";
import { get } from "../../api.js";
import { duration, time, setTime, now } from "../../format.js";
import { emptyState, skeleton } from "../../elements/states.js";
import { badge } from "../../elements/status-badge.js";

const STATUS = { success: "SUCCESS", failed: "FAILED", cancelled: "CANCELLED" };
const WORDS = { lost: "Lost its worker", released: "Given back" };

export function attemptsPanel({ path, signal }) {
  const list = h("ol", { class: "feed attempts" });
  const element = h("div", null, skeleton(3));
  return {
    element,
    async update() {
      const { data } = await get(`${path}/attempts`, { signal });
      if (!data.attempts.length) return put(element, emptyState("Not started yet", "An attempt is listed here as soon as a worker takes the task."));
      if (list.parentElement !== element) put(element, list);
      keyed(list, data.attempts.toReversed(), (one) => `${one.attempt} ${one.outcome}`, row, (item, one) => item.update(one));
    },
  };
}

function row(one) {
  const started = time(one.started_at, "started ");
  const took = h("span", { class: "num" });
  const outcome = one.outcome == null ? badge("RUNNING") : STATUS[one.outcome] ? badge(STATUS[one.outcome]) : h("span", { class: "chip" }, WORDS[one.outcome] ?? one.outcome);
  const item = h("li", null, h("div", { class: "line wrap" }, h("strong", null, `Attempt ${one.attempt}`), outcome, h("span", { class: "muted" }, started), h("span", { class: "muted grow clip" }, one.worker ? `on ${one.worker}` : ""), took), one.error && h("pre", { class: "error-text", tabindex: "0" }, one.error.code ? `${one.error.code}: ${one.error.message ?? ""}` : String(one.error)));
  item.update = (next) => {
    setTime(started, next.started_at);
    setText(took, next.started_at ? duration((next.finished_at ? Date.parse(next.finished_at) : now()) - Date.parse(next.started_at)) : "–");
  };
  return item;
}
