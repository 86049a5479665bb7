// What this browser's user prefers. Kept in localStorage; without it, for this visit only.

const KEY = "errand.settings"; // boot.js reads it too
const DEFAULTS = { theme: "system", density: "comfortable", zone: "local", keys: "on", echo: "failed", desktop: "off", sound: "off", place: "bottom right", follow: "off" };
const changes = new EventTarget();
let values = { ...DEFAULTS, ...read() };

/** The value of one setting. */
export const setting = (name) => values[name];

/** Changes one setting, applies it at once and in the browser's other tabs. */
export function setSetting(name, value) {
  values = { ...values, [name]: value };
  try {
    localStorage.setItem(KEY, JSON.stringify(values));
  } catch {
    // Private mode or full: it still holds for this visit.
  }
  apply();
}

/** Calls `run` after every change, until `signal` ends. */
export function onSettings(run, signal) {
  changes.addEventListener("change", run, { signal });
}

/** The next theme in the order system, light, dark. */
export function nextTheme() {
  const order = ["system", "light", "dark"];
  setSetting("theme", order[(order.indexOf(values.theme) + 1) % order.length]);
  return values.theme;
}

function apply() {
  const { dataset } = document.documentElement;
  if (values.theme === "system") delete dataset.theme;
  else dataset.theme = values.theme;
  dataset.density = values.density;
  changes.dispatchEvent(new Event("change"));
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

addEventListener("storage", (event) => {
  if (event.key !== KEY) return;
  values = { ...DEFAULTS, ...read() };
  apply();
});
