/**
 * Finding the EXIF of a photo in the bytes of its file: the same bytes as `edgeclf.images.exif_block` finds.
 *
 * EXIF is a small TIFF inside the file: in a segment of a JPEG, a chunk of a PNG or WebP, an item of a HEIC or AVIF; a
 * TIFF holds it in itself. Every search has a limit on its steps.
 */

const MAX_PARTS = 4096; // segments, chunks, boxes or items
const JPEG_SEARCHED_BYTES = 2 ** 18; // EXIF stands among the first segments
export const JPEG_HEAD_BYTES = JPEG_SEARCHED_BYTES + 2 ** 16; // and has at most 64 KiB

/**
 * @param {Uint8Array} data the file; of a JPEG its first bytes
 * @returns {Uint8Array} the TIFF structure, with its first bytes "II" or "MM"; empty if there is none
 */
export function exifBlock(data) {
  const none = data.subarray(0, 0);
  try {
    const block = find(data) ?? none;
    return ["II*\0", "MM\0*"].includes(letters(block, 0, 4)) ? block : none;
  } catch {
    return none; // cut off in the middle of a part
  }
}

/** @param {Uint8Array} data @returns {boolean} */
export function isJpeg(data) {
  return data[0] === 0xff && data[1] === 0xd8 && data[2] === 0xff;
}

/** @param {Uint8Array} data @returns {Uint8Array | null} */
function find(data) {
  if (isJpeg(data)) return inJpeg(data);
  if (letters(data, 0, 4) === "\x89PNG") return inPng(data);
  if (letters(data, 0, 4) === "RIFF" && letters(data, 8, 4) === "WEBP") return inWebp(data);
  if (letters(data, 4, 4) === "ftyp") return inHeif(data);
  return data; // a TIFF, or nothing that is known
}

/** @param {Uint8Array} data */
function inJpeg(data) {
  const end = Math.min(data.length, JPEG_SEARCHED_BYTES);
  for (let at = 2; at + 4 <= end && data[at] === 0xff && data[at + 1] !== 0xda && data[at + 1] !== 0xd9; ) {
    if (data[at + 1] === 0xff) {
      at += 1; // any number of these may stand before a marker (T.81, B.1.1.2)
      continue;
    }
    const length = data[at + 2] * 256 + data[at + 3];
    if (data[at + 1] === 0xe1 && letters(data, at + 4, 6) === "Exif\0\0") {
      return data.subarray(at + 10, Math.max(at + 10, at + 2 + length));
    }
    at += 2 + length;
  }
  return null;
}

/** @param {Uint8Array} data */
function inPng(data) {
  const view = viewOf(data);
  for (let at = 8, part = 0; part < MAX_PARTS; part++) {
    const length = view.getUint32(at), kind = letters(data, at + 4, 4);
    if (kind === "eXIf") return data.subarray(at + 8, at + 8 + length);
    if (kind === "IEND") break;
    at += 12 + length;
  }
  return null;
}

/** @param {Uint8Array} data */
function inWebp(data) {
  const view = viewOf(data);
  for (let at = 12, part = 0; part < MAX_PARTS; part++) {
    const kind = letters(data, at, 4), length = view.getUint32(at + 4, true);
    if (kind === "EXIF") {
      const content = data.subarray(at + 8, at + 8 + length);
      return letters(content, 0, 6) === "Exif\0\0" ? content.subarray(6) : content;
    }
    at += 8 + length + (length % 2);
  }
  return null;
}

/** The item of type `Exif` (ISO/IEC 23008-12, annex A). @param {Uint8Array} data */
function inHeif(data) {
  const view = viewOf(data);
  const meta = boxes(data, view, 0, data.length).get("meta");
  if (!meta) return null;
  const parts = boxes(data, view, meta[0] + 4, meta[1]);
  const items = parts.get("iinf"), places = parts.get("iloc");
  const item = items ? exifItem(data, view, items) : null;
  if (item === null || !places) return null;
  const [start, length] = locationOf(data, places[0], item);
  const skipped = view.getUint32(start); // bytes between this number and the TIFF structure
  return data.subarray(start + 4 + skipped, Math.max(start + 4 + skipped, start + length));
}

/**
 * The boxes between two positions: type -> start and end of the content of the first box of this type.
 *
 * @param {Uint8Array} data
 * @param {DataView} view
 * @param {number} at
 * @param {number} end
 */
function boxes(data, view, at, end) {
  /** @type {Map<string, [number, number]>} */
  const found = new Map();
  for (let part = 0; part < MAX_PARTS && at + 8 <= end; part++) {
    const short = view.getUint32(at), kind = letters(data, at + 4, 4);
    const head = short === 1 ? 16 : 8;
    const length = short === 1 ? Number(view.getBigUint64(at + 8)) : short;
    const stop = length === 0 ? end : at + length;
    if (length && length < head) break;
    if (!found.has(kind)) found.set(kind, [at + head, Math.min(stop, end)]);
    at = stop;
  }
  return found;
}

/** @param {Uint8Array} data @param {DataView} view @param {[number, number]} box @returns {number | null} */
function exifItem(data, view, [start, end]) {
  const wide = view.getUint8(start) > 0;
  const count = wide ? view.getUint32(start + 4) : view.getUint16(start + 4);
  for (let at = start + (wide ? 8 : 6), item = 0; item < Math.min(count, MAX_PARTS) && at + 12 <= end; item++) {
    const length = view.getUint32(at), version = view.getUint8(at + 8);
    const number = version > 2 ? view.getUint32(at + 12) : view.getUint16(at + 12);
    const kind = at + 12 + (version > 2 ? 6 : 4);
    view.getUint32(kind); // an error where the data end
    if (version >= 2 && letters(data, kind, 4) === "Exif") return number;
    at += Math.max(length, 12);
  }
  return null;
}

/**
 * Start and length of an item, bytes; 0 and 0 if it is elsewhere than in the file itself.
 *
 * @param {Uint8Array} data
 * @param {number} at
 * @param {number} wanted
 * @returns {[number, number]}
 */
function locationOf(data, at, wanted) {
  const version = data[at], sizes = data[at + 4] * 256 + data[at + 5];
  const offsetSize = sizes >> 12, lengthSize = (sizes >> 8) & 15, baseSize = (sizes >> 4) & 15;
  const indexSize = version ? sizes & 15 : 0, wide = version > 1 ? 4 : 2;
  at += 6;
  const number = (/** @type {number} */ size) => {
    at += size;
    return data.subarray(at - size, at).reduce((sum, one) => sum * 256 + one, 0);
  };
  for (let left = Math.min(number(wide), MAX_PARTS); left > 0; left--) {
    const item = number(wide), method = version ? number(2) & 15 : 0;
    const reference = number(2), base = number(baseSize);
    const extents = Math.min(number(2), MAX_PARTS);
    for (let extent = 0; extent < extents; extent++) {
      number(indexSize);
      const start = base + number(offsetSize), length = number(lengthSize);
      if (item === wanted && extent === 0) return method === 0 && reference === 0 ? [start, length] : [0, 0];
      if (at > data.length) return [0, 0];
    }
  }
  return [0, 0];
}

/** @param {Uint8Array} data */
function viewOf(data) {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

/** @param {Uint8Array} data @param {number} at @param {number} count */
function letters(data, at, count) {
  return String.fromCharCode(...data.subarray(at, at + count));
}
