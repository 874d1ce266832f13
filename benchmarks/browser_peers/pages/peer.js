/** One of the peers, named in the address, opened; `visits.py` then asks for answers. */

const name = decodeURIComponent(location.hash.slice(1));
const { open } = await import(`./${name.split(" ")[0]}-peer.js`);
const classify = await open(name);
const opened = performance.now();

/** @param {string} base64 @returns {Blob} */
const jpeg = (base64) => new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type: "image/jpeg" });

globalThis.peer = {
  opened,

  /** Milliseconds from a JPEG to its classes, and what the peer says. */
  async ask(base64) {
    const photo = jpeg(base64);
    const start = performance.now();
    const answer = await classify(photo);
    return { ms: performance.now() - start, answer };
  },
};
