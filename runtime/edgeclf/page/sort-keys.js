/** The sorting page by keyboard. */

import { classOfKey } from "./sort-labels.js";

/**
 * @typedef {object} Actions
 * @property {() => void} undo
 * @property {() => void} skip
 * @property {() => void} back
 * @property {() => void} toggleHeat
 * @property {() => void} findClass
 * @property {() => void} selectAll
 * @property {() => void} clear
 * @property {() => void} useGuess
 * @property {() => void} none
 * @property {() => void} otherView
 * @property {(label: string) => void} label
 * @property {() => {inGrid: boolean, readOnly: boolean, isEmpty: boolean}} mode
 */

/** Listen to keys, wherever the focus is, except where a person types. @param {Actions} actions */
export function setUpKeys(actions) {
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const isTyping = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
    if (event.defaultPrevented || event.isComposing || event.altKey || isTyping) return;
    const act = actionOf(event, actions, target instanceof Element && target.closest("button, a") !== null);
    if (!act) return;
    event.preventDefault();
    if (!event.repeat) act(); // a key that is held down labels one photo, not all
  });
}

/**
 * @param {KeyboardEvent} event
 * @param {Actions} actions
 * @param {boolean} onButton the space and enter keys press a button
 * @returns {(() => void) | undefined}
 */
function actionOf({ key, ctrlKey, metaKey, shiftKey }, actions, onButton) {
  const { inGrid, readOnly, isEmpty } = actions.mode();
  const withControl = ctrlKey || metaKey;
  if (withControl && !shiftKey && key.toLowerCase() === "z") return actions.undo;
  if (withControl) return key.toLowerCase() === "a" && inGrid && !readOnly && !isEmpty ? actions.selectAll : undefined;
  if (key === "u") return actions.undo;
  if (isEmpty) return undefined;
  if (key === " ") return onButton ? undefined : actions.skip;
  if (key === "h") return inGrid ? undefined : actions.toggleHeat;
  if (key === "v") return actions.otherView;
  if (readOnly) return onButton ? undefined : { ArrowRight: actions.skip, ArrowLeft: actions.back }[key];
  if (key === "Escape") return inGrid ? actions.clear : undefined;
  if (key === "Enter") return onButton ? undefined : actions.useGuess;
  if (key === "/") return actions.findClass;
  if (key === "0") return actions.none;
  const label = shiftKey ? undefined : classOfKey(key);
  return label === undefined ? undefined : () => actions.label(label);
}
