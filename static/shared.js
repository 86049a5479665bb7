// One socket for all tabs of a browser: whichever tab holds a lock has it, and passes on what it hears. When that tab
// is gone, or stands still, the next one takes over. Where a browser has no locks (plain HTTP), each tab has its own.

import { newKey } from "./api.js";
import { Connection } from "./socket.js";

const BEAT_MS = 5_000;
const SILENT_MS = 16_000; // a tab of which so long nothing was heard stands still

export class SharedConnection {
  /** As of a Connection: "closed", "connecting", "open" or "waiting". */
  state = "closed";
  #name;
  #allow;
  #connection;
  #news = new EventTarget();
  #channel = null;
  #term = null; // aborted when this tab leaves, or loses the lock
  #leads = false;
  #topics = new Set(); // what this tab wants
  #others = new Map(); // tab → {topics, at}: what the others want
  #asked = new Set(); // what the socket is subscribed to
  #tab = newKey();
  #silence = 0;

  /**
   * `name` tells whose it is: tabs with the same one hear each other, and no others. Once the socket is open, `allow()` says
   * by resolving that it is still so; before that nothing is told.
   */
  constructor(address, name, allow) {
    this.#name = name;
    this.#allow = allow;
    this.#connection = new Connection(address);
  }

  /** Calls `run(state)` whenever the state changes. Each time it becomes "open", something may have been missed. */
  onState(run) {
    this.#news.addEventListener("state", ({ detail }) => run(detail));
  }

  /** Calls `run(frame)` for each frame, also of topics that only other tabs want. */
  onFrame(run) {
    this.#news.addEventListener("frame", ({ detail }) => run(detail));
  }

  /** Takes part, until close(). `fresh` forgets how often connecting failed. */
  open({ fresh = false } = {}) {
    if (!this.#term) this.#join();
    else if (this.#leads) this.#connection.open({ fresh });
    else this.#post({ again: fresh });
  }

  /** Takes part no more: another tab has the socket then, if one wants it. */
  close() {
    this.#post({ topics: [] });
    this.#term?.abort();
    this.#term = null;
    this.#become("closed");
  }

  /** Wants exactly these topics, whether it is open or not. */
  want(topics) {
    this.#topics = new Set(topics);
    this.#post({ topics: [...topics] });
    this.#subscribe();
  }

  async #join({ steal = false } = {}) {
    this.#term?.abort();
    const { signal } = (this.#term = new AbortController());
    this.#become("connecting");
    if (!navigator.locks) return this.#lead(signal);
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    signal.addEventListener("abort", () => {
      this.#channel.close();
      this.#channel = null;
      clearTimeout(this.#silence);
    });
    this.#post({ topics: [...this.#topics], hello: true });
    this.#listen();
    try {
      await navigator.locks.request(this.#name, steal ? { steal } : { signal }, () => this.#lead(signal));
    } catch (error) {
      if (signal.aborted) return;
      if (error.name !== "AbortError") throw error;
      this.#join(); // it was taken: this tab stood still
    }
  }

  // Has the socket until `signal` ends.
  #lead(signal) {
    clearTimeout(this.#silence);
    this.#leads = true;
    const connection = this.#connection;
    const turn = (state) => {
      this.#become(state);
      this.#post({ state });
      this.#subscribe();
    };
    connection.onState(async (state) => {
      this.#asked.clear();
      if (state !== "open") return turn(state);
      try {
        await this.#allow();
        if (!signal.aborted && connection.state === "open") turn(state);
      } catch {
        connection.drop();
      }
    }, signal);
    connection.onFrame((frame) => {
      if (this.state !== "open") return;
      this.#tell("frame", frame);
      this.#post({ frame });
    }, signal);
    const beat = setInterval(() => {
      for (const [tab, { at }] of this.#others) if (performance.now() - at > SILENT_MS) this.#others.delete(tab);
      this.#post({ state: this.state });
      this.#subscribe();
    }, BEAT_MS);
    turn("connecting");
    connection.open({ fresh: true });
    return new Promise((release) =>
      signal.addEventListener("abort", () => {
        clearInterval(beat);
        this.#leads = false;
        this.#asked.clear();
        this.#others.clear();
        connection.close();
        release();
      }),
    );
  }

  #hear({ tab, topics, hello, again, state, frame }) {
    if (this.#leads) {
      if (again !== undefined) this.#connection.open({ fresh: again });
      if (!topics) return;
      this.#others.set(tab, { topics, at: performance.now() });
      if (hello) this.#post({ state: this.state });
      return this.#subscribe();
    }
    if (!state && !frame) return;
    this.#listen();
    if (state) {
      this.#post({ topics: [...this.#topics] });
      this.#become(state);
    }
    if (frame && this.state === "open") this.#tell("frame", frame);
  }

  // Takes the lock if nothing is heard; each tab a little later than another one, so that one does.
  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#become("waiting");
      this.#join({ steal: true });
    }, SILENT_MS * (1 + Math.random() / 2));
  }

  // Says to the server what of all that tabs want it was not told yet.
  #subscribe() {
    if (!this.#leads || this.state !== "open") return;
    const wanted = new Set([...this.#topics, ...[...this.#others.values()].flatMap(({ topics }) => topics)]);
    const say = (type, topics) => topics.length && this.#connection.say({ type, topics });
    say("subscribe", [...wanted].filter((topic) => !this.#asked.has(topic)));
    say("unsubscribe", [...this.#asked].filter((topic) => !wanted.has(topic)));
    this.#asked = wanted;
  }

  #post(what) {
    this.#channel?.postMessage({ tab: this.#tab, ...what });
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#tell("state", state);
  }

  #tell(kind, detail) {
    this.#news.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
