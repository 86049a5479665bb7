// The only way elements are made here: by node, never by markup, so data cannot become code.

const SVG = "http://www.w3.org/2000/svg";
// Set as properties: as attributes they would only be the initial value.
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "indeterminate", "htmlFor", "selected", "multiple", "readOnly", "required"]);

/** An element: h("a", {class: "x", href, on: {click}}, "text", child, [more]). Null props and children are left out. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** An SVG element, as h. */
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/** An icon from the sprite in index.html; decorative, a word always stands beside it. */
export function icon(name) {
  return s("svg", { class: "icon", "aria-hidden": "true" }, s("use", { href: `#i-${name}` }));
}

/** Text in which `words` stand as code: what the server's descriptions use. */
export const prose = (text) => String(text ?? "").split(/`([^`]+)`/).map((part, at) => (at % 2 ? h("code", null, part) : part));

/** Words for screen readers only. */
export const sr = (text) => h("span", { class: "sr" }, text);

/** A button with an icon and a word. */
export function button(label, iconName, run, props = {}) {
  return h("button", { type: "button", class: "button", ...props, on: { click: run } }, iconName && icon(iconName), h("span", null, label));
}

/** Replaces all children. */
export function put(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

/** Writes text only when it differs, so that selection and live regions stay quiet. */
export function setText(element, text) {
  const next = String(text ?? "");
  if (element.textContent !== next) element.textContent = next;
  return element;
}

/** Sets or removes an attribute, only on change. */
export function setAttr(element, name, value) {
  if (value == null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : value);
}

/**
 * Makes the children of `parent` follow `items`: one child a key, made once, then only updated.
 * Children that stay are not moved unless their order changed, so focus and selection survive.
 */
export function keyed(parent, items, key, make, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = new Set(items.map((item) => String(key(item))));
  for (const [name, child] of old) if (!wanted.has(name)) child.remove();
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = old.get(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    update?.(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}

/** Says a sentence to screen readers without moving focus. */
export function announce(text) {
  const region = document.getElementById("polite");
  region.textContent = "";
  // A pause, or the same sentence twice would be read once.
  setTimeout(() => (region.textContent = text), 50);
}

/** Gives the focus to the first of `places` that can have it, where what had it is gone, hidden or off. */
export function keepFocus(...places) {
  const now = document.activeElement;
  if (now && now !== document.body && now.checkVisibility() && !now.matches(":disabled")) return;
  places.find((place) => place?.checkVisibility() && !place.matches(":disabled"))?.focus({ preventScroll: true });
}

/** Scrolls a row of tabs sideways, and nothing else, so that the current one is seen. */
export function revealCurrent(tabs) {
  const current = tabs.querySelector("[aria-current]");
  if (current) tabs.scrollLeft = current.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - current.offsetWidth) / 2;
}

/** Waits until calls pause for `ms`, then runs once with the last arguments. */
export function debounce(run, ms) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(run, ms, ...args);
  };
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value == null || value === false) continue;
    if (name === "on") for (const [event, run] of Object.entries(value)) element.addEventListener(event, run);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else if (/^on|^style$/i.test(name)) throw new Error(`not as an attribute: ${name}`);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child != null && child !== false);
}
