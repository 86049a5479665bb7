// Asks for a key. It goes to the server once, for a cookie that no script can read; nothing of it is kept here.

import { ApiError, beginAnew, send } from "./api.js";
import { h, setText } from "./dom.js";
import { signedIn } from "./session.js";

const input = h("input", { type: "password", id: "sign-in-key", name: "key", required: true, autocomplete: "current-password", spellcheck: "false", maxlength: 1000, placeholder: "errand_…", "aria-describedby": "sign-in-problem" });
const problem = h("p", { class: "field-error", id: "sign-in-problem", role: "alert" });
const form = h(
  "form",
  { on: { submit: signIn } },
  h("h2", { id: "sign-in-title" }, "Sign in"),
  h("p", null, "This service asks for an API key."),
  h("p", { class: "field" }, h("label", { class: "field-label", htmlFor: "sign-in-key" }, "Key"), input),
  problem,
  h("div", { class: "row end" }, h("button", { class: "button primary" }, "Sign in")),
);
const dialog = h("dialog", { id: "sign-in", "aria-labelledby": "sign-in-title" }, form);
document.body.append(dialog);
dialog.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
dialog.addEventListener("close", ask); // a second Escape is not asked about
addEventListener("errand:identified", () => dialog.open && beginAnew()); // in another tab

/** Opens the dialog, over whatever is open. */
export function ask() {
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
    signedIn();
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
