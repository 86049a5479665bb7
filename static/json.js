// JSON without loss: a number that JavaScript would round stays the text it was.

/** A number kept as its source text, because a double cannot hold it. */
export class RawNumber {
  constructor(source) {
    this.source = source;
  }
  toString() {
    return this.source;
  }
}

/** Parses JSON; numbers that would change become RawNumber. Throws SyntaxError like JSON.parse. */
export function parse(text) {
  if (!/\d{16}|[eE][+-]?\d{3}/.test(text)) return JSON.parse(text); // nothing in it can be rounded
  if (HAS_SOURCE) return JSON.parse(text, (_, value, context) => (typeof value === "number" ? number(context.source) : value));
  JSON.parse(text); // the built-in parser judges the syntax, ours only rebuilds
  return rebuild(text);
}

/** The number a source text stands for: a plain number where that is exact, else a RawNumber. */
export function number(source) {
  const value = Number(source);
  const exact = /^-?\d+$/.test(source) ? Number.isSafeInteger(value) : Number.isFinite(value) && source.replace(/[^\d]/g, "").length <= 17;
  return exact ? value : new RawNumber(source);
}

/** The text of a value, RawNumbers as they came. `indent` spaces a level; 0 for one line. */
export function stringify(value, indent = 0, level = 0) {
  if (value instanceof RawNumber) return value.source;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const colon = indent ? ": " : ":";
  const parts = Array.isArray(value)
    ? value.map((item) => stringify(item, indent, level + 1))
    : Object.entries(value).filter(([, item]) => item !== undefined).map(([name, item]) => JSON.stringify(name) + colon + stringify(item, indent, level + 1));
  if (!parts.length) return open + close;
  if (!indent) return open + parts.join(",") + close;
  const pad = "\n" + " ".repeat(indent * (level + 1));
  return open + pad + parts.join("," + pad) + "\n" + " ".repeat(indent * level) + close;
}

/** A deep copy that keeps RawNumbers. */
export const copy = (value) => (value === undefined ? undefined : parse(stringify(value)));

let HAS_SOURCE = false;
JSON.parse("1", (_, value, context) => {
  HAS_SOURCE = context?.source === "1";
  return value;
});

// For browsers whose reviver does not see the source. The text is known to be valid.
function rebuild(text) {
  const tokens = text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/gs);
  const next = () => tokens.next().value[0];
  const value = (token) => {
    if (token === "{") {
      const made = {};
      for (let key = next(); key !== "}"; key = next()) {
        if (key === ",") key = next();
        next(); // the colon
        Object.defineProperty(made, JSON.parse(key), { value: value(next()), enumerable: true, writable: true, configurable: true });
      }
      return made;
    }
    if (token === "[") {
      const made = [];
      for (let item = next(); item !== "]"; item = next()) if (item !== ",") made.push(value(item));
      return made;
    }
    return /^[-\d]/.test(token) ? number(token) : JSON.parse(token);
  };
  return value(next());
}
