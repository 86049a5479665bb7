// One address a screen. Links stay real links; only a plain click is taken over.
//
// A screen is a module with `title` and `mount(root, context)`. What it starts it ties to
// `context.signal`, which ends when the user leaves. mount may return a promise: settled once
// there is something to scroll. It may set `context.update(query)` to follow a changed query
// in place; without it the screen is mounted anew.

import { h, put } from "./dom.js";
import { ApiError, base, link } from "./api.js";
import { onConnection } from "./connection.js";
import { errorState } from "./elements/states.js";

const ROUTES = [
  [/^$/, () => import("./screens/overview.js")],
  [/^tasks$/, () => import("./screens/tasks.js")],
  [/^tasks\/compare$/, () => import("./screens/compare.js")],
  [/^tasks\/(?<id>[^/]+)$/, () => import("./screens/task.js")],
  [/^submit$/, () => import("./screens/submit.js")],
  [/^notifications$/, () => import("./screens/notifications.js")],
  [/^insights$/, () => import("./screens/metrics.js")],
  [/^activity$/, () => import("./screens/activity.js")],
  [/^docs\/realtime$/, () => import("./screens/realtime.js")],
  [/^approvals$/, () => import("./screens/approvals.js")],
  [/^settings$/, () => import("./screens/settings.js")],
  [/^docs$/, () => import("./screens/docs.js")],
  [/^(?<path>.*)$/, () => import("./screens/missing.js")],
];

const main = document.getElementById("main");
let here = null; // {url, context, leave}

/** Goes to a path under the root ("tasks?status=FAILED") or a full address of this origin. */
export function navigate(to, { replace = false } = {}) {
  const url = new URL(to.startsWith("/") || to.includes("://") ? to : link(to), location.href);
  if (url.href === location.href) replace = true;
  else if (!replace) rememberScroll();
  history[replace ? "replaceState" : "pushState"]({ depth: depth() + (replace ? 0 : 1) }, "", url);
  return show({ top: !replace });
}

/** Back to where the user came from; `otherwise` when this was the first page of the visit. */
export function back(otherwise) {
  if (depth() > 0) history.back();
  else navigate(otherwise);
}

/** Starts the router: shows the current address and follows links and the back button. */
export function startRouter() {
  history.scrollRestoration = "manual"; // screens fill in later than the browser would scroll
  addEventListener("popstate", () => show({ top: false }));
  document.addEventListener("click", follow);
  addEventListener("pagehide", rememberScroll);
  return show({ top: false, first: true });
}

/** The path under the root, without slashes at its ends. */
export const currentPath = () => location.pathname.slice(base.pathname.length).replace(/\/+$/, "");

async function show({ top, first = false }) {
  const path = currentPath();
  const query = new URLSearchParams(location.search);
  if (here && here.path === path) {
    if (here.search === location.search) return; // only the #fragment moved
    if (here.context?.update && here.context.owner === query.get("owner")) {
      here.search = location.search;
      return here.context.update(query);
    }
  }
  here?.leave.abort();
  const leave = new AbortController();
  const visit = { path, search: location.search, leave, context: null };
  here = visit;
  dispatchEvent(new Event("errand:navigated"));

  const [pattern, load] = ROUTES.find(([pattern]) => pattern.test(path));
  const root = h("div", { class: "screen" });
  try {
    const screen = await load().catch(unloaded);
    if (leave.signal.aborted) return;
    visit.context = {
      params: Object.fromEntries(Object.entries(pattern.exec(path).groups ?? {}).map(([name, value]) => [name, decode(value)])),
      query,
      owner: query.get("owner"), // whose tasks are shown; with another one a screen is mounted anew
      signal: leave.signal,
      setTitle: (text) => (document.title = `${text} · Errand`),
      setQuery: (next, options = { replace: true }) => navigate(path + (String(next) ? `?${next}` : ""), options),
    };
    visit.context.setTitle(screen.title);
    put(main, root);
    const ready = screen.mount(root, visit.context);
    if (!first) root.querySelector("h1")?.focus({ preventScroll: true });
    if (top) scrollTo(0, 0);
    await ready;
    if (!top && !leave.signal.aborted) scrollTo(0, history.state?.scroll ?? 0);
  } catch (error) {
    if (leave.signal.aborted) return;
    console.error(error.cause ?? error);
    const again = () => {
      leave.abort();
      here = null;
      show({ top });
    };
    put(main, h("div", { class: "screen" }, h("h1", { tabindex: "-1" }, "This screen did not load"), errorState(error, again)));
    onConnection(({ state }) => state !== "offline" && again(), leave.signal);
  }
}

// What could not be fetched is a TypeError; anything else is a mistake in the module.
function unloaded(error) {
  if (!(error instanceof TypeError)) throw error;
  throw Object.assign(new ApiError(0, { title: "The server does not answer", detail: "This screen was not loaded before. It comes once the server is back." }), { cause: error });
}

function follow(event) {
  const anchor = event.target.closest?.("a[href]");
  if (!anchor || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (anchor.target || anchor.hasAttribute("download")) return;
  const url = new URL(anchor.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(base.pathname) || url.pathname.startsWith(link("api/"))) return;
  if (url.hash && url.pathname + url.search === location.pathname + location.search) return;
  event.preventDefault();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  navigate(url.href);
}

const depth = () => history.state?.depth ?? 0;

function rememberScroll() {
  history.replaceState({ ...history.state, scroll: scrollY }, "");
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
