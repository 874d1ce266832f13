/**
 * Whether a JPEG's values are those of a picture. In a damaged file they may be so large that decoders differ: numbers
 * overflow in one way where a processor's vector instructions are used, as in Python, and in another way in WebAssembly.
 */

import { huffmanTable } from "./pixels-jpeg-bits.js";
import { nextMarkerInScan } from "./pixels-jpeg-header.js";
import { readProgressive } from "./pixels-jpeg-progressive.js";
import { readSequential } from "./pixels-jpeg-sequential.js";

/** @typedef {import("./pixels-jpeg-progressive.js").Component} Component */
/** @typedef {import("./pixels-jpeg-bits.js").HuffmanTable} HuffmanTable */

const MAX_LEVEL = 384; // from mid-grey; decoders differ from 512 on. A picture has 128, and what compression adds
const MAX_BETWEEN = 1400; // after the first of the two passes of the transform, which is stored in 16 bits
const SOF0 = 0xc0, SOF2 = 0xc2, DHT = 0xc4, EOI = 0xd9, SOS = 0xda, DQT = 0xdb, DRI = 0xdd;
const ZIGZAG = zigzag();
// The codes of annex K, for files without their own, such as frames of films: as in a DHT segment, in Base64.
const STANDARD_CODES = Uint8Array.from(atob(
  "AAABBQEBAQEBAQAAAAAAAAAAAQIDBAUGBwgJCgsBAAMBAQEBAQEBAQEAAAAAAAABAgMEBQYHCAkKCxAAAgEDAwIEAwUFBAQAAAF9AQID" +
  "AAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlq" +
  "c3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3" +
  "+Pn6EQACAQIEBAMEBwUEBAABAncAAQIDEQQFITEGEkFRB2FxEyIygQgUQpGhscEJIzNS8BVictEKFiQ04SXxFxgZGiYnKCkqNTY3ODk6" +
  "Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqCg4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS" +
  "09TV1tfY2dri4+Tl5ufo6ery8/T19vf4+fo=",
), (letter) => letter.charCodeAt(0));
// Basis of the inverse transform: of frequency u at position x.
const COSINES = Float64Array.from({ length: 64 }, (_, index) => {
  const u = index >> 3, x = index & 7;
  return (u ? 0.5 : Math.SQRT1_2 / 2) * Math.cos(((2 * x + 1) * u * Math.PI) / 16);
});

/**
 * @param {Uint8Array} data a JPEG, Huffman-coded, with 8 bits a sample, that a decoder has read without a warning
 * @returns {boolean} false also if its codes are not as the standard says
 */
export function isInRange(data) {
  /** @type {Record<number, HuffmanTable | undefined>} */
  const huffman = {};
  /** @type {Record<number, Uint16Array>} */
  const quantization = {};
  /** @type {Map<Component, Uint16Array>} what was valid at a component's first scan */
  const latched = new Map();
  /** @type {ReturnType<typeof frameOf> | null} */
  let frame = null;
  let interval = 0;
  readHuffman(STANDARD_CODES, huffman);
  for (let at = nextMarkerInScan(data, 2); at >= 0 && data[at + 1] !== EOI; at = nextMarkerInScan(data, at)) {
    const marker = data[at + 1], length = data[at + 2] * 256 + data[at + 3];
    const content = data.subarray(at + 4, at + 2 + length);
    at += 2 + length;
    if (marker === DQT) readQuantization(content, quantization);
    else if (marker === DHT) readHuffman(content, huffman);
    else if (marker === DRI) interval = content[0] * 256 + content[1];
    else if (marker >= SOF0 && marker <= SOF2) frame = frameOf(content, marker === SOF2);
    if (marker !== SOS) continue;
    if (frame === null) return false;
    const { components, progressive } = frame, parts = [];
    for (let number = 0; number < content[0]; number += 1) {
      const component = components.find(({ id }) => id === content[1 + 2 * number]);
      const table = component && (latched.get(component) ?? quantization[component.quantization]);
      if (component === undefined || table === undefined) return false;
      latched.set(component, table);
      const codes = content[2 + 2 * number];
      parts.push({ component, dc: huffman[codes >> 4], ac: huffman[16 + (codes & 15)] });
    }
    if (progressive) {
      const [first, last, bits] = content.subarray(1 + 2 * content[0]);
      at = readProgressive(data, at, { ...frame, parts, first, last, high: bits >> 4, low: bits & 15, interval });
    } else {
      at = readBlocks(data, at, parts, frame.units, interval, latched);
    }
    if (at < 0) return false;
    if (!progressive && latched.size === components.length) return true; // decoders stop here, whatever follows
  }
  return frame !== null && frame.progressive && frame.components.every((component) => isStoredInRange(component, latched));
}

/**
 * A scan of a sequential JPEG.
 *
 * @param {Uint8Array} data
 * @param {number} at
 * @param {import("./pixels-jpeg-progressive.js").Part[]} parts
 * @param {[columns: number, rows: number]} units
 * @param {number} interval
 * @param {Map<Component, Uint16Array>} latched
 * @returns {number} offset of its end; -1 if it is not in range, or not as the standard says
 */
function readBlocks(data, at, parts, [columns, rows], interval, latched) {
  const plan = [], isAlone = parts.length === 1;
  for (const [number, { component, dc, ac }] of parts.entries()) {
    const table = latched.get(component);
    if (!dc || !ac || !table) return -1;
    const block = { component: number, dc, ac, quantization: table };
    plan.push(...Array(isAlone ? 1 : component.across * component.down).fill(block));
  }
  const units = isAlone ? parts[0].component.columns * parts[0].component.rows : columns * rows;
  return readSequential(data, at, plan, units, interval, 4 * MAX_LEVEL, (values) => largestLevel(values) <= MAX_LEVEL);
}

/** @param {Component} component of a progressive JPEG @param {Map<Component, Uint16Array>} latched */
function isStoredInRange(component, latched) {
  const { blocks } = component, table = latched.get(component), values = new Int32Array(64);
  if (table === undefined) return false;
  for (let at = 0; at < blocks.length; at += 64) {
    // No sample is further from mid-grey than a quarter of this sum.
    let sum = Math.abs(blocks[at] * table[0]) / 2;
    for (let k = 1; k < 64; k += 1) {
      const value = blocks[at + k];
      if (value) sum += Math.abs(value * table[k]);
    }
    if (sum <= 4 * MAX_LEVEL) continue;
    for (let k = 0; k < 64; k += 1) values[k] = blocks[at + k] * table[k];
    if (largestLevel(values) > MAX_LEVEL) return false;
  }
  return true;
}

/** @param {Uint8Array} content @param {Record<number, Uint16Array>} tables */
function readQuantization(content, tables) {
  for (let at = 0; at < content.length; ) {
    const wide = content[at] >> 4 ? 2 : 1, from = at + 1;
    tables[content[at] & 15] = Uint16Array.from({ length: 64 }, (_, k) =>
      wide === 2 ? content[from + 2 * k] * 256 + content[from + 2 * k + 1] : content[from + k]);
    at = from + 64 * wide;
  }
}

/** @param {Uint8Array} content @param {Record<number, HuffmanTable | undefined>} tables */
function readHuffman(content, tables) {
  for (let at = 0; at + 17 <= content.length; ) {
    const counts = content.subarray(at + 1, at + 17), total = counts.reduce((sum, count) => sum + count, 0);
    tables[content[at]] = huffmanTable(counts, content.subarray(at + 17, at + 17 + total)) ?? undefined;
    at += 17 + total;
  }
}

/** @param {Uint8Array} content @param {boolean} progressive */
function frameOf(content, progressive) {
  const height = content[1] * 256 + content[2], width = content[3] * 256 + content[4];
  const each = Array.from({ length: content[5] }, (_, index) => content.subarray(6 + 3 * index, 9 + 3 * index));
  const most = each.map(([, factors]) => [factors >> 4, factors & 15]);
  const maxAcross = Math.max(...most.map(([across]) => across)), maxDown = Math.max(...most.map(([, down]) => down));
  const units = /** @type {[number, number]} */ ([Math.ceil(width / 8 / maxAcross), Math.ceil(height / 8 / maxDown)]);
  const components = each.map(([id, , quantization], index) => {
    const [across, down] = most[index], stride = units[0] * across;
    const columns = Math.ceil(Math.ceil((width * across) / maxAcross) / 8);
    const rows = Math.ceil(Math.ceil((height * down) / maxDown) / 8);
    const blocks = new Int16Array(64 * (progressive ? stride * units[1] * down : 0));
    return { id, across, down, columns, rows, stride, blocks, quantization };
  });
  return { progressive, units, components };
}

/**
 * The largest distance of a block's samples from mid-grey; infinite if decoders differ before.
 *
 * @param {Int32Array} values of the frequencies, in zigzag order
 */
function largestLevel(values) {
  const between = new Float64Array(64);
  for (let k = 0; k < 64; k += 1) {
    if (!values[k]) continue;
    const place = ZIGZAG[k], v = place >> 3, u = place & 7;
    for (let y = 0; y < 8; y += 1) between[y * 8 + u] += values[k] * COSINES[v * 8 + y];
  }
  if (between.some((value) => Math.abs(value) > MAX_BETWEEN)) return Infinity;
  let largest = 0;
  for (let y = 0; y < 8; y += 1) {
    for (let x = 0; x < 8; x += 1) {
      let level = 0;
      for (let u = 0; u < 8; u += 1) level += between[y * 8 + u] * COSINES[u * 8 + x];
      largest = Math.max(largest, Math.abs(level));
    }
  }
  return largest;
}

/** Places of a block's coefficients, row by row, in the order in which they are stored. */
function zigzag() {
  const places = Array.from({ length: 64 }, (_, place) => place);
  const order = (/** @type {number} */ place) => {
    const row = place >> 3, column = place & 7, diagonal = row + column;
    return diagonal * 8 + (diagonal % 2 ? row : column);
  };
  return places.sort((one, other) => order(one) - order(other));
}
