// <outbox-list>: what an outbox holds, with pause, try now and cancel.

import { h, keyed, put, setText, button, sr } from "../dom.js";
import { count, plural, relative, time } from "../format.js";
import { emptyState } from "./states.js";

const SHOWN = 100;
const WORDS = { waiting: "waits", sending: "on its way", refused: "refused", old: "too old to be sent by itself" };
const TONES = { waiting: "PENDING", sending: "RUNNING", refused: "FAILED", old: "FAILED" };

class OutboxList extends HTMLElement {
  /** Shows `outbox` until `signal` ends. */
  show(outbox, signal) {
    const words = h("p", { role: "status", class: "grow" });
    const pause = button("Pause", null, () => outbox.pause(!outbox.paused), { class: "button small" });
    const list = h("ol", { class: "feed", "aria-label": "Outbox, the next one first" });
    const none = h("div");
    put(this, h("div", { class: "row" }, words, pause), list, none);
    const draw = () => {
      const { items, paused } = outbox;
      setText(words, items.length ? `${plural(items.length, "request")}${paused ? ", paused" : ""}` : paused ? "Paused" : "Nothing waits");
      setText(pause, paused ? "Go on" : "Pause");
      const held = this.contains(document.activeElement) && document.activeElement;
      keyed(list, items.slice(0, SHOWN), ({ id }) => id, (item) => row(outbox, item), (element, item) => element.update(item));
      if (held && !this.contains(document.activeElement)) (list.querySelector("button") ?? pause).focus();
      put(none, !items.length && emptyState("The outbox is empty", "What you submit while the server does not answer waits here. It is kept over a reload, and each runs once."));
    };
    outbox.onChange(draw, signal);
    draw();
  }
}

function row(outbox, item) {
  const state = h("span", { class: "label small" });
  const about = h("p", { class: "small muted" });
  const error = h("p", { class: "note" });
  const act = (label, iconName, run) => button([label, sr(` ${item.label}`)], iconName, () => run(item.id), { class: "button small" });
  const again = act("Try now", "retry", (id) => outbox.retry(id));
  const drop = act("Cancel", "close", (id) => outbox.cancel(id));
  const element = h("li", null, h("div", { class: "line wrap" }, h("strong", { class: "clip" }, item.label), state, h("span", { class: "grow" }), again, drop), about, error);
  const since = time(new Date(item.at).toISOString(), "put in ");
  const more = h("span");
  about.append(since, more);
  element.update = (now) => {
    element.dataset.status = TONES[now.state];
    setText(state, WORDS[now.state]);
    setText(more, [` · priority ${now.priority}`, now.tries && ` · ${plural(now.tries, "try")}`, now.state === "waiting" && now.after > Date.now() && ` · again ${relative(new Date(now.after).toISOString())}`].filter(Boolean).join(""));
    setText(error, now.error ?? "");
    again.hidden = now.state === "sending";
  };
  element.update(item);
  return element;
}

/** "3 requests wait": for the bar. */
export const outboxWords = ({ items, paused }) => `${count(items.length)} in the outbox${paused ? ", paused" : ""}`;

customElements.define("outbox-list", OutboxList);
