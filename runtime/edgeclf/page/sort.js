/**
 * The sorting page: shows photos that wait for a label, sends the labels, takes them back.
 *
 * A label counts at once on the page; it is sent while the next photo is looked at. What is sent goes one after another, so
 * an undo meets what was done before it. What does not come through is put back, and said.
 */

import { counted } from "./messages.js";
import { askPhotos, askState, sendLabel, sendUndo } from "./sort-api.js";
import { announce, element } from "./sort-dom.js";
import { select, selectAll, selection, setUpGrid, showGrid, wanted } from "./sort-grid.js";
import { setTrainLine, showEnd } from "./sort-end.js";
import { setUpKeys } from "./sort-keys.js";
import { count, findClass, nameOf, setClasses, setPhoto, setUpLabels } from "./sort-labels.js";
import { closeNotice, inWords, isTold, tell, wordsOf } from "./sort-notice.js";
import { Queue } from "./sort-queue.js";
import { show, toggleHeat } from "./sort-stage.js";

/** @typedef {import("./sort-api.js").Label} Label */
/** @typedef {{ids: string[], failed: boolean}} Sent */

const PAGE_SIZE = 200; // photos in one answer
const AHEAD = 60; // photos that are known beyond those on the screen
const LOOK_AGAIN = 20_000; // milliseconds; photos come while others are sorted
const LOOK_AGAIN_SOON = 3_000; // as long as the model looks at photos

const queue = new Queue();
/** @type {Sent[]} what an undo takes back, the last one last */
const sent = [];
let done = 0, left = 0, readOnly = false, canUndo = false, started = false, inGrid = false;
let changes = 0; // an answer that was asked for before a change is out of date
/** @type {Promise<void>} */
let sending = Promise.resolve();
let timer = 0;

const work = element("work", HTMLElement), stage = element("stage", HTMLElement);
const undoButton = element("undo", HTMLButtonElement);

/** @param {string[]} ids @param {Label} label */
function put(ids, label) {
  if (readOnly || ids.length === 0) return;
  closeNotice();
  const operation = { ids, failed: false };
  sent.push(operation);
  changes += 1;
  queue.remove(ids);
  move(ids.length, label, 1);
  select([]);
  const name = "none" in label ? "none of these" : nameOf(label.label);
  render();
  announce(`${ids.length === 1 ? "Sorted" : `${ids.length} photos sorted`} as ${name}. ${spoken()}`);
  later(() => deliver(operation, label));
}

/** @param {Sent} operation @param {Label} label */
async function deliver(operation, label) {
  const { ids } = operation;
  try {
    const answer = await sendLabel(ids, label);
    queue.confirm(ids);
    if (answer.failed.length) {
      move(answer.failed.length, label, -1);
      tell(inWords(answer.failed));
      if (!answer.moved.length) forgetSent(operation);
      void refresh();
    }
  } catch (error) {
    operation.failed = true;
    forgetSent(operation);
    queue.putBack(ids);
    move(ids.length, label, -1);
    tell(`${ids.length === 1 ? "The photo is" : `${ids.length} photos are`} not sorted. ${wordsOf(error)}`, error, () => put(ids, label));
  }
  changes += 1;
  render();
  // The photos are sorted, whatever comes of this question.
  if ("label" in label && label.isNew) await askState().then(({ classes }) => setClasses(classes), () => {});
}

function undo() {
  if (readOnly) return back();
  if (!canUndo && !sent.length) return;
  closeNotice();
  const operation = sent.pop();
  undoButton.disabled = true;
  later(async () => {
    if (operation?.failed) return; // it is put back already
    try {
      const answer = await sendUndo();
      changes += 1;
      const known = queue.putBack(answer.restored);
      select([]);
      if (answer.failed.length) tell(inWords(answer.failed));
      await refreshState();
      if (!known) await refreshPhotos();
      announce(`${counted(answer.restored.length, "photo")} back. ${spoken()}`);
    } catch (error) {
      if (operation) sent.push(operation);
      tell(`Nothing was taken back. ${wordsOf(error)}`, error, undo);
    }
    render();
  });
}

/** Send one after another. @param {() => Promise<void>} what */
function later(what) {
  sending = sending.then(what);
}

/** @param {Sent} operation */
function forgetSent(operation) {
  const at = sent.indexOf(operation);
  if (at >= 0) sent.splice(at, 1);
}

/** Count photos as sorted, or as not sorted after all. @param {number} number @param {Label} label @param {1 | -1} sign */
function move(number, label, sign) {
  done = Math.max(0, done + sign * number);
  left = Math.max(0, left - sign * number);
  if ("label" in label) count(label.label, sign * number);
}

function skip() {
  if (inGrid) return;
  queue.skip();
  render();
  announce(spoken());
}

function back() {
  queue.unskip();
  render();
}

/** @param {boolean} grid */
function view(grid) {
  inGrid = grid;
  render();
  if (!grid) stage.focus({ preventScroll: true });
}

/** The photos that a label is for now. @returns {string[]} */
function chosen() {
  if (inGrid) return selection();
  return queue.current ? [queue.current.id] : [];
}

function render() {
  const current = queue.current;
  const total = done + left;
  element("progress-text", HTMLElement).textContent = readOnly
    ? `${counted(left, "photo")} wait${left === 1 ? "s" : ""} for a label`
    : `${done.toLocaleString("en")} of ${total.toLocaleString("en")} sorted`;
  const progress = element("progress", HTMLProgressElement);
  progress.hidden = readOnly;
  progress.max = Math.max(1, total);
  progress.value = done;
  undoButton.disabled = readOnly ? queue.skipped.length === 0 : !canUndo && !sent.length;
  const isEmpty = started && !current;
  work.hidden = !current;
  element("views", HTMLElement).hidden = !current;
  element("one", HTMLElement).hidden = inGrid;
  element("grid-view", HTMLElement).hidden = !inGrid;
  element("skip", HTMLElement).hidden = inGrid;
  element("selecting", HTMLElement).hidden = !inGrid || readOnly;
  work.classList.toggle("is-grid", inGrid);
  element("view-one", HTMLElement).setAttribute("aria-pressed", String(!inGrid));
  element("view-grid", HTMLElement).setAttribute("aria-pressed", String(inGrid));
  const count = inGrid ? selection().length : 1;
  work.classList.toggle("is-unselected", inGrid && count === 0);
  element("labels-title", HTMLElement).textContent = !inGrid ? "What is it?"
    : count ? `${counted(count, "photo")} selected` : "Select photos first";
  element("none", HTMLButtonElement).disabled = count === 0;
  if (current && inGrid) showGrid(queue.photos, left);
  else if (current) show(current, queue.photos.slice(1), readOnly ? 0 : queue.alike(current).length);
  setPhoto(inGrid ? queue.known.get(selection()[0] ?? "") : current, count > 0);
  element("actions", HTMLElement).hidden = inGrid && readOnly;
  showEnd({ isEmpty: isEmpty && left === 0, done, canUndo: !undoButton.disabled, readOnly });
  if (started && queue.length < Math.min(left, AHEAD / 2)) void refresh();
}

/** The photo on the screen, for screen readers. */
function spoken() {
  const photo = queue.current;
  if (!photo) return left ? "" : "All photos are sorted.";
  const best = photo.ranking[0];
  return inGrid ? "" : `Next: ${photo.name}, ${best ? `${best.display_name} ${Math.round(best.probability * 100)} percent` : photo.display_name}.`;
}

async function refreshState() {
  const before = changes;
  const state = await askState();
  if (before !== changes) return;
  readOnly = state.read_only;
  canUndo = state.can_undo !== null;
  undoButton.title = state.can_undo ?? "";
  ({ done, left } = state);
  setClasses(state.classes);
  setTrainLine(state.train_line ?? "");
}

/** @returns {Promise<boolean>} whether the model still looks at photos */
async function refreshPhotos() {
  const before = changes;
  const enough = (inGrid ? wanted() : 0) + AHEAD + queue.skipped.length;
  /** @type {import("./sort-api.js").SortPhoto[]} */
  const listed = [];
  let page;
  do {
    page = await askPhotos(listed.length, PAGE_SIZE);
    listed.push(...page.photos);
  } while (page.photos.length && listed.length < Math.min(page.left, enough + queue.gone.size));
  if (before === changes) {
    const shown = queue.current?.id;
    const lost = queue.take(listed, listed.length >= page.left);
    left = page.left - queue.gone.size;
    if (shown !== undefined && lost.includes(shown) && !readOnly) tell("Someone else sorted or removed this photo. Here is the next one.");
  }
  return page.unpredicted > 0;
}

let refreshing = false;
async function refresh() {
  if (refreshing) return;
  refreshing = true;
  clearTimeout(timer);
  let soon = false;
  try {
    await sending;
    await refreshState();
    soon = await refreshPhotos();
    if (!started) begin();
    if (isTold("refresh")) closeNotice();
  } catch (error) {
    if (!isTold()) tell(wordsOf(error), error, () => void refresh(), "refresh");
  }
  timer = setTimeout(() => void refresh(), soon ? LOOK_AGAIN_SOON : LOOK_AGAIN);
  render();
  refreshing = false;
}

function begin() {
  started = true;
  element("labels", HTMLElement).hidden = readOnly;
  element("none", HTMLElement).hidden = readOnly;
  element("footer-keys", HTMLElement).hidden = readOnly;
  if (readOnly) {
    work.classList.add("is-read-only");
    undoButton.textContent = "Back";
    element("skip", HTMLElement).textContent = "Next";
    element("footer-text", HTMLElement).textContent = "This page shows photos. Nothing can be changed here.";
  }
  const onOpen = (/** @type {string} */ id) => {
    queue.bringForward(id);
    view(false);
  };
  setUpGrid({ selectable: !readOnly, onSelect: render, onMore: () => (render(), void refresh()), onOpen });
}

function useGuess() {
  const best = inGrid ? undefined : queue.current?.ranking[0];
  if (best) put(chosen(), { label: best.label });
}

setUpLabels((label, isNew) => put(chosen(), { label, isNew }));
element("none", HTMLElement).addEventListener("click", () => put(chosen(), { none: true }));
element("skip", HTMLElement).addEventListener("click", skip);
undoButton.addEventListener("click", undo);
element("end-undo", HTMLElement).addEventListener("click", undo);
element("view-one", HTMLElement).addEventListener("click", () => view(false));
element("view-grid", HTMLElement).addEventListener("click", () => view(true));
element("select-all", HTMLElement).addEventListener("click", selectAll);
element("select-none", HTMLElement).addEventListener("click", () => select([]));
element("alike", HTMLElement).addEventListener("click", () => {
  const ids = queue.current ? queue.alike(queue.current) : [];
  view(true);
  select(ids);
});
addEventListener("focus", () => void refresh()); // who comes back to the page sees what is new

// After a tap or a click the keys go to the photo again: else the space key would press the same button once more.
document.addEventListener("click", ({ target, detail }) => {
  const button = target instanceof Element ? target.closest("#labels button, #actions button, #heat-button") : null;
  if (button && detail > 0 && !inGrid) stage.focus({ preventScroll: true });
});

setUpKeys({
  undo, skip, back, toggleHeat, findClass, selectAll, useGuess,
  none: () => put(chosen(), { none: true }),
  label: (label) => put(chosen(), { label }),
  clear: () => select([]),
  otherView: () => view(!inGrid),
  mode: () => ({ inGrid, readOnly, isEmpty: work.hidden === true }),
});

void refresh();
