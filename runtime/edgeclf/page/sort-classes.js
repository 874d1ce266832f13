/** Which classes are offered for a photo, in which order, and by which keys. */

/** @typedef {import("./sort-api.js").SortClass} SortClass */
/** @typedef {import("./sort-api.js").SortPhoto} SortPhoto */
/** @typedef {SortClass & {key: string}} Offered */

/** Letters that do something else: u undo, h heat map, v view. */
const KEYS = [..."123456789abcdefgijklmnopqrstwxyz"];
const MOST_SHOWN = 60;

/**
 * Keep the order that hands have learned: known classes stay where they are, new ones come last.
 *
 * @param {SortClass[]} before
 * @param {SortClass[]} now
 * @returns {SortClass[]}
 */
export function merged(before, now) {
  const rest = new Map(now.map((entry) => [entry.label, entry]));
  const kept = before.flatMap(({ label }) => {
    const entry = rest.get(label);
    rest.delete(label);
    return entry ? [entry] : [];
  });
  return [...kept, ...rest.values()];
}

/**
 * The classes to show. If each class can have a key, always all in the same order; of more classes those that the model
 * ranks first, then those used last, then the others.
 *
 * @param {SortClass[]} classes
 * @param {string} text only classes with this in their name, if it is not empty
 * @param {SortPhoto | undefined} photo
 * @param {string[]} recent labels, the last one first
 * @returns {Offered[]}
 */
export function offered(classes, text, photo, recent) {
  const wanted = plain(text);
  let chosen = classes;
  if (classes.length > KEYS.length) {
    const first = [...(photo?.ranking ?? []).map((guess) => guess.label), ...recent];
    const place = new Map([...first].reverse().map((label, index) => [label, -1 - index]));
    chosen = [...classes].sort((a, b) => (place.get(a.label) ?? 0) - (place.get(b.label) ?? 0));
  }
  return chosen
    .map((entry, index) => ({ ...entry, key: KEYS[index] ?? "" }))
    .filter((entry) => plain(entry.display_name).includes(wanted) || plain(entry.label).includes(wanted))
    .slice(0, MOST_SHOWN);
}

/** Whether a class has exactly this name. @param {SortClass[]} classes @param {string} text */
export function isClass(classes, text) {
  const wanted = plain(text);
  return classes.some((entry) => plain(entry.label) === wanted || plain(entry.display_name) === wanted);
}

/** @param {string} text */
function plain(text) {
  return text.normalize("NFC").toLocaleLowerCase().replace(/[\s_]+/gu, " ").trim();
}
