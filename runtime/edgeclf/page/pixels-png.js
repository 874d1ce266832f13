/**
 * Transparent PNGs, decoded here: some browsers multiply colours by their opacity and round, which cannot be undone.
 *
 * As PNG's specification defines them (W3C, third edition, section 9), without interlacing, for a channel of opacity of 8
 * bits or a palette with opacity: what programs write. Other PNGs go through the browser's decoder.
 */

import { overWhite } from "./pixels-browser.js";
import { chunks } from "./pixels-format.js";

/** @typedef {import("./pixels-resize.js").Picture} Picture */

/** @typedef {{name: string, start: number, end: number, content: Uint8Array}} Part */

const GREY = 4, COLOURS = 6, PALETTE = 3; // colour types; the first two with opacity

/**
 * Decode a PNG with opacity, over white.
 *
 * @param {Uint8Array} data the file
 * @returns {Promise<Picture | null>} null for other files, and for damaged ones
 * @throws {RangeError} it does not fit in memory
 */
export async function decodeTransparentPng(data) {
  const parts = [...chunks("PNG", data)];
  const [head] = parts;
  if (head?.name !== "IHDR" || head.end !== 33 || parts.some(({ name }) => name === "acTL")) return null;
  const view = new DataView(head.content.buffer, head.content.byteOffset);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  if (!width || !height || !isIntact(data, head)) return null;
  const [depth, colour, packing, filters, interlaced] = head.content.subarray(8);
  const table = colour === PALETTE && [1, 2, 4, 8].includes(depth) ? paletteOf(data, parts) : null;
  const isPlain = depth === 8 && (colour === GREY || colour === COLOURS);
  if (!(isPlain || table) || packing || filters || interlaced) return null;
  const bits = depth * (table ? 1 : colour === GREY ? 2 : 4), step = Math.ceil(bits / 8);
  const stride = Math.ceil((width * bits) / 8);
  const packed = parts.filter(({ name }) => name === "IDAT").map(({ content }) => content);
  const rows = await unpacked(packed, (stride + 1) * height);
  if (rows === null) return null;
  const out = new Uint8Array(width * height * 3), wide = new Uint8Array(width * 4);
  /** @type {Uint8Array} */
  let above = new Uint8Array(stride);
  for (let y = 0; y < height; y += 1) {
    const start = y * (stride + 1);
    const row = rows.subarray(start + 1, start + 1 + stride);
    if (!unfilter(rows[start], row, above, step)) return null;
    if (table && !lookedUp(row, depth, table, wide)) return null;
    if (colour === GREY) repeat(row, wide);
    overWhite(colour === COLOURS ? row : wide, out, y * width * 3);
    above = row;
  }
  return { data: out, width, height, start: 0, stepX: 3, stepY: 3 * width };
}

/**
 * @param {Uint8Array[]} packed
 * @param {number} size that it must have, unpacked, bytes
 * @returns {Promise<Uint8Array | null>} null if it has not, or is damaged
 */
async function unpacked(packed, size) {
  const blob = new Blob(/** @type {Uint8Array<ArrayBuffer>[]} */ (packed));
  const reader = blob.stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const out = new Uint8Array(size);
  let length = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (length + part.value.length > size) {
        await reader.cancel();
        return null;
      }
      out.set(part.value, length);
      length += part.value.length;
    }
  } catch {
    return null;
  }
  return length === size ? out : null;
}

/**
 * Undo the filter of a row, in place.
 *
 * @param {number} filter its number
 * @param {Uint8Array} row
 * @param {Uint8Array} above the row before, unfiltered
 * @param {number} step bytes of a pixel
 * @returns {boolean} false if there is no such filter
 */
function unfilter(filter, row, above, step) {
  if (filter > 4) return false;
  for (let at = 0; filter > 0 && at < row.length; at += 1) {
    const left = at < step ? 0 : row[at - step];
    const up = above[at];
    if (filter === 1) row[at] += left;
    else if (filter === 2) row[at] += up;
    else if (filter === 3) row[at] += (left + up) >> 1;
    else row[at] += nearest(left, up, at < step ? 0 : above[at - step]);
  }
  return true;
}

/** Whether the CRC-32 of a chunk is right. @param {Uint8Array} data the file @param {Part} part */
function isIntact(data, { start, end }) {
  let sum = -1;
  for (const byte of data.subarray(start + 4, end - 4)) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return new DataView(data.buffer, data.byteOffset).getUint32(end - 4) === ~sum >>> 0;
}

/**
 * The colours of a palette with their opacity, RGBA.
 *
 * @param {Uint8Array} data the file
 * @param {Part[]} parts of it
 * @returns {Uint8Array | null} null if it has none, no opacity, or is damaged
 */
function paletteOf(data, parts) {
  const [colours, opacity] = ["PLTE", "tRNS"].map((wanted) => parts.find(({ name }) => name === wanted));
  if (!colours || !opacity || !isIntact(data, colours) || !isIntact(data, opacity)) return null;
  const table = new Uint8Array(4 * Math.floor(colours.content.length / 3));
  for (let at = 0, from = 0; at < table.length; at += 4, from += 3) {
    table.set(colours.content.subarray(from, from + 3), at);
    table[at + 3] = opacity.content[at / 4] ?? 255;
  }
  return table;
}

/**
 * The colours of a row of numbers.
 *
 * @param {Uint8Array} row
 * @param {number} depth bits of a number
 * @param {Uint8Array} table of `paletteOf`
 * @param {Uint8Array} wide where to write to, RGBA
 * @returns {boolean} false if a number is not in the table
 */
function lookedUp(row, depth, table, wide) {
  for (let to = 0, bit = 0; to < wide.length; to += 4, bit += depth) {
    const from = 4 * ((row[bit >> 3] >> (8 - depth - (bit & 7))) & ((1 << depth) - 1));
    if (from >= table.length) return false;
    for (let channel = 0; channel < 4; channel += 1) wide[to + channel] = table[from + channel];
  }
  return true;
}

/** Paeth's predictor. @param {number} left @param {number} up @param {number} corner */
function nearest(left, up, corner) {
  const toLeft = Math.abs(up - corner), toUp = Math.abs(left - corner), toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/** Grey with opacity as RGBA. @param {Uint8Array} row @param {Uint8Array} wide where to write to */
function repeat(row, wide) {
  for (let from = 0, to = 0; from < row.length; from += 2, to += 4) {
    wide.fill(row[from], to, to + 3);
    wide[to + 3] = row[from + 1];
  }
}
