// What one may take along: a text, and a call as a curl line.

import { absolute, wantsKey } from "./api.js";
import { stringify } from "./json.js";
import { toast } from "./elements/toast-area.js";

/** Copies text; over plain HTTP the clipboard interface is missing, so the old way stands in. */
export async function copyText(text, what) {
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr";
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
  }
  if (done) toast(`${what} copied`, { kind: "success" });
  else toast("The browser did not allow copying", { kind: "error" });
}

/** A curl line for a call, ready for a POSIX shell; where a key is asked for, with the one that stands in $ERRAND_KEY. */
export function curl(method, path, body) {
  const parts = ["curl"];
  if (method !== "GET" && !(method === "POST" && body !== undefined)) parts.push("-X", method);
  parts.push(quote(absolute(path)));
  const key = wantsKey() ? ` -H "authorization: Bearer $ERRAND_KEY"` : "";
  if (body === undefined) return parts.join(" ") + key;
  return `${parts.join(" ")}${key} \\\n  -H 'content-type: application/json' \\\n  -d ${quote(stringify(body, 2))}`;
}

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
