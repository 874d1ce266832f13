/** One way to make the pages' elements, buttons and bars. */

import { percent } from "./messages.js";

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/**
 * A button that sends no form.
 *
 * @param {string} text
 * @param {string} [className]
 */
export function makeButton(text, className = "button") {
  const button = make("button", className, text);
  button.type = "button";
  return button;
}

/**
 * A bar of progress.
 *
 * @param {string} label for screen readers
 */
export function makeProgress(label) {
  const bar = make("progress", "");
  bar.setAttribute("aria-label", label);
  return bar;
}

/**
 * A name with its share and its bar.
 *
 * @param {string} name
 * @param {number} share 0..1
 * @returns {Node[]}
 */
export function makeShare(name, share) {
  const bar = make("span", "bar"), fill = make("span", "bar-fill");
  fill.style.width = `${(share * 100).toFixed(2)}%`;
  bar.append(fill);
  return [make("bdi", "", name), make("span", "share", percent(share)), bar];
}
