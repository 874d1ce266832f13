/** Whether this browser gives back the pixels that were drawn: some change them, so that sites cannot recognise a device. */

/** @typedef {import("./self-test.js").Check} Check */

const SIDE = 64; // pixels

/** @returns {Promise<Check>} photos that are not JPEGs pass the browser's decoder, and its canvas */
export async function checkCanvas() {
  const drawn = new Uint8ClampedArray(SIDE * SIDE * 4);
  for (let at = 0; at < drawn.length; at += 1) drawn[at] = at % 4 === 3 ? 255 : (at * 37 + (at >> 8) * 91) % 256;
  let changed;
  try {
    const bitmap = await createImageBitmap(new ImageData(drawn, SIDE, SIDE));
    const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d");
    context?.drawImage(bitmap, 0, 0);
    const found = context?.getImageData(0, 0, SIDE, SIDE).data;
    changed = found ? found.reduce((count, value, at) => count + (value === drawn[at] ? 0 : 1), 0) : null;
  } catch {
    changed = null;
  }
  const advice = "use JPEGs, which do not pass it; answers for other formats are marked";
  if (changed === 0) return { name: "canvas", status: "ok", detail: "gives back the pixels that were drawn", remedy: "" };
  const what = changed === null ? "cannot be used here"
    : `${browserName()} changes pixels that are read back, to protect privacy (${changed} of ${drawn.length} values)`;
  return { name: "canvas", status: "warning", detail: what, remedy: advice };
}

/** @returns {string} the browser and its version, as far as it says */
export function browserName() {
  const agent = globalThis.navigator?.userAgent ?? "";
  const known = /(?:Firefox|Edg|OPR|SamsungBrowser|Chrome|Node\.js)\/[\d.]+/.exec(agent)?.[0]
    ?? (/Version\/([\d.]+).*Safari/.exec(agent) ? `Safari/${/Version\/([\d.]+)/.exec(agent)?.[1]}` : "");
  const system = /\(([^)]*)\)/.exec(agent)?.[1].split(";").slice(0, 2).join(";").trim() ?? "";
  const name = "brave" in (globalThis.navigator ?? {}) ? known.replace("Chrome", "Brave") : known;
  return [name.replace("/", " ") || "unknown", system].filter(Boolean).join(", ");
}
