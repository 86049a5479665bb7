// The frame around every screen: navigation, search, connection light, bell, theme, help.

import { setText, setAttr, announce, revealCurrent } from "./dom.js";
import { link, query } from "./api.js";
import { clock } from "./format.js";
import { connection, onConnection } from "./connection.js";
import { pauseLive } from "./live.js";
import { setting, nextTheme, onSettings } from "./settings.js";
import { bind, notLoaded, showHelp } from "./keys.js";
import { startSession } from "./session.js";
import { startRouter, navigate, currentPath } from "./router.js";
import { startBell, openDrawer } from "./bell.js";
import "./elements/toast-area.js";

const byId = (id) => document.getElementById(id);
const search = byId("search").elements.q;

for (const anchor of document.querySelectorAll("a[data-to]")) anchor.href = link(anchor.dataset.to);

const OF_OWNERS = ["", "tasks", "approvals", "insights", "activity"]; // screens that can show one owner's only
let me = null; // an admin with a key: it alone sees more than its owner's

function markCurrent() {
  const section = currentPath().split("/")[0];
  const owner = new URLSearchParams(location.search).get("owner");
  for (const anchor of document.querySelectorAll(".rail a")) {
    setAttr(anchor, "aria-current", anchor.dataset.to === section ? "page" : null);
    anchor.href = link(anchor.dataset.to + (OF_OWNERS.includes(anchor.dataset.to) ? query({ owner }) : ""));
  }
  byId("whose").hidden = !me || !OF_OWNERS.includes(currentPath());
  setText(byId("whose"), owner ? (owner === me?.owner ? "Mine" : `Of ${owner}`) : "All owners");
  setAttr(byId("whose"), "title", byId("whose").textContent);
  revealCurrent(document.querySelector(".rail"));
  search.value = section === "tasks" ? (new URLSearchParams(location.search).get("q") ?? "") : "";
}

function showConnection({ state, since }) {
  const words = { connecting: "Connecting", live: "Live", polling: "Polling", offline: `Offline since ${clock(since)}` };
  byId("light").dataset.state = state;
  setText(byId("light-text"), words[state]);
  document.documentElement.toggleAttribute("data-offline", state === "offline");
}

function showTheme() {
  const words = { system: "as the system", light: "light", dark: "dark" };
  const button = byId("theme");
  button.querySelector("use").setAttribute("href", `#i-${setting("theme")}`);
  button.title = `Theme: ${words[setting("theme")]}`;
  setText(button.querySelector(".sr"), button.title);
}

function cycleTheme() {
  nextTheme();
  announce(byId("theme").title);
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const now = new URLSearchParams(currentPath() === "tasks" ? location.search : "");
  if (search.value.trim()) now.set("q", search.value.trim());
  else now.delete("q");
  navigate("tasks" + (String(now) ? `?${now}` : ""));
});
byId("whose").addEventListener("click", () => {
  const now = new URLSearchParams(location.search);
  if (now.has("owner")) now.delete("owner");
  else now.set("owner", me.owner);
  navigate(currentPath() + (String(now) ? `?${now}` : ""));
});
// A file dropped beside its place would be opened in place of the page, with all that was typed.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.dataTransfer?.types.includes("Files") && !event.target.closest?.("input[type=file]") && event.preventDefault());
byId("theme").addEventListener("click", cycleTheme);
byId("help-open").addEventListener("click", showHelp);
addEventListener("errand:navigated", markCurrent);
addEventListener("errand:identified", ({ detail }) => {
  if (detail.role === "admin" && detail.key_id) me = detail;
  markCurrent();
});
onConnection(showConnection);
onSettings(showTheme);

bind("g o", "Go to Overview", () => navigate(""));
bind("g t", "Go to Tasks", () => navigate("tasks"));
bind("g s", "Go to Submit", () => navigate("submit"));
bind("g d", "Go to Docs", () => navigate("docs"));
bind("g n", "Go to Notifications", () => navigate("notifications"));
bind("g a", "Go to Approvals", () => navigate("approvals"));
bind("g m", "Go to Metrics", () => navigate("insights"));
bind("g v", "Go to Activity", () => navigate("activity"));
bind("g e", "Go to Settings", () => navigate("settings"));
bind("/", "Search", () => search.select());
bind("c", "Create a task", () => navigate("submit"));
bind("n", "Open the notifications", openDrawer);
bind("l", "Pause or resume what is told live", () => announce(pauseLive() ? "Live is paused" : "Live again"));
bind("t", "Change the theme", cycleTheme);
bind("Ctrl+k", "Find a screen, a task or a command", openPalette);
bind("?", "This help", showHelp);

async function openPalette() {
  try {
    (await import("./palette.js")).open();
  } catch {
    notLoaded();
  }
}

// What waited when the page was left goes on.
try {
  if (localStorage.getItem("errand.outbox")) import("./sending.js");
} catch {
  // No storage: nothing can wait there.
}

showConnection(connection());
showTheme();
startSession();
startRouter();
startBell();
