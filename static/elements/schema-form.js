// <schema-form>: fields made from a JSON Schema, around one plain object.
//
// show(form, value) draws; typing fires "edit" with detail {value} (a new object). Fields keep
// focus while value changes from outside (raw JSON). Errors are set by JSON pointer.

import { h, put, prose, setText, setAttr } from "../dom.js";
import { fields, limits } from "../schema.js";
import { makeControl } from "./controls.js";

const SHOWN = 7; // more optional fields than fit a glance wait behind "more"

class SchemaForm extends HTMLElement {
  #value = {};
  #fields = new Map(); // name → {field, control, error, touched}
  #form = null;
  #errors = new Map();
  #all = false; // show errors of untouched fields too
  #more = null;

  /** Draws a form ({schema, root}) with `value`; the same form again only takes over the value. */
  show(form, value) {
    this.#value = value ?? {};
    if (form !== this.#form) this.#build(form);
    for (const [name, { control }] of this.#fields) if (!control.busy?.() && !control.element.contains(document.activeElement)) control.write(this.#value[name]);
  }

  /** Whether every field's text could be read (no spoiled JSON); else the form's value is not what is seen. */
  get readable() {
    return [...this.#fields.values()].every(({ control }) => !control.problem?.());
  }

  /** Whether files are on their way; "uploading" is fired when that changes. */
  get busy() {
    return [...this.#fields.values()].some(({ control }) => control.busy?.());
  }

  /** Shows errors [{pointer, detail}] under `prefix` ("/params"); returns those that belong to no field. */
  errors(list, prefix) {
    const rest = [];
    const own = new Map();
    for (const error of list) {
      const path = String(error.pointer ?? "");
      const name = path.startsWith(`${prefix}/`) ? decodeToken(path.slice(prefix.length + 1).split("/")[0]) : null;
      if (name !== null && this.#fields.has(name)) own.set(name, [...(own.get(name) ?? []), at(path, `${prefix}/${name}`) + error.detail]);
      else rest.push(error);
    }
    this.#errors = own;
    this.#showErrors();
    return rest;
  }

  /** From now on errors show at untouched fields too; focuses the first one. */
  showAllErrors() {
    this.#all = true;
    this.#showErrors();
    const first = this.querySelector("[aria-invalid=true]");
    if (first?.closest("details")) first.closest("details").open = true;
    first?.focus();
  }

  #build(form) {
    this.#form = form;
    this.#all = false;
    this.#errors = new Map();
    const rows = fields(form).map((field) => this.#row(field));
    this.#fields = new Map(rows.map((row) => [row.field.name, row]));
    const fold = rows.length > SHOWN + 1;
    const first = rows.filter((row, index) => !fold || row.field.required || row.field.kind.startsWith("file") || index < SHOWN || this.#value[row.field.name] !== undefined);
    const rest = rows.filter((row) => !first.includes(row));
    this.#more = rest.length ? h("details", { class: "more" }, h("summary", null, `${rest.length} more options`), h("div", { class: "fields" }, rest.map((row) => row.element))) : null;
    put(this, rows.length ? h("div", { class: "fields" }, first.map((row) => row.element)) : h("p", { class: "muted" }, "This type takes any params: write them as JSON."), this.#more);
  }

  #row(field) {
    const id = `f-${Math.random().toString(36).slice(2, 9)}`;
    const error = h("p", { class: "field-error", id: `${id}-error`, hidden: true });
    const limit = limits(field.schema);
    const help = /[.!?]$/.test(field.help) && limit ? `${field.help} ${limit[0].toUpperCase()}${limit.slice(1)}` : [field.help, limit].filter(Boolean).join(" – ");
    const row = { field, error, touched: false };
    row.control = makeControl(field, id, (value) => {
      row.touched = true;
      const { [field.name]: _, ...rest } = this.#value;
      // Assign in the schema's order, so that the JSON beside it reads like the form.
      const next = value === undefined ? rest : { ...rest, [field.name]: value };
      this.#value = Object.fromEntries(Object.entries(next).sort(([a], [b]) => this.#order(a) - this.#order(b)));
      this.dispatchEvent(new CustomEvent("edit", { detail: { value: this.#value } }));
      this.#showErrors();
    });
    const { input } = row.control;
    setAttr(input, "aria-describedby", help ? `${id}-help ${id}-error` : `${id}-error`);
    if (field.required) setAttr(input, "aria-required", "true");
    input.addEventListener("blur", () => {
      row.touched ||= input.value !== "";
      this.#showErrors();
    });
    const group = field.kind.startsWith("file");
    const label = h(group ? "span" : "label", { htmlFor: group ? null : id, id: `${id}-label`, class: "field-label" }, field.label, field.required && h("span", { class: "muted" }, " required"));
    row.element = h("div", { class: `field ${field.kind}` }, field.kind === "boolean" ? h("div", { class: "line" }, row.control.element, label) : [label, row.control.element], help && h("p", { class: "help", id: `${id}-help` }, prose(help)), error);
    return row;
  }

  #order(name) {
    const at = [...this.#fields.keys()].indexOf(name);
    return at < 0 ? 1e6 : at;
  }

  #showErrors() {
    for (const [name, row] of this.#fields) {
      const own = row.control.problem?.();
      const messages = own ? [own] : row.touched || this.#all || this.#value[name] !== undefined ? (this.#errors.get(name) ?? []) : [];
      setText(row.error, messages.join("; "));
      row.error.hidden = !messages.length;
      setAttr(row.control.input, "aria-invalid", messages.length ? "true" : null);
    }
  }
}

// Where inside the field: "entry 3: ", "address: ".
function at(path, field) {
  const rest = path.slice(field.length + 1);
  return rest ? `${rest.split("/").map(decodeToken).join(" › ")}: ` : "";
}

const decodeToken = (token) => token.replaceAll("~1", "/").replaceAll("~0", "~");

customElements.define("schema-form", SchemaForm);
