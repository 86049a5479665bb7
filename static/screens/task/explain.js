// Why a pending task does not run yet, in the server's words.

import { h, put, icon } from "../../dom.js";
import { time, exact } from "../../format.js";

// A moment inside a sentence, in the reader's time zone.
const withTimes = (text) => String(text).split(/(\d{4}-\d\d-\d\dT[\d:.]+Z)/).map((part, at) => (at % 2 ? h("time", { datetime: part }, exact(part)) : part));

/** Fills `place` with the reasons of GET …/explain; empty when there are none. */
export function waitReasons(place, data) {
  const reasons = data?.reasons ?? [];
  const key = JSON.stringify(reasons);
  if (place.dataset.key === key && place.firstChild) return;
  place.dataset.key = key;
  if (!reasons.length) return put(place);
  put(
    place,
    h(
      "section",
      { class: "notice row", "aria-label": "Why it waits" },
      icon("pending"),
      h("div", null, h("strong", null, "Why it waits"), h("ul", null, reasons.map((reason) => h("li", null, withTimes(reason.detail ?? reason.message ?? reason.code), reason.since && h("span", { class: "muted" }, " · since ", time(reason.since)), (reason.help ?? reason.hint) && h("p", { class: "muted" }, reason.help ?? reason.hint))))),
    ),
  );
}
