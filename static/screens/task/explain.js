// Why a pending task does not run yet, in the server's words.

import { h, put, icon } from "../../dom.js";
import { time } from "../../format.js";

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
      h("div", null, h("strong", null, "Why it waits"), h("ul", null, reasons.map((reason) => h("li", null, reason.detail ?? reason.message ?? reason.code, reason.since && h("span", { class: "muted" }, " · since ", time(reason.since)), (reason.help ?? reason.hint) && h("p", { class: "muted" }, reason.help ?? reason.hint))))),
    ),
  );
}
