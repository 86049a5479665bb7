// <toast-area>: short messages in a corner. Errors stay until closed, the rest leave by themselves; so does an error
// that the server does not answer, once it does.

import { h, icon, setText } from "../dom.js";
import { onSettings, setting } from "../settings.js";
import { onConnection } from "../connection.js";

const STAY_MS = 6_000;
const STAY_WITH_ACTION_MS = 12_000; // time to read and reach the button
const MOST = 4;

const ICONS = { info: "info", success: "success", warning: "pending", error: "failed", progress: "running" };

class ToastArea extends HTMLElement {
  connectedCallback() {
    const place = () => (this.dataset.place = setting("place"));
    place();
    onSettings(place);
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", "Messages");
    onConnection(({ state }) => state !== "offline" && this.querySelectorAll("[data-lost]").forEach((item) => item.back()));
  }

  /** Shows one message: {kind: info|success|warning|error|progress, text, action: {label, run}, sticky, lost: the server did not answer}.
   * Returns it; it may be removed. That of a progress stays until `item.done()`; `item.progress(0..1, text)` moves it, with null only its
   * words; with an action it is ended by that alone, and others do not push it out. */
  add(heading, { kind = "info", text, action, sticky = false, lost = false } = {}) {
    const words = h("p", null, text);
    const bar = kind === "progress" && h("progress", { max: 1, "aria-label": heading });
    const close = () => {
      clearTimeout(timer);
      item.remove();
    };
    const item = h(
      "div",
      { class: `toast line ${kind}`, role: kind === "error" ? "alert" : "status", "data-lost": lost },
      icon(ICONS[kind]),
      h("div", { class: "grow" }, h("strong", null, heading), (text || bar) && words, bar),
      action && h("button", { type: "button", class: "button small", on: { click: () => (close(), action.run()) } }, action.label),
      !(bar && action) && h("button", { type: "button", class: "plain", on: { click: close } }, icon("close"), h("span", { class: "sr" }, "Dismiss")),
    );
    let timer = 0;
    let stays = sticky || kind === "error" || kind === "progress";
    const since = Date.now();
    const leave = (ms = action ? STAY_WITH_ACTION_MS : STAY_MS) => {
      clearTimeout(timer);
      if (!stays) timer = setTimeout(close, ms);
    };
    item.progress = (share, now) => {
      if (share !== null) bar.value = share;
      setText(words, now);
    };
    item.done = () => {
      stays = false;
      leave();
    };
    item.back = () => {
      stays = false;
      if (!item.matches(":hover, :focus-within")) leave(since + STAY_MS - Date.now()); // long enough to be read
    };
    for (const event of ["pointerenter", "focusin"]) item.addEventListener(event, () => clearTimeout(timer));
    for (const event of ["pointerleave", "focusout"]) item.addEventListener(event, () => leave());
    leave();
    this.append(item);
    if (this.children.length > MOST) (this.querySelector(":scope > :not(.progress)") ?? this.firstElementChild).remove();
    return item;
  }
}

customElements.define("toast-area", ToastArea);

/** Shows a message; see ToastArea.add. */
export const toast = (heading, options) => document.querySelector("toast-area").add(heading, options);

/** Tells why something failed. */
export const tellFailure = (error, heading = "That did not work", more = "") => toast(error.title || heading, { kind: "error", text: error.message + more, lost: error.status === 0 });
