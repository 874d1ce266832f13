/** When, where and with which camera a photo was taken, as its EXIF says: what `edgeclf.images.photo_facts` reads. */

import { exifBlock, isJpeg, JPEG_HEAD_BYTES } from "./photo-exif.js";

const MAKE = 0x010f, MODEL = 0x0110, EXIF_DIRECTORY = 0x8769, GPS_DIRECTORY = 0x8825;
const TAKEN = 0x9003, OFFSET = 0x9011, FRACTION = 0x9291, SERIAL = 0xa431;
const LATITUDE_REF = 1, LATITUDE = 2, LONGITUDE_REF = 3, LONGITUDE = 4;
const ASCII = 2, LONG = 4, RATIONAL = 5, DIRECTORY = 13; // types of values
/** @type {Record<number, number>} */
const SIZES = { [ASCII]: 1, [LONG]: 4, [RATIONAL]: 8, [DIRECTORY]: 4 };
const WANTED = new Set([
  MAKE, MODEL, EXIF_DIRECTORY, GPS_DIRECTORY, TAKEN, OFFSET, FRACTION, SERIAL,
  LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE,
]);
const MAX_TAGS = 1000; // of a directory; a damaged one may claim any number
const MAX_VALUE_BYTES = 256;
const MICRODEGREES = 1e6; // degrees are rounded to 6 digits: 0.1 m
const MONTH_DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const SPACES = /[\x00-\x20\x7f-\xa0]+/g;

/**
 * @typedef {object} PhotoFacts
 * @property {string} [taken] ISO 8601, by the camera's clock; with its offset from UTC if the camera knew it
 * @property {number} [latitude] degrees north
 * @property {number} [longitude] degrees east
 * @property {string} [camera] maker, model, and the serial number in brackets
 */

/** @typedef {Map<number, any>} Tags text, the offset of another directory, or fractions, by tag */

/**
 * @param {Blob} file
 * @returns {Promise<PhotoFacts>} what the file does not say, or cannot be true, is missing
 */
export async function factsOf(file) {
  try {
    const head = new Uint8Array(await file.slice(0, JPEG_HEAD_BYTES).arrayBuffer());
    const all = isJpeg(head) || head.length < JPEG_HEAD_BYTES ? head : new Uint8Array(await file.arrayBuffer());
    return factsIn(all);
  } catch {
    return {}; // damaged EXIF: the photo itself may be whole
  }
}

/** @param {Uint8Array} data a file, or the beginning of a JPEG @returns {PhotoFacts} */
export function factsIn(data) {
  const block = exifBlock(data);
  if (block.length < 8) return {};
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const little = block[0] === 0x49;
  const first = directory(view, view.getUint32(4, little), little);
  const exif = directory(view, first.get(EXIF_DIRECTORY), little);
  const gps = directory(view, first.get(GPS_DIRECTORY), little);
  /** @type {PhotoFacts} */
  const facts = {};
  const taken = timeIn(exif);
  if (taken) facts.taken = taken;
  const latitude = degrees(gps.get(LATITUDE), gps.get(LATITUDE_REF), "NS", 90);
  const longitude = degrees(gps.get(LONGITUDE), gps.get(LONGITUDE_REF), "EW", 180);
  if (latitude !== null && longitude !== null && (latitude || longitude)) Object.assign(facts, { latitude, longitude });
  const camera = cameraIn(first, exif);
  if (camera) facts.camera = camera;
  return facts;
}

/**
 * The wanted values of a directory.
 *
 * @param {DataView} view
 * @param {unknown} start
 * @param {boolean} little
 * @returns {Tags}
 */
function directory(view, start, little) {
  /** @type {Tags} */
  const found = new Map();
  if (typeof start !== "number" || start + 2 > view.byteLength) return found;
  const count = Math.min(MAX_TAGS, view.getUint16(start, little), Math.floor((view.byteLength - start - 2) / 12));
  for (let at = start + 2; at < start + 2 + count * 12; at += 12) {
    const tag = view.getUint16(at, little), kind = view.getUint16(at + 2, little);
    const length = view.getUint32(at + 4, little);
    if (!WANTED.has(tag) || !length) continue;
    const size = length * (SIZES[kind] ?? MAX_VALUE_BYTES + 1);
    const from = size > 4 ? view.getUint32(at + 8, little) : at + 8;
    if (size > MAX_VALUE_BYTES || from + size > view.byteLength) continue;
    if (kind === ASCII) found.set(tag, text(new Uint8Array(view.buffer, view.byteOffset + from, size)));
    else if (kind === RATIONAL) found.set(tag, fractions(view, from, length, little));
    else found.set(tag, view.getUint32(from, little));
  }
  return found;
}

/** @param {DataView} view @param {number} from @param {number} length @param {boolean} little */
function fractions(view, from, length, little) {
  return Array.from({ length }, (_, index) => {
    const below = view.getUint32(from + index * 8 + 4, little);
    return below ? view.getUint32(from + index * 8, little) / below : NaN;
  });
}

/** Text up to a NUL, with single spaces: ASCII by the standard; cameras write UTF-8 and Latin-1 as well. @param {Uint8Array} raw */
function text(raw) {
  const end = raw.indexOf(0);
  const bytes = end < 0 ? raw : raw.subarray(0, end);
  let found;
  try {
    found = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    found = String.fromCharCode(...bytes);
  }
  return found.replace(SPACES, " ").replace(/^ | $/g, "");
}

/** @param {Tags} exif */
function timeIn(exif) {
  const found = /^([1-9]\d{3})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)/.exec(words(exif, TAKEN));
  if (!found) return null;
  const [year, month, day, hour, minute, second] = found.slice(1).map(Number);
  if (!(month >= 1 && month <= 12 && day >= 1 && day <= MONTH_DAYS[month - 1])) return null;
  if (hour > 23 || minute > 59 || second > 59) return null;
  if (month === 2 && day === 29 && (year % 4 !== 0 || (year % 100 === 0 && year % 400 !== 0))) return null;
  const digits = /^\d+/.exec(words(exif, FRACTION))?.[0];
  const fraction = digits ? `.${digits.slice(0, 3).padEnd(3, "0")}` : "";
  const offset = /^[+-](0\d|1[0-4]):[0-5]\d/.exec(words(exif, OFFSET))?.[0] ?? "";
  return `${found.slice(1, 4).join("-")}T${found.slice(4, 7).join(":")}${fraction}${offset}`;
}

/** Maker, model and serial number. Many cameras repeat the maker in the model. @param {Tags} first @param {Tags} exif */
function cameraIn(first, exif) {
  const make = words(first, MAKE), model = words(first, MODEL), serial = words(exif, SERIAL);
  const repeated = make && model.toLowerCase().startsWith(make.split(" ")[0].toLowerCase());
  const name = repeated ? model : `${make} ${model}`.replace(/^ | $/g, "");
  return name && serial ? `${name} (${serial})` : name;
}

/** @param {Tags} tags @param {number} tag */
function words(tags, tag) {
  const found = tags.get(tag);
  return typeof found === "string" ? found : "";
}

/**
 * @param {unknown} parts degrees, minutes, seconds
 * @param {unknown} side
 * @param {string} sides the positive and the negative one
 * @param {number} most
 */
function degrees(parts, side, sides, most) {
  if (!Array.isArray(parts) || parts.length > 3) return null;
  if (typeof side !== "string" || side.length !== 1 || !sides.includes(side)) return null;
  const [whole, minutes = 0, seconds = 0] = parts;
  const value = whole + minutes / 60 + seconds / 3600;
  if (!(value <= most && minutes <= 60 && seconds <= 60)) return null; // also NaN
  const rounded = Math.floor(value * MICRODEGREES + 0.5) / MICRODEGREES;
  return side === sides[1] && rounded ? -rounded : rounded;
}
