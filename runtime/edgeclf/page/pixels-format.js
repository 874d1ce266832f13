/** The format of a photo's file, and limits on its parts, before a decoder reads it: `edgeclf.images.file_format`. */

import { MAX_PARTS, tooManyParts } from "./pixels-jpeg-header.js";
import { latin, orientationOf } from "./pixels-orientation.js";

const MAX_COMPRESSED_PARTS = 256; // compressed texts and profiles: each may expand to a megabyte
const MAX_PIXEL_CHUNKS = 2 ** 17;
const HEIC_BRANDS = new Set(["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs"]);
/** @type {[signature: string, kind: string][]} */
const SIGNATURES = [
  ["\xff\xd8\xff", "JPEG"], ["\x89PNG", "PNG"], ["GIF8", "GIF"],
  ["II*\0", "TIFF"], ["II+\0", "TIFF"], ["MM\0*", "TIFF"], ["MM\0+", "TIFF"],
];
// Fujifilm, Sigma, Minolta, Canon CRW, Olympus, Panasonic.
const RAW = ["FUJIFILMCCD-RAW", "FOVb", "\0MRM", "II\x1a\0\0\0HEAPCCDR", "IIRO", "IIRS", "MMOR", "IIU\0"];
const RAW_SUFFIXES = new Set([
  ..."3fr ari arw cr2 cr3 crw dcr dng erf fff iiq k25 kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl".split(" "),
  ..."sr2 srf srw x3f".split(" "),
]);
/** @type {Record<string, string>} */
const TYPES = {
  JPEG: "image/jpeg", PNG: "image/png", GIF: "image/gif", TIFF: "image/tiff", HEIC: "image/heic", AVIF: "image/avif",
  WebP: "image/webp", BMP: "image/bmp",
};

/**
 * The format of an image file by its first bytes.
 *
 * @param {Uint8Array} data
 * @returns {string} "JPEG", "PNG", "GIF", "TIFF", "HEIC", "AVIF", "Netpbm", "WebP" or "BMP"; "" for anything else
 */
export function fileFormat(data) {
  const start = latin(data.subarray(0, 256));
  if (start.slice(4, 8) === "ftyp") {
    const length = Math.min(numberAt(data, 0, 4), data.length, 256);
    const brands = [];
    for (let at = 8; at < length; at += 4) brands.push(start.slice(at, at + 4));
    if (brands.includes("avif") || brands.includes("avis")) return "AVIF";
    return brands.some((brand) => HEIC_BRANDS.has(brand)) || start.slice(8, 12) === "mif1" ? "HEIC" : "";
  }
  if (/^P[1-6fF]/.test(start)) return "Netpbm";
  if (/^RIFF[^]{4}WEBP/.test(start)) return "WebP";
  if (start.startsWith("BM")) return "BMP";
  return SIGNATURES.find(([signature]) => start.startsWith(signature))?.[1] ?? "";
}

/**
 * The media type of a format, for a browser's decoder; "" if it has none.
 *
 * @param {string} kind
 */
export function mediaType(kind) {
  return TYPES[kind] ?? "";
}

/**
 * Whether a file holds the values of a camera's sensor. Browsers that read TIFF would show its small preview.
 *
 * @param {Uint8Array} data
 * @param {string} [name] of the file; of a TIFF it decides
 */
export function isRaw(data, name = "") {
  const start = latin(data.subarray(0, 16));
  if (RAW.some((signature) => start.startsWith(signature)) || start.slice(4, 12) === "ftypcrx ") return true;
  const suffix = /\.([^./\\]+)$/.exec(name)?.[1].toLowerCase() ?? "";
  return /^(II\*\0|MM\0\*)/.test(start) && (start.slice(8, 10) === "CR" || RAW_SUFFIXES.has(suffix));
}

/**
 * Refuse a file that consists of far too many parts, which no camera writes.
 *
 * @param {string} kind its format
 * @param {Uint8Array} data
 * @throws {import("./photo-fault.js").Unfit}
 */
export function checkParts(kind, data) {
  if (kind === "PNG") checkPng(data);
  if (kind === "GIF") checkGif(data);
}

/**
 * Width and height that a file states, where they stand in a fixed place.
 *
 * @param {string} kind its format
 * @param {Uint8Array} data
 * @returns {[width: number, height: number] | null} null if they are not known
 */
export function statedSize(kind, data) {
  if (kind === "PNG" && data.length >= 24) return [numberAt(data, 16, 4), numberAt(data, 20, 4)];
  if (kind === "GIF" && data.length >= 10) return [littleAt(data, 6, 2), littleAt(data, 8, 2)];
  if (kind === "BMP" && data.length >= 26 && littleAt(data, 14, 4) >= 40) {
    return [Math.abs(littleAt(data, 18, 4) | 0), Math.abs(littleAt(data, 22, 4) | 0)];
  }
  if (kind === "WebP" && data.length >= 30) return webpSize(data);
  return null;
}

/**
 * A PNG or WebP without the EXIF that the browser may or may not obey, and the orientation that it states.
 *
 * @param {string} kind its format
 * @param {Uint8Array} data
 * @returns {{data: Uint8Array, orientation: number}}
 */
export function withoutExifChunks(kind, data) {
  if (kind !== "PNG" && kind !== "WebP") return { data, orientation: 1 };
  const parts = [...chunks(kind, data)];
  const exif = parts.filter(({ name }) => name === (kind === "PNG" ? "eXIf" : "EXIF"));
  const xmp = kind === "WebP" ? parts.find(({ name }) => name === "XMP ")?.content : undefined;
  const stated = kind === "PNG" ? exif.at(-1) : exif[0];
  const orientation = orientationOf(stated?.content ?? null, xmp ?? null);
  const changed = data.slice();
  let length = data.length;
  for (const { start, end } of exif.reverse()) {
    changed.copyWithin(start, end, length);
    length -= end - start;
  }
  if (exif.length && kind === "WebP") {
    new DataView(changed.buffer).setUint32(4, length - 8, true);
    if (latin(changed.subarray(12, 16)) === "VP8X") changed[20] &= ~0x08; // it does not announce EXIF any more
  }
  return { data: changed.subarray(0, length), orientation };
}

/**
 * The chunks of a PNG or a WebP, up to far too many; a PNG's up to its end mark.
 *
 * @param {"PNG" | "WebP"} kind
 * @param {Uint8Array} data
 * @returns {Generator<{name: string, start: number, end: number, content: Uint8Array}>}
 */
export function* chunks(kind, data) {
  let start = kind === "PNG" ? 8 : 12;
  for (let number = 0; start + 8 <= data.length && number < 2 * MAX_PIXEL_CHUNKS; number += 1) {
    const name = latin(kind === "PNG" ? data.subarray(start + 4, start + 8) : data.subarray(start, start + 4));
    if (name === "IEND") return; // bytes after it do not belong to the photo
    const length = kind === "PNG" ? numberAt(data, start, 4) : littleAt(data, start + 4, 4);
    const end = Math.min(start + (kind === "PNG" ? 12 + length : 8 + length + (length % 2)), data.length);
    yield { name, start, end, content: data.subarray(start + 8, start + 8 + length) };
    start = end;
  }
}

/** @param {Uint8Array} data @returns {[number, number] | null} */
function webpSize(data) {
  const chunk = latin(data.subarray(12, 16));
  if (chunk === "VP8X") return [littleAt(data, 24, 3) + 1, littleAt(data, 27, 3) + 1];
  if (chunk === "VP8 ") return [littleAt(data, 26, 2) & 0x3fff, littleAt(data, 28, 2) & 0x3fff];
  if (chunk !== "VP8L") return null;
  const bits = littleAt(data, 21, 4);
  return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
}

/** @param {Uint8Array} data */
function checkPng(data) {
  let pixels = 0, packed = 0, others = 0;
  for (const { name } of chunks("PNG", data)) {
    if (["IDAT", "fdAT", "fcTL"].includes(name)) {
      pixels += 1;
    } else {
      others += 1;
      packed += ["iCCP", "zTXt", "iTXt"].includes(name) ? 1 : 0;
    }
    if (others > MAX_PARTS || packed > MAX_COMPRESSED_PARTS || pixels > MAX_PIXEL_CHUNKS) throw tooManyParts();
  }
}

/**
 * Check the blocks before the first image.
 *
 * @param {Uint8Array} data
 */
function checkGif(data) {
  let at = 13 + (data[10] & 0x80 ? 3 << ((data[10] & 7) + 1) : 0);
  let inside = false; // in an extension, which consists of blocks up to an empty one
  for (let block = 0; block < 16 * MAX_PARTS; block += 1) {
    const head = data[at];
    if (head === undefined || (!inside && (head === 0x2c || head === 0x3b))) return;
    if (inside) {
      at += 1 + head;
      inside = head > 0;
    } else {
      inside = head === 0x21;
      at += inside ? 2 : 1;
    }
  }
  throw tooManyParts();
}

/**
 * @param {Uint8Array} data
 * @param {number} at
 * @param {number} bytes most significant first
 */
function numberAt(data, at, bytes) {
  return [...data.subarray(at, at + bytes)].reduce((sum, byte) => sum * 256 + byte, 0);
}

/**
 * @param {Uint8Array} data
 * @param {number} at
 * @param {number} bytes least significant first
 */
export function littleAt(data, at, bytes) {
  return [...data.subarray(at, at + bytes)].reverse().reduce((sum, byte) => sum * 256 + byte, 0);
}
