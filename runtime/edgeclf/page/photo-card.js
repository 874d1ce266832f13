/** The card of one photo in the list: its thumbnail, its place in the queue, its answer with bars, or its error. */

import { make, makeButton, makeProgress, makeShare } from "./dom.js";
import { detailTitle, explained, percent } from "./messages.js";

/** @typedef {import("./types.js").PhotoRecord} PhotoRecord */
/** @typedef {import("./types.js").Ranked} Ranked */

const SHOWN_CLASSES = 3; // the heat map's view shows the others
const PROGRESS_FROM = 256 * 1024; // bytes; the upload of a smaller photo is not worth a bar

/**
 * One photo of this visit.
 * @typedef {object} Item
 * @property {File} file as it was chosen
 * @property {File} [sent] what was sent: the file, or a smaller copy
 * @property {boolean} makeSmaller
 * @property {PhotoRecord} [record] the answer
 * @property {import("./photo-facts.js").PhotoFacts} [facts] when and where it was taken
 * @property {unknown} [error] why there is no answer
 * @property {import("./types.js").Explanation} [explanation]
 * @property {string | null} [thumbnail] an object URL; null if the browser cannot show the photo
 * @property {Card} card
 */

/**
 * @typedef {object} Card
 * @property {HTMLLIElement} element
 * @property {HTMLButtonElement} open the button that opens the heat map
 * @property {() => void} showWaiting
 * @property {(share: number) => void} showProgress of the upload, 0..1
 * @property {(record: PhotoRecord, isSmaller: boolean, remark: string) => void} showRecord
 * @property {(remark: string) => void} showRemark in place of the one that was shown
 * @property {(error: unknown, retry: (() => void) | null) => void} showError
 * @property {(address: string) => void} showThumbnail
 */

/**
 * @param {File} file
 * @returns {Card}
 */
export function createCard(file) {
  const element = make("li", "card surface");
  const open = makeButton("", "card-photo");
  open.disabled = true;
  open.setAttribute("aria-label", `Heat map of ${file.name}`);
  const placeholder = make("span", "icon icon-photo");
  open.append(placeholder);
  const body = make("div", "card-body");
  const name = make("p", "card-file quiet small", file.name);
  name.dir = "auto";
  const remark = make("span", "badge badge-unsure");
  element.append(open, body);

  /** @param {(Node | string)[]} parts */
  const show = (...parts) => body.replaceChildren(...parts, name);
  const waiting = make("p", "quiet", "Waiting");
  const bar = makeProgress(`Upload of ${file.name}`);

  return {
    element,
    open,
    showWaiting() {
      element.dataset.state = "waiting";
      waiting.textContent = "Waiting";
      show(waiting);
    },
    showProgress(share) {
      if (element.dataset.state !== "working") show(waiting, ...(file.size >= PROGRESS_FROM ? [bar] : []));
      element.dataset.state = "working";
      bar.value = share;
      bar.hidden = share >= 1;
      waiting.textContent = share < 1 ? `Sending ${Math.floor(share * 100)}%` : "Being classified";
    },
    showRecord(record, isSmaller, why) {
      const hasAnswer = Boolean(record.predictions?.length);
      element.dataset.state = hasAnswer ? "answered" : "failed";
      open.disabled = !hasAnswer;
      if (hasAnswer) {
        open.append(make("span", "card-photo-hint icon icon-heat"));
        show(...answerParts(record));
        if (isSmaller) name.append(make("span", "badge", "smaller copy"));
        this.showRemark(why);
      } else {
        show(...errorParts(record.error, null));
      }
    },
    showRemark(text) {
      remark.textContent = text;
      if (text) name.append(remark);
      else remark.remove();
    },
    showError(error, retry) {
      element.dataset.state = "failed";
      show(...errorParts(error, retry));
    },
    showThumbnail(address) {
      const picture = make("img", "");
      picture.alt = "";
      picture.src = address;
      placeholder.replaceWith(picture);
    },
  };
}

/**
 * The answer in a few words, for the screen reader and for titles.
 *
 * @param {PhotoRecord} record
 */
export function answerInWords(record) {
  const best = record.predictions?.[0];
  if (!best) return record.error ? explained(record.error).title : "no answer";
  const answer = `${nameOf(best)}, ${percent(best.probability)}`;
  return record.unknown ? `Unknown, best guess: ${answer}` : answer;
}

/** @param {{label: string, display_name?: string | null}} one */
export function nameOf(one) {
  return one.display_name || one.label;
}

/**
 * A class with its share and its bar.
 *
 * @param {{label: string, display_name?: string | null, probability: number}} one
 */
export function rankedParts(one) {
  return makeShare(nameOf(one), one.probability);
}

/** @param {PhotoRecord} record */
function answerParts(record) {
  const ranked = (record.predictions ?? []).slice(0, SHOWN_CLASSES);
  const heading = make("h3", "card-answer");
  if (record.unknown) {
    heading.append(make("span", "badge badge-unsure", "Unknown"), make("span", "card-guesses", "best guesses"));
    return [heading, rankingOf(ranked, "ranking unsure")];
  }
  heading.classList.add("card-best");
  heading.append(...rankedParts(ranked[0]));
  return [heading, rankingOf(ranked.slice(1), "ranking")];
}

/** @param {Ranked[]} ranked @param {string} className */
function rankingOf(ranked, className) {
  const list = make("ol", className);
  for (const one of ranked) {
    const row = make("li", "");
    row.append(...rankedParts(one));
    list.append(row);
  }
  return list;
}

/** @param {unknown} error @param {(() => void) | null} retry */
function errorParts(error, retry) {
  const { title, advice, detail } = explained(error);
  const heading = make("h3", "card-answer card-error");
  heading.append(make("span", "icon icon-warning"), title);
  /** @type {HTMLElement[]} */
  const parts = [heading, make("p", "small", advice)];
  if (detail) {
    const more = make("details", "small quiet");
    const text = make("p", "", detail);
    text.dir = "auto";
    more.append(make("summary", "", detailTitle()), text);
    parts.push(more);
  }
  if (retry) {
    const button = makeButton("Try again");
    button.addEventListener("click", retry);
    parts.push(button);
  }
  return parts;
}
