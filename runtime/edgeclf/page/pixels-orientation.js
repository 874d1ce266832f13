/** The eight EXIF orientations, read as Pillow reads them, odd and hostile EXIF too, and pictures turned upright. */

/** @typedef {import("./pixels-resize.js").Picture} Picture */

const ORIENTATION = 0x0112;
/** Bytes of a value by its type; other types are not read. @type {Record<number, number>} */
const BYTES = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8 };
// Byte order and version, also in wrong combinations. Big TIFFs ("II+\0") do not occur in EXIF.
const HEADERS = ["MM\0*", "II*\0", "MM*\0", "II\0*", "MM\0+"];
const XMP_ORIENTATION = /tiff:Orientation(?:="|>)([0-9])/;

/**
 * The orientation that a JPEG states.
 *
 * @param {Uint8Array | null} exif its EXIF, with or without the leading "Exif"; null without EXIF
 * @param {Uint8Array | null} xmp its XMP, which counts if EXIF states no orientation
 * @returns {number} 1 to 8; 1 also for anything that is no orientation
 */
export function orientationOf(exif, xmp) {
  let stated = null;
  if (exif !== null) {
    stated = exifOrientation(withoutName(withoutName(exif)));
    if (stated === undefined) return 1; // unreadable: XMP does not count either
  }
  if (stated === null && xmp !== null) {
    const found = XMP_ORIENTATION.exec(latin(xmp));
    stated = found ? Number(found[1]) : null;
  }
  return stated !== null && stated >= 1 && stated <= 8 ? stated : 1;
}

/**
 * @param {Uint8Array} data a TIFF
 * @returns {number | null | undefined} the value of the tag, 0 if it is no whole number; null without the tag;
 *     undefined if the header is not valid
 */
function exifOrientation(data) {
  if (data.length === 0) return null;
  if (data.length < 8 || !HEADERS.includes(latin(data.subarray(0, 4)))) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const little = data[0] === 0x49;
  const start = view.getUint32(4, little);
  if (start + 2 > data.length) return null;
  const tags = view.getUint16(start, little);
  const seen = new Set();
  let held = 0; // bytes of values outside the directory: all together, no more than the file has
  for (let tag = 0, at = start + 2; tag < tags && at + 12 <= data.length; tag += 1, at += 12) {
    const number = view.getUint16(at, little), kind = view.getUint16(at + 2, little);
    if (seen.has(number) || !(kind in BYTES)) continue;
    const size = view.getUint32(at + 4, little) * BYTES[kind];
    if (size === 0) continue;
    let from = at + 8;
    if (size > 4) {
      held += size;
      if (held > data.length) continue;
      from = view.getUint32(from, little);
      if (from + size > data.length) return null; // Pillow reads no further
    }
    if (number === ORIENTATION) return wholeNumber(view, from, kind, little);
    seen.add(number);
  }
  return null;
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {number} kind the type of a TIFF's value
 * @param {boolean} little
 * @returns {number} 0 if the type has no whole numbers, or the number is too large
 */
function wholeNumber(view, at, kind, little) {
  switch (kind) {
    case 3: return view.getUint16(at, little);
    case 4: case 13: return view.getUint32(at, little);
    case 6: return view.getInt8(at);
    case 8: return view.getInt16(at, little);
    case 9: return view.getInt32(at, little);
    case 16: return Number(view.getBigUint64(at, little));
    default: return 0;
  }
}

/** @param {Uint8Array} data */
function withoutName(data) {
  return latin(data.subarray(0, 6)) === "Exif\0\0" ? data.subarray(6) : data;
}

/**
 * One character for each byte.
 *
 * @param {Uint8Array} data
 */
export function latin(data) {
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return text;
}

/**
 * The same pixels, seen upright. Nothing is copied.
 *
 * @param {Picture} picture
 * @param {number} orientation 1 to 8
 * @returns {Picture}
 */
export function upright(picture, orientation) {
  const { width, height, stepX, stepY } = picture;
  // 2, 3, 7 and 8 begin at the right edge of what is stored or end there; 3, 4, 6 and 7 likewise at the lower edge.
  const right = [2, 3, 7, 8].includes(orientation), lower = [3, 4, 6, 7].includes(orientation);
  const start = picture.start + (right ? (width - 1) * stepX : 0) + (lower ? (height - 1) * stepY : 0);
  const along = right ? -stepX : stepX, down = lower ? -stepY : stepY;
  if (orientation < 5) return { ...picture, start, stepX: along, stepY: down };
  return { ...picture, start, width: height, height: width, stepX: down, stepY: along };
}
