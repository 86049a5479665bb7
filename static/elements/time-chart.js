// <time-chart>: numbers over time, as stacked bars or as lines, with axes, a cursor for pointer and keys, and a table of the same.

import { h, s, put, setAttr, setText } from "../dom.js";
import { clock, count, day } from "../format.js";

const BARS = 120; // more points than this are added up
const DAY_MS = 86_400_000;
const ROWS = 120; // of the table; the newest
const NOTHING = "\u00a0"; // keeps a line's room
const [WIDTH, HEIGHT] = [600, 96];

class TimeChart extends HTMLElement {
  #shown = "";
  #drawn = null; // {points, series, words, seconds}
  #cursor = s("line", { y1: 0, y2: HEIGHT });
  #place = null; // of the cursor: null while there is none
  #svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  #scale = h("small", { class: "top" });
  #plot = h("div", { class: "plot" }, this.#scale, this.#svg);
  #times = h("div", { class: "line muted small filters", "aria-hidden": "true" });
  #legend = h("p", { class: "legend row center small" });
  #at = h("p", { class: "muted small center", hidden: true }); // in the place of the legend
  #body = h("div");
  #fold = h("details", null, h("summary", null, "As a table"), this.#body);

  connectedCallback() {
    if (this.firstChild) return;
    this.append(this.#plot, this.#times, this.#legend, this.#at, this.#fold);
    this.#fold.addEventListener("toggle", () => this.#table());
    this.#plot.addEventListener("pointermove", ({ clientX }) => {
      const { left, width } = this.#svg.getBoundingClientRect();
      this.#point(Math.floor(((clientX - left) / width) * (this.#drawn?.points.length ?? 0)));
    });
    this.#plot.addEventListener("pointerleave", () => this.#point(null));
    this.#plot.addEventListener("focus", () => this.#plot.matches(":focus-visible") && this.#point(Infinity));
    this.#plot.addEventListener("blur", () => this.#point(null));
    this.#plot.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * Shows points {at, …} with `series` [[member, label, tone class]]. Bars are counts and are added up and stacked; with
   * `lines` each point stands for itself and null is a gap. `words` writes a value; `label` names the chart; `whole` says what
   * the legend tells of each series, where that is not the sum or the last one. Without points it keeps their room.
   */
  show(points, { series, lines = false, words = count, label, seconds = false, whole = null }) {
    const key = JSON.stringify([points.length, points[0], points.at(-1), label, series, !lines && points]);
    if (key === this.#shown) return;
    if (!points.length) return this.#frame(series);
    this.#shown = key;
    const all = lines ? points : condense(points, series);
    const heights = lines ? all.flatMap((point) => series.map(([name]) => point[name] ?? 0)) : all.map((point) => total(point, series));
    const top = round(Math.max(lines ? 1e-9 : 2, ...heights));
    const sum = (name) => all.reduce((so, point) => so + point[name], 0);
    const last = (name) => all.findLast((point) => point[name] != null)?.[name];
    const told = series.map(([name, text]) => [name, text, words(whole ? whole[name] : lines ? last(name) : sum(name))]);
    this.#drawn = { points: all, series, words, seconds };
    put(this.#svg, [HEIGHT, HEIGHT / 2].map((y) => s("line", { x1: 0, x2: WIDTH, y1: y, y2: y, opacity: y < HEIGHT && 0.4 })), lines ? drawLines(all, series, top) : drawBars(all, series, top), this.#cursor);
    const marks = [words(top), words(top / 2), words(0)].map((text) => text.replace(/ 00? (s|min|h)$/, "")); // 5 min, not 5 min 00 s
    put(this.#scale, marks.map((text, at) => h("span", null, marks.indexOf(text, at + 1) > 0 ? NOTHING : text))); // where all is 0, that once
    put(this.#times, [0, 0.5, 1].map((share) => h("span", null, this.#when(all[Math.round(share * (all.length - 1))]))));
    put(this.#legend, told.map(([name, text, value]) => h("span", { class: tone(series, name) }, `■ ${text} ${value}`)));
    for (const [name, value] of [["role", "slider"], ["tabindex", 0], ["aria-valuemin", 0]]) setAttr(this.#plot, name, value); // there is something to go through
    setAttr(this.#plot, "aria-label", `${label}: ${told.map(([, text, value]) => `${text} ${value}`).join(", ")}`);
    setAttr(this.#plot, "aria-valuemax", all.length - 1);
    this.#point(this.#place);
    this.#table();
  }

  #frame(series) {
    if (this.#drawn) return;
    put(this.#scale, [1, 2, 3].map(() => h("span", null, "–")));
    setText(this.#times, NOTHING);
    put(this.#legend, series.map(([name, text]) => h("span", { class: tone(series, name) }, `■ ${text} –`)));
  }

  #when({ at }) {
    const { points, seconds } = this.#drawn;
    if (seconds) return clock(at, true).slice(0, 8);
    return Date.parse(points.at(-1).at) - Date.parse(points[0].at) > DAY_MS ? day(at) : clock(at);
  }

  // Puts the cursor at a point, and says what is there; null takes it away.
  #point(place) {
    if (!this.#drawn) return;
    const { points, series, words } = this.#drawn;
    const at = Math.max(0, Math.min(points.length - 1, place ?? Infinity));
    const text = [this.#when(points[at]), ...series.map(([name, label]) => `${label} ${words(points[at][name])}`)].join(" · ");
    this.#place = place === null ? null : at;
    const x = ((at + 0.5) / points.length) * WIDTH;
    this.#cursor.toggleAttribute("hidden", place === null);
    setAttr(this.#cursor, "x1", x);
    setAttr(this.#cursor, "x2", x);
    setAttr(this.#plot, "aria-valuenow", at);
    setAttr(this.#plot, "aria-valuetext", text);
    setText(this.#at, text);
    this.#legend.hidden = place !== null;
    this.#at.hidden = place === null;
  }

  #key(event) {
    const last = this.#drawn?.points.length - 1;
    const at = this.#place ?? last;
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageUp: at + 10, PageDown: at - 10, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#point(to);
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
  const top = 1.2 * Math.max(1e-9, ...values.map((value) => value ?? 0));
  return s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, points.length > 1 && drawLines(points, [["value"]], top));
}

const tone = (series, name) => series.find(([one]) => one === name)[2] ?? name;
const total = (point, series) => series.reduce((sum, [name]) => sum + point[name], 0);

// The next number of which one half is easily read: 2, 4, 6, 8, 10, 20, 40 …
function round(top) {
  const power = 10 ** Math.floor(Math.log10(top));
  return Math.ceil(top / power / 2 - 1e-9) * 2 * power;
}

function drawBars(points, series, top) {
  const step = WIDTH / points.length;
  return points.flatMap((point, at) => {
    let y = HEIGHT;
    return series
      .filter(([name]) => point[name] > 0)
      .map(([name]) => {
        const height = Math.max(1.5, (point[name] / top) * HEIGHT);
        y -= height;
        return s("rect", { class: tone(series, name), x: (at * step + step * 0.12).toFixed(2), y: y.toFixed(2), width: (step * 0.76).toFixed(2), height: height.toFixed(2) });
      });
  });
}

// A value between two gaps is a dot.
function drawLines(points, series, top) {
  const step = WIDTH / points.length;
  return series.map(([name, , colour]) => {
    const place = (at) => `${((at + 0.5) * step).toFixed(1)} ${(HEIGHT - 1 - (points[at][name] / top) * (HEIGHT - 2)).toFixed(1)}`;
    const has = (at) => points[at]?.[name] != null;
    const places = [...points.keys()].filter(has);
    const line = places.map((at) => (has(at - 1) ? "L" : "M") + place(at));
    const dots = places.filter((at) => !has(at - 1) && !has(at + 1)).map((at) => `M${place(at)}h0`);
    const path = (kind, parts) => parts.length > 0 && s("path", { class: `${colour ?? name} ${kind}`, "stroke-linecap": "round", d: parts.join("") });
    return [path("", line), path("dot", dots)];
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
