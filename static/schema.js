// What a JSON Schema means for a form: local $refs, alternatives, the kind of each field.

/** Follows local references and unwraps what Option<T> and single allOf leave behind. */
export function resolve(schema, root, depth = 0) {
  if (!schema || typeof schema !== "object" || depth > 20) return {};
  if (typeof schema.$ref === "string") {
    const target = schema.$ref.replace(/^#\/?/, "").split("/").filter(Boolean).reduce((at, part) => at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], root);
    const { $ref, ...rest } = schema;
    return { ...resolve(target, root, depth + 1), ...rest };
  }
  for (const word of ["anyOf", "oneOf", "allOf"]) {
    const real = schema[word]?.filter((one) => one.type !== "null");
    if (real?.length === 1) {
      const { [word]: _, ...rest } = schema;
      return { ...resolve(real[0], root, depth + 1), ...rest };
    }
  }
  return schema;
}

/** The forms of a type: [{title, description, schema}], one when there is no choice. */
export function alternatives(schema) {
  const top = resolve(schema ?? {}, schema);
  const choice = top.oneOf ?? top.anyOf;
  if (!choice?.length) return [{ title: top.title ?? "Params", description: null, schema: top, root: schema }];
  return choice.map((one, at) => {
    const form = resolve(one, schema);
    return { title: form.title ?? `Form ${at + 1}`, description: form.description, schema: form, root: schema };
  });
}

/** The alternative that these params most likely belong to. */
export function matching(forms, params) {
  const names = Object.keys(params ?? {});
  const score = ({ schema }) => names.reduce((sum, name) => sum + (schema.properties?.[name] ? 1 : -2), 0) + (schema.required ?? []).reduce((sum, name) => sum + (names.includes(name) ? 1 : -1), 0);
  return forms.reduce((best, one) => (score(one) > score(best) ? one : best), forms[0]);
}

/** The fields of one form, in the schema's order: [{name, label, help, kind, schema, required, choices}]. */
export function fields({ schema, root }) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, raw]) => {
    const own = resolve(raw, root);
    return { name, label: own.title ?? humanize(name), help: own.description ?? "", kind: kindOf(own, root, name, required.has(name)), schema: own, required: required.has(name), choices: choices(own, required.has(name)) };
  });
}

/** The limits of a field in words: "100 to 10,000 · default 500". */
export function limits({ minimum, maximum, minLength, maxLength, minItems, maxItems, ...rest }) {
  const range = (low, high, many) => {
    const unit = low == null && high === 1 ? many.replace(/(ie)?s$/, (end) => (end === "ies" ? "y" : "")) : many;
    return low != null && high != null ? `${group(low)} to ${group(high)}${unit}` : low != null ? `at least ${group(low)}${unit}` : high != null ? `at most ${group(high)}${unit}` : null;
  };
  const preset = rest.default;
  const shown = preset == null || typeof preset === "object" || preset === "" ? null : `default ${preset}`;
  return [range(minimum, maximum, ""), range(minLength > 1 ? minLength : null, maxLength, " characters"), range(minItems, maxItems, " entries"), shown].filter(Boolean).join(" · ");
}

function kindOf(schema, root, name, required) {
  const type = [schema.type].flat().find((one) => one !== "null");
  if (choices(schema, required)) return "choice";
  if (schema.format === "file-id") return "file";
  if (type === "array") {
    const items = resolve(schema.items ?? {}, root);
    if (items.format === "file-id") return "files";
    return items.type === "string" && !items.enum ? "lines" : "json";
  }
  if (type === "integer" || type === "number" || type === "boolean") return type;
  if (type !== "string") return "json";
  if (schema.writeOnly) return "secret";
  if (schema.format === "date-time") return "time";
  return schema.maxLength > 500 || ["body", "html", "data", "text"].includes(name) || schema.contentMediaType ? "text" : "string";
}

// An enum, a oneOf of constants (which may carry descriptions), or yes, no and "not set".
function choices(schema, required) {
  const open = !required && schema.default == null;
  if ([schema.type].flat().includes("boolean") && (open || Array.isArray(schema.type))) return [true, false].map((value) => ({ value, help: "" }));
  if (Array.isArray(schema.enum)) return schema.enum.filter((one) => one !== null).map((value) => ({ value, help: "" }));
  const all = schema.oneOf ?? schema.anyOf;
  const constants = all?.filter((one) => one.const !== undefined || one.enum);
  if (!constants?.length || constants.length !== all.filter((one) => one.type !== "null").length) return null;
  return constants.flatMap((one) => (one.enum ?? [one.const]).map((value) => ({ value, help: one.description ?? "" })));
}

const humanize = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ").replace(/^File id(s?)$/, "File$1").replace(/\bids?\b/gi, (word) => word.toLowerCase());
const group = (n) => Number(n).toLocaleString("en-US");
