// Logs: read on with ?after=, follow the end, filter by level, find words.

import { h, put, setText, button, debounce } from "../../dom.js";
import { get, query } from "../../api.js";
import { clock, exact, count } from "../../format.js";
import { copyText } from "../../copy.js";
import { skeleton } from "../../elements/states.js";

const LEVELS = ["debug", "info", "warn", "error"];
const MOST = 5_000; // lines kept in the page; older ones are dropped from the top
const PAGES_AT_ONCE = 20; // so that one poll of a long log ends

export function logsPanel({ path, signal }) {
  const lines = []; // {level, text, row}
  let after = null;
  let dropped = 0;
  const level = h("select", { "aria-label": "Lowest level" }, LEVELS.map((one) => h("option", { value: one }, one === "debug" ? "All levels" : `${one} and above`)));
  const find = h("input", { type: "search", placeholder: "Find words", "aria-label": "Find in the log", autocomplete: "off" });
  const follow = h("input", { type: "checkbox", checked: true });
  const note = h("p", { class: "muted small" });
  const box = h("div", { class: "log", role: "log", tabindex: "0", "aria-label": "Log lines" }, skeleton(5));
  const element = h("div", null, h("div", { class: "row tools" }, level, find, h("label", { class: "grow line" }, follow, h("span", null, "Follow")), button("Copy", "copy", () => copyText(lines.map((line) => line.text).join("\n"), "Log"), { class: "button small" })), box, note);

  level.addEventListener("change", filter);
  find.addEventListener("input", debounce(filter, 120));
  follow.addEventListener("change", toEnd);
  // Scrolling up means reading: stop following; scrolling back to the end resumes.
  box.addEventListener("scroll", () => (follow.checked = box.scrollHeight - box.scrollTop - box.clientHeight < 24));

  return {
    element,
    async update(task) {
      for (let page = 0; page < PAGES_AT_ONCE; page += 1) {
        const { data } = await get(`${path}/logs${query({ after })}`, { signal });
        if (!lines.length) put(box);
        const fresh = data.logs.map(makeLine);
        lines.push(...fresh);
        box.append(...fresh.map((line) => line.row));
        for (const line of fresh) line.row.hidden = !matches(line);
        const moved = data.next != null && data.next !== after;
        after = data.next ?? after;
        if (!fresh.length || !moved) break;
        trim();
      }
      if (follow.checked) toEnd();
      say(task);
    },
  };

  function say(task) {
    if (!lines.length) return void put(box, h("p", { class: "muted" }, task.status === "PENDING" ? "The log starts with the first attempt." : "Nothing was logged."));
    const shown = lines.filter((line) => !line.row.hidden).length;
    setText(note, [shown === lines.length ? `${count(shown)} lines` : `${count(shown)} of ${count(lines.length)} lines`, dropped && `${count(dropped)} older lines are not shown`].filter(Boolean).join(" · "));
  }

  function filter() {
    for (const line of lines) line.row.hidden = !matches(line);
    if (lines.length) say({});
    toEnd();
  }

  function matches(line) {
    return LEVELS.indexOf(line.level) >= LEVELS.indexOf(level.value) && line.text.toLowerCase().includes(find.value.trim().toLowerCase());
  }

  function trim() {
    while (lines.length > MOST) {
      lines.shift().row.remove();
      dropped += 1;
    }
  }

  function toEnd() {
    if (follow.checked) box.scrollTop = box.scrollHeight;
  }
}

function makeLine({ at, level, message, attempt }) {
  const known = LEVELS.includes(level) ? level : "info";
  const row = h("div", { class: `log-line ${known}` }, h("time", { datetime: at, title: exact(at) }, clock(at, true)), h("span", { class: "level" }, known), h("span", { class: "message", title: attempt ? `attempt ${attempt}` : null }, message));
  return { level: known, text: `${at} ${known} ${message}`, row };
}
