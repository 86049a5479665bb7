// A mail to read: headers, text, and its HTML rebuilt from a short list of harmless elements inside
// a frame that may do nothing.

import { h } from "../dom.js";
import { bytes } from "../format.js";

const SHOWN = ["From", "To", "Cc", "Subject", "Date"];
const KEPT = new Set("p div span br hr b strong i em u s h1 h2 h3 h4 h5 h6 ul ol li table thead tbody tr td th pre code blockquote".split(" "));
const SKIPPED = new Set("script style head title template iframe object embed svg math noscript".split(" "));

/** A node that shows the mail, as the server's preview tells it. */
export function mailView({ headers, text, html, attachments, more }) {
  const shown = headers.filter(({ name }) => SHOWN.includes(name));
  const named = attachments.map((file) => `${file.name ?? file.content_type} (${bytes(file.bytes)})`);
  return h(
    "div",
    { class: "mail" },
    h("dl", { class: "pairs" }, shown.map(({ name, value }) => h("div", null, h("dt", null, name), h("dd", null, value)))),
    text && h("pre", { class: "text-preview", tabindex: "0" }, text),
    html && h("details", { open: !text }, h("summary", null, "As HTML"), frame(html)),
    named.length > 0 && h("p", { class: "muted small" }, `Attached: ${named.join(", ")}`),
    more && h("p", { class: "muted small" }, "Only the beginning of the mail is shown."),
  );
}

function frame(html) {
  const clean = document.implementation.createHTMLDocument("");
  rebuild(html, clean);
  // No allow-… word at all: no scripts, no forms, no navigation, no origin.
  return h("iframe", { sandbox: true, title: "The mail as HTML", srcdoc: new XMLSerializer().serializeToString(clean), referrerpolicy: "no-referrer" });
}

// Not DOMParser: it would try the mail's styles and handlers against this page's policy and
// report each. A mail needs no exact parser: known elements without attributes, and text.
function rebuild(html, clean) {
  let at = clean.body;
  let skipping = null;
  let href = null; // links show where they lead; they cannot be followed in here
  for (const [, closing, rawName, attributes, text] of html.replace(/<!--.*?(-->|$)/gs, "").matchAll(/<(\/?)([a-z][a-z0-9]*)([^>]*)>|([^<]+|<)/gi)) {
    const name = rawName?.toLowerCase();
    if (skipping) {
      if (closing && name === skipping) skipping = null;
    } else if (text) at.append(entities(text));
    else if (!closing && SKIPPED.has(name)) skipping = attributes.endsWith("/") ? null : name;
    else if (name === "img" && !closing) at.append(`[${entities(/alt\s*=\s*"([^"]*)"/i.exec(attributes)?.[1] || "image")}]`);
    else if (name === "a") {
      if (closing && href) at.append(` <${href}>`);
      href = closing ? null : entities(/href\s*=\s*"([^"]*)"/i.exec(attributes)?.[1] ?? "");
    } else if (closing) at = at.closest(name)?.parentElement ?? at;
    else if (KEPT.has(name)) {
      const made = clean.createElement(name);
      at.append(made);
      if (name !== "br" && name !== "hr") at = made;
    }
    if (!clean.body.contains(at)) at = clean.body;
  }
}

const NAMED = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", ndash: "–", mdash: "—", hellip: "…", euro: "€" };
function entities(text) {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));/gi, (whole, hex, decimal, name) => {
    const code = hex ? parseInt(hex, 16) : Number(decimal);
    return name ? (NAMED[name] ?? whole) : code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
  });
}
