/** The main page: collects photos, asks the engine for each, and keeps the list of this visit. */

import { saveRecords } from "./downloads.js";
import { chooseEngine } from "./engine-choice.js";
import { createHeatView } from "./heat-view.js";
import { counted, explained } from "./messages.js";
import { describeModel } from "./model-line.js";
import { collectPhotos } from "./photo-sources.js";
import { answerInWords, createCard } from "./photo-card.js";
import { smaller, thumbnailOf } from "./pictures.js";
import { createQueue } from "./queue.js";
import { inFile } from "./records.js";
import { createStatus } from "./status.js";

/** @typedef {import("./photo-card.js").Item} Item */
/** @typedef {import("./types.js").ModelInfo} ModelInfo */

const TOP_K = 5;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (byId(id));

const engine = await chooseEngine();
const openHeatView = createHeatView(engine);
const list = byId("answers");
/** @type {Item[]} */
let items = [];
/** @type {Map<Element, Item>} */
const itemOf = new Map();
/** @type {ModelInfo | null} */
let model = null;

/** @type {ReturnType<typeof createQueue<Item>>} */
const queue = createQueue({
  work: classify,
  onError: fail,
  onBack: (item) => item.card.showWaiting(),
  onChange: () => update(),
});
const status = createStatus({ goOn: () => queue.goOn(), cancel: cancelAll });
// Thumbnails are made when their cards come near the window: a list of hundreds decodes only what is looked at.
const nearWindow = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) void showThumbnail(entry.target);
  },
  { rootMargin: "400px" },
);

/** @param {File[]} files */
function add(files) {
  const makeSmaller = /** @type {HTMLInputElement | null} */ (document.getElementById("make-smaller"))?.checked ?? false; // a static site sends nothing
  const added = files.map((file) => {
    const item = { file, makeSmaller, card: createCard(file) };
    items.push(item);
    itemOf.set(item.card.element, item);
    item.card.open.addEventListener("click", () => openHeatView(item));
    item.card.showWaiting();
    nearWindow.observe(item.card.element);
    return item;
  });
  list.prepend(...added.map((item) => item.card.element)); // the newest choice on top, in its own order
  status.begin(added.length);
  queue.add(added);
  void learnModel();
}

/** @param {Item} item @param {AbortSignal} signal */
async function classify(item, signal) {
  item.card.showProgress(0);
  item.sent ??= item.makeSmaller ? await smaller(item.file) : item.file;
  const onProgress = (/** @type {number} */ share) => item.card.showProgress(share);
  const record = await engine.predict(item.sent, { topK: TOP_K, onProgress, signal });
  if (signal.aborted) return;
  item.record = record;
  await remember(item);
  item.card.showRecord(record, item.sent !== item.file, engine.remark?.(record) ?? "");
  status.answered(`${item.file.name}: ${answerInWords(record)}`, !record.predictions?.length);
}

/** @param {Item} item @param {ModelInfo} model */
function recordInFile({ record, sent, file, facts }, model) {
  return inFile({ .../** @type {NonNullable<Item["record"]>} */ (record), ...facts }, sent ?? file, model);
}

/** @param {Item} item with a record */
async function remember(item) {
  item.facts = await engine.facts?.(item.file);
  await learnModel();
  if (model && item.record?.predictions) await engine.remember?.(recordInFile(item, model));
}

/** @param {Item} item @param {unknown} error */
function fail(item, error) {
  item.error = error;
  item.card.showError(error, () => tryAgain(item));
  status.answered(`${item.file.name}: ${explained(error).title}`, true);
}

/** @param {Item} item */
function tryAgain(item) {
  item.error = undefined;
  item.card.showWaiting();
  status.begin(1);
  queue.add([item]);
}

function cancelAll() {
  const left = queue.cancel();
  for (const item of left) {
    remove(item);
  }
  status.forget(left.length);
  update();
}

/** @param {Item} item */
function remove(item) {
  items = items.filter((other) => other !== item);
  itemOf.delete(item.card.element);
  nearWindow.unobserve(item.card.element);
  if (item.thumbnail) URL.revokeObjectURL(item.thumbnail);
  item.card.element.remove();
}

/** @param {Element} element */
async function showThumbnail(element) {
  nearWindow.unobserve(element);
  const item = itemOf.get(element);
  if (!item || item.thumbnail !== undefined) return;
  item.thumbnail = null;
  const address = await thumbnailOf(item.file);
  if (!address) return;
  if (!itemOf.has(element)) return URL.revokeObjectURL(address);
  item.thumbnail = address;
  item.card.showThumbnail(address);
}

function update() {
  const records = items.filter((item) => item.record).length;
  byId("history").hidden = items.length === 0;
  byId("no-history").hidden = items.length > 0;
  for (const id of ["save-csv", "save-jsonl"]) /** @type {HTMLButtonElement} */ (byId(id)).disabled = records === 0;
  byId("clear").hidden = queue.state.waiting + queue.state.working > 0;
  status.show(queue.state);
}

/** @param {"csv" | "jsonl"} format */
async function save(format) {
  await learnModel();
  if (!model) return;
  const done = items.filter((item) => item.record);
  saveRecords(done.map((item) => recordInFile(item, /** @type {ModelInfo} */ (model))), format);
  const missing = items.length - done.length;
  status.say(
    `${counted(done.length, "record")} saved${missing ? `; ${counted(missing, "photo")} without an answer left out` : ""}.`,
  );
}

function clear() {
  for (const item of [...items]) remove(item);
  status.reset();
  update();
  byId("choose").focus();
}

/** Ask what model this is, until it is known. */
async function learnModel() {
  if (model) return;
  try {
    model = await engine.model();
    describeModel(model);
  } catch (error) {
    status.modelUnknown(error);
  }
}

collectPhotos([input("camera"), input("choose")], byId("add"), add);
byId("save-csv").addEventListener("click", () => void save("csv"));
byId("save-jsonl").addEventListener("click", () => void save("jsonl"));
byId("clear").addEventListener("click", clear);
addEventListener("online", () => queue.goOn());
void engine.tested?.then(() => {
  for (const { card, record } of items) if (record?.predictions) card.showRemark(engine.remark?.(record) ?? "");
});
engine.offerLiveView?.((photo) => add([photo]));
update();
void learnModel();
