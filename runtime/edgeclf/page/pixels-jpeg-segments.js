/**
 * What Pillow reads of a JPEG before its first scan, and what it refuses there: its number of colours, EXIF and XMP.
 *
 * Python's errors for a JPEG that Pillow cannot open must be ours too, so this follows Pillow 13's JpegImagePlugin.
 */

import { latin } from "./pixels-orientation.js";
import { Unfit } from "./photo-fault.js";

const EXIF = "Exif\0\0", XMP = "http://ns.adobe.com/xap/1.0/\0", ICC = "ICC_PROFILE\0", PHOTOSHOP = "Photoshop 3.0\0";
const SOS = 0xda, DQT = 0xdb, DHP = 0xde;
// Markers without a segment, as Pillow knows them.
const BARE = new Set([0xc8, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9]);
const NO_FRAMES = new Set([0xc4, 0xc8, 0xcc]); // among 0xC0 to 0xCF

/** Pillow, or the decoder behind it, raised an error: `edgeclf.images.jpeg_scale` may put it in other words. */
export class Undecodable extends Unfit {}

/** Pillow does not take the file for an image. */
export function notAnImage() {
  return new Undecodable("not-an-image", "not an image that edgeclf reads");
}

/**
 * @typedef {object} JpegSegments
 * @property {number} width pixels, as stored
 * @property {number} height
 * @property {number} layers colours: 1, 3 or 4
 * @property {Uint8Array | null} exif
 * @property {Uint8Array | null} xmp
 */

/**
 * @param {Uint8Array} data a JPEG
 * @returns {JpegSegments}
 * @throws {Undecodable}
 */
export function jpegSegments(data) {
  let width = 0, height = 0, layers = 0;
  /** @type {Uint8Array[]} */
  const exif = [];
  /** @type {Uint8Array | null} */
  let xmp = null;
  /** @type {string[]} */
  let profiles = [];
  let at = 2; // of a marker's first byte
  for (;;) {
    if (at + 1 >= data.length) throw notAnImage();
    if (data[at] !== 0xff) {
      at += 1;
      continue;
    }
    const marker = data[at + 1];
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    at += 2;
    if (marker === 0x00 || BARE.has(marker) || (marker >= 0xf0 && marker <= 0xfd)) continue;
    if (marker < 0xc0) throw notAnImage();
    const content = segment(data, at);
    at += 2 + content.length;
    if (marker === SOS) break;
    if (marker === DQT) checkQuantization(content);
    const isFrame = (marker <= 0xcf && !NO_FRAMES.has(marker)) || marker === DHP;
    if (isFrame) {
      ({ width, height, layers } = frame(content));
      checkProfiles(profiles);
      profiles = [];
    } else if (marker >= 0xe0 && marker <= 0xef) {
      const start = latin(content.subarray(0, XMP.length));
      checkApplication(marker, start, content);
      if (marker === 0xe1 && start.startsWith(EXIF)) exif.push(exif.length ? content.subarray(6) : content);
      else if (marker === 0xe1 && start === XMP) xmp = content.subarray(XMP.length);
      else if (marker === 0xe2 && start.startsWith(ICC)) profiles.push(latin(content));
    }
  }
  if (layers === 0 || width === 0 || height === 0) throw notAnImage();
  return { width, height, layers, exif: exif.length ? joined(exif) : null, xmp };
}

/**
 * The content of the segment whose length stands at `at`.
 *
 * @param {Uint8Array} data
 * @param {number} at
 */
function segment(data, at) {
  if (at + 2 > data.length) throw notAnImage();
  const length = data[at] * 256 + data[at + 1] - 2;
  if (at + 2 + length > data.length) throw new Undecodable("damaged", "damaged (Truncated File Read)");
  return data.subarray(at + 2, at + 2 + Math.max(length, 0));
}

/** @param {Uint8Array} content */
function frame(content) {
  const [bits, high, low, left, right, layers] = content;
  if (content.length < 6 || bits !== 8 || ![1, 3, 4].includes(layers) || content.length % 3 !== 0) throw notAnImage();
  return { width: left * 256 + right, height: high * 256 + low, layers };
}

/** @param {Uint8Array} content */
function checkQuantization(content) {
  for (let at = 0; at < content.length; ) {
    at += 1 + 64 * (content[at] < 16 ? 1 : 2);
    if (at > content.length) throw notAnImage();
  }
}

/**
 * Pillow takes the profile's first part apart at the next frame.
 *
 * @param {string[]} profiles
 */
function checkProfiles(profiles) {
  const [first] = [...profiles].sort((one, other) => (one < other ? -1 : 1));
  if (first !== undefined && first.length < 14) throw notAnImage();
}

/**
 * @param {number} marker
 * @param {string} start
 * @param {Uint8Array} content
 */
function checkApplication(marker, start, content) {
  const short = (marker === 0xe0 && start.startsWith("JFIF")) || (marker === 0xee && start.startsWith("Adobe"));
  if (short && content.length < 7) throw notAnImage();
  if (marker === 0xed && start.startsWith(PHOTOSHOP)) checkPhotoshop(content);
}

/**
 * Blocks of "8BIM", a number, a name and its data. One that ends after its number is an error to Pillow.
 *
 * @param {Uint8Array} content
 */
function checkPhotoshop(content) {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  let at = PHOTOSHOP.length;
  while (latin(content.subarray(at, at + 4)) === "8BIM") {
    at += 4;
    if (at + 2 > content.length) return;
    at += 2;
    if (at >= content.length) throw notAnImage();
    at += 1 + content[at];
    at += at % 2;
    if (at + 4 > content.length) return;
    at += 4 + view.getUint32(at);
    at += at % 2;
  }
}

/** @param {Uint8Array[]} parts */
function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
