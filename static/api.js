// Every call to the server passes here: addresses, time limits, ETags, errors, and whose the answers are.

import { parse, stringify } from "./json.js";
import { learnClock } from "./format.js";
import { report } from "./connection.js";

const TIMEOUT_MS = 15_000; // well over a slow answer, well under a person's patience
const FIRST_BYTE_MS = 60_000; // of what is as long as it has to be
const SURE_MS = 1_000; // for so long it is known who is signed in: the calls of one round ask once
const CACHED = 60; // ETag answers kept: a few screens' worth

/** The service's root; found from this module's own address, so a path prefix just works. */
export const base = new URL("..", import.meta.url);

/** The address of a page or call: link("tasks/1"), link("api/tasks/"). */
export const link = (path) => base.pathname + path;

/** The same with the host, for curl lines and links to share. */
export const absolute = (path) => base.href + path;

/** An answer that is no success, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(status, problem = {}, retryAfter = null) {
    super(problem.detail || problem.title || `the server answered ${status}`);
    this.status = status;
    this.code = problem.code ?? (status ? `http_${status}` : "unreachable");
    this.title = problem.title ?? "";
    this.errors = Array.isArray(problem.errors) ? problem.errors : [];
    this.requestId = problem.request_id ?? null;
    this.retryAfter = retryAfter; // seconds, or null
  }
}

// A page belongs to one key of one owner. When the server names another one, or nobody, all that the page shows and knows
// goes with its document: nothing in it has to remember to forget.
let owner = null;
let keyed = false;
let asked = { at: -Infinity };

/** Who that is: {owner, role, key_id, …}; key_id is null where no key is needed. There is no answer for anybody but the first one. */
export function whoami({ fresh = false } = {}) {
  if (fresh || performance.now() - asked.at >= SURE_MS) asked = { at: performance.now(), answer: identify() };
  return asked.answer;
}

/** Whether calls want a key, as far as is known. */
export const wantsKey = () => keyed;

/** Leaves nothing of what this page shows and knows, and loads it again. Never resolves. */
export function beginAnew() {
  document.documentElement.hidden = true;
  asked = { at: Infinity, answer: new Promise(() => {}) };
  location.replace(location.pathname + location.search); // not reload(), after which a browser may fill in what was typed
  return asked.answer;
}

async function identify() {
  try {
    const me = await json(await call("GET", "api/me", {}));
    const name = `${me.key_id} ${me.owner}`;
    if (owner && owner !== name) return beginAnew();
    if (!owner) dispatchEvent(new CustomEvent("errand:identified", { detail: me }));
    owner = name;
    keyed = me.key_id !== null;
    if (me.key_id === null) asked.at = Infinity; // a service that has begun to ask for keys says so by 401
    return me;
  } catch (error) {
    asked.at = -Infinity;
    throw error;
  }
}

const cache = new Map(); // path → {etag, data}, oldest first

/** GET as JSON. {data, changed}: with an ETag the server may say "not changed", and data is the very same object. */
export async function get(path, { signal, timeout } = {}) {
  const known = cache.get(path);
  const [response] = await Promise.all([call("GET", path, { signal, timeout, headers: known && { "if-none-match": known.etag } }), OPEN.test(path) || whoami()]);
  if (response.status === 304 && known) return { data: known.data, changed: false };
  const data = await json(response);
  const etag = response.headers.get("etag");
  cache.delete(path);
  if (etag) cache.set(path, { etag, data });
  if (cache.size > CACHED) cache.delete(cache.keys().next().value);
  return { data, changed: true };
}

/** POST, PUT or DELETE with a JSON body; the answer as JSON, null when empty. */
export async function send(method, path, body, { signal, timeout, headers } = {}) {
  if (!OPEN.test(path)) await whoami(); // what was typed for one is not sent for another
  const response = await call(method, path, {
    signal,
    timeout,
    headers: { "x-client-id": clientId(), ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    body: body === undefined ? undefined : stringify(body),
  });
  return response.status === 204 ? null : json(response);
}

/** A raw answer for previews: at most the first `limit` bytes. {blob, total, partial}. */
export async function head(path, limit, { signal } = {}) {
  const [response] = await Promise.all([call("GET", path, { signal, timeout: 60_000, headers: { range: `bytes=0-${limit - 1}`, accept: "*/*" } }), whoami()]);
  let blob = await response.blob();
  const total = Number(/\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1] ?? blob.size);
  if (blob.size > limit) blob = blob.slice(0, limit, blob.type); // the server ignored the range
  return { blob, total, partial: blob.size < total };
}

/** A GET whose answer is read while it comes: its reader, until `signal` ends. */
export async function reader(path, { signal } = {}) {
  const [response] = await Promise.all([call("GET", path, { signal, timeout: FIRST_BYTE_MS, headers: { accept: "*/*" } }), whoami()]);
  const source = response.body.getReader();
  signal?.addEventListener("abort", () => source.cancel().catch(() => {}));
  return source;
}

/** Uploads one file as it is. Resolves to the file's row; `onprogress` gets 0..1 (fetch cannot tell that). */
export function upload(file, { onprogress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", link(`api/files?name=${encodeURIComponent(file.name)}`));
    request.setRequestHeader("content-type", file.type || "application/octet-stream");
    request.setRequestHeader("accept", "application/json");
    request.upload.onprogress = (event) => event.lengthComputable && onprogress?.(event.loaded / event.total);
    request.onload = () => {
      const answer = tolerant(request.responseText);
      report(true);
      tellAccess(request.status);
      if (request.status < 300) resolve(answer);
      else reject(new ApiError(request.status, answer));
    };
    request.onerror = () => reject(new ApiError(0, { detail: "The upload was cut off." }));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}

/** A key for Idempotency-Key. Not randomUUID: that exists on HTTPS only. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

let client = null;

/** This browser's client id: what it submits is its own. For this visit only where nothing can be kept. */
export function clientId() {
  try {
    client ??= localStorage.getItem("errand.client");
    if (!client) localStorage.setItem("errand.client", (client = `page-${newKey()}`));
  } catch {
    client ??= `page-${newKey()}`;
  }
  return client;
}

/** A query string from an object; empty values and null are left out, arrays repeat. */
export function query(values) {
  const pairs = Object.entries(values).flatMap(([name, value]) => [value].flat().filter((one) => one != null && one !== "").map((one) => [name, one]));
  return pairs.length ? "?" + new URLSearchParams(pairs) : "";
}

async function call(method, path, { signal, timeout = TIMEOUT_MS, headers, body }) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeout);
  const end = () => limit.abort();
  signal?.addEventListener("abort", end, { once: true });
  let response;
  try {
    signal?.throwIfAborted();
    response = await fetch(link(path), { method, body, signal: limit.signal, headers: { accept: "application/json", ...headers }, credentials: "same-origin" });
  } catch (error) {
    if (signal?.aborted) throw new DOMException("aborted", "AbortError");
    report(false);
    throw new ApiError(0, { title: "The server does not answer", detail: error.name === "AbortError" ? "No answer in time." : "The server cannot be reached." });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  }
  report(![502, 503, 504].includes(response.status));
  learnClock(response.headers.get("date"));
  await tellAccess(response.status);
  if (response.ok || response.status === 304) return response;
  const wait = Number(response.headers.get("retry-after"));
  throw new ApiError(response.status, tolerant(await response.text()), wait > 0 ? wait : null);
}

// Calls that want no key.
const OPEN = /^api\/(version|openapi\.json|session)/;

// signin.js asks for a key where nobody was in.
function tellAccess(status) {
  if (status !== 401) return;
  if (owner) return beginAnew();
  dispatchEvent(new Event("errand:unauthenticated"));
}

async function json(response) {
  try {
    return parse(await response.text());
  } catch {
    throw new ApiError(response.status, { title: "Not understood", detail: "The server's answer is not JSON." });
  }
}

// An error body may come from a proxy in between and be anything.
function tolerant(text) {
  try {
    return parse(text) ?? {};
  } catch {
    return {};
  }
}
