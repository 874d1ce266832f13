/**
 * Detects JPEGs with a missing part, which decoders fill with grey: `edgeclf.images.jpeg_complete`.
 *
 * Python watches what the decoder asks for. Here the decoder gets all data at once, up to the end, and an end marker.
 * Without a warning, it has needed all of it and no more. If its first warning is not that it met the end marker too
 * early, the answer is found by decoding again with other bytes after the end: if they change the image, data was
 * missing. Python accepts some JPEGs that lack their last bytes, up to six; here these are damaged.
 */

import { nextMarkerInScan } from "./pixels-jpeg-header.js";
import { Undecodable } from "./pixels-jpeg-segments.js";
import { Unfit } from "./photo-fault.js";

/** @typedef {import("./pixels-jpeg-header.js").JpegHeader} JpegHeader */
/** @typedef {import("./pixels-jpeg-wasm.js").DecodedJpeg} DecodedJpeg */
/** @typedef {(parts: Uint8Array[]) => DecodedJpeg} Decode */
/** What the decoder made of one scan: null if data is missing; and whether it left the last bytes unread. */
/** @typedef {{image: DecodedJpeg | null, left: boolean}} Fed */

const EOI = Uint8Array.of(0xff, 0xd9);
const TAIL_BYTES = 4096; // before the end; a decoder must have read them
const READ_BYTES = 65536; // that Pillow reads at once
const UNWRITTEN_BYTES = 16; // so many zeros at the end count as never written
const BLOCK_BYTES = 4096; // of a disk
const ZEROS = 256; // a run to search for; shorter than a disk block
// Bytes without a pattern, with restart markers between them: a decoder ignores them after the end of the last scan.
const NO_PATTERN = Uint8Array.from({ length: 512 }, (_, i) => (37 * i * i + 91 * i + 5) % 251);
const [RANDOM_DATA, OTHER_RANDOM_DATA] = [0, 4].map((first) => Uint8Array.from(
  Array.from({ length: 17 }, (_, number) => [...NO_PATTERN, 0xff, 0xd0 + ((first + number) % 8)]).flat(),
));
const MISSING = "premature end of data segment"; // libjpeg's warning

/**
 * Decode a JPEG, and check that nothing is missing.
 *
 * @param {Uint8Array} data the file
 * @param {JpegHeader} header Huffman-coded
 * @param {Decode} decode
 * @returns {DecodedJpeg}
 * @throws {Unfit} a part of the image is missing; `decode` may throw other errors
 */
export function decodeComplete(data, header, decode) {
  if (header.multipleScans) return decodeScans(data, header, decode);
  const { scan } = header;
  let end = likelyEnd(data, header);
  const marker = nextMarkerInScan(data, scan, end);
  const last = lastBytes(data, scan, end);
  if (marker >= 0 && marker + 2 <= last) { // decoders stop there
    // They look at what follows it, as far as Pillow has read, and may find that it makes no sense: an error.
    const read = Math.min(last, Math.ceil((marker + 2) / READ_BYTES) * READ_BYTES);
    if (data[marker + 1] !== EOI[1]) decode([data.subarray(0, read)]);
    end = marker;
  }
  const fed = decodeOneScan(data, scan, end, decode);
  if (fed.left) throw incomplete();
  if (fed.image === null || hasUnwrittenBlocks(data, scan, end)) throw incomplete();
  return fed.image;
}

/**
 * Offset of the end of the only scan's data: usually the end of the file, else the next marker.
 *
 * @param {Uint8Array} data
 * @param {JpegHeader} header
 */
function likelyEnd(data, { scan, hasMoreImages }) {
  const last = without(data, 0, data.length);
  if (data[last - 2] === 0xff && data[last - 1] === 0xd9 && last - 2 >= scan && !hasMoreImages) return last - 2;
  const found = nextMarkerInScan(data, scan);
  return found < 0 ? data.length : found;
}

/**
 * `feed`, also for data that ends in bytes that were never written.
 *
 * @param {Uint8Array} data
 * @param {number} scan
 * @param {number} end
 * @param {Decode} decode
 * @returns {Fed}
 */
function decodeOneScan(data, scan, end, decode) {
  for (const stop of possibleEnds(data, end)) {
    const fed = feed(data, scan, stop, decode);
    if (fed.image === null) continue;
    // Zeros may also be data (plain colour takes few bits): then the decoder must need all of them.
    const unwritten = stop === end && endsInZeros(data, end);
    if (!unwritten || feed(data, scan, end - 2, decode).image === null) return fed;
  }
  return { image: null, left: false };
}

/**
 * Decode the data before `end`.
 *
 * @param {Uint8Array} data
 * @param {number} scan
 * @param {number} end
 * @param {Decode} decode
 * @returns {Fed}
 */
function feed(data, scan, end, decode) {
  const last = lastBytes(data, scan, end);
  const marker = nextMarkerInScan(data, scan, end);
  const core = data.subarray(0, end);
  const image = decode([core, EOI]);
  if (image.warning === "" && marker < 0) return { image, left: false };
  // Without restart markers, a decoder fills what is missing after a marker, and the warning tells what is missing.
  const plain = !hasRestarts(data, scan);
  if (plain && marker >= 0) return { image, left: false };
  if (plain && image.warning.includes(MISSING)) return { image: null, left: false };
  // A decoder that waits for a certain restart marker passes over some of the others: one of two series suits it.
  if ([RANDOM_DATA, OTHER_RANDOM_DATA].some((tail) => !same(image, decode([core, tail, EOI])))) {
    return { image: null, left: false };
  }
  return { image, left: last === end - TAIL_BYTES && same(image, decode([data.subarray(0, last), EOI])) };
}

/**
 * Where the last bytes begin that a decoder must have read.
 *
 * @param {Uint8Array} data
 * @param {number} scan
 * @param {number} end
 */
function lastBytes(data, scan, end) {
  const segmentEnd = scan + (data[scan] ?? 0) * 256 + (data[scan + 1] ?? 0);
  return Math.max(Math.min(segmentEnd, end), end - TAIL_BYTES);
}

/**
 * Whether restart markers are announced before the scan; perhaps in a small picture inside EXIF, which does no harm.
 *
 * @param {Uint8Array} data
 * @param {number} scan
 */
function hasRestarts(data, scan) {
  for (let at = data.indexOf(0xff); at >= 0 && at < scan; at = data.indexOf(0xff, at + 1)) {
    if (data[at + 1] === 0xdd) return true;
  }
  return false;
}

/**
 * Offsets at which the data may end: before bytes that were never written, and `end`.
 *
 * @param {Uint8Array} data
 * @param {number} end
 */
function possibleEnds(data, end) {
  const stop = without(data, 0xff, end); // valid data never ends in this byte
  return endsInZeros(data, stop) ? [Math.min(stop, without(data, 0, stop) + 2), stop] : [stop];
}

/**
 * Whether whole disk blocks within the data are zero: they were never written.
 *
 * @param {Uint8Array} data
 * @param {number} scan
 * @param {number} end
 */
function hasUnwrittenBlocks(data, scan, end) {
  let from = scan;
  for (let at = from + ZEROS - 1; at < end; at += ZEROS) { // a run of so many zeros holds one of these
    if (data[at] !== 0) continue;
    let start = at, stop = at + 1;
    while (start > from && data[start - 1] === 0) start -= 1;
    while (stop < end && data[stop] === 0) stop += 1;
    const whole = stop - start >= BLOCK_BYTES && stop < end;
    if (whole && beforeBlock(start) <= 2 && beforeBlock(stop) <= 2) return true;
    from = stop;
    at = stop - 1;
  }
  return false;
}

/**
 * Decode a JPEG with several scans, which decoders finish only at an end marker.
 *
 * @param {Uint8Array} data
 * @param {JpegHeader} header
 * @param {Decode} decode
 */
function decodeScans(data, header, decode) {
  if (!header.complete) throw incomplete();
  if (header.end !== null) {
    if (hasUnwrittenBlocks(data, header.scan, header.end)) throw incomplete();
    return decode([data.subarray(0, header.end), EOI]);
  }
  for (const end of possibleEnds(data, data.length)) {
    const core = data.subarray(0, end);
    try {
      const one = decode([core, EOI]);
      if (same(one, decode([core, RANDOM_DATA, EOI]))) return one;
    } catch (error) {
      if (!(error instanceof Undecodable && error.kind === "damaged")) throw error;
    }
  }
  throw incomplete();
}

/**
 * @param {DecodedJpeg} one
 * @param {DecodedJpeg} other
 */
function same({ pixels: one }, { pixels: other }) {
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false;
  return true;
}

/**
 * The end of the data before `end` without trailing bytes of one value.
 *
 * @param {Uint8Array} data
 * @param {number} value
 * @param {number} end
 */
function without(data, value, end) {
  let last = end;
  while (last > 0 && data[last - 1] === value) last -= 1;
  return last;
}

/**
 * @param {Uint8Array} data
 * @param {number} end
 */
function endsInZeros(data, end) {
  return end >= UNWRITTEN_BYTES && data.subarray(end - UNWRITTEN_BYTES, end).every((byte) => byte === 0);
}

/**
 * Bytes from an offset to the next border of disk blocks.
 *
 * @param {number} offset
 */
function beforeBlock(offset) {
  return (BLOCK_BYTES - (offset % BLOCK_BYTES)) % BLOCK_BYTES;
}

function incomplete() {
  return new Unfit("damaged", "damaged (a part of the image is missing)");
}
