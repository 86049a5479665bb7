// Whether the server answers, and whether it tells by itself what happens.

const changes = new EventTarget();
let current = { state: "connecting", since: Date.now() };
let live = false;

/** {state: "connecting" | "live" | "polling" | "offline", since: ms}. */
export const connection = () => current;

/** Every call reports how it went: any answer of the server's own means it is there. */
export function report(reached) {
  const state = !reached ? "offline" : live ? "live" : "polling";
  if (state === current.state) return;
  current = { state, since: Date.now() };
  changes.dispatchEvent(new Event("change"));
}

/** The socket is open, or no longer. */
export function reportLive(on) {
  live = on;
  if (on || current.state === "live") report(true);
}

/** Calls `run` with the state after every change, until `signal` ends. */
export function onConnection(run, signal) {
  changes.addEventListener("change", () => run(current), { signal });
}

addEventListener("offline", () => report(false));
