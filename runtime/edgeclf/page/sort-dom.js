/** The elements that the sorting page has from the start. */

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

/** Say something to screen readers. @param {string} text */
export function announce(text) {
  element("announcements", HTMLElement).textContent = text;
}
