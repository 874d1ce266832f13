/** A JPEG's size, coding and scans, before a decoder reads it: `edgeclf.images.jpeg_header`. */

import { Unfit } from "./photo-fault.js";

export const MAX_PARTS = 4096; // segments of a file that hold no pixels
const MAX_JUNK_BYTES = 2 ** 16; // between segments

// Marker codes of JPEG (ITU-T T.81, table B.1).
const SOI = 0xd8, EOI = 0xd9, SOS = 0xda;
const FRAMES = new Set([0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf]);
const PROGRESSIVE = new Set([0xc2, 0xc6, 0xca, 0xce]);
const ARITHMETIC = new Set([0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf]);
const LOSSLESS = new Set([0xc3, 0xcb]);
const HIERARCHICAL = new Set([0xc5, 0xc6, 0xc7, 0xcd, 0xce, 0xcf]);

/**
 * What determines how a JPEG is decoded.
 * @typedef {object} JpegHeader
 * @property {number} width pixels, as stored
 * @property {number} height
 * @property {string} rare "12-bit", "lossless" or "hierarchical", which decoders may be unable to read; else ""
 * @property {boolean} multipleScans libjpeg keeps all coefficients in memory, whatever the scale
 * @property {number} scan offset of the segment of the first scan, bytes
 * @property {number | null} end offset of the end marker; null if there is none or the scans were not counted
 * @property {boolean} complete no scan is missing, according to the headers of the counted scans
 * @property {boolean} arithmetic arithmetic coding, not Huffman coding
 * @property {boolean} hasMoreImages the file states that it holds more images than this one
 */

/**
 * Read a JPEG's segments up to the first scan, and the scans too if libjpeg holds all coefficients in memory.
 *
 * @param {Uint8Array} data the file
 * @param {number} maxScans how many a photo of 1 megapixel may have; larger photos may have fewer
 * @returns {JpegHeader}
 * @throws {Unfit} there is no image, or there are far too many parts or scans
 */
export function jpegHeader(data, maxScans) {
  let position = 2, junk = 0, frame = data.subarray(0, 0), code = 0;
  for (let part = 0; part < MAX_PARTS; part += 1) {
    const found = nextMarker(data, position);
    if (found < 0) throw new Unfit("damaged", "damaged (no image in it)");
    junk += found - position;
    if (junk > MAX_JUNK_BYTES) throw tooManyParts();
    const marker = data[found + 1];
    position = found + 2;
    if (hasNoContent(marker)) continue;
    const length = segmentLength(data, position);
    if (FRAMES.has(marker)) {
      frame = data.subarray(position + 2, Math.max(position + 2, position + length));
      code = marker;
    } else if (marker === SOS) {
      return headerOf(data, position, frame, code, maxScans);
    }
    position += Math.max(length, 2);
  }
  throw tooManyParts();
}

/**
 * Offset of the next marker in a range, -1 if there is none. Fill bytes before a marker do not belong to it.
 *
 * @param {Uint8Array} data
 * @param {number} from
 * @param {number} [end]
 */
export function nextMarker(data, from, end = data.length) {
  return find(data, from, end, (code) => code !== 0x00 && code !== 0xff);
}

/**
 * Offset of the next marker that ends a scan's data, which holds restart markers; -1 if there is none.
 *
 * @param {Uint8Array} data
 * @param {number} from
 * @param {number} [end]
 */
export function nextMarkerInScan(data, from, end = data.length) {
  return find(data, from, end, (code) => code !== 0x00 && code !== 0xff && (code < 0xd0 || code > 0xd7));
}

/** @returns {Unfit} */
export function tooManyParts() {
  return new Unfit("damaged", "damaged (it consists of far too many parts)");
}

/**
 * @param {Uint8Array} data
 * @param {number} from
 * @param {number} end
 * @param {(code: number) => boolean} wanted
 */
function find(data, from, end, wanted) {
  let at = data.indexOf(0xff, from);
  while (at >= 0 && at + 1 < end) {
    if (wanted(data[at + 1])) return at;
    at = data.indexOf(0xff, at + 1);
  }
  return -1;
}

/** @param {number} marker */
function hasNoContent(marker) {
  return marker === 0x01 || (marker >= 0xd0 && marker <= EOI) || marker === SOI;
}

/**
 * The length that a segment states, of what the file has of it.
 *
 * @param {Uint8Array} data
 * @param {number} position
 */
function segmentLength(data, position) {
  return [...data.subarray(position, position + 2)].reduce((sum, byte) => sum * 256 + byte, 0);
}

/**
 * @param {Uint8Array} data
 * @param {number} position
 * @param {Uint8Array} frame
 * @param {number} code
 * @param {number} maxScans
 * @returns {JpegHeader}
 */
function headerOf(data, position, frame, code, maxScans) {
  if (frame.length < 6) throw new Unfit("damaged", "damaged (no frame header before its first scan)");
  const [bits, high, low, left, right, components] = frame;
  const height = high * 256 + low, width = left * 256 + right;
  if (!width || !height) throw new Unfit("damaged", "damaged (its header states no pixels)");
  const process = LOSSLESS.has(code) ? "lossless" : HIERARCHICAL.has(code) ? "hierarchical" : "";
  const rare = bits !== 8 ? `${bits}-bit` : process;
  // libjpeg's rule, jpeg_has_multiple_scans.
  const multipleScans = PROGRESSIVE.has(code) || (data[position + 2] ?? -1) < components;
  // Below 10 scans, the image is too large anyway.
  const most = Math.max(10, Math.min(MAX_PARTS, Math.floor((maxScans * 10 ** 6) / (width * height))));
  const { end, complete } = multipleScans
    ? countScans(data, position, most, frame, code)
    : { end: null, complete: true };
  const hasMoreImages = holdsMoreImages(data, position);
  const arithmetic = ARITHMETIC.has(code);
  return { width, height, rare, multipleScans, scan: position, end, complete, arithmetic, hasMoreImages };
}

/**
 * Count scans, the first of which has its segment at `position`.
 *
 * @param {Uint8Array} data
 * @param {number} position
 * @param {number} most
 * @param {Uint8Array} frame
 * @param {number} code
 * @returns {{end: number | null, complete: boolean}}
 */
function countScans(data, position, most, frame, code) {
  let scans = 1, marker = SOS;
  /** @type {number | null} */
  let end = null;
  // Missing coefficients of each component: all 64 if progressive, else the whole block as one. A coefficient is
  // complete with the scan of its last bit.
  /** @type {Map<number, Set<number>>} */
  const missing = new Map();
  for (let at = 6; at < Math.min(frame.length, 6 + 3 * frame[5]); at += 3) {
    missing.set(frame[at], new Set(Array(PROGRESSIVE.has(code) ? 64 : 1).keys()));
  }
  let parts = MAX_PARTS + 4 * most;
  for (; parts > 0; parts -= 1) {
    if (marker === SOS) settle(data, position, missing);
    if (!hasNoContent(marker)) position += Math.max(segmentLength(data, position), 2);
    const found = nextMarkerInScan(data, position);
    if (found < 0) break;
    if (data[found + 1] === EOI) {
      end = found;
      break;
    }
    position = found + 2;
    marker = data[found + 1];
    scans += marker === SOS ? 1 : 0;
    if (scans > most) throw new Unfit("too-large", `more than ${most} scans`, "save it as a plain JPEG");
  }
  if (parts === 0) throw tooManyParts();
  return { end, complete: [...missing.values()].every((one) => one.size === 0) };
}

/**
 * Take off what a scan holds in full.
 *
 * @param {Uint8Array} data
 * @param {number} position of the scan's segment
 * @param {Map<number, Set<number>>} missing
 */
function settle(data, position, missing) {
  const count = data[position + 2] ?? 0;
  const pairs = data.subarray(position + 3, position + 3 + 2 * count);
  const chosen = pairs.filter((_, index) => index % 2 === 0);
  const from = position + 3 + 2 * chosen.length;
  const [first, last, bits] = [...data.subarray(from, from + 3), 0, 0, 1];
  if ((bits & 15) !== 0) return;
  for (const number of chosen) {
    for (let coefficient = first; coefficient <= last; coefficient += 1) missing.get(number)?.delete(coefficient);
  }
}

/**
 * Whether an index of several images ("MPF") stands before the first scan.
 *
 * @param {Uint8Array} data
 * @param {number} end
 */
function holdsMoreImages(data, end) {
  for (let at = data.indexOf(0x4d); at >= 0 && at + 4 <= end; at = data.indexOf(0x4d, at + 1)) {
    if (data[at + 1] === 0x50 && data[at + 2] === 0x46 && data[at + 3] === 0) return true;
  }
  return false;
}
