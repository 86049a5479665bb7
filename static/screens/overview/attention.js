// What needs a person: approvals, a task that waits and why, a full disk, a slow server; or that nothing does.

import { h, keyed, icon, setText, sr } from "../../dom.js";
import { get, link, query } from "../../api.js";
import { poll } from "../../poll.js";
import { follow, onNews } from "../../live.js";
import { bytes, duration, now, title as nameOf } from "../../format.js";

const EVERY_MS = 10_000;
const WAITS_MS = 60_000; // what waits longer than this, although it is due, is asked about
const SLOW_MS = 1_500;
const DISK_LOW = 0.05;

/** {list, first}: notices that keep themselves true until `signal` ends; `first` resolves when they were all asked for. There is always one: that nothing does, or a bar until that is known. */
export function attention({ signal, owner }) {
  const calm = h("div", null, h("i", { class: "unknown" }, sr("not known yet")));
  const sign = icon("info");
  const rest = h("li", { class: "notice row" }, sign, calm);
  const list = h("ul", { class: "files", "aria-label": "Needs attention" });
  const known = new Map(); // name → {words, href}
  const open = new Set(["approvals", "waits"]); // not asked yet
  let held = true; // until both were: together they come at once
  const tell = (name, words, href) => {
    open.delete(name);
    if (words) known.set(name, { name, words, href });
    else known.delete(name);
    show();
  };
  const lost = (name) => () => {
    open.add(name);
    show();
  };
  const show = () => {
    // Green is what is known to be well: not what was not asked yet, nor what could not be.
    const well = !held && !open.size;
    if (!held) setText(calm, well ? "Nothing needs attention." : "Whether anything needs attention is not known: the server does not answer.");
    rest.classList.toggle("success", well);
    sign.firstChild.setAttribute("href", well ? "#i-success" : "#i-info");
    keyed(list, held || !known.size ? [{ name: "calm" }] : [...known.values()], ({ name }) => name, ({ words }) => (words ? make() : rest), (row, { words, href }) => {
      if (!words) return;
      setText(row.anchor, words);
      if (href) row.anchor.href = href;
    });
  };

  show();
  const approvals = poll(
    async () => {
      const { data } = await get("api/approvals" + query({ limit: 1, owner }), { signal }); // params come along, so no more than one
      tell("approvals", data.tasks.length && (data.next_cursor ? "Tasks wait for an approval" : "A task waits for an approval"), link("approvals" + query({ owner })));
    },
    { signal, every: EVERY_MS, wakes: (task) => task.phase === "awaiting_approval", failed: lost("approvals") },
  );
  const waits = poll(
    async () => {
      const began = performance.now();
      const { data } = await get("api/tasks/" + query({ status: "PENDING", sort: "created_at", limit: 20, owner }), { signal });
      const took = performance.now() - began;
      tell("slow", took > SLOW_MS && `The server answers slowly: the last list took ${duration(took)}`, link("insights"));
      const stuck = data.tasks.find((task) => task.phase === "ready" && now() - Date.parse(task.run_at) > WAITS_MS);
      const why = stuck && (await get(`api/tasks/${encodeURIComponent(stuck.id)}/explain`, { signal })).data.reasons?.[0];
      tell("waits", stuck && `“${nameOf(stuck)}” waits for ${duration(now() - Date.parse(stuck.run_at))}${why ? `: ${why.detail ?? why.code}` : ""}`, stuck && link(`tasks/${encodeURIComponent(stuck.id)}`));
    },
    { signal, every: EVERY_MS, failed: lost("waits") },
  );
  follow("metrics", signal);
  onNews(
    "metrics",
    (frame) => {
      const { disk_free_bytes: free, disk_total_bytes: all } = frame?.node ?? {};
      tell("disk", all && free / all < DISK_LOW && `The disk is nearly full: ${bytes(free)} of ${bytes(all)} are free`, link("insights"));
    },
    signal,
  );
  const first = Promise.all([approvals.first, waits.first]).then(() => {
    held = false;
    show();
  });
  return { list, first };
}

function make() {
  const anchor = h("a");
  const row = h("li", { class: "notice row" }, icon("pending"), h("div", null, anchor));
  row.anchor = anchor;
  return row;
}
