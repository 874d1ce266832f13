/**
 * Lossy WebP with Python's pixels, in browsers that give what their decoder makes without a canvas: Chromium, Firefox.
 *
 * The format defines the planes of brightness and colour bit for bit. Chromium gives them, and red, green and blue are
 * made of them here: its own are others than Python's. Firefox makes Python's, but shows half of a damaged picture that
 * Python refuses. Both do so only for files without transparency, so the picture is taken out of its file, and the
 * transparency from the whole file. Which of these ways a browser has, if any, is seen on a small picture first.
 */

import { decodedFrame, overWhite } from "./pixels-browser.js";
import { chunks, littleAt } from "./pixels-format.js";
import { writeColours } from "./pixels-webp-colours.js";

/** @typedef {import("./pixels-resize.js").Picture} Picture */
/** @typedef {"I420" | "RGBA"} Format */
/** @typedef {{file: Uint8Array, width: number, height: number, transparent: boolean}} LossyParts */

/** @type {Format[]} */
const FORMATS = ["I420", "RGBA"];
const WHOLE = /^(VP8 |VP8X,(ICCP,)?(?<alpha>ALPH,)?VP8 (,EXIF|,XMP )*)$/;
const TRANSPARENT = 0x10, OTHERS = 0x2c; // flags: colour profile, EXIF, XMP; not that of animations
const KNOWN = "UklGRgoBAABXRUJQVlA4WAoAAAAQAAAAEQAADAAAQUxQSFAAAAARL6C2bRs26lcMzyXJnogIPOUDg0iS4iwSBgd3OOBwwMUB+Bf"
  + "zRENE/ycAi7VHlX71H7mzARyjOfS5vswEn3mCx8N6RLiDuTtXqxSJqx5FElZQOCCUAAAA0AQAnQEqEgANAD7tYqlNqaWjojAIATAdiWwAnTKEcCLA"
  + "qzGCgZJmA4uVTUDehzAA/phYOraNLpFeF4ICmWzTMk1M/k6Dg6qLq4urD+ilQSlAzH3Xn8x6WyCeCjlUSZGnPCr2iLfSp39FSdVrHNSWQ5BMRzlLbtf"
  + "+wkn+yru4kaig5mKaSn6ydRUJT9ZOopvPwoAAAA==";
const KNOWN_SUM = -38101976; // of its pixels over white

/** @type {Promise<Format | null> | undefined} */
let useful;

/**
 * Decode a lossy WebP that is whole and not animated.
 *
 * @param {Uint8Array} data the file
 * @param {Uint8Array} plain the same without EXIF, which the browser may obey
 * @returns {Promise<{picture: Picture, exact: boolean} | null>} Python's pixels, over white, and whether that holds
 *     for damaged files as well; null where they cannot be had, or for other files
 * @throws {RangeError} it does not fit in memory
 */
export async function decodeLossyWebp(data, plain) {
  const parts = lossyParts(data);
  if (parts === null) return null;
  const format = await (useful ??= usefulFormat());
  const picture = format && (await decoded(plain, parts, format));
  return picture && { picture, exact: format === "I420" };
}

/**
 * The picture of a lossy WebP as a file of its own.
 *
 * @param {Uint8Array} data
 * @returns {LossyParts | null} null for any other file, and for one with parts that Python may see otherwise
 */
export function lossyParts(data) {
  const all = [...chunks("WebP", data)];
  const isWhole = all.every(({ start, content }) => littleAt(data, start + 4, 4) === content.length);
  if (!isWhole || littleAt(data, 4, 4) + 8 !== data.length || all.at(-1)?.end !== data.length) return null;
  const found = WHOLE.exec(all.map(({ name }) => name).join());
  const picture = all.find(({ name }) => name === "VP8 ");
  if (!found || !picture || picture.content.length < 10) return null;
  const transparent = found.groups?.alpha !== undefined;
  const [width, height] = [6, 8].map((at) => littleAt(picture.content, at, 2) & 0x3fff);
  if (all[0].name === "VP8X") {
    const { content } = all[0];
    const isSize = littleAt(content, 4, 3) + 1 === width && littleAt(content, 7, 3) + 1 === height;
    if (!isSize || (littleAt(content, 0, 4) & ~OTHERS) !== (transparent ? TRANSPARENT : 0)) return null;
  }
  const file = new Uint8Array(12 + picture.end - picture.start);
  file.set(data.subarray(0, 12));
  new DataView(file.buffer).setUint32(4, file.length - 8, true);
  file.set(data.subarray(picture.start, picture.end), 12);
  return { file, width, height, transparent };
}

/** The format in which this browser gives the pixels of a picture that is known; null if there is none. */
async function usefulFormat() {
  const data = Uint8Array.from(atob(KNOWN), (letter) => letter.charCodeAt(0));
  const parts = lossyParts(data);
  for (const format of parts ? FORMATS : []) {
    const picture = await decoded(data, /** @type {LossyParts} */ (parts), format);
    if (picture && sumOf(picture) === KNOWN_SUM) return format;
  }
  return null;
}

/**
 * @param {Uint8Array} data
 * @param {LossyParts} parts of it
 * @param {Format} format for the colours
 * @returns {Promise<Picture | null>}
 */
async function decoded(data, { file, width, height, transparent }, format) {
  const colours = await copied(file, width, height, format);
  const whole = transparent ? await copied(data, width, height, "RGBA") : null;
  if (colours === null || (transparent && whole === null)) return null;
  const out = whole?.data ?? new Uint8Array(width * height * 3);
  if (format === "I420") writeColours({ width, height, ...colours }, out, whole ? 4 : 3);
  else leaveOpacity(colours.data, out, whole ? 4 : 3);
  if (whole) overWhite(out, out);
  return { data: out, width, height, start: 0, stepX: 3, stepY: 3 * width };
}

/** @param {Uint8Array} rgba @param {Uint8Array} out @param {3 | 4} step bytes from pixel to pixel in `out` */
function leaveOpacity(rgba, out, step) {
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += step) {
    out[to] = rgba[from];
    out[to + 1] = rgba[from + 1];
    out[to + 2] = rgba[from + 2];
  }
}

/**
 * What the browser's decoder makes of a file.
 *
 * @param {Uint8Array} file
 * @param {number} width that it must have, pixels
 * @param {number} height
 * @param {Format} format
 * @returns {Promise<{data: Uint8Array, layout: PlaneLayout[]} | null>} null if the browser does not give it so
 */
async function copied(file, width, height, format) {
  const frame = await decodedFrame(file, "image/webp");
  try {
    const box = frame?.visibleRect;
    if (!frame || box?.width !== width || box.height !== height) return null;
    if (format === "I420" && frame.format !== format) return null;
    /** @type {VideoFrameCopyToOptions} */
    const as = format === "RGBA" ? { format, colorSpace: "srgb" } : {};
    const data = new Uint8Array(frame.allocationSize(as));
    return { data, layout: await frame.copyTo(data, as) };
  } catch (error) {
    if (error instanceof RangeError) throw error;
    return null;
  } finally {
    frame?.close();
  }
}

/** @param {Picture} picture */
function sumOf({ data, width, height }) {
  let sum = 0;
  for (let at = 0; at < 3 * width * height; at += 1) sum = (Math.imul(sum, 31) + data[at]) | 0;
  return sum;
}
