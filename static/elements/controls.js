// One control a kind of field. Each is {element, input, write(value), problem?(), busy?()};
// an empty control means "not given" and is reported as undefined.

import { h } from "../dom.js";
import { parse, number, stringify } from "../json.js";

let fileDrop = null; // for forms that take files

/** Loads what a form with fields for files needs; to be awaited before it is shown. */
export const loadFiles = async () => ({ fileDrop } = await import("./file-drop.js"));

/** Whether it is loaded. */
export const filesLoaded = () => fileDrop !== null;

/** The control for a field of schema.fields(); `edit(value)` is called on every change by hand. */
export function makeControl(field, id, edit) {
  return (MAKERS[field.kind] ?? MAKERS.json)(field, id, edit);
}

const MAKERS = {
  string: (field, id, edit) => textual(h("input", { type: "text", id, maxlength: field.schema.maxLength, autocomplete: "off", ...hint(field) }), (text) => text, edit),
  secret: (field, id, edit) => textual(h("input", { type: "password", id, maxlength: field.schema.maxLength, autocomplete: "new-password" }), (text) => text, edit),
  text: (field, id, edit) => textual(h("textarea", { id, rows: 4, ...hint(field) }), (text) => text, edit),
  integer: numeric,
  number: numeric,
  lines: (field, id, edit) => {
    const input = h("textarea", { id, rows: 3, placeholder: "one a line", spellcheck: "false" });
    return textual(input, (text) => text.split("\n").map((line) => line.trim()).filter(Boolean), edit, (value) => (Array.isArray(value) ? value.join("\n") : ""));
  },
  boolean: (field, id, edit) => {
    const input = h("input", { type: "checkbox", id, checked: field.schema.default === true });
    // Off is worth saying only when the default is on.
    input.addEventListener("change", () => edit(input.checked === (field.schema.default === true) ? undefined : input.checked));
    return { element: input, input, write: (value) => (input.checked = value ?? field.schema.default === true) };
  },
  choice: (field, id, edit) => {
    const none = field.schema.default != null ? `default: ${field.schema.default}` : field.required ? "choose …" : "not set";
    const input = h("select", { id }, h("option", { value: "" }, none), field.choices.map(({ value, help }) => h("option", { value: String(value), title: help || null }, typeof value === "boolean" ? (value ? "yes" : "no") : String(value))));
    input.addEventListener("change", () => edit(field.choices.find(({ value }) => String(value) === input.value)?.value));
    return { element: input, input, write: (value) => (input.value = value == null ? "" : String(value)) };
  },
  time: (field, id, edit) => {
    const input = h("input", { type: "datetime-local", id, step: 1 });
    input.addEventListener("input", () => edit(input.value ? new Date(input.value).toISOString() : undefined));
    return { element: input, input, write: (value) => (input.value = localTime(value)) };
  },
  json: (field, id, edit) => {
    const example = field.schema.examples?.[0] ?? field.schema.default;
    const input = h("textarea", { id, rows: 4, class: "mono", spellcheck: "false", placeholder: example === undefined ? ([field.schema.type].flat().includes("array") ? "[ ]" : "{ }") : stringify(example, 2) });
    let problem = "";
    input.addEventListener("input", () => {
      problem = "";
      let value;
      try {
        value = input.value.trim() ? parse(input.value) : undefined;
      } catch {
        problem = "Not valid JSON yet.";
      }
      edit(value);
    });
    return {
      element: input,
      input,
      problem: () => problem,
      write: (value) => {
        if (problem) return;
        input.value = value === undefined ? "" : stringify(value, 2);
      },
    };
  },
  file: (field, id, edit) => fileDrop({ id, many: false, accept: field.schema.contentMediaType, edit }),
  files: (field, id, edit) => fileDrop({ id, many: true, accept: field.schema.items?.contentMediaType, edit }),
};

function numeric(field, id, edit) {
  const { minimum, maximum } = field.schema;
  // Text, not type=number: that would round big integers and swallow what it cannot read.
  const input = h("input", { type: "text", inputmode: field.kind === "integer" && !(minimum < 0) ? "numeric" : "decimal", id, autocomplete: "off", ...hint(field) });
  const read = (text) => (/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text.trim()) ? number(text.trim()) : text);
  input.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const value = read(input.value || String(field.schema.default ?? minimum ?? 0));
    if (!by || typeof value !== "number" || event.altKey || event.metaKey) return;
    event.preventDefault();
    input.value = Math.min(maximum ?? Infinity, Math.max(minimum ?? -Infinity, value + by * (event.shiftKey ? 10 : 1)));
    edit(read(input.value));
  });
  return textual(input, read, edit);
}

function textual(input, read, edit, write = (value) => (value == null ? "" : typeof value === "object" && !value.source ? stringify(value) : String(value))) {
  input.addEventListener("input", () => edit(input.value === "" ? undefined : read(input.value)));
  return { element: input, input, write: (value) => (input.value = write(value)) };
}

function hint({ schema }) {
  const example = schema.default ?? schema.examples?.[0];
  return { placeholder: example == null || typeof example === "object" ? null : String(example) };
}

function localTime(iso) {
  const date = new Date(iso ?? NaN);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
