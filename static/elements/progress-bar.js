// <progress-bar>: how far a task is, as a bar and in numbers.

import { h, setText, setAttr } from "../dom.js";
import { coarse, count, title, took } from "../format.js";

const GUESSED_MS = 5_000; // what is left is guessed from what was done: of the first seconds that says nothing

class ProgressBar extends HTMLElement {
  #fill = h("i");
  #words = h("span");

  connectedCallback() {
    if (this.#fill.isConnected) return;
    this.setAttribute("role", "progressbar");
    this.setAttribute("aria-valuemin", "0");
    this.setAttribute("aria-valuemax", "100");
    this.append(h("b", null, this.#fill), this.#words);
  }

  /** Shows a task's progress; `long` adds counts and the time left. */
  show(task, { long = false } = {}) {
    const { percent = 0, processed, total, eta_seconds } = task.progress ?? {};
    const value = task.status === "SUCCESS" ? 100 : Math.max(0, Math.min(100, Number(percent) || 0));
    this.dataset.status = task.status;
    this.#fill.style.inlineSize = `${value}%`;
    const words = [`${Math.floor(value)} %`];
    if (long && processed != null) words.push(total != null ? `${count(processed)} of ${count(total)}` : count(processed));
    if (long && eta_seconds >= 1 && task.status === "RUNNING" && took(task) >= GUESSED_MS) words.push(`about ${coarse(eta_seconds * 1000)} left`);
    setText(this.#words, words.join(" · "));
    setAttr(this, "aria-valuenow", Math.floor(value));
    setAttr(this, "aria-label", `Progress of ${title(task)}`);
  }
}

customElements.define("progress-bar", ProgressBar);
