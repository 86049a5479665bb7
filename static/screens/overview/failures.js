// Failures: the newest ones grouped by what went wrong, each group retried at once.

import { h, put, keepFocus, keyed, setText, setAttr, button } from "../../dom.js";
import { get, link, query } from "../../api.js";
import { poll } from "../../poll.js";
import { count, plural, time, setTime } from "../../format.js";
import { bulk, confirm, forActors } from "../../actions.js";

const LOOKED_AT = 200; // the newest failures
const SHOWN = 6; // groups
const EVERY_MS = 15_000;

/** Failed tasks by code and message, numbers and ids aside: [{key, code, message, tasks}], the biggest group first. */
export function groupsOf(tasks) {
  const groups = new Map();
  for (const task of tasks) {
    const code = task.error?.code ?? "failed";
    const message = String(task.error?.message ?? "").split("\n")[0];
    const key = `${code} ${message.replace(/[0-9a-f]{8}-[0-9a-f-]{27}|\d+(\.\d+)?/gi, "#")}`;
    const group = groups.get(key) ?? { key, code, message, tasks: [] };
    group.tasks.push(task);
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.tasks.length - a.tasks.length);
}

/** {card, first}: a card that shows itself while there are failures; `first` resolves when that is known. */
export function failures({ signal, owner }) {
  const list = h("ul", { class: "feed" });
  const note = h("p", { class: "muted small" });
  const card = h("section", { class: "card wide", hidden: true }, h("h2", null, "Failures by error"), list, note);
  const polling = poll(
    async () => {
      const { data } = await get("api/tasks/" + query({ status: "FAILED", limit: LOOKED_AT, owner }), { signal });
      // Sorted here: by when they ended, the server would have to go through all that succeeded since.
      const groups = groupsOf(data.tasks.toSorted((a, b) => (a.finished_at < b.finished_at ? 1 : -1)));
      card.hidden = !groups.length;
      keyed(list, groups.slice(0, SHOWN), ({ key }) => key, make, (row, group) => row.update(group));
      setText(note, [groups.length > SHOWN && `${count(groups.length - SHOWN)} more kinds`, data.next_cursor && `of the newest ${count(LOOKED_AT)} failures`].filter(Boolean).join(" · "));
    },
    { signal, every: EVERY_MS, wakes: (task) => task.status === "FAILED", rest: 1_000, failed: () => {} },
  );

  function make({ code, message }) {
    let group = null;
    const words = h("span");
    const latest = time(null, "the last one ");
    const types = h("span", { class: "muted" });
    const retry = button("", "retry", async () => {
      if (!(await confirm(`Retry ${plural(group.tasks.length, "task")}?`, `They failed with ${code}. What an attempt did before it failed may be done again.`, "Retry"))) return;
      if (await bulk("retry", group.tasks)) await polling.now();
      keepFocus(list.querySelector("button"), document.querySelector("main h1"));
    }, { class: "button small" });
    forActors(retry);
    retry.append(h("span", { class: "sr" }, ` with ${code}`));
    const row = h(
      "li",
      null,
      h("div", { class: "line wrap" }, h("a", { class: "grow", href: link("tasks" + query({ status: "FAILED", q: code, owner })) }, h("code", null, code), " ", message), retry),
      h("p", { class: "line wrap small muted" }, words, latest, types),
    );
    row.update = (next) => {
      group = next;
      const n = group.tasks.length;
      setText(words, plural(n, "task"));
      setText(retry.querySelector("span"), `Retry ${count(n)}`);
      setAttr(retry, "disabled", !group.tasks.some((task) => task.links?.retry));
      setTime(latest, group.tasks[0].finished_at);
      setText(types, [...new Set(group.tasks.map((task) => task.type))].join(", "));
    };
    return row;
  }
  put(list);
  return { card, first: polling.first };
}
