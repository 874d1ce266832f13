/**
 * The self-test of a model file on this device: `edgeclf.model.selftest`, with the words of `edgeclf doctor`.
 *
 * Every golden photo has two tests: preprocessing must give the pixels that it gave at export, and the network must give
 * the logits that it gave there for pixels that are known. In a browser the pixels must be equal, not only close.
 */

import { checkCanvas } from "./canvas-check.js";
import { PhotoFault } from "./photo-fault.js";
import { enlargePixels, meanDifference, reducePixels } from "./pixels-golden.js";
import { PIXEL_TOLERANCE, resultOf } from "./self-test-words.js";

/** @typedef {import("./model-session.js").SiteModel} SiteModel */
/** @typedef {import("./model-session.js").GoldenPhoto} GoldenPhoto */
/** @typedef {import("./model-session.js").Session} Session */

/** @typedef {(data: Uint8Array, name?: string) => Promise<import("./pixels.js").NetworkInput>} Decode */

/**
 * @typedef {object} PhotoTest
 * @property {string} label
 * @property {number | null} pixels mean absolute difference, 0..255; null if the photo could not be read
 * @property {number | null} network largest difference of a logit, relative to the photo's largest; null if not finite
 * @property {boolean} same_bits
 * @property {boolean} pixels_passed
 * @property {boolean} network_passed
 * @property {string | null} error
 */

/** @typedef {{name: string, status: "ok" | "warning" | "FAIL", detail: string, remedy: string}} Check */

/**
 * @typedef {object} SelfTestResult
 * @property {boolean} passed no check failed
 * @property {boolean} exact all pixels and all logits are the same bits as at export
 * @property {Check[]} checks
 * @property {{passed: boolean, tolerance: number, pixel_tolerance: number, photos: PhotoTest[]}} selftest
 */

/**
 * @param {SiteModel} model
 * @param {Session} session
 * @param {Decode} decode
 * @returns {() => Promise<SelfTestResult | null>} tests one photo more, and gives the result after the last one
 */
export function createSelfTest(model, session, decode) {
  const golden = model.manifest.golden ?? { side: 1, tolerance: 0, photos: [] };
  /** @type {PhotoTest[]} */
  const photos = [];
  return async () => {
    const next = golden.photos[photos.length];
    if (next) photos.push(await testPhoto(next, golden, model, session, decode));
    return photos.length < golden.photos.length ? null : resultOf(model, golden.tolerance, photos, await checkCanvas());
  };
}

/**
 * @param {GoldenPhoto} photo
 * @param {{side: number, tolerance: number}} golden
 * @param {SiteModel} model
 * @param {Session} session
 * @param {Decode} decode
 * @returns {Promise<PhotoTest>}
 */
async function testPhoto(photo, { side, tolerance }, { manifest: { contract } }, session, decode) {
  const expected = bytesOf(photo.pixels);
  let pixels = null, error = null;
  try {
    const input = await decode(bytesOf(photo.jpeg));
    pixels = meanDifference(reducePixels(input.pixels, contract.size, side), expected);
  } catch (caught) {
    error = caught instanceof PhotoFault ? caught.message : String(caught);
  }
  const { logits } = await session.run(enlargePixels(expected, side, contract.size));
  const wanted = new Float32Array(bytesOf(photo.logits).buffer);
  const network = difference(logits, wanted);
  const sameBits = sameBytes(logits, wanted);
  return {
    label: photo.label,
    pixels,
    network,
    same_bits: sameBits,
    pixels_passed: pixels !== null && pixels <= PIXEL_TOLERANCE,
    network_passed: network !== null && (tolerance === 0 ? sameBits : network <= tolerance),
    error,
  };
}

/** @param {Float32Array} found @param {Float32Array} wanted */
function difference(found, wanted) {
  let largest = 0, off = 0;
  for (let at = 0; at < wanted.length; at += 1) {
    if (!Number.isFinite(found[at]) || !Number.isFinite(wanted[at])) return null;
    largest = Math.max(largest, Math.abs(wanted[at]));
    off = Math.max(off, Math.abs(found[at] - wanted[at]));
  }
  return off / (largest || 1);
}

/** @param {Float32Array} one @param {Float32Array} other */
function sameBytes(one, other) {
  const a = new Uint32Array(one.buffer, one.byteOffset, one.length), b = new Uint32Array(other.buffer);
  return a.length === b.length && a.every((value, at) => value === b[at]);
}

/** @param {string} base64 */
function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
