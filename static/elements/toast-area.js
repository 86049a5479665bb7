// <toast-area>: short messages in a corner. Errors stay until closed, the rest leave by themselves.

import { h, icon } from "../dom.js";

const STAY_MS = 6_000;
const STAY_WITH_ACTION_MS = 12_000; // time to read and reach the button
const MOST = 4;

const ICONS = { info: "info", success: "success", warning: "pending", error: "failed" };

class ToastArea extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", "Messages");
  }

  /** Shows one message: {kind: info|success|warning|error, text, action: {label, run}}. Returns it; it may be removed. */
  add(heading, { kind = "info", text, action } = {}) {
    const close = () => {
      clearTimeout(timer);
      item.remove();
    };
    const item = h(
      "div",
      { class: `toast line ${kind}`, role: kind === "error" ? "alert" : "status" },
      icon(ICONS[kind]),
      h("div", { class: "grow" }, h("strong", null, heading), text && h("p", null, text)),
      action && h("button", { type: "button", class: "button small", on: { click: () => (close(), action.run()) } }, action.label),
      h("button", { type: "button", class: "plain", on: { click: close } }, icon("close"), h("span", { class: "sr" }, "Dismiss")),
    );
    let timer = 0;
    const leave = () => {
      clearTimeout(timer);
      if (kind !== "error") timer = setTimeout(close, action ? STAY_WITH_ACTION_MS : STAY_MS);
    };
    for (const event of ["pointerenter", "focusin"]) item.addEventListener(event, () => clearTimeout(timer));
    for (const event of ["pointerleave", "focusout"]) item.addEventListener(event, leave);
    leave();
    this.append(item);
    if (this.children.length > MOST) this.firstElementChild.remove();
    return item;
  }
}

customElements.define("toast-area", ToastArea);

/** Shows a message; see ToastArea.add. */
export const toast = (heading, options) => document.querySelector("toast-area").add(heading, options);
