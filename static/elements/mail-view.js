// A mail (.eml) to read: headers, text, and its HTML rebuilt from a short list of harmless
// elements inside a frame that may do nothing.

import { h } from "../dom.js";

const SHOWN = ["from", "to", "cc", "subject", "date"];
const KEPT = new Set("p div span br hr b strong i em u s h1 h2 h3 h4 h5 h6 ul ol li table thead tbody tr td th pre code blockquote".split(" "));
const SKIPPED = new Set("script style head title template iframe object embed svg math noscript".split(" "));
const DEEPEST = 10; // parts within parts

/** A node that shows the mail; `partial` when only its start was read. */
export function mailView(raw, partial) {
  const mail = parsePart(latin1(raw), 0);
  const parts = leaves(mail);
  const text = parts.find((part) => part.type === "text/plain" && !part.file);
  const html = parts.find((part) => part.type === "text/html" && !part.file);
  const files = parts.filter((part) => part.file || !part.type.startsWith("text/"));
  return h(
    "div",
    { class: "mail" },
    h("dl", { class: "pairs" }, SHOWN.filter((name) => mail.headers.get(name)).map((name) => h("div", null, h("dt", null, name[0].toUpperCase() + name.slice(1)), h("dd", null, words(mail.headers.get(name)))))),
    text && h("pre", { class: "text-preview", tabindex: "0" }, text.text),
    html && h("details", { open: !text }, h("summary", null, "As HTML"), frame(html.text)),
    files.length > 0 && h("p", { class: "muted small" }, `Attached: ${files.map((part) => part.file || part.type).join(", ")}`),
    partial && h("p", { class: "muted small" }, "Only the beginning of the mail is shown."),
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

function parsePart(source, depth) {
  const split = /\r?\n\r?\n/.exec(source);
  const head = split ? source.slice(0, split.index) : source;
  const body = split ? source.slice(split.index + split[0].length) : "";
  const headers = new Map();
  for (const line of head.replace(/\r?\n[ \t]+/g, " ").split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  const content = headers.get("content-type") ?? "text/plain";
  const type = content.split(";")[0].trim().toLowerCase();
  const file = parameter(headers.get("content-disposition") ?? "", "filename");
  const boundary = parameter(content, "boundary");
  if (type.startsWith("multipart/") && boundary && depth < DEEPEST) {
    const pieces = body.split(`--${boundary}`).slice(1);
    const end = pieces.findIndex((piece) => piece.startsWith("--"));
    return { headers, type, parts: pieces.slice(0, end < 0 ? undefined : end).map((piece) => parsePart(piece.replace(/^[ \t]*\r?\n/, ""), depth + 1)) };
  }
  const data = decodeBody(body, (headers.get("content-transfer-encoding") ?? "").toLowerCase());
  return { headers, type, file, text: type.startsWith("text/") ? decoder(parameter(content, "charset")).decode(data) : "" };
}

const leaves = (part) => (part.parts ? part.parts.flatMap(leaves) : [part]);

function parameter(value, name) {
  const found = new RegExp(`${name}\\s*=\\s*(?:"([^"]*)"|([^;\\s]+))`, "i").exec(value);
  return found?.[1] ?? found?.[2] ?? null;
}

function decodeBody(body, encoding) {
  if (encoding === "base64") return base64(body);
  if (encoding === "quoted-printable") return quoted(body.replace(/=[ \t]*\r?\n/g, ""));
  return bytesOf(body);
}

// =?utf-8?Q?Gr=C3=BC=C3=9Fe?= in headers (RFC 2047); the space between two such words is not text.
function words(value) {
  return value.replace(/(=\?[^?]+\?[bq]\?[^?]*\?=)\s+(?==\?)/gi, "$1").replace(/=\?([^?]+)\?([bq])\?([^?]*)\?=/gi, (_, charset, kind, text) => decoder(charset).decode(kind.toLowerCase() === "b" ? base64(text) : quoted(text.replaceAll("_", " "))));
}

function base64(text) {
  try {
    return bytesOf(atob(text.replace(/[^A-Za-z0-9+/]/g, "")));
  } catch {
    return bytesOf(text);
  }
}

const quoted = (text) => bytesOf(text.replace(/=([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16))));
const latin1 = (raw) => new TextDecoder("latin1").decode(raw);
const bytesOf = (text) => Uint8Array.from(text, (char) => char.charCodeAt(0));

function decoder(charset) {
  try {
    return new TextDecoder(charset || "utf-8");
  } catch {
    return new TextDecoder();
  }
}
