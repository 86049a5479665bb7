// Short messages for notifications that are new. Loaded with the first one.

import { plural } from "./format.js";
import { navigate, currentPath } from "./router.js";
import { openDrawer, NEWEST } from "./bell.js";
import { toast } from "./elements/toast-area.js";

const shown = {}; // kind → {item, n} of the last message

/** Says that these have ended, where the screen does not say so itself. */
export function tell(news) {
  if (document.getElementById("drawer")?.open || currentPath() === "notifications") return;
  const others = news.filter(({ task }) => currentPath() !== `tasks/${task.id}`);
  const failed = ({ level }) => level === "error";
  say(others.filter(failed), "error", "failed");
  say(others.filter((one) => !failed(one)), "info", "ended");
}

// One message a kind: many that fail must not push out what others say.
function say(news, kind, did) {
  if (!news.length) return;
  const before = shown[kind]?.item.isConnected ? shown[kind] : null;
  before?.item.remove();
  const n = news.length + (before?.n ?? 0);
  const [{ title, task }] = news;
  const item =
    n === 1
      ? toast(title, { kind, text: task.error?.message, action: { label: "Open", run: () => navigate(`tasks/${task.id}`) } })
      : toast(`${plural(n, "task")}${news.length === NEWEST ? " or more" : ""} ${did}`, { kind, text: `The latest: ${title}`, action: { label: "Show", run: openDrawer } });
  shown[kind] = { item, n };
}
