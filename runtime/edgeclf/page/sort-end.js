/** The end of the sorting: all photos have a label, and the line that trains the next model with them. */

import { counted } from "./messages.js";
import { announce, element } from "./sort-dom.js";

const end = element("end", HTMLElement);
const line = element("train-line", HTMLElement);
const copyButton = element("copy", HTMLButtonElement);

/** @param {{isEmpty: boolean, done: number, canUndo: boolean, readOnly: boolean}} state */
export function showEnd({ isEmpty, done, canUndo, readOnly }) {
  const hadFocus = element("work", HTMLElement).contains(document.activeElement);
  end.hidden = !isEmpty;
  element("end-title", HTMLElement).textContent = done ? "All photos are sorted" : "No photos wait for a label";
  element("end-text", HTMLElement).textContent = done
    ? `${counted(done, "photo")} sorted. New photos appear here by themselves.`
    : "Photos come here from “edgeclf watch --review”, or from unsure answers of this service (“--keep-unsure”).";
  element("end-undo", HTMLElement).hidden = !canUndo || readOnly;
  element("train", HTMLElement).hidden = !done || !line.textContent;
  if (isEmpty && hadFocus) end.focus();
}

/** @param {string} text */
export function setTrainLine(text) {
  if (line.textContent === text) return;
  line.textContent = text;
  copyButton.textContent = "Copy";
}

copyButton.addEventListener("click", async () => {
  const copied = await copyText(line);
  copyButton.textContent = copied ? "Copied" : "Press Ctrl+C";
  announce(copied ? "Copied" : "The line is selected: press Control C to copy it.");
});

/**
 * Copy a text; over plain http there is no clipboard, so it is selected and copied the old way.
 * @param {HTMLElement} source
 * @returns {Promise<boolean>}
 */
export async function copyText(source) {
  try {
    await navigator.clipboard.writeText(source.textContent ?? "");
    return true;
  } catch {
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = getSelection();
    selection?.removeAllRanges();
    selection?.addRange(range);
    return document.execCommand("copy");
  }
}
