// Whether the server answers. Today polling is all there is; a socket adds the state "live" here.

const changes = new EventTarget();
let current = { state: "connecting", since: Date.now() };

/** {state: "connecting" | "polling" | "offline", since: ms}. */
export const connection = () => current;

/** Every call reports how it went: any answer of the server's own means it is there. */
export function report(reached) {
  const state = reached ? "polling" : "offline";
  if (state === current.state) return;
  current = { state, since: Date.now() };
  changes.dispatchEvent(new Event("change"));
}

/** Calls `run` with the state after every change, until `signal` ends. */
export function onConnection(run, signal) {
  changes.addEventListener("change", () => run(current), { signal });
}

addEventListener("offline", () => report(false));
