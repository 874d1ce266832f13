/**
 * Asks the service that sorts: the only module of the sorting page that knows HTTP. All addresses are relative, so the
 * page works under any prefix.
 */

import { EngineError } from "./types.js";

/** @typedef {import("./types.js").Explanation} Explanation */
/** @typedef {{label: string, display_name: string, count: number}} SortClass */
/** @typedef {{label: string, probability: number, display_name: string}} Guess */

/**
 * @typedef {object} SortPhoto
 * @property {string} id
 * @property {string} name
 * @property {string} guess the class that its tray stands for
 * @property {string} display_name
 * @property {number | null} probability of the best class; null as long as the model has not looked at the photo
 * @property {Guess[]} ranking best class first
 * @property {number | null} group number of its group of near-duplicates
 * @property {string} [error] why the photo cannot be read
 */

/**
 * @typedef {object} SortState
 * @property {SortClass[]} classes
 * @property {number} left
 * @property {number} done
 * @property {boolean} read_only
 * @property {string | null} train_line
 * @property {string | null} can_undo
 */

/** @typedef {{id: string, message: string}} Failure */
/** @typedef {{photos: SortPhoto[], left: number, unpredicted: number}} Listed */
/** @typedef {{moved: string[], failed: Failure[], action: number, label: string | null}} Labelled */
/** @typedef {{restored: string[], failed: Failure[], action: number}} Undone */
/** @typedef {{label: string, isNew?: boolean} | {none: true}} Label */

const SLOWEST_ANSWER = 60_000; // milliseconds
const TRIES = 3; // of a question that the service is too busy for

/** @type {Record<number, string>} */
const KINDS = { 401: "token", 403: "forbidden", 404: "not-found", 502: "offline", 503: "busy", 504: "offline" };

/** The address of a photo, upright, at most so many pixels on its longer side. @param {string} id @param {number} side */
export function photoAddress(id, side) {
  return `sort/photo/${encodeURIComponent(id)}?side=${side}`;
}

/** @returns {Promise<SortState>} */
export function askState() {
  return ask("state");
}

/** @param {number} offset @param {number} limit @returns {Promise<Listed>} */
export function askPhotos(offset, limit) {
  return ask(`photos?offset=${offset}&limit=${limit}`);
}

/** @param {string} id @returns {Promise<Explanation>} */
export function askExplanation(id) {
  return ask(`explain/${encodeURIComponent(id)}`);
}

/** @param {string[]} ids @param {Label} label @returns {Promise<Labelled>} */
export function sendLabel(ids, label) {
  const what = "none" in label ? label : { label: label.label, new: label.isNew ?? false };
  return ask("label", { ids, ...what });
}

/** Take back the last label of this tab. @returns {Promise<Undone>} */
export function sendUndo() {
  return ask("undo", {});
}

/**
 * @param {string} path
 * @param {object} [body] what to send; without it nothing is changed
 * @returns {Promise<any>}
 */
async function ask(path, body) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once(path, body);
    } catch (error) {
      if (!(error instanceof EngineError) || error.kind !== "busy" || attempt === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * (error.retryAfter ?? 1)));
    }
  }
}

/** @param {string} path @param {object} [body] @returns {Promise<any>} */
async function once(path, body) {
  /** @type {Response} */
  let response;
  let text;
  try {
    response = await fetch(`sort/${path}`, {
      method: body ? "POST" : "GET",
      body: body && JSON.stringify(body),
      headers: { "X-Edgeclf": "1", "X-Edgeclf-Client": clientName(), ...(body && { "Content-Type": "application/json" }) },
      credentials: "same-origin",
      cache: body ? "default" : "no-store",
      signal: AbortSignal.timeout(SLOWEST_ANSWER),
    });
    text = await response.text();
  } catch {
    throw new EngineError("offline", "The service cannot be reached. Check the Wi-Fi or the cable, and that the service runs.");
  }
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  if (response.ok && answer && !answer.error) return answer;
  const message = answer?.error?.message ?? `The service answered with HTTP status ${response.status}. Reload the page.`;
  const seconds = Number(response.headers.get("Retry-After"));
  throw new EngineError(KINDS[response.status] ?? "refused", message, seconds > 0 ? seconds : undefined);
}

/** A random name of this tab: an undo takes back its own labels, also after the page was loaded again. */
function clientName() {
  const key = "edgeclf-sort-client";
  try {
    const known = sessionStorage.getItem(key);
    if (known) return known;
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    const name = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem(key, name);
    return name;
  } catch {
    return fallbackName; // no storage allowed: until the page is left
  }
}
const fallbackName = Math.random().toString(36).slice(2);
