/** Clear words for everything that can go wrong: what is wrong, and what to do next. */

import { EngineError } from "./types.js";

/** @typedef {{title: string, advice: string}} Words */

/** @type {Record<string, [title: string, advice: string]>} */
const WORDS = {
  // About one photo: the kinds of errors in records.
  "empty": ["This file is empty.", "Choose the photo again, or another copy of it."],
  "not-an-image": ["This file is not a photo.", "Choose a JPEG, PNG, WebP, HEIC or TIFF file."],
  "damaged": ["This photo is damaged or incomplete.", "Copy it again from the camera, or choose another one."],
  "too-large": ["This photo is too large for the service.", "Send a smaller copy: tick “Make photos smaller”."],
  "unsupported": ["The service cannot decode this kind of photo.", "Save it as JPEG or PNG and choose it again."],
  "heat-map": ["This picture is a heat map that edgeclf drew.", "Choose the photo that it was drawn on."],
  "no-heat-map": ["This model has no heat maps.", "The answer needs none. The file was exported without them."],
  "unreadable": ["The photo could not be read.", "Try again, or choose another copy of it."],
  "file-gone": [
    "This device can no longer read the photo.", "It was moved, changed or deleted, or access ended. Choose it again.",
  ],
  // About the service or the way to it.
  "offline": ["The service cannot be reached.", "Check the Wi-Fi or the cable, and that the service runs."],
  "busy": ["The service is busy with other photos.", "Nothing is lost: the photos wait in this page."],
  "token": ["The service asks for its token again.", "Sign in, then press “Try again”."],
  "forbidden": ["The service does not allow this.", "Reload the page. If that does not help, ask who runs the service."],
  "timeout": ["The service did not answer in time.", "Try again later. A smaller copy of the photo is faster."],
  "slow": ["The upload was too slow, and the service ended it.", "Go closer to the Wi-Fi, or tick “Make photos smaller”."],
  "interrupted": ["The upload was cut off.", "Try again. The photo may also be too large for the service."],
  "server": ["The service had an error.", "Try again. If it comes back, look at the messages of the service."],
  "not-edgeclf": ["Something else than edgeclf answered.", "Reload the page: a Wi-Fi or a proxy may ask you to sign in."],
  "refused": ["The service refused the photo.", "Reload the page: it may be older than the service."],
  "unknown": ["Something went wrong in this page.", "Reload the page. If it happens again, report it."],
};

let titleOfDetail = "What the service said";

/** The title over what an engine said about an error in its own words. */
export const detailTitle = () => titleOfDetail;

/**
 * Say some things otherwise: a page without a service.
 *
 * @param {Record<string, [title: string, advice: string]>} words
 * @param {string} title as `detailTitle`
 */
export function useWords(words, title) {
  Object.assign(WORDS, words);
  titleOfDetail = title;
}

/**
 * Words for an error by its kind.
 *
 * @param {string} kind
 * @returns {Words}
 */
export function wordsFor(kind) {
  const [title, advice] = WORDS[kind] ?? WORDS.unknown;
  return { title, advice };
}

/**
 * Words for the error of a record, or for whatever an engine rejected with. What the service itself said follows.
 *
 * @param {unknown} error an `EngineError`, an error of a record, or any other error
 * @returns {Words & {detail: string}}
 */
export function explained(error) {
  const known = error instanceof EngineError || (typeof error === "object" && error !== null && "kind" in error);
  const { kind, message } = known ? /** @type {{kind: string, message: string}} */ (error) : { kind: "unknown", message: "" };
  const detail = known ? message : String(error);
  if (known && !(kind in WORDS)) return { title: message || WORDS.unknown[0], advice: "", detail: "" };
  return { ...wordsFor(kind), detail };
}

/**
 * A share as text: `97.3%`.
 *
 * @param {number} share 0..1
 */
export function percent(share) {
  return `${(share * 100).toFixed(1)}%`;
}

/**
 * `1 photo`, `3 photos`.
 *
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
