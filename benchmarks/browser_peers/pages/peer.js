/** One of the peers, named in the address, opened; `visits.py` then asks for answers. */

const name = decodeURIComponent(location.hash.slice(1));
const { open } = await import(`./${name.split(" ")[0]}-peer.js`);
const classify = await open(name);
const opened = performance.now();

/** @param {string} base64 @returns {Blob} */
const jpeg = (base64) => new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type: "image/jpeg" });

/** @type {Blob[]} */
const photos = [];

globalThis.peer = {
  opened,

  /** Keep a JPEG; gives its number. */
  keep: (base64) => photos.push(jpeg(base64)) - 1,

  /** Milliseconds from each JPEG to its classes. */
  async time(numbers) {
    const found = [];
    for (const number of numbers) {
      const start = performance.now();
      await classify(photos[number]);
      found.push(performance.now() - start);
    }
    return found;
  },

  /** What the peer says of a JPEG. */
  async ask(number) {
    const answer = await classify(photos[number]);
    for (const name of ["logits", "pixels"]) if (answer[name]) answer[name] = answer[name]();
    return answer;
  },
};
