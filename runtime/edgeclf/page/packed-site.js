/**
 * A site in one HTML file: its other files are data blocks of the page.
 *
 * A page from a disk can load nothing, and its worker cannot load what the page could: the worker gets the files.
 */

/** @typedef {() => Promise<Record<string, Blob>>} Files path in the site -> file */

/** @returns {Files | null} null where the site is a folder */
export function packedSite() {
  const blocks = [...document.querySelectorAll("script[data-path]")];
  if (!blocks.length) return null;
  /** @type {ReturnType<Files> | null} */
  let unpacking = null;
  return () => {
    unpacking ??= unpackAll(blocks);
    return unpacking;
  };
}

/** @param {Element[]} blocks */
async function unpackAll(blocks) {
  /** @type {Record<string, Blob>} */
  const files = {};
  for (const block of blocks) {
    const path = block.getAttribute("data-path") ?? "";
    const type = path.endsWith(".js") ? "text/javascript" : "application/octet-stream";
    const data = new Blob([bytesOf(block.textContent ?? "")], { type });
    block.remove(); // it holds memory
    files[path] = block.getAttribute("data-coding") === "gzip" ? await unpacked(data) : data;
  }
  return files;
}

/** @param {Blob} data */
async function unpacked(data) {
  const stream = data.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream, { headers: { "Content-Type": data.type } }).blob();
}

/** @param {string} base64 */
function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}
