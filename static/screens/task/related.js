// Related: what else there is of the same kind, by what the task says of itself: its tags, name, files and client.

import { h, keyed, put } from "../../dom.js";
import { get, link, query } from "../../api.js";
import { setTime, time, title as nameOf } from "../../format.js";
import { badge } from "../../elements/status-badge.js";
import { emptyState, skeleton } from "../../elements/states.js";

const SHOWN = 5; // of each kind
const TAGS = 5; // looked for, the first ones

/** The lists that others would stand in: [{label, filter}]. Of a client only its tasks of this type. */
function kindsOf({ tags, name, type, client_id: client, owner }) {
  return [
    ...(tags ?? []).slice(0, TAGS).map((tag) => ({ label: `With the tag ${tag}`, filter: { tag, owner } })),
    name && { label: `${type} with the words of this name`, filter: { q: name, type, owner } },
    client && { label: `${type} by the same client`, filter: { client_id: client, type, owner } },
  ].filter(Boolean);
}

export function relatedPanel({ id, signal }) {
  const list = h("div", { class: "block" });
  const element = h("div", null, skeleton(4));
  return {
    element,
    async update(task) {
      const kinds = kindsOf(task);
      const answers = await Promise.all(kinds.map(({ filter }) => get("api/tasks/" + query({ ...filter, limit: SHOWN + 1 }), { signal }).catch(noSearch)));
      const found = kinds.map((kind, at) => ({ ...kind, tasks: answers[at].data.tasks.filter((one) => one.id !== id).slice(0, SHOWN) })).filter(({ tasks }) => tasks.length);
      const did = h("p", null, h("a", { href: link("activity" + query({ target: id })) }, "Who did what with this task"));
      if (!found.length) return put(element, emptyState("Nothing related", "No other task has its tags, its name or its client.", did));
      keyed(list, found, ({ label }) => label, section, (part, { tasks }) => part.update(tasks));
      put(element, list, did);
    },
  };
}

// A name may be longer than a search may be.
function noSearch(error) {
  if (error.status !== 422) throw error;
  return { data: { tasks: [] } };
}

function section({ label, filter }) {
  const rows = h("ul", { class: "feed" });
  const part = h("section", { class: "card" }, h("div", { class: "row filters" }, h("h2", null, label), h("a", { class: "button small", href: link("tasks" + query(filter)) }, "All of them")), rows);
  part.update = (tasks) => keyed(rows, tasks, (task) => `${task.id} ${task.status}`, row, (row, task) => row.update(task));
  return part;
}

function row(task) {
  const when = time(task.created_at);
  const element = h("li", null, h("div", { class: "line" }, badge(task.status, task.phase), h("a", { class: "grow clip", href: link(`tasks/${encodeURIComponent(task.id)}`) }, nameOf(task)), h("span", { class: "muted num" }, when)));
  element.update = (now) => setTime(when, now.created_at);
  return element;
}
