// An outbox: what the server did not take yet. It is kept in localStorage, goes out by priority, and each entry has one
// Idempotency-Key for all its tries, so that nothing runs twice. Loaded when something has to wait.

import { newKey, send, whoami } from "./api.js";
import { connection, onConnection } from "./connection.js";
import { parse, stringify } from "./json.js";

/** At most so many are on their way at once. */
export const AT_ONCE = 5;
const MOST = 500; // entries: far more than a person types, little for the browser
const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;
const KEYS_LAST_MS = 23 * 3600_000; // the server knows an Idempotency-Key for 24 h
const PASSING = new Set([0, 408, 425, 429, 500, 502, 503, 504, 507]);

/** Whether trying the same again later may go well. */
export const passes = ({ status, code }) => PASSING.has(status) || code === "idempotency_in_flight";

export class Outbox {
  /** What it did since the page was loaded. */
  figures = { added: 0, tries: 0, retries: 0, sent: 0, refused: 0, cancelled: 0, most_at_once: 0 };
  #key;
  #send;
  #news = new EventTarget();
  #sending = new Map(); // id → AbortController
  #timer = 0;
  #who = null; // "key owner" of who is in; others' entries wait for them

  /** `key` is its place in localStorage; `deliver(item, signal)` sends one, and rejects with ApiError. */
  constructor(key, deliver = overHttp) {
    this.#key = key;
    this.#send = deliver;
    onConnection(({ state }) => state !== "offline" && this.#soon(), new AbortController().signal);
    addEventListener("storage", (event) => event.key === key && this.#changed());
    setTimeout(() => this.#go());
  }

  /** What waits, the next one first: [{id, path, body, priority, label, at, tries, after, error, state}]; state is "waiting", "sending", "refused" or "old". */
  get items() {
    const state = (item) => (this.#sending.has(item.id) ? "sending" : item.refused ? "refused" : item.tries && Date.now() - item.at > KEYS_LAST_MS ? "old" : "waiting");
    return this.#read()
      .items.filter((item) => !this.#who || item.owner === this.#who)
      .map((item) => ({ ...item, state: state(item) }))
      .sort((a, b) => b.priority - a.priority || a.at - b.at);
  }

  /** Whether nothing is sent until it is told to go on. */
  get paused() {
    return this.#read().paused === true;
  }

  /** Calls `run({kind, item, answer})` after every change; kind is "changed", "sent", or "refused". */
  onChange(run, signal) {
    this.#news.addEventListener("change", ({ detail }) => run(detail), { signal });
  }

  /**
   * Puts a POST in: {path, body, priority, label, key}. `key` is an Idempotency-Key that it was tried with already.
   * Rejects where the browser keeps nothing.
   */
  async add({ path, body, priority = 0, label, key = newKey(), tries = 0 }) {
    const me = await this.#me().catch(() => this.#who);
    const item = { id: newKey(), owner: me, path, text: stringify(body), priority, label, key, at: Date.now(), tries, after: 0 };
    const kept = this.#read();
    if (kept.items.length >= MOST) throw new Error(`The outbox holds ${MOST} already.`);
    this.#write({ ...kept, items: [...kept.items, item] });
    this.figures.added += 1;
    this.#changed();
    this.#go();
    return item;
  }

  /** Takes one out, also while it is on its way: then the server may have it already. */
  cancel(id) {
    this.#sending.get(id)?.abort();
    this.#remove(id);
    this.figures.cancelled += 1;
    this.#changed();
  }

  /** Tries one at once; one that is old or was refused gets a new key with it. */
  retry(id) {
    this.#edit(id, (item) => ({ ...item, after: 0, refused: false, error: null, ...(item.refused || Date.now() - item.at > KEYS_LAST_MS ? { key: newKey(), at: Date.now(), tries: 0 } : {}) }));
    this.#changed();
    this.#go();
  }

  /** Stops sending, or goes on. What is on its way arrives. */
  pause(on) {
    this.#write({ ...this.#read(), paused: on });
    this.#changed();
    this.#go();
  }

  async #go() {
    clearTimeout(this.#timer);
    if (this.paused || !this.#read().items.length) return;
    try {
      await this.#me();
    } catch {
      return this.#later(FIRST_MS * 5);
    }
    const ready = this.items.filter((item) => item.state === "waiting");
    for (const item of ready.filter((item) => item.after <= Date.now())) {
      if (this.#sending.size >= AT_ONCE) return;
      this.#deliver(item);
    }
    const next = Math.min(...ready.map((item) => item.after).filter((after) => after > Date.now()));
    if (Number.isFinite(next)) this.#later(next - Date.now());
  }

  async #deliver(item) {
    const stop = new AbortController();
    this.#sending.set(item.id, stop);
    this.figures.tries += 1;
    if (item.tries) this.figures.retries += 1;
    this.figures.most_at_once = Math.max(this.figures.most_at_once, this.#sending.size);
    this.#edit(item.id, (one) => ({ ...one, tries: one.tries + 1 })); // before it leaves: it may arrive although nobody tells
    this.#changed();
    let told = { kind: "changed" };
    try {
      const answer = await this.#send({ ...item, body: parse(item.text) }, stop.signal);
      this.#remove(item.id);
      this.figures.sent += 1;
      told = { kind: "sent", item, answer };
    } catch (error) {
      if (stop.signal.aborted) return;
      const wait = Math.max((error.retryAfter ?? 0) * 1000, Math.min(LONGEST_MS, FIRST_MS * 2 ** item.tries) * (0.75 + Math.random() / 2));
      const refused = !passes(error);
      if (refused) this.figures.refused += 1;
      this.#edit(item.id, (one) => ({ ...one, refused, error: error.message, after: Date.now() + wait }));
      if (refused) told = { kind: "refused", item: { ...item, error: error.message } };
    } finally {
      this.#sending.delete(item.id);
      this.#changed(told);
      this.#go();
    }
  }

  async #me() {
    const me = await whoami();
    this.#who = `${me.key_id} ${me.owner}`;
    return this.#who;
  }

  // The server is back: nobody waits for a time that was meant for its absence.
  #soon() {
    if (connection().state === "connecting") return;
    const { items } = this.#read();
    if (!items.some((item) => item.after)) return;
    this.#write({ ...this.#read(), items: items.map((item) => ({ ...item, after: 0 })) });
    this.#go();
  }

  #later(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#go(), ms);
  }

  #read() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.#key));
      return Array.isArray(kept?.items) ? kept : { items: [] };
    } catch {
      return { items: [] };
    }
  }

  #write(kept) {
    if (!kept.items.length && !kept.paused) return localStorage.removeItem(this.#key);
    localStorage.setItem(this.#key, JSON.stringify(kept));
  }

  #edit(id, change) {
    const kept = this.#read();
    this.#write({ ...kept, items: kept.items.map((item) => (item.id === id ? change(item) : item)) });
  }

  #remove(id) {
    const kept = this.#read();
    this.#write({ ...kept, items: kept.items.filter((item) => item.id !== id) });
  }

  #changed(detail = { kind: "changed" }) {
    this.#news.dispatchEvent(new CustomEvent("change", { detail }));
  }
}

// Two tabs may send the same at once: the key makes them one.
function overHttp({ path, body, key }, signal) {
  return send("POST", path, body, { signal, headers: { "idempotency-key": key } });
}
