// A WebSocket that comes back: it connects again by itself, notices a dead line, and answers requests as promises.

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const BEAT_MS = 20_000;
const ANSWER_MS = 10_000; // a request that nobody answered by then has failed

/** The answer to a request is no, there was none in time, or the line is down: `code` says which. */
export class SocketError extends Error {
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

export class Connection {
  /** "closed", "connecting", "open", or "waiting" to connect again. */
  state = "closed";
  /** What it did since it was made; `round_trip_ms` is the last ping's. */
  figures = { opened: 0, dropped: 0, received: 0, sent: 0, asked: 0, failed: 0, round_trip_ms: null };
  /** Writes each frame to the console. */
  debug = false;
  #address;
  #news = new EventTarget();
  #socket = null;
  #again = 0;
  #failures = 0;
  #wanted = false;
  #waiting = new Map(); // id → {resolve, reject, timer}
  #ids = 0;

  /** `address` is a ws: URL. Nothing happens before open(). */
  constructor(address) {
    this.#address = address;
  }

  /** Calls `run(state)` whenever the state changes, until `signal` ends. */
  onState(run, signal) {
    this.#news.addEventListener("state", ({ detail }) => run(detail), { signal });
  }

  /** Calls `run(frame)` for each frame, until `signal` ends. */
  onFrame(run, signal) {
    this.#news.addEventListener("frame", ({ detail }) => run(detail), { signal });
  }

  /** Connects, and again whenever the line is lost. `fresh` forgets how often that failed. */
  open({ fresh = false } = {}) {
    if (fresh) this.#failures = 0;
    this.#wanted = true;
    clearTimeout(this.#again);
    if (!this.#socket) this.#connect();
  }

  /** Ends it, until open(). */
  close() {
    this.#wanted = false;
    clearTimeout(this.#again);
    if (this.#socket) this.#socket.close();
    else this.#become("closed");
  }

  /** Drops the line as a bad network would: it comes back by itself. */
  drop() {
    this.#socket?.close();
  }

  /** Sends a frame if the line is up; answers whether it was. */
  say(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.figures.sent += 1;
    this.#log("→", frame);
    this.#socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
    return true;
  }

  /** Asks: resolves to the `ack` frame, rejects with SocketError. */
  request(type, members = {}, { timeout = ANSWER_MS } = {}) {
    const id = `r${++this.#ids}`;
    this.figures.asked += 1;
    return new Promise((resolve, reject) => {
      const fail = (code, detail) => {
        this.#waiting.delete(id);
        this.figures.failed += 1;
        reject(new SocketError(code, detail));
      };
      if (!this.say({ type, id, ...members })) return fail("not_connected", "There is no connection.");
      const timer = setTimeout(() => fail("timeout", "No answer in time."), timeout);
      this.#waiting.set(id, { resolve, fail, timer });
    });
  }

  #connect() {
    this.#become("connecting");
    const mine = (this.#socket = new WebSocket(this.#address));
    let wait = null;
    let heard = true;
    let pinged = 0;
    const beat = setInterval(() => {
      if (!heard) return mine.close(); // half open: nobody is there
      heard = false;
      pinged = performance.now();
      this.say("ping");
    }, BEAT_MS);
    mine.onmessage = ({ data }) => {
      heard = true;
      this.figures.received += 1;
      const frame = JSON.parse(data);
      this.#log("←", frame);
      if (frame.type === "connection") {
        this.#failures = 0;
        this.figures.opened += 1;
        this.#become("open");
      }
      if (frame.type === "goodbye") wait = frame.reconnect_in_ms;
      if (frame.type === "pong" && pinged) this.figures.round_trip_ms = Math.round(performance.now() - pinged);
      if (frame.id !== undefined) this.#answer(frame);
      this.#news.dispatchEvent(new CustomEvent("frame", { detail: frame }));
    };
    mine.onclose = () => {
      clearInterval(beat);
      this.#socket = null;
      for (const { fail, timer } of this.#waiting.values()) {
        clearTimeout(timer);
        fail("connection_lost", "The connection was lost before the answer.");
      }
      if (!this.#wanted) return this.#become("closed");
      this.figures.dropped += 1;
      this.#failures += 1;
      this.#become("waiting");
      this.#again = setTimeout(() => this.#connect(), wait ?? backoff(this.#failures));
    };
  }

  #answer(frame) {
    const asked = this.#waiting.get(frame.id);
    if (!asked) return;
    clearTimeout(asked.timer);
    if (frame.type === "error") return asked.fail(frame.code, frame.detail);
    this.#waiting.delete(frame.id);
    asked.resolve(frame);
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#log("·", state);
    this.#news.dispatchEvent(new CustomEvent("state", { detail: state }));
  }

  #log(way, what) {
    if (this.debug) console.debug(way, what);
  }
}

// Doubling with full jitter, so that many tabs do not return in step.
const backoff = (failures) => FIRST_MS + Math.random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** failures);
