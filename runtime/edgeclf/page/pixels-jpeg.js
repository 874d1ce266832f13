/** JPEGs decoded with the bytes that Python gets: `edgeclf.images.jpeg_scale`. */

import { Unfit } from "./photo-fault.js";
import { decodeComplete } from "./pixels-jpeg-complete.js";
import { jpegHeader } from "./pixels-jpeg-header.js";
import { isInRange } from "./pixels-jpeg-range.js";
import { Undecodable, jpegSegments } from "./pixels-jpeg-segments.js";
import { DecoderError, decodeParts } from "./pixels-jpeg-wasm.js";
import { orientationOf, upright } from "./pixels-orientation.js";
import { place, scaleOf } from "./pixels-placement.js";
import { MAX_DECODED_PIXELS } from "./pixels-resize.js";

/** @typedef {import("./pixels-jpeg-wasm.js").JpegDecoder} JpegDecoder */
/** @typedef {import("./pixels-jpeg-segments.js").JpegSegments} JpegSegments */
/** @typedef {import("./pixels-placement.js").ImageContract} ImageContract */
/** @typedef {import("./pixels-resize.js").Picture} Picture */

const MAX_SCANS_PER_MEGAPIXEL = 1000;

/**
 * An upright photo.
 * @typedef {object} UprightPhoto
 * @property {Picture} picture decoded, perhaps at a reduced scale
 * @property {boolean} exact its pixels are Python's; not where a decoder has made something of inconsistent data, or numbers may overflow
 * @property {number} width of the upright photo in full, pixels
 * @property {number} height
 */

/**
 * A JPEG that this decoder does not read, though others may.
 * @typedef {object} Unread
 * @property {string} unread what it is: "an arithmetic-coded", "a lossless" or "a hierarchical"
 * @property {number} width pixels, as stored
 * @property {number} height
 * @property {number} orientation as its EXIF states it, 1 to 8
 */

/**
 * Decode a JPEG at the scale that the contract allows, and turn it upright.
 *
 * @param {Uint8Array} data the file
 * @param {ImageContract} contract
 * @param {JpegDecoder} decoder
 * @returns {UprightPhoto | Unread}
 * @throws {Unfit} it is damaged or has too many pixels
 */
export function decodeJpeg(data, contract, decoder) {
  const header = jpegHeader(data, MAX_SCANS_PER_MEGAPIXEL);
  if (header.multipleScans) checkPixels(header.width, header.height); // libjpeg holds all coefficients in memory
  try {
    if (header.rare || header.arithmetic) {
      return unreadJpeg(data, header.rare ? `a ${header.rare}` : "an arithmetic-coded");
    }
    /** @type {{segments: JpegSegments, width: number, height: number} | undefined} */
    let opened;
    const decoded = decodeComplete(data, header, (parts) => {
      opened ??= open(data, contract);
      return decode(decoder, parts, { ...opened, layers: opened.segments.layers });
    });
    const { segments, width, height } = /** @type {NonNullable<typeof opened>} */ (opened);
    const rgb = segments.layers === 4 ? fromCmyk(decoded.pixels) : decoded.pixels;
    const orientation = orientationOf(segments.exif, segments.xmp);
    const picture = upright({ data: rgb, width, height, start: 0, stepX: 3, stepY: 3 * width }, orientation);
    const turned = orientation >= 5;
    const [across, down] = turned ? [header.height, header.width] : [header.width, header.height];
    const exact = decoded.warning === "" && isInRange(data);
    return { picture, exact, width: across, height: down };
  } catch (error) {
    if (error instanceof Undecodable && header.rare) throw unsupported(`a ${header.rare}`, "installation");
    throw error;
  }
}

/**
 * What another decoder must know of a JPEG.
 *
 * @param {Uint8Array} data
 * @param {string} unread
 * @returns {Unread}
 * @throws {Undecodable}
 */
export function unreadJpeg(data, unread) {
  const { width, height, exif, xmp } = jpegSegments(data);
  return { unread, width, height, orientation: orientationOf(exif, xmp) };
}

/**
 * @param {string} what the kind of JPEG, with its article
 * @param {string} where "browser" or "installation"
 * @returns {Unfit}
 */
export function unsupported(what, where) {
  return new Unfit("unsupported", `is ${what} JPEG, which this ${where} cannot read`, "save it as a plain JPEG");
}

/**
 * Refuse a photo of too many pixels.
 *
 * @param {number} width at which it is decoded
 * @param {number} height
 * @throws {Unfit}
 */
export function checkPixels(width, height) {
  if (width * height <= MAX_DECODED_PIXELS) return;
  const limit = `the limit is ${(MAX_DECODED_PIXELS / 1e6).toFixed(0)} megapixels`;
  throw new Unfit("too-large", `${width} x ${height} pixels to decode, ${limit}`, "save it smaller, or as JPEG");
}

/**
 * The smallest scale at which a JPEG is still `draft_margin` times as large as the network input needs.
 *
 * @param {number} width of the JPEG, pixels
 * @param {number} height
 * @param {ImageContract} contract
 * @returns {number} 1, 2, 4 or 8: decode at one part in so many
 */
export function reduction(width, height, contract) {
  const needed = scaleOf(place(width, height, contract)) * contract.draft_margin;
  const possible = Math.min(...[width, height].map((side) => Math.floor(side / Math.ceil(side * needed))));
  return [8, 4, 2].find((scale) => possible >= scale) ?? 1;
}

/**
 * @param {Uint8Array} data
 * @param {ImageContract} contract
 */
function open(data, contract) {
  const segments = jpegSegments(data);
  const scale = reduction(segments.width, segments.height, contract);
  const [width, height] = [segments.width, segments.height].map((side) => Math.ceil(side / scale));
  checkPixels(width, height);
  return { segments, width, height };
}

/**
 * @param {JpegDecoder} decoder
 * @param {Uint8Array[]} parts
 * @param {{width: number, height: number, layers: number}} size
 */
function decode(decoder, parts, size) {
  try {
    return decodeParts(decoder, parts, size);
  } catch (error) {
    if (error instanceof DecoderError && error.message.startsWith("Insufficient memory")) {
      throw new Unfit("too-large", "does not fit in memory", "save it smaller");
    }
    if (error instanceof DecoderError) { // in the words of Pillow, which does not give libjpeg's
      throw new Undecodable("damaged", "damaged (broken data stream when reading image file)");
    }
    throw error;
  }
}

/**
 * CMYK as Adobe writes it, inverted, to RGB, as Pillow converts it; in the same memory.
 *
 * @param {Uint8Array} pixels
 * @returns {Uint8Array}
 */
function fromCmyk(pixels) {
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    const key = pixels[from + 3];
    for (let colour = 0; colour < 3; colour += 1) {
      const product = (255 - pixels[from + colour]) * key + 128;
      pixels[to + colour] = Math.max(0, key - (((product >> 8) + product) >> 8));
    }
  }
  return pixels.subarray(0, (pixels.length / 4) * 3);
}
