// Submit: one request body, seen three ways at once: as a form, as JSON, as a curl line.
// The server's dry run judges it while one types; nothing is checked twice here.

import { h, put, prose, setAttr, setText, button, icon, debounce } from "../dom.js";
import { get, send, link, newKey } from "../api.js";
import { parse, stringify, copy } from "../json.js";
import { navigate } from "../router.js";
import { alternatives, fields, matching } from "../schema.js";
import { copyText, curl } from "../copy.js";
import { title as nameOf } from "../format.js";
import { mayAct } from "../actions.js";
import { toast, tellFailure } from "../elements/toast-area.js";
import { emptyState, errorState, skeleton } from "../elements/states.js";
import { filesLoaded, loadFiles } from "../elements/controls.js";
import "../elements/schema-form.js";

export const title = "Submit";

const WAITS = new Set([0, 502, 503, 504]); // nobody took it: the outbox keeps it
const CHECK_AFTER_MS = 350; // a pause in typing, not every letter
const OPTIONS = {
  schema: {
    properties: {
      name: { type: "string", title: "Name", maxLength: 200, description: "To find it again in the list" },
      queue: { type: "string", title: "Queue", maxLength: 100, default: "default" },
      priority: { type: "integer", title: "Priority", minimum: -100, maximum: 100, default: 0, description: "Higher runs first" },
      run_at: { type: "string", format: "date-time", title: "Not before", description: "In this browser's time zone; empty: at once" },
      needs_approval: { type: "boolean", title: "An admin has to approve it first", default: false },
      max_attempts: { type: "integer", title: "Attempts at most", minimum: 1, maximum: 100, default: 1 },
      timeout_seconds: { type: "integer", title: "Time limit in seconds", minimum: 1, description: "An attempt that takes longer is stopped" },
      tags: { type: "array", items: { type: "string" }, title: "Tags" },
    },
  },
};
const CLONED = { name: null, queue: "default", priority: 0, max_attempts: 1, timeout_seconds: null };
const drafts = new Map(); // "type 0" → body: leaving and coming back keeps what was typed

export function mount(root, context) {
  const { signal } = context;
  let types = [];
  let type = null;
  let forms = [];
  let form = null;
  let body = {};
  let checking = null;
  let sending = false;
  let failure = null; // the message of the last try
  let key = { text: "", value: "" }; // one Idempotency-Key for one body, so a second try cannot run it twice

  const cards = h("nav", { class: "type-cards", "aria-label": "Type" }, skeleton(3));
  const unknown = h("div");
  const choice = h("div", { class: "segments", role: "radiogroup", "aria-label": "Form" });
  const about = h("p", { class: "muted" });
  const params = document.createElement("schema-form");
  const options = document.createElement("schema-form");
  const others = h("ul", { class: "field-error", role: "alert", hidden: true });
  const verdict = h("p", { class: "line", role: "status" });
  const watch = button("Submit and watch", "submit", () => submit(true), { class: "button primary" });
  const plain = button("Submit", null, () => submit(false));
  const json = h("textarea", { id: "request-json", class: "mono", rows: 12, spellcheck: "false", autocomplete: "off", "aria-describedby": "request-json-error" });
  const jsonError = h("p", { class: "field-error", id: "request-json-error", hidden: true });
  const curlText = h("code");
  const optional = h("details", { class: "more" }, h("summary", null, "Options: name, queue, priority, time, attempts, tags"), options);
  const work = h(
    "div",
    { class: "split submit", hidden: true },
    h("section", { class: "card grow", "aria-label": "Form" }, choice, about, params, optional, others, h("div", { class: "row submit-row" }, watch, plain, verdict)),
    h(
      "section",
      { class: "card request", "aria-label": "The same as a request" },
      h("div", { class: "line" }, h("label", { htmlFor: "request-json", class: "grow field-label" }, "As JSON"), button("Copy", "copy", () => copyText(stringify(body, 2), "JSON"), { class: "button small", "aria-label": "Copy JSON" })),
      json,
      jsonError,
      h("div", { class: "line" }, h("h2", { class: "grow field-label" }, "As a curl line"), button("Copy", "copy", () => copyText(curlText.textContent, "curl line"), { class: "button small", "aria-label": "Copy curl line" })),
      h("div", { class: "code" }, h("pre", { tabindex: "0", "aria-label": "curl line" }, curlText)),
    ),
  );
  put(root, h("header", { class: "head" }, h("h1", { tabindex: "-1" }, "Submit a task")), cards, unknown, work);
  signal.addEventListener("abort", () => checking?.abort());
  const draftKey = () => `${type.type} ${forms.indexOf(form)}`;

  params.addEventListener("edit", (event) => edited({ ...body, params: event.detail.value }));
  params.addEventListener("uploading", () => {
    setAttr(watch, "aria-disabled", params.busy ? "true" : null);
    setAttr(plain, "aria-disabled", params.busy ? "true" : null);
    if (params.busy) showVerdict("Uploading", "unknown");
    else edited(body);
  });
  options.addEventListener("edit", (event) => edited({ type: body.type, params: body.params, ...event.detail.value, ...unknownMembers() }));
  json.addEventListener("input", () => {
    let next;
    try {
      next = parse(json.value);
      if (next === null || typeof next !== "object" || Array.isArray(next)) throw new SyntaxError("The request is an object: { … }");
    } catch (error) {
      showJsonError(error.message);
      checking?.abort();
      return showVerdict("The JSON is not valid", "bad");
    }
    showJsonError("");
    if (next.type !== type?.type && types.some((one) => one.type === next.type)) {
      open(next.type, { body: next });
      return context.setQuery(new URLSearchParams({ type: next.type }));
    }
    edited(next);
    showForms();
  });

  context.update = (query) => {
    if (query.get("type") !== type?.type || query.get("form") !== String(forms.indexOf(form))) open(query.get("type"), { at: query.get("form") });
  };
  async function load() {
    try {
      if (!(await mayAct())) return void put(cards, emptyState("This key can only read", "To submit a task, sign in with a key that has the role submit or admin.", h("a", { class: "button", href: link("settings") }, "Settings")));
      types = (await get("api/task-types", { signal })).data.types;
      const source = context.query.get("clone");
      const cloned = source && (await get(`api/tasks/${encodeURIComponent(source)}`, { signal })).data;
      if (!types.length) return void put(cards, emptyState("No task types", "A worker that offers one makes it appear here."));
      put(cards, types.map(card));
      import("../sending.js").catch(() => {}); // when it is needed, nothing can be loaded any more
      if (cloned) open(cloned.type, { body: bodyOf(cloned) });
      else open(context.query.get("type") ?? types[0].type, { at: context.query.get("form") });
    } catch (error) {
      if (!signal.aborted) put(cards, errorState(error, load));
    }
  }

  // Shows a type with the form number `at`, or the one that suits `body`.
  function open(name, { at = null, body: given } = {}) {
    type = types.find((one) => one.type === name);
    work.hidden = !type;
    put(unknown, !type && emptyState("No such type", `“${name}” is not offered here. Choose one above.`));
    if (!type) return;
    forms = alternatives(type.params_schema);
    const examples = type.examples?.length ? type.examples : [{}];
    form = given ? matching(forms, given.params) : (forms[at ?? -1] ?? matching(forms, examples[0]));
    // A form that asks for a file starts empty: an example's inline data would stand against the file.
    const wantsFile = fields(form).some((field) => field.kind.startsWith("file"));
    if (wantsFile && !filesLoaded()) return void loadFiles().then(() => signal.aborted || open(name, { at, body: given }), (error) => put(unknown, errorState(error, () => open(name, { at, body: given }))));
    const example = (!wantsFile && examples.find((one) => matching(forms, one) === form)) || {};
    body = given ?? drafts.get(draftKey()) ?? { type: type.type, params: copy(example) };
    for (const anchor of cards.querySelectorAll("a")) setAttr(anchor, "aria-current", anchor.dataset.type === type.type ? "page" : null);
    put(choice, forms.length > 1 && forms.map((one, index) => segment(one, index)));
    choice.hidden = forms.length < 2;
    put(about, prose(form.description));
    about.hidden = !form.description;
    optional.open ||= Object.keys(body).some((member) => OPTIONS.schema.properties[member]);
    context.setTitle(`Submit ${type.type}`);
    put(others);
    others.hidden = true;
    showForms();
    edited(body, { untouched: true });
  }

  function segment(one, index) {
    const input = h("input", { type: "radio", name: "form", checked: one === form });
    input.addEventListener("change", () => {
      context.setQuery(new URLSearchParams({ type: type.type, form: index }));
      choice.querySelectorAll("input")[index]?.focus();
    });
    return h("label", null, input, h("span", null, one.title));
  }

  function card(one) {
    return h("a", { class: "card", href: link(`submit?type=${encodeURIComponent(one.type)}`), data: { type: one.type } }, h("strong", null, one.type), one.builtin === false && h("small", { class: "chip" }, "worker"), h("p", { class: "muted small" }, prose(one.description)));
  }

  function showForms() {
    params.show(form, body.params ?? {});
    options.show(OPTIONS, Object.fromEntries(Object.entries(body).filter(([member]) => OPTIONS.schema.properties[member])));
  }

  // The body has changed, wherever: bring the other views in step and ask for a verdict.
  function edited(next, { writeJson = true, untouched = false } = {}) {
    body = next;
    drafts.set(draftKey(), body);
    if (writeJson && document.activeElement !== json) {
      json.value = stringify(body, 2);
      showJsonError("");
    }
    setText(curlText, curl("POST", "api/tasks/submit", body));
    // An empty form needs no judge yet: everything it lacks would be called an error.
    if (untouched && !Object.keys(body.params ?? {}).length && Object.keys(form.schema.properties ?? {}).length) return showVerdict("Fill in the form", "unknown");
    if (unread()) return checking?.abort(), showVerdict("A field holds no valid JSON", "bad");
    if (params.busy) return; // judged when the files are there
    showVerdict("", "checking");
    check();
  }

  const check = debounce(async () => {
    checking?.abort();
    if (signal.aborted || broken() || unread()) return;
    const mine = (checking = new AbortController());
    try {
      await send("POST", "api/tasks/submit?dry_run=true", body, { signal: mine.signal });
      showErrors([]);
      showVerdict("Ready to submit", "good");
    } catch (error) {
      if (mine.signal.aborted) return;
      if (error.status >= 400 && error.status < 500 && error.status !== 429) refuse(error);
      else showVerdict("Not checked: " + error.message, "unknown");
    }
  }, CHECK_AFTER_MS);

  function refuse(error) {
    const errors = error.errors.length ? error.errors : [{ pointer: "", detail: error.message }];
    showErrors(errors);
    showVerdict(errors.length === 1 ? "One thing to mend" : `${errors.length} things to mend`, "bad");
  }

  function showErrors(errors) {
    const rest = options.errors(params.errors(errors, "/params"), "");
    // "required" of an untouched field names the field itself; what is left has no field to stand at.
    put(others, rest.map((error) => h("li", null, error.pointer ? h("code", null, error.pointer) : null, error.pointer ? " " : null, error.detail)));
    others.hidden = !rest.length;
  }

  function showVerdict(text, state) {
    verdict.dataset.state = state;
    if (text) put(verdict, icon(state === "good" ? "success" : state === "bad" ? "failed" : "info"), text);
    else put(verdict, h("span", { class: "muted" }, "Checking …"));
  }

  // The part of the form with a field that holds no JSON, if there is one.
  const unread = () => [params, options].find((part) => !part.readable);
  const broken = () => json.getAttribute("aria-invalid") === "true";

  function showJsonError(text) {
    setText(jsonError, text && `Not valid yet: ${text}`);
    jsonError.hidden = !text;
    setAttr(json, "aria-invalid", text ? "true" : null);
  }

  async function submit(andWatch) {
    if (params.busy) return;
    if (broken()) return json.focus();
    if (sending || unread()) return unread()?.showAllErrors();
    sending = true;
    setAttr(watch, "aria-disabled", "true");
    setAttr(plain, "aria-disabled", "true");
    const text = stringify(body);
    if (key.text !== text) key = { text, value: newKey() };
    try {
      const task = await send("POST", "api/tasks/submit", body, { headers: { "idempotency-key": key.value } });
      key = { text: "", value: "" };
      failure?.remove();
      if (andWatch) {
        drafts.delete(draftKey());
        return navigate(`tasks/${task.id}`);
      }
      toast("Submitted", { kind: "success", text: nameOf(task), action: { label: "Open", run: () => navigate(`tasks/${task.id}`) } });
    } catch (error) {
      if (error.status === 422) {
        refuse(error);
        options.showAllErrors();
        params.showAllErrors();
      } else if (WAITS.has(error.status) && !secret()) {
        await later(error);
      } else {
        failure?.remove();
        failure = tellFailure(error, "Not submitted", " What you typed is still here; trying again cannot run it twice.");
      }
    } finally {
      sending = false;
      setAttr(watch, "aria-disabled", null);
      setAttr(plain, "aria-disabled", null);
    }
  }

  // What nobody may read again is not written down here either.
  const secret = () => fields(form).some(({ kind, name }) => kind === "secret" && body.params?.[name] !== undefined);

  // The server does not answer: it waits in the outbox, with the key that it was tried with.
  async function later(error) {
    try {
      await (await import("../sending.js")).submitLater(body, key.value);
      key = { text: "", value: "" };
      failure?.remove();
    } catch (problem) {
      console.error(problem);
      failure?.remove();
      failure = tellFailure(error, "Not submitted", " What you typed is still here; trying again cannot run it twice.");
    }
  }

  // Members that only the JSON view knows (backoff, client_id …) stay when the form is edited.
  function unknownMembers() {
    return Object.fromEntries(Object.entries(body).filter(([member]) => member !== "type" && member !== "params" && !OPTIONS.schema.properties[member]));
  }

  return load();
}

const REDACTED = "[redacted]"; // what is shown of a secret, which nobody can send again

// What a cloned task asks for again: only what differs from the defaults.
function bodyOf(task) {
  const known = Object.entries(task.params ?? {}).filter(([, value]) => value !== REDACTED);
  const body = { type: task.type, params: copy(Object.fromEntries(known)) };
  for (const [member, preset] of Object.entries(CLONED)) if (task[member] !== preset && task[member] !== undefined) body[member] = task[member];
  if (task.tags?.length) body.tags = task.tags;
  return body;
}
