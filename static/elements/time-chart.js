// <time-chart>: numbers over time, as stacked bars or as lines, with what the pointer is at in words and a table of the same.

import { h, s, put, setText } from "../dom.js";
import { clock, count, day } from "../format.js";

const BARS = 60; // more points than this are added up
const DAY_MS = 86_400_000;
const ROWS = 120; // of the table; the newest
const [WIDTH, HEIGHT] = [600, 96];

class TimeChart extends HTMLElement {
  #shown = "";
  #drawn = null; // {points, series, words}
  #plot = h("div", { class: "plot" });
  #legend = h("div", { class: "line muted small" });
  #at = h("p", { class: "muted small" });
  #body = h("div");
  #fold = h("details", null, h("summary", null, "As a table"), this.#body);

  connectedCallback() {
    if (this.firstChild) return;
    this.append(this.#plot, this.#legend, this.#at, this.#fold);
    this.#fold.addEventListener("toggle", () => this.#table());
    this.#plot.addEventListener("pointermove", (event) => this.#point(event));
    this.#plot.addEventListener("pointerleave", () => put(this.#at));
  }

  /**
   * Shows points {at, …} with `series` [[member, label, tone class]]. Bars are counts and are added up and stacked; with
   * `lines` each point stands for itself and null is a gap. `words` writes a value; `label` names the chart.
   */
  show(points, { series, lines = false, words = count, label, seconds = false }) {
    const key = JSON.stringify([points.length, points[0], points.at(-1), !lines && points]);
    if (key === this.#shown || !points.length) return;
    this.#shown = key;
    const all = lines ? points : condense(points, series);
    const heights = lines ? all.flatMap((point) => series.map(([name]) => point[name] ?? 0)) : all.map((point) => total(point, series));
    const top = Math.max(lines ? 1e-9 : 1, ...heights);
    const sum = (name) => all.reduce((so, point) => so + point[name], 0);
    const last = (name) => all.findLast((point) => point[name] != null)?.[name];
    const told = series.map(([name, text]) => [name, text, words(lines ? last(name) : sum(name))]);
    this.#drawn = { points: all, series, words, seconds };
    put(
      this.#plot,
      s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${told.map(([, text, value]) => `${text} ${value}`).join(", ")}` }, s("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), lines ? drawLines(all, series, top) : drawBars(all, series, top)),
      h("small", { class: "top" }, words(top)),
    );
    put(this.#legend, h("span", null, this.#when(all[0])), h("span", { class: "legend row grow center" }, told.map(([name, text, value]) => h("span", { class: tone(series, name) }, `■ ${text} ${value}`))), h("span", null, this.#when(all.at(-1))));
    this.#table();
  }

  #when({ at }) {
    const { points, seconds } = this.#drawn;
    if (seconds) return clock(at, true).slice(0, 8);
    return Date.parse(points.at(-1).at) - Date.parse(points[0].at) > DAY_MS ? day(at) : clock(at);
  }

  #point({ clientX }) {
    if (!this.#drawn) return;
    const { points, series, words } = this.#drawn;
    const { left, width } = this.#plot.getBoundingClientRect();
    const point = points[Math.max(0, Math.min(points.length - 1, Math.floor(((clientX - left) / width) * points.length)))];
    setText(this.#at, [this.#when(point), ...series.map(([name, text]) => `${text} ${words(point[name])}`)].join(" · "));
  }

  // Made while it is open, and not before.
  #table() {
    if (!this.#fold.open || !this.#drawn) return;
    const { points, series, words } = this.#drawn;
    const busy = points.filter((point) => series.some(([name]) => point[name])).slice(-ROWS);
    if (!busy.length) return put(this.#body, h("p", { class: "muted" }, "Nothing happened in this time."));
    const head = h("tr", null, h("th", { scope: "col" }, "From"), series.map(([, text]) => h("th", { scope: "col", class: "num" }, text)));
    const rows = busy.map((point) => h("tr", null, h("th", { scope: "row" }, this.#when(point)), series.map(([name]) => h("td", { class: "num" }, words(point[name])))));
    const scroll = this.#body.querySelector(".scroll")?.scrollTop ?? 0;
    put(this.#body, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The numbers of the chart" }, h("table", { class: "small-table" }, h("thead", null, head), h("tbody", null, rows))));
    this.#body.firstChild.scrollTop = scroll;
  }
}

/** A small line without words, for a figure that stands beside it. Null is a gap. */
export function spark(values) {
  const points = values.map((value) => ({ value }));
  const top = Math.max(1e-9, ...values.map((value) => value ?? 0));
  return s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, points.length > 1 && drawLines(points, [["value"]], top));
}

const tone = (series, name) => series.find(([one]) => one === name)[2] ?? name;
const total = (point, series) => series.reduce((sum, [name]) => sum + point[name], 0);

function drawBars(points, series, top) {
  const step = WIDTH / points.length;
  return points.flatMap((point, at) => {
    let y = HEIGHT;
    return series
      .filter(([name]) => point[name] > 0)
      .map(([name]) => {
        const height = Math.max(1.5, (point[name] / top) * (HEIGHT - 4));
        y -= height;
        return s("rect", { class: tone(series, name), x: (at * step + step * 0.12).toFixed(2), y: y.toFixed(2), width: (step * 0.76).toFixed(2), height: height.toFixed(2) });
      });
  });
}

function drawLines(points, series, top) {
  const step = WIDTH / Math.max(1, points.length - 1);
  return series.map(([name, , colour]) => {
    let pen = "M";
    const path = points.map((point, at) => {
      if (point[name] == null) return (pen = "M"), "";
      const place = `${pen}${(at * step).toFixed(1)} ${(HEIGHT - 2 - (point[name] / top) * (HEIGHT - 6)).toFixed(1)}`;
      pen = "L";
      return place;
    });
    return s("path", { class: colour ?? name, d: path.join("") });
  });
}

function condense(points, series) {
  const size = Math.ceil(points.length / BARS);
  const sums = [];
  for (let at = 0; at < points.length; at += size) {
    const part = points.slice(at, at + size);
    sums.push({ at: part[0].at, ...Object.fromEntries(series.map(([name]) => [name, part.reduce((sum, point) => sum + (Number(point[name]) || 0), 0)])) });
  }
  return sums;
}

customElements.define("time-chart", TimeChart);
