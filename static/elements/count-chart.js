// <count-chart>: finished tasks over time as stacked bars, with a table of the same numbers.

import { h, s, put } from "../dom.js";
import { clock, count } from "../format.js";

const BARS = 60; // more points than this are added up
const [WIDTH, HEIGHT] = [600, 96];
const SERIES = [
  ["succeeded", "Succeeded"],
  ["failed", "Failed"],
  ["cancelled", "Cancelled"],
];

class CountChart extends HTMLElement {
  #shown = "";
  #plot = h("div", { class: "plot" });
  #legend = h("div", { class: "line muted small" });
  #table = h("div");

  connectedCallback() {
    if (!this.firstChild) this.append(this.#plot, this.#legend, h("details", null, h("summary", null, "As a table"), this.#table));
  }

  /** Shows points {at, submitted, succeeded, failed, cancelled}; missing members count as none. */
  show(points) {
    const key = JSON.stringify(points);
    if (key === this.#shown) return;
    this.#shown = key;
    const sums = condense(points);
    const total = (point) => SERIES.reduce((sum, [name]) => sum + point[name], 0);
    const top = Math.max(1, ...sums.map(total));
    const sum = (name) => sums.reduce((all, point) => all + point[name], 0);
    const step = WIDTH / sums.length;
    const bars = sums.flatMap((point, at) => {
      let y = HEIGHT;
      return SERIES.filter(([name]) => point[name] > 0).map(([name]) => {
        const height = Math.max(1.5, (point[name] / top) * (HEIGHT - 4));
        y -= height;
        return s("rect", { class: name, x: (at * step + step * 0.12).toFixed(2), y: y.toFixed(2), width: (step * 0.76).toFixed(2), height: height.toFixed(2) });
      });
    });
    const words = SERIES.map(([name, label]) => `${count(sum(name))} ${label.toLowerCase()}`).join(", ");
    put(this.#plot, s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `Finished tasks: ${words}` }, s("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), bars), h("span", { class: "top muted" }, count(top)));
    put(this.#legend, h("span", null, clock(sums[0].at)), h("span", { class: "legend row grow center" }, SERIES.map(([name, label]) => h("span", { class: name }, `■ ${label} ${count(sum(name))}`))), h("span", null, clock(sums.at(-1).at)));
    put(this.#table, table(sums));
  }
}

function table(sums) {
  const busy = sums.filter((point) => point.submitted || SERIES.some(([name]) => point[name]));
  if (!busy.length) return h("p", { class: "muted" }, "Nothing happened in this time.");
  const cell = (text) => h("td", { class: "num" }, text);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Tasks over time" }, h("table", { class: "small-table" }, h("thead", null, h("tr", null, h("th", { scope: "col" }, "From"), h("th", { scope: "col", class: "num" }, "Submitted"), SERIES.map(([, label]) => h("th", { scope: "col", class: "num" }, label)))), h("tbody", null, busy.map((point) => h("tr", null, h("th", { scope: "row" }, clock(point.at)), cell(count(point.submitted)), SERIES.map(([name]) => cell(count(point[name]))))))));
}

function condense(points) {
  const size = Math.ceil(points.length / BARS);
  const sums = [];
  for (let at = 0; at < points.length; at += size) {
    const part = points.slice(at, at + size);
    const add = (name) => part.reduce((sum, point) => sum + (Number(point[name]) || 0), 0);
    sums.push({ at: part[0].at, submitted: add("submitted"), succeeded: add("succeeded"), failed: add("failed"), cancelled: add("cancelled") });
  }
  return sums;
}

customElements.define("count-chart", CountChart);
