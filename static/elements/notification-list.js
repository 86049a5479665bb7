// <notification-list>: ends of tasks, newest first, with what one may do with them. In the drawer and on the screen.

import { h, put, keyed, setText, setAttr, button, icon } from "../dom.js";
import { link } from "../api.js";
import { count, exact, named, time } from "../format.js";
import { confirm } from "../actions.js";
import { mayMark, markRead, markUnread, markReadUpTo, clearUpTo, mute, unmute, muteWords, unreadIds } from "../notifications.js";
import { badge } from "./status-badge.js";
import { emptyState, errorState } from "./states.js";

const OPEN_MS = 2_000;

class NotificationList extends HTMLElement {
  #page = null; // the newest answer
  #options = {};
  #items = []; // what is shown of it
  #openUntil = 0; // what comes until then, after one's own action, is shown at once
  #busy = false;
  #reason = h("p", { class: "note", hidden: true }, "This key may only read: what is read, cleared or muted is set with a key that may submit.");
  #read = button("Mark all read", "success", () => this.#markAll(), { class: "button small" });
  #clear = button("Clear", "cancelled", () => this.#clearAll(), { class: "button small" });
  #tools = h("div", { class: "row", hidden: true }, this.#read, this.#clear);
  #said = h("div", { role: "status", tabindex: "-1" });
  #news = h("button", { type: "button", class: "button primary news", "aria-live": "polite", hidden: true, on: { click: () => this.#showNews() } });
  #rows = h("ol", { class: "feed", "aria-label": "Notifications, newest first" });
  #none = h("div");

  /** Shows a page of `GET /api/notifications`; what is new in it waits until one asks for it, or `takeNews` was called. `older`: not the first page; `empty`: what stands in the place of no rows; `may`: whether the caller may mark, where that is known. */
  show(page, options = {}) {
    const { older = false, empty, may = null } = options;
    [this.#page, this.#options] = [page, options];
    if (!this.firstChild) this.append(this.#reason, this.#tools, this.#said, h("div", null, this.#news, this.#rows), this.#none);
    const kept = Date.now() > this.#openUntil ? this.#kept(page) : [];
    this.#items = kept.length ? kept : page.items;
    const shown = new Set(this.#items.map(({ id }) => id));
    const waiting = page.items.filter(({ id }) => !shown.has(id)).length;
    this.#news.hidden = !waiting;
    setText(this.#news, waiting ? `${count(waiting)} new – show` : "");
    setText(this.#read.querySelector("span"), older ? "Mark these and older read" : "Mark all read");
    setText(this.#clear.querySelector("span"), older ? "Clear these and older" : "Clear");
    setAttr(this.#read, "aria-disabled", page.unread === 0 || !this.#items.length ? "true" : null);
    setAttr(this.#clear, "aria-disabled", this.#items.length ? null : "true");
    const held = document.activeElement;
    const at = [...this.#rows.children].findIndex((row) => row.contains(held));
    keyed(this.#rows, this.#items, ({ id }) => id, (item) => this.#row(item), update);
    if (at >= 0 && !this.#rows.contains(document.activeElement)) this.#refocus(at, held.matches(".toggle") ? ".toggle" : "a");
    this.#rows.hidden = !this.#items.length;
    put(this.#none, !this.#items.length && (empty ?? emptyState("Nothing to tell", "Each task that ends is told here.")));
    if (may === null) mayMark().then((may) => this.#allow(may));
    else this.#allow(may);
  }

  // Known rows as they are now. One that has gone from between others was cleared or muted; older ones may follow.
  #kept({ items, next_cursor: more }) {
    const fresh = new Map(items.map((item) => [item.id, item]));
    const last = this.#items.findLastIndex(({ id }) => fresh.has(id));
    const kept = this.#items.filter(({ id }, at) => fresh.has(id) || (more && at > last));
    const end = items.findLastIndex(({ id }) => id === kept.at(-1)?.id);
    return [...kept.map((item) => fresh.get(item.id) ?? item), ...(end < 0 ? [] : items.slice(end + 1))];
  }

  #showNews() {
    this.takeNews();
    this.show(this.#page, this.#options);
    this.#rows.querySelector("a")?.focus();
  }

  #allow(may) {
    this.#reason.hidden = may;
    this.#tools.hidden = !may;
    this.toggleAttribute("data-may", may);
  }

  /** What comes in the next moments is shown at once. */
  takeNews() {
    this.#openUntil = Date.now() + OPEN_MS;
  }

  /** Takes away what the last action said; what is new by the next look is shown at once. */
  forget() {
    put(this.#said);
    this.#items = [];
  }

  #row(item) {
    const { task } = item;
    const about = h("span", { class: "sr" }, `: ${item.title}`);
    const toggle = h("button", { type: "button", class: "button small toggle", on: { click: () => this.#toggle(item.id) } }, h("span"), about);
    const mutes = [{ type: task.type }, { queue: task.queue }, { status: task.status }];
    const menu = h("div", { class: "row mutes", hidden: true }, mutes.map((what) => h("button", { type: "button", class: "button small", on: { click: () => this.#mute(what) } }, `Mute ${muteWords(what)}`)));
    const more = h("button", { type: "button", class: "button small", "aria-expanded": "false", on: { click: () => setAttr(more, "aria-expanded", String(!(menu.hidden = !menu.hidden))) } }, "Mute…", about.cloneNode(true));
    return h(
      "li",
      { class: "told row" },
      h(
        "div",
        { class: "grow" },
        h("a", { href: link(`tasks/${encodeURIComponent(task.id)}`), on: { click: () => this.#open(item.id) } }, item.title),
        task.error && h("p", { class: "small" }, task.error.message),
        h("p", { class: "line wrap small muted" }, badge(task.status), h("b", null, "Unread"), time(item.at), h("span", { class: "exact" }, exact(item.at)), named(task) && h("span", null, task.type)),
      ),
      h("div", { class: "row marks" }, toggle, more),
      menu,
    );
  }

  #item = (id) => this.#items.find((item) => item.id === id);

  #toggle(id) {
    return this.#act(() => (this.#item(id)?.read ? markUnread([id]) : markRead([id])));
  }

  // Whoever opens it has read it. The link goes its own way.
  #open(id) {
    if (this.hasAttribute("data-may") && !this.#item(id)?.read) markRead([id]).catch(() => {});
  }

  #mute(what) {
    const words = muteWords(what);
    const run = async () => {
      await mute(what);
      return () => this.#act(() => unmute(what), `No longer muted: ${words}`);
    };
    return this.#act(run, `Muted: ${words}`);
  }

  #markAll() {
    const { unread, unread_more: more } = this.#page;
    const [newest] = this.#items;
    if (!unread || !newest) return;
    const run = async () => {
      const ids = more ? null : await unreadIds();
      await markReadUpTo(newest.id);
      return ids && (() => this.#act(() => markUnread(ids), "Unread again"));
    };
    return this.#act(run, "Marked as read");
  }

  async #clearAll() {
    const [newest] = this.#items;
    if (!newest) return;
    const sure = await confirm("Clear notifications?", `“${newest.title}” and all that ended before it go from the list, read or not. The tasks stay. This cannot be taken back.`, "Clear");
    if (sure) await this.#act(() => clearUpTo(newest.id), "Cleared");
  }

  // Says what was done; what `run` resolves to takes it back.
  async #act(run, said) {
    if (this.#busy) return;
    this.#busy = true;
    this.takeNews();
    try {
      const undo = await run();
      const held = this.#said.contains(document.activeElement);
      put(this.#said, said && h("div", { class: "notice row" }, icon("info"), h("div", null, said), undo && button("Undo", null, undo, { class: "button small" })));
      // What was pressed goes, or may go.
      if (held) this.#said.focus();
      else if (undo && this.contains(document.activeElement)) this.#said.querySelector("button").focus();
    } catch (error) {
      put(this.#said, errorState(error));
    } finally {
      this.#busy = false;
    }
  }

  // To the row that took the place of the one that held the focus.
  #refocus(at, control) {
    const row = this.#rows.children[Math.min(at, this.#rows.children.length - 1)];
    (this.#said.querySelector("button") ?? row?.querySelector(control) ?? this.#read).focus();
  }
}

function update(row, { read, at }) {
  row.toggleAttribute("data-unread", !read);
  setText(row.querySelector(".toggle > span"), read ? "Mark unread" : "Mark read");
  setText(row.querySelector(".exact"), exact(at));
}

customElements.define("notification-list", NotificationList);
