// A test page of the connection and the outbox: many sockets, forced drops, every message, a queue that fails on purpose.

import { h, put, button, keyed, setText } from "../dom.js";
import { ApiError, link } from "../api.js";
import { Connection } from "../socket.js";
import { address } from "../live.js";
import { count } from "../format.js";
import { setSetting } from "../settings.js";
import { AT_ONCE, Outbox } from "../outbox.js";
import { toast } from "../elements/toast-area.js";
import "../elements/outbox-list.js";

export const title = "Realtime";

const MOST = 50; // sockets
const SLOW_MS = 700; // what a request of the test takes
const PLACES = ["top left", "top center", "top right", "bottom left", "bottom center", "bottom right"];

export function mount(root, { signal }) {
  put(
    root,
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Realtime"), h("a", { class: "button", href: link("docs") }, "Docs")),
    h("p", { class: "muted" }, "What the page's connection and its outbox do, to be tried out. Nothing here submits a task."),
    sockets(signal),
    queue(signal),
    messages(),
  );
}

function sockets(signal) {
  const open = []; // {connection, id, topic}
  let made = 0;
  const topic = h("select", { "aria-label": "Topic" }, ["tasks", "metrics", "activity", "notifications", "approvals"].map((one) => h("option", { value: one }, one)));
  const many = h("input", { type: "number", size: 4, min: 1, max: MOST, value: "3" });
  const debug = h("input", { type: "checkbox" });
  const body = h("tbody");
  const heads = ["Socket", "Topic", "State", "Opened", "Dropped", "Sent", "Received", "Unanswered", "Do"];
  const table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Sockets", hidden: true }, h("table", { class: "small-table" }, h("thead", null, h("tr", null, heads.map((label) => h("th", { scope: "col" }, label)))), body));
  const total = h("p", { class: "muted small", role: "status" });
  const said = h("p", { class: "muted small", role: "status" });

  const add = () => {
    for (let n = Math.min(Number(many.value) || 1, MOST - open.length); n > 0; n -= 1) {
      const connection = new Connection(address("ws?scope=owner"));
      connection.debug = debug.checked;
      const wanted = topic.value;
      connection.onState((state) => {
        if (state === "open") connection.request("subscribe", { topics: [wanted] }).catch(() => {});
        draw();
      }, signal);
      open.push({ connection, id: (made += 1), topic: wanted });
      connection.open();
    }
    draw();
  };
  const each = (run) => () => (open.forEach(({ connection }) => run(connection)), draw());
  const ask = async () => {
    const began = performance.now();
    const answers = await Promise.allSettled(open.map(({ connection }) => connection.request("subscribe", { topics: ["notifications"] }, { timeout: 2_000 })));
    const good = answers.filter(({ status }) => status === "fulfilled").length;
    setText(said, `${count(good)} of ${count(answers.length)} answered within ${Math.round(performance.now() - began)} ms`);
  };
  debug.addEventListener("change", () => open.forEach(({ connection }) => (connection.debug = debug.checked)));
  const timer = setInterval(draw, 500);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    open.forEach(({ connection }) => connection.close());
  });

  function draw() {
    keyed(body, open, ({ id }) => id, make, (row, { connection: { state, figures } }) => [state, figures.opened, figures.dropped, figures.sent, figures.received, figures.failed].forEach((value, at) => setText(row.cells[at + 2], value)));
    table.hidden = !open.length;
    setText(total, open.length ? `${count(open.filter(({ connection }) => connection.state === "open").length)} of ${count(open.length)} are open` : "No socket yet.");
  }

  const make = ({ id, topic: told, connection }) => h("tr", null, h("th", { scope: "row" }, id), h("td", null, told), h("td"), Array.from({ length: 5 }, () => h("td", { class: "num" })), h("td", null, h("button", { type: "button", class: "button small", "aria-label": `Drop socket ${id}`, on: { click: () => connection.drop() } }, "Drop")));
  return h(
    "section",
    { class: "card block" },
    h("h2", null, "Sockets"),
    h("div", { class: "row tools" }, topic, h("label", { class: "line" }, h("span", { class: "num" }, "How many"), many), button("Open", "submit", add, { class: "button primary" }), button("Drop all", null, each((one) => one.drop())), button("Close all", null, each((one) => one.close())), button("Open again", null, each((one) => one.open({ fresh: true }))), button("Ask all", null, ask), h("label", { class: "line" }, debug, h("span", null, "Frames to the console"))),
    total,
    said,
    table,
  );
}

function queue(signal) {
  const failing = h("input", { type: "range", min: 0, max: 100, value: "30", "aria-label": "How many in a hundred tries fail" });
  const percent = h("span", { class: "muted" });
  const figures = h("dl", { class: "figures row" });
  const order = h("p", { class: "muted small" });
  const seen = new Set();
  let twice = 0;
  let made = 0;
  const arrived = [];
  // Stands for the server: slow, and often away; it knows which keys it has taken.
  const outbox = new Outbox("errand.outbox.test", async ({ key, label }, stop) => {
    await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    if (stop.aborted) throw new DOMException("aborted", "AbortError");
    if (Math.random() * 100 < failing.value) throw new ApiError(503, { title: "Failed on purpose" });
    if (seen.has(key)) twice += 1;
    seen.add(key);
    arrived.unshift(label);
    return {};
  });
  const list = document.createElement("outbox-list");
  list.show(outbox, signal);
  const put_in = async (priority) => outbox.add({ path: "api/test", body: { n: (made += 1) }, label: `Request ${made}`, priority });
  const batch = async () => {
    for (let n = 0; n < 20; n += 1) await put_in([-10, 0, 10][n % 3]);
  };
  const drop = () => outbox.items.forEach(({ id }) => outbox.cancel(id));
  const draw = () => {
    setText(percent, `${failing.value} in 100 tries fail`);
    put(figures, [...Object.entries(outbox.figures), ["twice", twice]].map(([name, value]) => h("div", { class: "line" }, h("dt", null, name.replaceAll("_", " ")), h("dd", null, count(value)))));
    setText(order, arrived.length ? `Arrived, the latest first: ${arrived.slice(0, 8).join(", ")}` : "");
  };
  outbox.onChange(draw, signal);
  failing.addEventListener("input", draw);
  draw();
  return h(
    "section",
    { class: "card block" },
    h("h2", null, "Outbox"),
    h("p", { class: "muted" }, `By priority, ${AT_ONCE} at once, each with one key for all its tries. It is a queue of its own, kept over a reload; its server is played by this page.`),
    h("div", { class: "row" }, button("High", "submit", () => put_in(10)), button("Normal", "submit", () => put_in(0)), button("Low", "submit", () => put_in(-10)), button("Batch of 20", "submit", batch, { class: "button primary" }), button("Cancel all", "close", drop)),
    h("label", { class: "row" }, failing, percent),
    figures,
    order,
    list,
  );
}

function messages() {
  const say = (kind, options) => toast(`This is ${kind}`, { kind, text: "And what there is to say about it.", ...options });
  const move = () => {
    const item = say("progress");
    let share = 0;
    const timer = setInterval(() => {
      share = Math.min(1, share + 0.1);
      item.progress(share, `${Math.round(share * 100)} %`);
      if (share < 1 && item.isConnected) return;
      clearInterval(timer);
      item.done();
    }, 300);
  };
  return h(
    "section",
    { class: "card block" },
    h("h2", null, "Messages"),
    h("div", { class: "row" }, ["info", "success", "warning", "error"].map((kind) => button(kind, null, () => say(kind))), button("progress", null, move), button("with an action", null, () => say("info", { action: { label: "Undo", run: () => say("success") } })), button("sticky", null, () => say("info", { sticky: true }))),
    h("div", { class: "row" }, PLACES.map((place) => button(place, null, () => (setSetting("place", place), say("info"))))),
  );
}
