// <status-badge>: a status as icon and word, with the phase where that says more.

import { h, icon, put } from "../dom.js";

export const STATUSES = ["PENDING", "RUNNING", "SUCCESS", "FAILED", "CANCELLED"];
export const WORDS = { PENDING: "Pending", RUNNING: "Running", SUCCESS: "Success", FAILED: "Failed", CANCELLED: "Cancelled" };
// The phases that the status alone does not tell.
const PHASES = { scheduled: "scheduled", backing_off: "backing off", blocked: "blocked", awaiting_approval: "awaiting approval", paused: "paused", cancelling: "cancelling" };

class StatusBadge extends HTMLElement {
  #shown = "";

  /** Shows a task's status; redraws only on change. */
  show(status, phase) {
    const key = `${status} ${phase}`;
    if (key === this.#shown) return;
    this.#shown = key;
    this.dataset.status = status;
    put(this, icon(WORDS[status] ? status.toLowerCase() : "info"), h("span", null, WORDS[status] ?? status), PHASES[phase] && h("small", null, PHASES[phase]));
  }
}

customElements.define("status-badge", StatusBadge);

/** A badge for a status. */
export function badge(status, phase) {
  const element = document.createElement("status-badge");
  element.show(status, phase);
  return element;
}
