// Whose page this is: the browser's other tabs have the same cookie, and hear when somebody signs in or out.
// The dialog that asks for a key is loaded when a call is answered 401.

import { beginAnew, send, whoami } from "./api.js";

const tabs = new BroadcastChannel("errand");

/** Asks for a key whenever a call is answered 401. */
export function startSession() {
  addEventListener("errand:unauthenticated", async () => (await import("./signin.js")).ask());
  addEventListener("pageshow", ({ persisted }) => persisted && beginAnew()); // kept by the browser, who knows since when
  tabs.onmessage = () => whoami({ fresh: true }).catch(() => {}); // who is out is told by the call itself
}

/** Somebody is in now: tells the other tabs and begins anew. */
export function signedIn() {
  tabs.postMessage("in");
  beginAnew();
}

/** Ends the session and begins anew. */
export async function signOut() {
  await send("DELETE", "api/session");
  tabs.postMessage("out");
  beginAnew();
}
