// Saved views: filters of the task list under a name, in this browser.

const KEY = "errand.views";
const MOST = 50;

/** [{name, search}], in the order they were saved. */
export function views() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    return Array.isArray(kept) ? kept.filter((one) => typeof one?.name === "string" && typeof one.search === "string") : [];
  } catch {
    return [];
  }
}

/** Saves `search` ("?status=FAILED" or "") under a name; the same name again takes its place. Throws where nothing can be kept. */
export function saveView(name, search) {
  keep([...views().filter((one) => one.name !== name), { name, search }].slice(-MOST));
}

/** Calls a view something else, where it stands; it takes the place of one that has that name. */
export function renameView(from, to) {
  keep(views().filter((one) => one.name !== to || to === from).map((one) => (one.name === from ? { ...one, name: to } : one)));
}

/** Forgets a view. */
export const forgetView = (name) => keep(views().filter((one) => one.name !== name));

const keep = (all) => localStorage.setItem(KEY, JSON.stringify(all));
