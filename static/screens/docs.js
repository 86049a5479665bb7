// Docs: a reader of the server's own OpenAPI document.

import { h, put, prose, setText, button, debounce } from "../dom.js";
import { showHelp } from "../keys.js";
import { get, link } from "../api.js";
import { copyText, curl } from "../copy.js";
import { resolve, limits } from "../schema.js";
import { typeWords } from "../schema-words.js";
import { plural } from "../format.js";
import { codeBlock, emptyState, errorState, skeleton } from "../elements/states.js";

export const title = "Docs";

const METHODS = ["get", "post", "put", "patch", "delete", "head"];
const DEEPEST = 4; // nested schemas below this are named, not unfolded

export function mount(root, context) {
  const { signal } = context;
  const find = h("input", { type: "search", placeholder: "Find a call", "aria-label": "Find a call", value: context.query.get("q") ?? "", autocomplete: "off" });
  const found = h("p", { class: "muted small", role: "status" });
  const body = h("div", { class: "docs" }, skeleton(8));
  put(root, h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Docs"), button("Keys", "help", showHelp, { class: "button desk" }), h("a", { class: "button", href: link("docs/realtime") }, "Realtime"), h("a", { class: "button", href: link("api/openapi.json"), target: "_blank", rel: "noreferrer" }, "OpenAPI")), h("div", { class: "row" }, find, found), body);
  let operations = [];
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const one of operations) one.element.hidden = !words.every((word) => one.text.includes(word));
    for (const section of body.querySelectorAll("section")) section.hidden = !section.querySelector("details:not([hidden])");
    const shown = operations.filter((one) => !one.element.hidden).length;
    setText(found, operations.length ? plural(shown, "call") : "");
  };
  find.addEventListener("input", debounce(() => {
    if (signal.aborted) return;
    filter();
    context.setQuery(find.value ? new URLSearchParams({ q: find.value }) : "");
  }, 150));
  context.update = () => {};
  return load();

  async function load() {
    try {
      const { data: document } = await get("api/openapi.json", { signal });
      operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) => METHODS.filter((method) => item[method]).map((method) => operation(document, path, method, item)));
      const named = (document.tags ?? []).map((one) => one.name);
      const size = (tag) => operations.filter((one) => one.tag === tag).length;
      // In the document's own order, else the richest first.
      const tags = [...new Set(operations.map((one) => one.tag))].sort((a, b) => (named.length ? named.indexOf(a) - named.indexOf(b) : size(b) - size(a)));
      if (!operations.length) return void put(body, emptyState("Nothing described", "The server's document lists no calls."));
      put(body, document.info?.description && h("p", { class: "prose" }, document.info.description), tags.map((tag) => h("section", { class: "block" }, h("h2", null, tag), operations.filter((one) => one.tag === tag).map((one) => one.element))));
      filter();
    } catch (error) {
      if (!signal.aborted) put(body, errorState(error, load));
    }
  }
}

function operation(document, path, method, item) {
  const own = item[method];
  const parameters = [...(item.parameters ?? []), ...(own.parameters ?? [])].map((one) => resolve(one, document));
  const element = h("details", { class: "card operation" }, h("summary", { class: "row" }, h("span", { class: `method ${method}` }, method.toUpperCase()), h("code", { class: "path" }, path), h("span", { class: "muted clip" }, prose(own.summary ?? own.description?.split("\n")[0]))));
  // Most are never opened: their insides are made when they are.
  element.addEventListener("toggle", () => element.childElementCount === 1 && element.append(details(document, path, method, own, parameters)), { once: true });
  return { element, tag: own.tags?.[0] ?? "Other", text: [method, path, own.summary, own.description, own.operationId].join(" ").toLowerCase() };
}

function details(document, path, method, own, parameters) {
  const content = resolve(own.requestBody, document).content ?? {};
  const [media, request] = Object.entries(content)[0] ?? [];
  const example = request?.example ?? resolve(request?.schema, document).examples?.[0];
  const line = curl(method.toUpperCase(), path.replace(/^\//, ""), example);
  return h(
    "div",
    { class: "operation-body" },
    own.description && h("p", { class: "prose" }, prose(own.description)),
    parameters.length > 0 && [h("h3", null, "Parameters"), members(parameters.map((one) => ({ name: one.name, note: one.in, required: one.required, schema: one.schema ?? {}, description: one.description })), document)],
    request && [h("h3", null, "Body ", h("small", { class: "muted" }, media)), schemaTree(request.schema, document)],
    h("h3", null, "Answers"),
    Object.entries(own.responses ?? {}).map(([status, raw]) => {
      const answer = resolve(raw, document);
      const [type, first] = Object.entries(answer.content ?? {})[0] ?? [];
      return h("details", { class: "answer" }, h("summary", { class: "row" }, h("code", { class: /^[45]/.test(status) ? "bad" : "good" }, status), h("span", null, prose(answer.description)), type && h("small", { class: "muted" }, type)), first?.schema && schemaTree(first.schema, document));
    }),
    h("h3", null, "curl"),
    codeBlock(line, () => copyText(line, "curl line")),
  );
}

function schemaTree(raw, document, level = 0) {
  const schema = resolve(raw, document);
  const forms = schema.oneOf ?? schema.anyOf;
  if (forms && !schema.properties) return h("div", null, forms.filter((one) => one.type !== "null").map((one) => h("div", { class: "form-choice" }, h("p", { class: "muted" }, resolve(one, document).title ?? typeWords(one, document)), schemaTree(one, document, level + 1))));
  const list = [schema.type].flat().includes("array") ? resolve(schema.items, document) : null;
  if (list?.properties && level < DEEPEST) return h("div", null, h("p", { class: "muted" }, "A list of:"), schemaTree(schema.items, document, level + 1));
  if (!schema.properties) return h("p", null, h("code", null, typeWords(raw, document)), schema.description && [" ", prose(schema.description)]);
  const required = new Set(schema.required ?? []);
  return members(Object.entries(schema.properties).map(([name, one]) => ({ name, required: required.has(name), schema: one, description: one.description ?? resolve(one, document).description })), document, level);
}

function members(rows, document, level = 0) {
  return h("dl", { class: "members" }, rows.map(({ name, note, required, schema, description }) => {
    const own = resolve(schema, document);
    const nested = resolve([own.type].flat().includes("array") ? own.items : own, document).properties && level < DEEPEST;
    const fold = nested && h("details", null, h("summary", null, "Members"));
    fold?.addEventListener?.("toggle", () => fold.childElementCount === 1 && fold.append(schemaTree(schema, document, level + 1)), { once: true });
    return h("div", null, h("dt", { class: "row" }, h("code", null, name), required && h("span", { class: "chip" }, "required"), note && h("span", { class: "muted small" }, note)), h("dd", null, h("span", { class: "muted" }, [typeWords(schema, document), limits(own)].filter(Boolean).join(" · ")), description && h("p", null, prose(description)), fold));
  }));
}
