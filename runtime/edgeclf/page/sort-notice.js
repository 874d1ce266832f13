/** Messages of the sorting page: what is wrong, and what to do next. */

import { counted } from "./messages.js";
import { element } from "./sort-dom.js";

/** @typedef {import("./sort-api.js").Failure} Failure */

const notice = element("notice", HTMLElement);
const retryButton = element("notice-retry", HTMLButtonElement);

/**
 * Show a message in place of the one before.
 *
 * @param {string} text
 * @param {unknown} [error] it is one
 * @param {() => void} [retry] for a button that tries again
 * @param {string} [kind] a name to ask for with `isTold`
 */
export function tell(text, error, retry, kind = "") {
  element("notice-text", HTMLElement).textContent = text;
  notice.className = `notice ${error ? "notice-error" : "notice-unsure"}`;
  notice.dataset.kind = kind;
  element("notice-login", HTMLElement).hidden = !(error instanceof Error && "kind" in error && error.kind === "token");
  retryButton.hidden = !retry;
  retryButton.onclick = () => {
    closeNotice();
    retry?.();
  };
  notice.hidden = false;
}

/** Whether a message is shown; of this kind, if one is named. @param {string} [kind] */
export function isTold(kind) {
  return !notice.hidden && (kind === undefined || notice.dataset.kind === kind);
}

export function closeNotice() {
  notice.hidden = true;
}

/** @param {unknown} error */
export function wordsOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** One line for each reason. @param {Failure[]} failures */
export function inWords(failures) {
  /** @type {Map<string, number>} */
  const reasons = new Map();
  for (const { message } of failures) reasons.set(message, (reasons.get(message) ?? 0) + 1);
  return Array.from(reasons, ([message, number]) => `${counted(number, "photo")}: ${message}.`).join(" ");
}

element("notice-close", HTMLElement).addEventListener("click", closeNotice);
