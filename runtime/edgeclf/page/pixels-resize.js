/**
 * Resizing with the bytes that Pillow gives: `edgeclf.images.resize`, and `fit` of `edgeclf.images.preprocess`.
 *
 * Antialiased bilinear: a triangle filter as wide as the reduction factor, at positions in double precision from edges
 * in single precision; weights rounded to 22 fractional bits; the horizontal sums are rounded to 8 bits before the
 * vertical ones are computed.
 */

import { place } from "./pixels-placement.js";
import { PhotoFault } from "./photo-fault.js";

/** @typedef {import("./pixels-placement.js").Box} Box */
/** @typedef {import("./pixels-placement.js").ImageContract} ImageContract */

/**
 * An RGB picture somewhere in memory: red of pixel (x, y) is `data[start + x * stepX + y * stepY]`, green and blue
 * follow. So a picture that is turned or mirrored needs no copy.
 * @typedef {object} Picture
 * @property {Uint8Array | Uint8ClampedArray} data
 * @property {number} width
 * @property {number} height
 * @property {number} start
 * @property {number} stepX
 * @property {number} stepY
 */

export const MAX_DECODED_PIXELS = 48 * 2 ** 20; // edgeclf.images.limits
const FRACTIONAL_BITS = 22;
const HALF = 1 << (FRACTIONAL_BITS - 1);

/**
 * Resize an upright picture to the network input.
 *
 * @param {Picture} picture
 * @param {ImageContract} contract
 * @returns {Uint8Array} RGB, row by row, `contract.size` pixels wide and high
 * @throws {PhotoFault} the picture is so long and narrow that resizing it would need too much memory
 */
export function fit(picture, contract) {
  const { size, source, target: [left, top, right, bottom] } = place(picture.width, picture.height, contract);
  // Between the horizontal and the vertical step the picture has the target's width and the source's height.
  if ((right - left) * (source[3] - source[1]) > MAX_DECODED_PIXELS) {
    const what = `${picture.width} x ${picture.height} pixels are too long and narrow a shape for a photo`;
    throw new PhotoFault("too-large", what, "crop it");
  }
  const small = resized(picture, right - left, bottom - top, source);
  if (right - left === size && bottom - top === size) return small;
  const canvas = new Uint8Array(size * size * 3);
  const row = (right - left) * 3;
  for (let y = top; y < bottom; y += 1) {
    canvas.set(small.subarray((y - top) * row, (y - top + 1) * row), (y * size + left) * 3);
  }
  return canvas;
}

/**
 * Resize a part of a picture horizontally, then vertically.
 *
 * @param {Picture} picture
 * @param {number} width of the result
 * @param {number} height
 * @param {Box} box the part, pixels of the picture
 * @returns {Uint8Array} RGB, row by row
 */
export function resized(picture, width, height, [left, upper, right, lower]) {
  const top = Math.fround(upper), bottom = Math.fround(lower);
  const reach = Math.max(1, (bottom - top) / height) + 2;
  const first = Math.max(0, Math.floor(top - reach));
  const last = Math.min(picture.height, Math.ceil(bottom + reach));
  const across = weightsOf(picture.width, left, right, width);
  const down = weightsOf(last - first, top - first, bottom - first, height);
  return summedColumns(summedRows(picture, across, first, last), down, width);
}

/**
 * For each output pixel: the first input pixel that counts, how many do, and their weights, `taps` places for each.
 * @typedef {{first: Int32Array, count: Int32Array, weights: Int32Array, taps: number}} Weights
 */

/**
 * Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc`.
 *
 * @param {number} length pixels of the input
 * @param {number} low where the part begins
 * @param {number} high where it ends
 * @param {number} size pixels of the output
 * @returns {Weights}
 */
function weightsOf(length, low, high, size) {
  const start = Math.fround(low);
  const scale = Math.fround(Math.fround(high) - start) / size;
  const support = Math.max(scale, 1), inverse = 1 / support;
  const taps = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(size), count = new Int32Array(size), weights = new Int32Array(size * taps);
  const shares = new Float64Array(taps);
  for (let out = 0; out < size; out += 1) {
    const centre = start + (out + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - support + 0.5));
    const number = Math.min(length, Math.trunc(centre + support + 0.5)) - from;
    let total = 0;
    for (let tap = 0; tap < number; tap += 1) {
      shares[tap] = Math.max(0, 1 - Math.abs((tap + from - centre + 0.5) * inverse));
      total += shares[tap];
    }
    for (let tap = 0; tap < number; tap += 1) {
      const share = total !== 0 ? shares[tap] / total : shares[tap];
      weights[out * taps + tap] = Math.trunc(0.5 + share * (1 << FRACTIONAL_BITS));
    }
    first[out] = from;
    count[out] = number;
  }
  return { first, count, weights, taps };
}

/**
 * @param {Picture} picture
 * @param {Weights} across
 * @param {number} top the first row that is wanted
 * @param {number} bottom the row after the last one
 * @returns {Uint8Array} RGB rows
 */
function summedRows({ data, start, stepX, stepY }, { first, count, weights, taps }, top, bottom) {
  const width = first.length;
  const rows = new Uint8Array((bottom - top) * width * 3);
  let to = 0;
  for (let y = top; y < bottom; y += 1) {
    const row = start + y * stepY;
    for (let out = 0; out < width; out += 1) {
      let from = row + first[out] * stepX, red = HALF, green = HALF, blue = HALF;
      const begin = out * taps, end = begin + count[out];
      for (let tap = begin; tap < end; tap += 1) {
        const weight = weights[tap]; // sums stay below 2 ** 31: weights sum to 2 ** 22
        red = (red + data[from] * weight) | 0;
        green = (green + data[from + 1] * weight) | 0;
        blue = (blue + data[from + 2] * weight) | 0;
        from += stepX;
      }
      rows[to] = clipped(red);
      rows[to + 1] = clipped(green);
      rows[to + 2] = clipped(blue);
      to += 3;
    }
  }
  return rows;
}

/**
 * @param {Uint8Array} rows RGB rows of `width` pixels
 * @param {Weights} down
 * @param {number} width
 * @returns {Uint8Array} RGB rows
 */
function summedColumns(rows, { first, count, weights, taps }, width) {
  const height = first.length, length = width * 3;
  const result = new Uint8Array(height * length), sums = new Int32Array(length);
  for (let out = 0; out < height; out += 1) {
    sums.fill(HALF);
    for (let tap = 0; tap < count[out]; tap += 1) {
      const weight = weights[out * taps + tap], from = (first[out] + tap) * length;
      for (let at = 0; at < length; at += 1) sums[at] += rows[from + at] * weight;
    }
    for (let at = 0; at < length; at += 1) result[out * length + at] = clipped(sums[at]);
  }
  return result;
}

/** @param {number} sum with `FRACTIONAL_BITS` */
function clipped(sum) {
  const value = sum >> FRACTIONAL_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
