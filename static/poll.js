// Asking again: every 3 s, at once on news, slowly while hidden, more and more slowly while it fails.

import { connection, onConnection } from "./connection.js";
import { onNews } from "./live.js";

const EVERY_MS = 3_000;
const HIDDEN_MS = 30_000; // a hidden tab should cost the server next to nothing
const SOON_MS = 250; // many news are one question
const LONGEST_MS = 15_000; // somebody may be looking at "offline"

/**
 * Runs `ask(signal)` now and again until `signal` ends or `ask` returns false; a number it
 * returns is the wait before the next time, in ms.
 * A failure goes to `failed(error)` and the next try waits longer; coming back to the tab, or
 * another call that reaches the server again, asks at once; so does news of `topic` that `wakes(what)` says yes to.
 * While the page is hidden news waits for the next round, unless `hidden()` says otherwise.
 * With `live`, that many ms are the wait while the socket is open; with `rest`, news waits so long after an answer. Never two at a time. Returns {now(), first}: now()
 * asks at once, and resolves when answered; `first` resolves when the first question was answered or has failed.
 */
export function poll(ask, { signal, failed, wakes, topic = "tasks", live, rest = 0, every = EVERY_MS, hidden = () => false }) {
  let timer = 0;
  let soon = 0;
  let failures = 0;
  let answered = 0;
  let running = null;

  const round = async () => {
    clearTimeout(timer);
    let wait = every;
    try {
      const answer = await ask(signal);
      if (answer === false) return;
      if (typeof answer === "number") wait = answer;
      else if (live && connection().state === "live") wait = live;
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      wait = backoff(failures, every, error.retryAfter);
      if (!("status" in error)) console.error(error); // a mistake of this page, not an answer
      failed?.(error);
    }
    if (signal.aborted) return;
    answered = Date.now();
    timer = setTimeout(start, document.hidden ? Math.max(wait, HIDDEN_MS) : wait);
  };
  const start = () => (running ??= round().finally(() => (running = null)));
  const again = async () => {
    await running; // its answer may predate what the caller just did
    return signal.aborted ? undefined : start();
  };

  const wake = (what) => {
    if (soon || (document.hidden && !hidden()) || failures || (what && !wakes(what))) return;
    soon = setTimeout(() => {
      soon = 0; // what happens while it is asked is asked about again
      again();
    }, Math.max(SOON_MS, answered + rest - Date.now()));
  };

  if (wakes) onNews(topic, wake, signal);
  document.addEventListener("visibilitychange", () => !document.hidden && start(), { signal });
  addEventListener("online", start, { signal });
  onConnection(({ state }) => state !== "offline" && (failures || (live && state === "polling")) && start(), signal);
  signal.addEventListener("abort", () => (clearTimeout(timer), clearTimeout(soon)));
  return { now: again, first: start() };
}

// Doubling with jitter, so that many tabs do not return in step.
function backoff(failures, every, retryAfter) {
  const wait = Math.min(LONGEST_MS, every * 2 ** (failures - 1));
  return Math.max((retryAfter ?? 0) * 1000, wait * (0.75 + Math.random() / 2));
}
