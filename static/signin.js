// Who is signed in: asks for a key when the server wants one, and gives it up again. The key goes to
// the server once, for a cookie that no script can read; nothing of it is kept here.

import { ApiError, beginAnew, send, whoami } from "./api.js";
import { setText } from "./dom.js";

const dialog = document.getElementById("sign-in");
const form = dialog.querySelector("form");
const input = form.elements.key;
const problem = document.getElementById("sign-in-problem");
const tabs = new BroadcastChannel("errand"); // the browser's other tabs, which have the same cookie

/** Opens the dialog whenever a call is answered 401. */
export function startSignIn() {
  addEventListener("errand:unauthenticated", ask);
  addEventListener("errand:identified", () => dialog.open && beginAnew()); // in another tab
  addEventListener("pageshow", ({ persisted }) => persisted && beginAnew()); // kept by the browser, who knows since when
  tabs.onmessage = () => whoami({ fresh: true }).catch(() => {}); // who is out is told by the call itself
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
  form.addEventListener("submit", signIn);
}

/** Ends the session and begins anew. */
export async function signOut() {
  await send("DELETE", "api/session");
  tabs.postMessage("out");
  beginAnew();
}

function ask() {
  if (dialog.open) return;
  for (const other of document.querySelectorAll("dialog[open]")) other.close();
  setText(problem, "");
  dialog.showModal();
  input.focus();
}

async function signIn(event) {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await send("POST", "api/session", { key: input.value.trim() });
    form.reset();
    tabs.postMessage("in");
    beginAnew();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    input.setAttribute("aria-invalid", "true");
    setText(problem, words(error));
    input.select();
  } finally {
    button.disabled = false;
  }
}

function words({ code, message }) {
  if (code === "key_expired") return "This key has expired.";
  if (code === "key_revoked") return "This key was revoked.";
  return code === "unauthenticated" ? "This is no key of this service. Was all of it copied?" : message;
}
