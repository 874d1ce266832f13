/** Many photos at once, and the selection of those that get one label. */

import { make, makeButton } from "./dom.js";
import { counted, percent } from "./messages.js";
import { photoAddress } from "./sort-api.js";
import { announce, element } from "./sort-dom.js";

/** @typedef {import("./sort-api.js").SortPhoto} SortPhoto */

const SIDE = 320; // pixels of a thumbnail's longer side
const AT_ONCE = 60; // thumbnails

const list = element("grid", HTMLUListElement);
const moreButton = element("more", HTMLButtonElement);

/** @type {Set<string>} */
const selected = new Set();
/** @type {Map<string, HTMLLIElement>} */
const cells = new Map();
/** @type {SortPhoto[]} */
let photos = [];
let shownCount = AT_ONCE;
/** @type {string | null} where a range begins */
let anchor = null;
let selectable = true;
let onSelect = () => {};
let onMore = () => {};
/** @type {(id: string) => void} */
let onOpen = () => {};

/**
 * @param {{selectable: boolean, onSelect: () => void, onMore: () => void, onOpen: (id: string) => void}} options
 *     `onSelect` is called when the selection has changed, `onMore` when more photos are wanted, `onOpen` to show one large
 */
export function setUpGrid(options) {
  ({ selectable, onSelect, onMore, onOpen } = options);
  element("grid-help", HTMLElement).textContent = selectable
    ? "Tap photos to select them, then choose one class for all. Shift and click selects a row of them."
    : "Tap a photo to see it large.";
}

/** The ids of the selected photos, in the order of the grid. */
export function selection() {
  return photos.filter((photo) => selected.has(photo.id)).map((photo) => photo.id);
}

/** @param {string[]} ids */
export function select(ids) {
  selected.clear();
  for (const id of ids) selected.add(id);
  changed();
}

/** Select all photos that the grid shows, and no more: nobody labels what cannot be seen. */
export function selectAll() {
  select(photos.slice(0, shownCount).map((photo) => photo.id));
}

/** How many photos the grid wants to show. */
export function wanted() {
  return shownCount;
}

/** Draw the grid anew. @param {SortPhoto[]} waiting @param {number} total photos on the service */
export function showGrid(waiting, total) {
  photos = waiting;
  const ids = new Set(photos.map((photo) => photo.id));
  for (const id of selected) if (!ids.has(id)) selected.delete(id);
  const visible = photos.slice(0, shownCount);
  /** @type {Map<number, number>} */
  const sizes = new Map();
  for (const { group } of visible) if (group !== null && group >= 0) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const focused = document.activeElement;
  const items = visible.map((photo) => {
    const cell = cells.get(photo.id) ?? newCell(photo);
    cells.set(photo.id, cell);
    update(cell, photo, photo.group === null ? 0 : sizes.get(photo.group) ?? 0);
    return cell;
  });
  if (items.length !== list.children.length || items.some((item, index) => list.children[index] !== item)) {
    list.replaceChildren(...items);
    if (focused instanceof HTMLElement && focused.isConnected && list.contains(focused)) focused.focus();
  }
  for (const id of cells.keys()) if (!ids.has(id)) cells.delete(id);
  const below = Math.max(total, photos.length) - visible.length;
  moreButton.hidden = below <= 0;
  moreButton.textContent = `Show more photos (${below.toLocaleString("en")} below)`;
}

moreButton.addEventListener("click", () => {
  const first = photos[shownCount];
  shownCount += AT_ONCE;
  onMore();
  if (first) pick(first.id)?.focus();
});

list.addEventListener("keydown", (event) => {
  const buttons = [...list.querySelectorAll(".pick")];
  const at = buttons.indexOf(/** @type {Element} */ (event.target));
  if (at < 0) return;
  const perRow = Math.max(1, buttons.filter((b) => top(b) === top(buttons[0])).length);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: perRow, ArrowUp: -perRow }[event.key];
  const next = step && buttons[at + step];
  if (next instanceof HTMLElement) {
    event.preventDefault();
    next.focus();
    if (event.shiftKey && selectable) toggle(/** @type {string} */ (next.dataset.id), true);
  }
});

/** @param {Element} button */
function top(button) {
  return button.getBoundingClientRect().top;
}

/** @param {SortPhoto} photo */
function newCell(photo) {
  const cell = make("li", "cell");
  const button = makeButton("", "pick");
  button.dataset.id = photo.id;
  const picture = make("img", "thumb");
  picture.loading = "lazy";
  picture.decoding = "async";
  picture.alt = `Photo ${photo.name}`;
  picture.src = photoAddress(photo.id, SIDE);
  picture.addEventListener("error", () => cell.classList.add("broken"));
  const guess = make("span", "cell-guess");
  guess.dir = "auto";
  button.append(picture, guess);
  button.addEventListener("click", (event) => {
    if (selectable) toggle(photo.id, event.shiftKey);
    else onOpen(photo.id);
  });
  const group = makeButton("", "badge group-button");
  group.hidden = true;
  group.addEventListener("click", () => selectGroup(photo.id));
  const open = makeButton("", "open-button");
  open.append(make("span", "icon icon-large"));
  open.setAttribute("aria-label", `Show ${photo.name} large`);
  open.addEventListener("click", () => onOpen(photo.id));
  cell.append(button, group, open);
  return cell;
}

/** @param {HTMLLIElement} cell @param {SortPhoto} photo @param {number} alike */
function update(cell, photo, alike) {
  const button = /** @type {HTMLButtonElement} */ (cell.querySelector(".pick"));
  if (selectable) button.setAttribute("aria-pressed", String(selected.has(photo.id)));
  const best = photo.ranking[0];
  const text = best ? `${best.display_name} ${percent(best.probability)}` : photo.error ? "cannot be read" : photo.display_name;
  /** @type {HTMLElement} */ (cell.querySelector(".cell-guess")).textContent = text;
  const group = /** @type {HTMLButtonElement} */ (cell.querySelector(".group-button"));
  group.hidden = !selectable || alike < 2;
  group.textContent = `${alike} alike`;
  group.setAttribute("aria-label", `${alike} alike: select them all, with ${photo.name}`);
}

/** @param {string} id */
function pick(id) {
  return /** @type {HTMLButtonElement | null | undefined} */ (cells.get(id)?.querySelector(".pick"));
}

/** @param {string} id @param {boolean} range everything from the one before */
function toggle(id, range) {
  const ids = photos.map((photo) => photo.id);
  const from = anchor === null ? -1 : ids.indexOf(anchor), to = ids.indexOf(id);
  if (range && from >= 0) {
    for (const one of ids.slice(Math.min(from, to), Math.max(from, to) + 1)) selected.add(one);
  } else {
    if (!selected.delete(id)) selected.add(id);
    anchor = id;
  }
  changed();
}

/** Add a group to the selection; if all of it is selected already, take it out. @param {string} id */
function selectGroup(id) {
  const photo = photos.find((one) => one.id === id);
  const ids = photos.slice(0, shownCount).filter((one) => one.group === photo?.group).map((one) => one.id);
  const all = ids.every((one) => selected.has(one));
  for (const one of ids) {
    if (all) selected.delete(one);
    else selected.add(one);
  }
  changed();
}

function changed() {
  for (const [id, cell] of cells) cell.querySelector(".pick")?.setAttribute("aria-pressed", String(selected.has(id)));
  announce(`${counted(selected.size, "photo")} selected`);
  onSelect();
}
