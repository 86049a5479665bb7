// Timeline: every transition, and above it the same drawn to scale.

import { h, put } from "../../dom.js";
import { get } from "../../api.js";
import { duration, time, now, exact, clock } from "../../format.js";
import { badge, WORDS } from "../../elements/status-badge.js";
import { skeleton } from "../../elements/states.js";

const THINNEST = 0.6; // percent: a shorter stay would not be seen

export function timelinePanel({ path, signal }) {
  const element = h("div", null, skeleton(4));
  let shown = null;
  return {
    element,
    async update(task) {
      const { data } = await get(`${path}/timeline`, { signal });
      const ended = Boolean(task.finished_at);
      if (shown === data && ended) return;
      shown = data;
      const steps = data.timeline.map((entry, at) => {
        const next = data.timeline[at + 1];
        const end = next ? Date.parse(next.at) : ended ? null : now();
        // A task keeps its error until the next one: it belongs to the entry with which it came.
        const came = entry.error?.attempt !== data.timeline[at - 1]?.error?.attempt || entry.error?.code !== data.timeline[at - 1]?.error?.code;
        return { ...entry, error: came ? entry.error : null, ms: end == null ? null : end - Date.parse(entry.at) };
      });
      put(element, scale(steps), h("ol", { class: "timeline" }, steps.map(row)));
    },
  };
}

function scale(steps) {
  const parts = steps.filter((step) => step.ms > 0);
  const total = parts.reduce((sum, step) => sum + step.ms, 0);
  if (!total) return null;
  const words = parts.map((step) => `${WORDS[step.to] ?? step.to} ${duration(step.ms)}`).join(", ");
  const bar = h("div", { class: "scale", role: "img", "aria-label": `To scale: ${words}` }, parts.map((step) => {
    const part = h("i", { data: { status: step.to }, title: `${WORDS[step.to] ?? step.to} ${duration(step.ms)}` });
    part.style.flexGrow = Math.max(THINNEST, (step.ms / total) * 100);
    return part;
  }));
  return h("div", { class: "block" }, bar, h("p", { class: "line small muted" }, h("span", null, clock(parts[0].at, true)), h("span", { class: "grow center" }, duration(total)), h("span", null, clock(new Date(Date.parse(parts.at(-1).at) + parts.at(-1).ms).toISOString(), true))));
}

function row(step) {
  const about = [step.from === null && "submitted", step.attempt && `attempt ${step.attempt}`, step.worker && `on ${step.worker}`, step.by && `by ${step.by}`].filter(Boolean).join(" · ");
  return h("li", { data: { status: step.to } }, h("div", { class: "line wrap" }, badge(step.to), h("span", { class: "muted grow" }, about), h("span", { class: "muted small desk", title: exact(step.at) }, clock(step.at, true)), h("span", { class: "small muted" }, time(step.at))), step.error && h("p", { class: "note" }, String(step.error.message ?? step.error.code ?? step.error).split("\n")[0]), step.ms > 0 && h("p", { class: "muted small" }, `for ${duration(step.ms)}`));
}
