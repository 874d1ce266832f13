/** What the self-test of a device found, in the words of `edgeclf doctor`. */

import { browserName } from "./canvas-check.js";

/** @typedef {import("./model-session.js").SiteModel} SiteModel */
/** @typedef {import("./self-test.js").Check} Check */
/** @typedef {import("./self-test.js").PhotoTest} PhotoTest */
/** @typedef {import("./self-test.js").SelfTestResult} SelfTestResult */

export const PIXEL_TOLERANCE = 1; // mean absolute difference of pixels, which are 0..255

/**
 * The result in a few words.
 *
 * @param {SelfTestResult} result
 */
export function verdictOf({ passed, exact, selftest, checks }) {
  const isAltered = checks.some((one) => one.name === "canvas" && one.status !== "ok");
  if (exact) return isAltered ? "Exact on this device, for JPEGs only" : "Exact on this device";
  if (!passed) return `Differs on this device: ${checks.find((one) => one.status === "FAIL")?.detail}`;
  return selftest.photos.length ? "Close on this device, not the same bits" : "Not tested: the model has no test photos";
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
    check("processor", `${globalThis.navigator?.hardwareConcurrency || "unknown"} threads; 1 used`),
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
    const found = network === null ? "are not finite" : `differ by ${exponential(network, 1)} of the largest logit`;
    const allowed = tolerance ? `${exponential(tolerance, 0)} is allowed` : "the same bits are expected";
    const more = others(photos, (photo) => !photo.network_passed);
    return check("network", `photo ${failed + 1} (${label}): network: logits ${found}, ${allowed}${more}`, "FAIL",
      "results differ from the exporting machine: try another browser; do not trust predictions");
  }
  const worst = Math.max(...photos.map((photo) => photo.network ?? 0));
  const text = photos.every((photo) => photo.same_bits) ? "logits bit-identical to those at export"
    : `logits differ by at most ${exponential(worst, 0)} of the largest (${exponential(tolerance, 0)} allowed)`;
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

/** @param {number} value @param {number} digits @returns {string} as Python writes it: 2.4e-06 */
function exponential(value, digits) {
  return value.toExponential(digits).replace(/e([+-])(\d)$/, "e$10$2");
}
