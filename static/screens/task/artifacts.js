// Artifacts: the output files, each to download and, where it is safe and useful, to look into.

import { h, keyed, put, icon, sr } from "../../dom.js";
import { get, link } from "../../api.js";
import { bytes } from "../../format.js";
import { copyText } from "../../copy.js";
import { emptyState, errorState, skeleton } from "../../elements/states.js";
import { canPreview, preview } from "../../elements/file-preview.js";

const PICTURES = 20; // shown without being asked for

const isPicture = (file) => /^image\//.test(file.content_type ?? "") && canPreview(file);

export function artifactsPanel({ path, signal }) {
  const list = h("ul", { class: "files" });
  const element = h("div", null, skeleton(3));
  return {
    element,
    async update(task) {
      const { data } = await get(`${path}/artifacts`, { signal });
      if (!data.artifacts.length) {
        const over = task.status === "PENDING" || task.status === "RUNNING";
        return put(element, emptyState(over ? "No files yet" : "No files", over ? "Output files appear when the task has succeeded." : "This task left no output files."));
      }
      if (list.parentElement !== element) put(element, list);
      // A single file and a few pictures are shown at once.
      const open = (file) => data.artifacts.length === 1 || (data.artifacts.length <= PICTURES && isPicture(file));
      const sources = new Map(data.artifacts.map((file) => [file, before(task, file)]));
      list.classList.toggle("gallery", data.artifacts.length > 1 && data.artifacts.every((file) => isPicture(file) && !sources.get(file)));
      keyed(list, data.artifacts, (file) => `${file.name} ${file.sha256}`, (file) => row(file, path, signal, open(file), sources.get(file)));
    },
  };
}

// What a picture was made from and what it is, where the result tells it: {id, name, was, is}. Each line is of one upload, in the params' order.
function before({ result, params }, { name }) {
  const images = Array.isArray(result?.images) ? result.images : [];
  const at = images.findIndex((one) => one?.artifact === name || (Array.isArray(one?.sizes) && one.sizes.some((size) => size?.artifact === name)));
  const { original: was, sizes, ...first } = images[at] ?? {};
  const id = params?.file_ids?.[at];
  return was?.width && id ? { id, name: first.name, was, is: sizes?.find((size) => size.artifact === name) ?? first } : null;
}

// Both beside each other. An upload may have been deleted since.
async function beforeAndAfter(source, file, address, signal) {
  const figure = (title, { width, height, bytes: size }, picture) => h("figure", { class: "preview" }, h("figcaption", { class: "small" }, h("strong", null, title), ` ${width} × ${height} pixels, ${bytes(size)}`), picture);
  const upload = { name: source.name, content_type: `image/${source.was.format}` };
  const [was, is] = await Promise.all([
    preview(upload, `api/files/${encodeURIComponent(source.id)}`, signal).catch((error) => {
      if (error.status !== 404 && error.status !== 422) throw error;
      return h("p", { class: "muted" }, error.status === 404 ? "The uploaded file is gone." : error.message);
    }),
    preview(file, address, signal),
  ]);
  return h("div", { class: "gallery" }, figure("Before", source.was, was), figure("After", source.is, is));
}

function row(file, path, signal, open, source) {
  // Built from the name, not taken from `url`: a name cannot turn into another address.
  const address = `${path}/artifacts/${encodeURIComponent(file.name)}`;
  const about = h("span", { class: "muted small" }, `${bytes(file.bytes)} · ${file.content_type}`);
  const hash = file.sha256 && h("button", { type: "button", class: "plain small mono", title: `SHA-256 ${file.sha256}`, on: { click: () => copyText(file.sha256, "SHA-256") } }, file.sha256.slice(0, 8), sr(" copy the SHA-256"));
  const download = h("a", { class: "button small", href: link(address), download: file.name }, icon("download"), h("span", null, "Download"), sr(` ${file.name}`));
  const head = h("div", { class: "line wrap" }, icon("file"), h("strong", { class: "clip" }, file.name), about, h("span", { class: "grow" }), hash, download);
  if (!canPreview(file)) return h("li", { class: "card" }, head);

  const body = h("div", { class: "preview" });
  const details = h("details", null, h("summary", null, "Preview", sr(` of ${file.name}`)), body);
  const load = async () => {
    put(body, skeleton(4));
    try {
      put(body, await (source ? beforeAndAfter(source, file, address, signal) : preview(file, address, signal)));
    } catch (error) {
      if (!signal.aborted) put(body, errorState(error, load));
    }
  };
  details.addEventListener("toggle", () => details.open && !body.firstChild && load());
  details.open = open;
  return h("li", { class: "card" }, head, details);
}
