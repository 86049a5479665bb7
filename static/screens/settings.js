// Settings: what this browser remembers, and what the server says about itself.

import { h, put, button } from "../dom.js";
import { get, whoami } from "../api.js";
import { bytes, count } from "../format.js";
import { copyText, curl } from "../copy.js";
import { setting, setSetting } from "../settings.js";
import { showHelp } from "../keys.js";
import { signOut } from "../session.js";
import { errorState, skeleton } from "../elements/states.js";
import { tellFailure, toast } from "../elements/toast-area.js";

export const title = "Settings";

const CHOICES = [
  ["theme", "Theme", "", [["system", "As the system"], ["light", "Light"], ["dark", "Dark"]]],
  ["density", "Density", "How much room a row takes.", [["comfortable", "Comfortable"], ["compact", "Compact"]]],
  ["zone", "Time zone", "For exact times; relative ones are the same everywhere.", [["local", `This device (${Intl.DateTimeFormat().resolvedOptions().timeZone})`], ["utc", "UTC"]]],
  ["keys", "Keys", "Single-letter keys, such as c to create a task.", [["on", "On"], ["off", "Off"]]],
  ["echo", "Messages", "Which notifications also pop up, while this page is in view.", [["failed", "What fails"], ["all", "All that ends"], ["off", "None"]]],
  ["place", "Place of messages", "", [["top left", "Top left"], ["top center", "Top"], ["top right", "Top right"], ["bottom left", "Bottom left"], ["bottom center", "Bottom"], ["bottom right", "Bottom right"]]],
  ["desktop", "Desktop notifications", "Of the same, while this page is open and another window is in front; in a tab that is not seen up to a minute late. The browser asks once.", [["off", "Off"], ["on", "On"]]],
  ["sound", "Sound", "A short tone for the same.", [["off", "Off"], ["on", "On"]]],
];

export function mount(root, { signal }) {
  const service = h("div", null, skeleton(4));
  const access = h("div", { class: "block" }, skeleton(4));
  put(
    root,
    h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Settings"), button("Copy as curl", "terminal", () => copyText(curl("GET", "api/version"), "curl line"))),
    h(
      "div",
      { class: "split" },
      h("section", { class: "card settings grow" }, h("h2", null, "This browser"), CHOICES.map(group), h("p", null, button("Show all keys", "help", showHelp))),
      h("div", { class: "stack request" }, h("section", { class: "card settings" }, h("h2", null, "Signed in"), access), h("section", { class: "card settings" }, h("h2", null, "Service"), service)),
    ),
  );
  return Promise.all([load(), loadAccess()]);

  async function loadAccess() {
    try {
      const me = await whoami();
      if (!me.key_id) return void put(access, h("p", { class: "muted" }, `No key is asked for here: all that is submitted belongs to the owner ${me.owner}.`));
      const rows = [["Owner", me.owner], ["Role", me.role], ["Key", me.name ? `${me.name} (${me.key_id})` : me.key_id], ["Types", me.types?.join(", ")], ["Queues", me.queues?.join(", ")], ["Until", me.expires_at]];
      put(access, h("dl", { class: "pairs" }, rows.filter(([, value]) => value).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))), h("p", null, button("Sign out", "cancelled", leave)));
    } catch (error) {
      if (!signal.aborted && error.status !== 401) put(access, errorState(error, loadAccess));
    }
  }

  async function leave() {
    try {
      await signOut();
    } catch (error) {
      tellFailure(error);
    }
  }

  async function load() {
    try {
      put(service, ...facts((await get("api/version", { signal })).data));
    } catch (error) {
      if (!signal.aborted) put(service, errorState(error, load));
    }
  }
}

function group([name, label, help, choices]) {
  return h(
    "fieldset",
    null,
    h("legend", null, label),
    help && h("p", { class: "help" }, help),
    h("div", { class: "segments" }, choices.map(([value, words]) => {
      const input = h("input", { type: "radio", name, value, checked: setting(name) === value });
      input.addEventListener("change", () => choose(name, value));
      return h("label", null, input, h("span", null, words));
    })),
  );
}

async function choose(name, value) {
  if (value === "on" && (name === "desktop" || name === "sound")) {
    const { askToNotify, beep } = await import("../alerts.js");
    if (name === "sound") beep("other");
    else if (!(await askToNotify())) {
      document.querySelector(`input[name=${name}][value=off]`).checked = true;
      return toast("The browser does not allow notifications here", { kind: "warning", text: isSecureContext ? "Its own settings of this site say so." : "It allows them over HTTPS and on this machine only." });
    }
  }
  setSetting(name, value);
}

// Limits and features as the server names them.
function facts({ limits = {}, ...rest }) {
  const pairs = (values) => h("dl", { class: "pairs" }, Object.entries(values).map(([name, value]) => h("div", null, h("dt", null, name.replace(/_bytes$/, "").replaceAll("_", " ")), h("dd", null, show(name, value)))));
  return [pairs(rest), h("h3", null, "Limits"), pairs(limits)];
}

function show(name, value) {
  if (value === null) return "no limit";
  if (typeof value === "number") return /bytes/.test(name) ? `${bytes(value)} (${count(value)})` : count(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return Array.isArray(value) ? value.map(String).join(", ") : String(value);
}
