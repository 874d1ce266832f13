/** When and where a photo was taken, as its EXIF says. */

const HEAD = 256 * 1024; // bytes of a file that are read: EXIF has at most 64 KB and comes early
const EXIF_DIRECTORY = 0x8769, GPS_DIRECTORY = 0x8825, TAKEN = 0x9003, OFFSET = 0x9011;
const ASCII = 2, LONG = 4, RATIONAL = 5;
const MAX_TAGS = 1000; // of a directory; a damaged one may claim any number
const DIGITS = 1e6; // of degrees: 0.1 m

/**
 * @typedef {object} PhotoFacts
 * @property {string} [taken] ISO 8601, the time of the place; with its offset from UTC if the camera knew it
 * @property {number} [latitude] degrees north
 * @property {number} [longitude] degrees east
 */

/**
 * @param {Blob} file
 * @returns {Promise<PhotoFacts>} empty if the file does not say, or is no JPEG
 */
export async function factsOf(file) {
  try {
    return factsIn(new Uint8Array(await file.slice(0, HEAD).arrayBuffer()));
  } catch {
    return {}; // damaged EXIF: the photo itself may be whole
  }
}

/** @param {Uint8Array} data the beginning of a file @returns {PhotoFacts} */
function factsIn(data) {
  const view = exifOf(data);
  if (!view) return {};
  const little = view.getUint16(0) === 0x4949;
  const first = directory(view, view.getUint32(4, little), little);
  const exif = directory(view, first.get(EXIF_DIRECTORY)?.[0], little);
  const gps = directory(view, first.get(GPS_DIRECTORY)?.[0], little);
  /** @type {PhotoFacts} */
  const facts = {};
  const time = /^(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)/.exec(String(exif.get(TAKEN) ?? ""));
  const offset = /^[+-]\d\d:\d\d/.exec(String(exif.get(OFFSET) ?? ""))?.[0] ?? "";
  if (time && time[1] !== "0000") facts.taken = `${time[1]}-${time[2]}-${time[3]}T${time[4]}${offset}`;
  const latitude = degrees(gps.get(2), gps.get(1), "S", 90), longitude = degrees(gps.get(4), gps.get(3), "W", 180);
  if (latitude === null || longitude === null) return facts;
  return { ...facts, latitude, longitude };
}

/** @param {Uint8Array} data @returns {DataView | null} the TIFF in a JPEG's EXIF */
function exifOf(data) {
  if (data[0] !== 0xff || data[1] !== 0xd8) return null;
  for (let at = 2; at + 4 <= data.length && data[at] === 0xff && data[at + 1] !== 0xda; ) {
    const length = data[at + 2] * 256 + data[at + 3];
    const name = String.fromCharCode(...data.subarray(at + 4, at + 10));
    if (data[at + 1] === 0xe1 && name === "Exif\0\0") {
      return new DataView(data.buffer, data.byteOffset + at + 10, Math.min(length - 8, data.length - at - 10));
    }
    at += 2 + length;
  }
  return null;
}

/**
 * The texts and numbers of a directory, by tag.
 *
 * @param {DataView} view
 * @param {any} start
 * @param {boolean} little
 * @returns {Map<number, any>}
 */
function directory(view, start, little) {
  const found = new Map();
  if (typeof start !== "number") return found;
  const count = Math.min(MAX_TAGS, view.getUint16(start, little));
  for (let at = start + 2; at < start + 2 + count * 12; at += 12) {
    const kind = view.getUint16(at + 2, little), length = view.getUint32(at + 4, little);
    const size = length * (kind === RATIONAL ? 8 : kind === LONG ? 4 : 1);
    const from = size > 4 ? view.getUint32(at + 8, little) : at + 8;
    if (length > 64) continue; // none of the wanted ones
    if (kind === ASCII) found.set(view.getUint16(at, little), text(view, from, length));
    if (kind === LONG) found.set(view.getUint16(at, little), [view.getUint32(from, little)]);
    if (kind === RATIONAL) {
      const parts = Array.from({ length }, (_, index) =>
        view.getUint32(from + index * 8, little) / view.getUint32(from + index * 8 + 4, little));
      found.set(view.getUint16(at, little), parts);
    }
  }
  return found;
}

/** @param {DataView} view @param {number} from @param {number} length */
function text(view, from, length) {
  return Array.from({ length }, (_, index) => String.fromCharCode(view.getUint8(from + index))).join("").split("\0")[0];
}

/**
 * @param {unknown} parts degrees, minutes, seconds
 * @param {unknown} side
 * @param {string} negative
 * @param {number} most
 */
function degrees(parts, side, negative, most) {
  if (!Array.isArray(parts) || parts.length !== 3 || typeof side !== "string" || !side) return null;
  const value = parts[0] + parts[1] / 60 + parts[2] / 3600;
  if (!Number.isFinite(value) || value > most) return null;
  return (Math.round(value * DIGITS) / DIGITS) * (side === negative ? -1 : 1);
}
