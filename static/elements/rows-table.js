// A table of named rows whose cells follow their numbers: rows stay, so focus and selection do too.

import { h, keyed, put, setText } from "../dom.js";

/**
 * A region with a table; `.show([[name, row], …])` fills it, `.show([])` says `none`. `columns` are
 * [{label, cell: (row, name) => text, num}]; `href(name)` makes the name a link; `first` heads the names.
 */
export function rowsTable({ label, first, columns, href, none = "Nothing yet." }) {
  const body = h("tbody");
  const table = h("table", { class: "small-table" }, h("thead", null, h("tr", null, h("th", { scope: "col" }, first), columns.map((column) => h("th", { scope: "col", class: column.num !== false && "num", title: column.help }, column.label)))), body);
  const element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label });
  const empty = h("p", { class: "muted" }, none);
  const make = ([name]) => {
    const cells = columns.map((column) => h("td", { class: column.num !== false && "num" }));
    const row = h("tr", null, h("th", { scope: "row" }, href ? h("a", { href: href(name) }, name) : name), cells);
    row.update = (of) => columns.forEach((column, at) => setText(cells[at], column.cell(of, name) ?? "–"));
    return row;
  };
  element.show = (rows) => {
    keyed(body, rows, ([name]) => name, make, (row, [, of]) => row.update(of));
    const shown = rows.length ? table : empty;
    if (shown.parentElement !== element) put(element, shown);
  };
  return element;
}
