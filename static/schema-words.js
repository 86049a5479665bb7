// What kind of value a JSON Schema asks for, in a word or two; for Docs.

import { resolve } from "./schema.js";

/** One word or two for a schema: "integer", "list of string", "Task". */
export function typeWords(raw, root) {
  if (!raw || typeof raw !== "object") return "any";
  const name = typeof raw.$ref === "string" ? raw.$ref.split("/").pop() : null;
  if (name) return name;
  const nullable = [raw.type].flat().includes("null") || (raw.anyOf ?? raw.oneOf)?.some((one) => one.type === "null");
  const own = resolve(raw, root);
  const type = [own.type].flat().filter((one) => one && one !== "null").join(" or ");
  const inner = raw.anyOf ?? raw.oneOf;
  const words = own.enum ? own.enum.map((one) => JSON.stringify(one)).join(" | ") : type === "array" ? `list of ${typeWords(own.items, root)}` : inner ? inner.filter((one) => one.type !== "null").map((one) => typeWords(one, root)).join(" or ") : type || (own.const !== undefined ? JSON.stringify(own.const) : "any");
  return words + (own.format ? ` (${own.format})` : "") + (nullable ? " or null" : "");
}
