/**
 * The self-test of a model file on this device: `edgeclf.model.selftest`, with the words of `edgeclf doctor`.
 *
 * Every golden photo has two tests: preprocessing must give the pixels that it gave at export, and the network must give
 * the logits that it gave there for pixels that are known. In a browser the pixels must be equal, not only close.
 */

import { browserName, checkCanvas } from "./canvas-check.js";
import { PhotoFault } from "./photo-fault.js";
import { enlargePixels, meanDifference, reducePixels } from "./pixels-golden.js";

const PIXEL_TOLERANCE = 1; // mean absolute difference of pixels, which are 0..255

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

/**
 * @param {SiteModel} model
 * @param {number} tolerance
 * @param {PhotoTest[]} photos
 * @param {Check} canvas
 * @returns {SelfTestResult}
 */
export function resultOf(model, tolerance, photos, canvas) {
  const { manifest } = model;
  const about = `${(model.bytes / 1e6).toFixed(1)} MB, ${manifest.architecture}, ${manifest.precision}, sealed`;
  const checks = [
    check("browser", browserName()),
    check("processor", `${navigator.hardwareConcurrency || "unknown"} threads; 1 used`),
    check("onnxruntime", `${model.runtime["onnxruntime-web"] ?? "unknown"}: ${model.device}`),
    check("model", `${model.file} (${about})`),
    canvas,
    ...(photos.length ? [networkCheck(tolerance, photos), pixelsCheck(photos)] : [check(
      "network", "loads and runs; the file has no golden photos to test it with", "warning",
      "export again without --no-golden to test predictions",
    )]),
  ];
  const passed = !checks.some((one) => one.status === "FAIL");
  const exact = photos.length > 0 && photos.every((one) => one.same_bits && one.pixels === 0);
  return { passed, exact, checks, selftest: { passed, tolerance, pixel_tolerance: PIXEL_TOLERANCE, photos } };
}

/** @param {number} tolerance @param {PhotoTest[]} photos */
function networkCheck(tolerance, photos) {
  const failed = photos.findIndex((photo) => !photo.network_passed);
  if (failed >= 0) {
    const { network, label } = photos[failed];
    const found = network === null ? "are not finite" : `differ by ${network.toExponential(1)} of the largest logit`;
    const allowed = tolerance ? `${tolerance.toExponential(0)} is allowed` : "the same bits are expected";
    const more = others(photos, (photo) => !photo.network_passed);
    return check("network", `photo ${failed + 1} (${label}): network: logits ${found}, ${allowed}${more}`, "FAIL",
      "results differ from the exporting machine: try another browser; do not trust predictions");
  }
  const worst = Math.max(...photos.map((photo) => photo.network ?? 0));
  const text = photos.every((photo) => photo.same_bits) ? "logits bit-identical to those at export"
    : `logits differ by at most ${worst.toExponential(0)} of the largest (${tolerance.toExponential(0)} allowed)`;
  return check("network", `${photos.length} photos: ${text}`);
}

/** @param {PhotoTest[]} photos */
function pixelsCheck(photos) {
  const failed = photos.findIndex((photo) => !photo.pixels_passed);
  if (failed >= 0) {
    const { pixels, label, error } = photos[failed];
    const what = error ?? `mean difference ${pixels?.toFixed(2)} of 255, ${PIXEL_TOLERANCE} is allowed`;
    const more = others(photos, (photo) => !photo.pixels_passed);
    return check("pixels", `photo ${failed + 1} (${label}): pixels: ${what}${more}`, "FAIL",
      "photos are decoded differently here: try another browser");
  }
  const worst = Math.max(...photos.map((photo) => photo.pixels ?? 0));
  const text = worst === 0 ? "pixels identical to those at export"
    : `mean difference at most ${worst.toFixed(2)} of 255 (${PIXEL_TOLERANCE} allowed)`;
  return check("pixels", `${photos.length} photos: ${text}`);
}

/** @param {PhotoTest[]} photos @param {(photo: PhotoTest) => boolean} isFailed */
function others(photos, isFailed) {
  const count = photos.filter(isFailed).length - 1;
  return count > 0 ? ` (and ${count} more of ${photos.length})` : "";
}

/** @param {string} name @param {string} detail @param {Check["status"]} status @param {string} remedy @returns {Check} */
function check(name, detail, status = "ok", remedy = "") {
  return { name, status, detail, remedy };
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
