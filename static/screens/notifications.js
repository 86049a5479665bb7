// Notifications: all of them, page by page, and what is muted. Page and filter stand in the address.

import { h, put, button, keyed } from "../dom.js";
import { get, link, query as queryString } from "../api.js";
import { poll } from "../poll.js";
import { copyText, curl } from "../copy.js";
import { PACE } from "../bell.js";
import { exportButton, submitLink } from "../actions.js";
import { mayMark, mute, muteWords, onMarked, unmute } from "../notifications.js";
import { emptyState, errorState, skeleton } from "../elements/states.js";
import { toast, tellFailure } from "../elements/toast-area.js";
import "../elements/notification-list.js";

export const title = "Notifications";

const PAGE = 50;

export function mount(root, { query, signal }) {
  const unread = query.get("unread") === "true" ? true : null;
  const cursor = query.get("cursor");
  const path = "api/notifications" + queryString({ unread, limit: PAGE, cursor });
  const here = (values) => link("notifications" + queryString(values));
  let shown = false;

  const list = document.createElement("notification-list");
  const body = h("div", null, skeleton(6));
  const older = h("a", { class: "button", hidden: true }, "Older");
  const mutes = h("ul", { class: "feed" });
  const muted = h("section", { class: "card block", hidden: true }, h("h2", { tabindex: "-1" }, "Muted"), h("p", { class: "help" }, "Neither shown nor counted. Unmuted, they are shown again, those that ended meanwhile too."), mutes);
  const tab = (label, value) => h("a", { href: here({ unread: value }), "aria-current": value === unread ? "page" : null }, label);
  put(
    root,
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Notifications"), exportButton(() => ({ what: "notifications", row: "notification", list: { path: "api/notifications", filters: { unread }, member: "items", within: "task" } })), button("Copy as curl", "terminal", () => copyText(curl("GET", path), "curl line"))),
    h("nav", { class: "tabs", "aria-label": "Which" }, tab("All", null), tab("Unread", true)),
    h("div", { class: "split" }, h("section", { class: "card grow", "aria-label": "List" }, body), h("div", { class: "request" }, muted)),
    h("nav", { class: "row", "aria-label": "Pages" }, cursor && h("a", { class: "button", href: here({ unread }) }, "Newest"), older),
  );

  const polling = poll(
    async () => {
      const [page, what, may] = await Promise.all([get(path, { signal }), get("api/notifications/muted", { signal }), mayMark()]);
      show(page.data, may);
      showMuted(what.data.muted, may);
    },
    { signal, ...PACE, failed: (error) => !shown && put(body, errorState(error, polling.now)) },
  );
  onMarked(polling.now, signal);

  function show(page, may) {
    shown = true;
    list.show(page, { older: Boolean(cursor), empty: nothing(page), may });
    if (list.parentElement !== body) put(body, list);
    older.hidden = !page.next_cursor;
    // The same page comes with another cursor each time; the address that is gone to stays good.
    if (page.next_cursor) older.href = here({ unread, cursor: page.next_cursor });
  }

  function nothing(page) {
    if (page.next_cursor) return emptyState("None on this page", "Older ones follow.");
    if (unread) return emptyState("Nothing is unread", "", h("a", { class: "button", href: here({}) }, "Show all"));
    if (cursor) return emptyState("Nothing older", "");
    return emptyState("Nothing to tell", "Each task that ends is told here.", submitLink("Submit a task"));
  }

  function showMuted(items, may) {
    const held = mutes.contains(document.activeElement);
    keyed(mutes, items, muteWords, (what) => h("li", null, h("div", { class: "row" }, h("span", { class: "grow" }, sentence(muteWords(what))), may && h("button", { type: "button", class: "button small", on: { click: () => lift(what) } }, "Unmute", h("span", { class: "sr" }, ` ${muteWords(what)}`)))));
    if (held && !mutes.contains(document.activeElement)) (mutes.querySelector("button") ?? muted.querySelector("h2")).focus();
    muted.hidden = false;
    if (!items.length) put(mutes, h("li", { class: "muted" }, "Nothing is muted. “Mute…” at a notification mutes its type, its queue or its end."));
  }

  async function lift(what) {
    try {
      list.takeNews();
      await unmute(what);
      toast(`No longer muted: ${muteWords(what)}`, { kind: "success", action: { label: "Undo", run: () => mute(what).catch(tellFailure) } });
    } catch (error) {
      tellFailure(error);
    }
  }
}

const sentence = (words) => words[0].toUpperCase() + words.slice(1);
