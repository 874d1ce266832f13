/** The panel of classes: buttons with their keys, a field that finds a class or names a new one. */

import { make, makeButton } from "./dom.js";
import { isClass, merged, offered } from "./sort-classes.js";
import { element } from "./sort-dom.js";

/** @typedef {import("./sort-api.js").SortClass} SortClass */
/** @typedef {import("./sort-api.js").SortPhoto} SortPhoto */
/** @typedef {import("./sort-classes.js").Offered} Offered */

const list = element("classes", HTMLUListElement);
const field = element("class-text", HTMLInputElement);
const newButton = element("new-class", HTMLButtonElement);

/** @type {SortClass[]} */
let classes = [];
/** @type {Offered[]} */
let visible = [];
/** @type {string[]} */
let recent = [];
/** @type {Map<string, HTMLLIElement>} */
const buttons = new Map();
/** @type {SortPhoto | undefined} */
let photo;
let enabled = true;
/** @type {(label: string, isNew: boolean) => void} */
let choose = () => {};

/** @param {(label: string, isNew: boolean) => void} onChoose called with the class that a person chose */
export function setUpLabels(onChoose) {
  choose = onChoose;
}

/** @param {SortClass[]} now */
export function setClasses(now) {
  classes = merged(classes, now);
  showClasses();
}

/** @param {SortPhoto | undefined} current whose guess is marked @param {boolean} canLabel */
export function setPhoto(current, canLabel) {
  photo = current;
  enabled = canLabel;
  showClasses();
}

/** The name of a class for people. @param {string} label */
export function nameOf(label) {
  return classes.find((entry) => entry.label === label)?.display_name ?? label;
}

/** Count photos into a class, before the service answers. @param {string} label @param {number} change */
export function count(label, change) {
  classes = classes.map((entry) => (entry.label === label ? { ...entry, count: Math.max(0, entry.count + change) } : entry));
  recent = [label, ...recent.filter((other) => other !== label)].slice(0, 20);
  showClasses();
}

/** The class of a key, as long as it is offered. @param {string} key @returns {string | undefined} */
export function classOfKey(key) {
  return visible.find((entry) => entry.key === key)?.label;
}

/** Go to the field that finds a class. */
export function findClass() {
  field.focus();
  field.select();
}

function showClasses() {
  const text = field.value.trim();
  visible = offered(classes, text, photo, recent);
  const items = visible.map((entry) => {
    const item = buttons.get(entry.label) ?? newButtonOf(entry.label);
    buttons.set(entry.label, item);
    update(item, entry);
    return item;
  });
  if (items.length !== list.children.length || items.some((item, index) => list.children[index] !== item)) {
    list.replaceChildren(...items);
  }
  const isNew = text !== "" && !isClass(classes, text);
  newButton.hidden = !isNew;
  newButton.disabled = !enabled;
  newButton.textContent = `New class “${text}”`;
  element("no-class", HTMLElement).hidden = visible.length > 0 || text === "";
}

/** @param {string} label */
function newButtonOf(label) {
  const item = make("li", "");
  const button = makeButton("", "button class-button");
  const name = make("span", "class-name");
  name.dir = "auto";
  button.append(name, make("span", "class-count quiet small"), make("kbd", ""));
  button.addEventListener("click", () => use(label, false));
  item.append(button);
  return item;
}

/** @param {HTMLLIElement} item @param {Offered} entry */
function update(item, entry) {
  const button = /** @type {HTMLButtonElement} */ (item.firstElementChild);
  const [name, number, key] = /** @type {HTMLElement[]} */ ([...button.children]);
  const isGuess = photo?.ranking[0]?.label === entry.label;
  name.textContent = entry.display_name;
  number.textContent = entry.count ? String(entry.count) : "";
  number.hidden = !entry.count;
  number.title = "photos in its folder";
  key.textContent = entry.key;
  key.hidden = !entry.key;
  button.disabled = !enabled;
  button.classList.toggle("is-guess", isGuess);
  if (entry.key) button.setAttribute("aria-keyshortcuts", entry.key);
  else button.removeAttribute("aria-keyshortcuts");
}

/** @param {string} label @param {boolean} isNew */
function use(label, isNew) {
  if (!enabled) return;
  field.value = "";
  choose(label, isNew);
  showClasses();
}

field.addEventListener("input", showClasses);
field.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  field.value = "";
  showClasses();
  field.blur();
  event.stopPropagation();
});
newButton.addEventListener("click", () => use(field.value.trim(), true));
element("class-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  const text = field.value.trim();
  if (!text) return;
  field.blur();
  const exact = visible.find((entry) => isClass([entry], text));
  if (exact || visible.length) use((exact ?? visible[0]).label, false);
  else use(text, true);
});
