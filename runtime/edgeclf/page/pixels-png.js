/**
 * Transparent PNGs, decoded here: some browsers multiply colours by their opacity and round, which cannot be undone.
 *
 * As PNG's specification defines them (W3C, third edition, section 9), for 8 bits without interlacing: what programs
 * write. Other PNGs go through the browser's decoder.
 */

import { overWhite } from "./pixels-browser.js";
import { chunks } from "./pixels-format.js";

/** @typedef {import("./pixels-resize.js").Picture} Picture */

/** @type {Record<number, number>} */
const BYTES = { 4: 2, 6: 4 }; // of a pixel, by the colour type: grey or colours, with opacity

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
  if (!width || !height || view.getUint32(13) !== checksum(data.subarray(12, 29))) return null;
  const [depth, colour, packing, filters, interlaced] = head.content.subarray(8);
  const step = BYTES[colour];
  if (depth !== 8 || step === undefined || packing || filters || interlaced) return null;
  const stride = width * step;
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
    overWhite(step === 4 ? row : repeated(row, wide), out, y * width * 3);
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

/** The CRC-32 of PNG's chunks. @param {Uint8Array} bytes the name and the content of one */
function checksum(bytes) {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/** Paeth's predictor. @param {number} left @param {number} up @param {number} corner */
function nearest(left, up, corner) {
  const toLeft = Math.abs(up - corner), toUp = Math.abs(left - corner), toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/** Grey with opacity as RGBA. @param {Uint8Array} row @param {Uint8Array} wide where to write to */
function repeated(row, wide) {
  for (let from = 0, to = 0; from < row.length; from += 2, to += 4) {
    wide.fill(row[from], to, to + 3);
    wide[to + 3] = row[from + 1];
  }
  return wide;
}
