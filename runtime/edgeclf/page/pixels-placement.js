/** Where a photo lies on the network input: `edgeclf.images.placement`, with the same roundings. */

import { roundDigits, roundHalfEven } from "./rounding.js";

/**
 * How a photo becomes network input: the keys that `manifest.contract` has in a model file.
 * @typedef {object} ImageContract
 * @property {number} size height and width of the network input, pixels
 * @property {string} resize "crop", "pad" or "squash"
 * @property {number} crop_fraction side of the centre square as a share of the photo's short side ("crop" only)
 * @property {number} draft_margin a JPEG may decode at a scale at which it is at least this many times larger than needed
 */

/** @typedef {[left: number, top: number, right: number, bottom: number]} Box */

/**
 * @typedef {object} Placement
 * @property {number} size side of the network input, pixels
 * @property {Box} source the part of the photo that is used, photo pixels
 * @property {Box} target where it lies on the network input, input pixels; the rest is padding
 */

/**
 * Place an upright photo on the network input.
 *
 * @param {number} width of the photo, pixels
 * @param {number} height
 * @param {ImageContract} contract
 * @returns {Placement}
 */
export function place(width, height, contract) {
  const { size, resize } = contract;
  if (resize === "crop") {
    const side = Math.min(width, height) * contract.crop_fraction;
    const left = (width - side) / 2, top = (height - side) / 2;
    return { size, source: [left, top, left + side, top + side], target: [0, 0, size, size] };
  }
  const source = /** @type {Box} */ ([0, 0, width, height]);
  if (resize === "squash") return { size, source, target: [0, 0, size, size] };
  const ratio = size / Math.max(width, height);
  const w = Math.max(1, roundHalfEven(width * ratio)), h = Math.max(1, roundHalfEven(height * ratio));
  const x = Math.floor((size - w) / 2), y = Math.floor((size - h) / 2);
  return { size, source, target: [x, y, x + w, y + h] };
}

/**
 * Input pixels per photo pixel, along the axis that is reduced less.
 *
 * @param {Placement} placement
 */
export function scaleOf({ source, target }) {
  return Math.max((target[2] - target[0]) / (source[2] - source[0]), (target[3] - target[1]) / (source[3] - source[1]));
}

/**
 * The whole network input, padding included, in photo pixels: `Placement.input_on_photo`.
 *
 * @param {Placement} placement
 * @returns {Box}
 */
export function inputOnPhoto({ size, source: [left, top, right, bottom], target: [x0, y0, x1, y1] }) {
  const perX = (right - left) / (x1 - x0), perY = (bottom - top) / (y1 - y0);
  return [left - x0 * perX, top - y0 * perY, right + (size - x1) * perX, bottom + (size - y1) * perY];
}

/**
 * `seen` of an explanation, as the service gives it: the network input on the upright photo in full, two decimals.
 *
 * @param {number} width of the upright photo in full, pixels
 * @param {number} height
 * @param {ImageContract} contract
 * @returns {Box}
 */
export function seenBox(width, height, contract) {
  return /** @type {Box} */ (inputOnPhoto(place(width, height, contract)).map((edge) => roundDigits(edge, 2)));
}
