// A place to drop files: uploads at once and holds the file ids.

import { h, keyed, icon, sr, setText } from "../dom.js";
import { upload } from "../api.js";
import { bytes } from "../format.js";

const AT_ONCE = 3; // uploads side by side
const names = new Map(); // file id → name, so that a draft one returns to still shows names

/** A control (see controls.js) whose value is a file id, or a list of them with `many`. */
export function fileDrop({ id, many, accept, edit }) {
  let files = []; // {key, id, name, size, done: 0..1, error}
  let uploading = 0;
  const input = h("input", { type: "file", id, multiple: many, accept, class: "sr", "aria-labelledby": `${id}-label ${id}-words` });
  const list = h("ul", { class: "uploads" });
  const element = h("div", { class: "drop" }, input, h("label", { htmlFor: id, id: `${id}-words`, class: "line" }, icon("upload"), h("span", null, many ? "Drop files here, or " : "Drop a file here, or ", h("u", null, "choose"))), list);

  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("over");
    take([...event.dataTransfer.files]);
  });

  function take(chosen) {
    if (!chosen.length) return;
    const fresh = (many ? chosen : chosen.slice(0, 1)).map((file) => ({ key: Math.random(), file, name: file.name, size: file.size, done: 0, stop: new AbortController() }));
    if (!many) files.forEach((file) => file.stop?.abort());
    files = many ? [...files, ...fresh] : fresh;
    draw();
    next();
  }

  const changed = () => element.dispatchEvent(new Event("uploading", { bubbles: true }));

  function next() {
    for (const entry of files) {
      if (uploading >= AT_ONCE) return;
      if (!entry.file || entry.started) continue;
      entry.started = true;
      uploading += 1;
      changed();
      upload(entry.file, { signal: entry.stop.signal, onprogress: (done) => ((entry.done = done), draw()) })
        .then(
          (answer) => {
            Object.assign(entry, { id: answer.file_id, done: 1 });
            names.set(answer.file_id, entry.name);
          },
          (error) => (entry.error = error.message),
        )
        .finally(() => {
          uploading -= 1;
          draw();
          if (entry.id && files.includes(entry)) tell();
          next();
          changed();
        });
    }
  }

  function remove(entry) {
    entry.stop?.abort();
    files = files.filter((one) => one !== entry);
    draw();
    tell();
    input.focus();
  }

  function tell() {
    const ids = files.map((file) => file.id).filter(Boolean);
    edit(many ? (ids.length ? ids : undefined) : ids[0]);
  }

  function draw() {
    keyed(list, files, (file) => file.key, (file) => row(file, remove), (item, file) => item.update(file));
  }

  return {
    element,
    input,
    busy: () => uploading > 0,
    write(value) {
      const ids = [value ?? []].flat().map(String);
      if (ids.join() === files.map((file) => file.id).filter(Boolean).join()) return;
      // From raw JSON or a cloned task the name may be unknown: the id stands in.
      files = ids.map((one) => files.find((file) => file.id === one) ?? { key: one, id: one, name: names.get(one) ?? one, done: 1 });
      draw();
    },
  };
}

function row(file, remove) {
  const about = h("span", { class: "muted small" });
  const bar = h("progress", { max: 1, "aria-label": `Upload of ${file.name}` });
  const item = h("li", { class: "line" }, icon("file"), h("span", { class: "clip grow" }, file.name), about, bar, h("button", { type: "button", class: "plain", on: { click: () => remove(file) } }, icon("close"), sr(`Remove ${file.name}`)));
  item.update = (now) => {
    bar.hidden = now.done >= 1 || Boolean(now.error);
    bar.value = now.done;
    setText(about, now.error ?? (now.size == null ? "" : bytes(now.size)));
    item.classList.toggle("bad", Boolean(now.error));
  };
  return item;
}
