/** Records and explanations from what the network gives: those of `edgeclf.serve.predictions`. */

import { inputOnPhoto, place } from "./pixels-placement.js";
import { roundDigits } from "./rounding.js";
import { rank } from "./softmax-rank.js";

const DIGITS = 4; // of the values in heat maps

/** @typedef {import("./model-session.js").SiteModel} SiteModel */
/** @typedef {import("./model-session.js").Outputs} Outputs */
/** @typedef {import("./types.js").PhotoRecord} PhotoRecord */

/**
 * @param {string} name of the photo
 * @param {Outputs} outputs
 * @param {SiteModel} model
 * @param {{topK?: number, threshold?: number}} options
 * @returns {PhotoRecord}
 */
export function recordOf(name, { logits }, model, { topK = 5, threshold = model.threshold } = {}) {
  return { path: name, ...rank(logits, { ...rulesOf(model), threshold, topK }), device: model.device };
}

/**
 * @param {string} name
 * @param {string} kind
 * @param {string} message
 * @param {SiteModel} model
 * @returns {PhotoRecord}
 */
export function failedRecord(name, kind, message, model) {
  return { path: name, error: { kind, message }, device: model.device };
}

/**
 * The heat maps of all classes that have one.
 *
 * @param {string} name of the photo
 * @param {Outputs} outputs
 * @param {SiteModel} model
 * @param {{width: number, height: number}} photo the upright photo in full, pixels
 * @returns {import("./types.js").Explanation}
 */
export function explanationOf(name, outputs, model, { width, height }) {
  const { contract } = model.manifest;
  const placement = place(width, height, contract);
  const all = rank(outputs.logits, { ...rulesOf(model), topK: model.manifest.classes.length }).predictions;
  const cells = outputs.rows * outputs.columns;
  const maps = outputs.camClass.map((index, at) => {
    const values = scaled(outputs.cam.subarray(at * cells, (at + 1) * cells));
    const entry = /** @type {import("./types.js").Ranked} */ (all.find((one) => one.index === index));
    return {
      label: entry.label,
      display_name: entry.display_name ?? null,
      probability: entry.probability,
      padding_share: roundDigits(paddingShare(values, outputs.rows, outputs.columns, placement), DIGITS),
      height: outputs.rows,
      width: outputs.columns,
      values: Array.from(values, (value) => roundDigits(value, DIGITS)),
    };
  });
  const seen = /** @type {[number, number, number, number]} */ (
    inputOnPhoto(placement).map((edge) => roundDigits(edge, 2))
  );
  return { record: recordOf(name, outputs, model), photo: { width, height }, seen, maps };
}

/** @param {SiteModel} model */
function rulesOf({ manifest }) {
  return {
    labels: manifest.classes,
    displayNames: manifest.display_names ?? {},
    temperature: manifest.calibration?.temperature ?? 1,
  };
}

/** @param {Float32Array} cam @returns {Float32Array} 0..1 */
function scaled(cam) {
  const peak = cam.reduce((most, value) => Math.max(most, value), 0);
  return cam.map((value) => (peak > 0 ? value / peak : 0));
}

/**
 * Share of a map's energy that lies on padding: `Explanation.padding_share`.
 *
 * @param {Float32Array} values
 * @param {number} rows
 * @param {number} columns
 * @param {import("./pixels-placement.js").Placement} placement
 */
function paddingShare(values, rows, columns, { size, target: [left, top, right, bottom] }) {
  if (left === 0 && top === 0 && right === size && bottom === size) return 0;
  const map = enlarged(values, rows, columns, size);
  let total = 0, inside = 0;
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      const value = map[y * size + x];
      total += value;
      if (x >= left && x < right && y >= top && y < bottom) inside += value;
    }
  }
  return total > 0 ? 1 - inside / total : 0;
}

/**
 * A map enlarged bilinearly, as Pillow does it with floats.
 *
 * @param {Float32Array} values
 * @param {number} rows
 * @param {number} columns
 * @param {number} size
 */
function enlarged(values, rows, columns, size) {
  const across = weights(columns, size), down = weights(rows, size);
  const wide = new Float32Array(rows * size);
  for (let row = 0; row < rows; row += 1) {
    across.forEach(({ first, shares }, x) => {
      wide[row * size + x] = shares.reduce((sum, share, at) => sum + values[row * columns + first + at] * share, 0);
    });
  }
  const map = new Float32Array(size * size);
  down.forEach(({ first, shares }, y) => {
    for (let x = 0; x < size; x += 1) {
      map[y * size + x] = shares.reduce((sum, share, at) => sum + wide[(first + at) * size + x] * share, 0);
    }
  });
  return map;
}

/**
 * Which cells a pixel is made of, and their shares.
 *
 * @param {number} cells
 * @param {number} size pixels
 */
function weights(cells, size) {
  const scale = cells / size;
  const reach = Math.max(1, scale);
  return Array.from({ length: size }, (_, pixel) => {
    const centre = (pixel + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach + 0.5)), end = Math.min(cells, Math.floor(centre + reach + 0.5));
    const raw = Array.from({ length: end - first }, (_, at) =>
      Math.max(0, 1 - Math.abs((first + at - centre + 0.5) / reach)));
    const sum = raw.reduce((one, other) => one + other, 0);
    return { first, shares: raw.map((share) => share / sum) };
  });
}
