/**
 * A photo's file becomes network input, as in Python: `edgeclf.images.preprocess`.
 *
 * JPEGs are decoded in WebAssembly and give the bytes that Python gives (`exact`); so do lossy WebPs in Chromium. PNGs
 * with opacity are decoded here, too. Other formats, and the few JPEGs that this decoder does not read, go
 * through the browser's decoder. Pixels of all but the first two are not proved.
 */

import { Unfit } from "./photo-fault.js";
import { decodeInBrowser } from "./pixels-browser.js";
import { checkParts, fileFormat, isRaw, statedSize, withoutExifChunks } from "./pixels-format.js";
import { checkPixels, decodeJpeg, unreadJpeg, unsupported } from "./pixels-jpeg.js";
import { nextMarker } from "./pixels-jpeg-header.js";
import { upright } from "./pixels-orientation.js";
import { seenBox } from "./pixels-placement.js";
import { decodeTransparentPng } from "./pixels-png.js";
import { fit } from "./pixels-resize.js";
import { decodeLossyWebp } from "./pixels-webp.js";

/** @typedef {import("./pixels-jpeg.js").UprightPhoto} UprightPhoto */
/** @typedef {import("./pixels-jpeg-wasm.js").JpegDecoder} JpegDecoder */
/** @typedef {import("./pixels-placement.js").ImageContract} ImageContract */

const MAX_FILE_BYTES = 256 * 2 ** 20;
const HEIC_REMEDY = "save it as JPEG or PNG, or open this page in Safari; "
  + "iPhones take JPEGs with Settings > Camera > Formats > Most Compatible";
const RARE_IN_BROWSERS = ["TIFF", "HEIC", "AVIF", "Netpbm"];

/**
 * @typedef {object} NetworkInput
 * @property {Uint8Array} pixels RGB, row by row, `contract.size` pixels wide and high
 * @property {boolean} exact they are Python's, bit for bit
 * @property {number} width of the upright photo in full, pixels
 * @property {number} height
 * @property {import("./pixels-placement.js").Box} seen the network input on it, as `/explain` of the service gives it
 */

/**
 * Make the network input of a photo.
 *
 * @param {Uint8Array} data the photo's file
 * @param {ImageContract} contract of the model
 * @param {{name?: string, decoder?: JpegDecoder | null}} [options] the file's name, for messages; and the decoder that
 *     `openJpegDecoder` gave: without it, JPEGs go through the browser, too
 * @returns {Promise<NetworkInput>}
 * @throws {import("./photo-fault.js").PhotoFault} the photo cannot be read
 */
export async function networkInput(data, contract, { name, decoder } = {}) {
  try {
    if (data.length > MAX_FILE_BYTES) {
      throw new Unfit("too-large", `more than ${MAX_FILE_BYTES >> 20} MiB`, "save it smaller");
    }
    if (data.length === 0) throw new Unfit("empty", "the file is empty (0 bytes)");
    const kind = fileFormat(data);
    const { exact, picture, width, height } =
      kind === "JPEG" ? await jpeg(data, contract, decoder) : await other(data, kind, name);
    return { pixels: fit(picture, contract), exact, width, height, seen: seenBox(width, height, contract) };
  } catch (error) {
    if (error instanceof Unfit) throw error.named(name);
    if (error instanceof RangeError) { // an array that does not fit in memory
      throw new Unfit("too-large", "does not fit in memory", "save it smaller").named(name);
    }
    throw error;
  }
}

/**
 * @param {Uint8Array} data
 * @param {ImageContract} contract
 * @param {JpegDecoder | null | undefined} decoder
 * @returns {Promise<UprightPhoto>}
 */
async function jpeg(data, contract, decoder) {
  const photo = decoder ? decodeJpeg(data, contract, decoder) : unreadJpeg(data, "a");
  if (!("unread" in photo)) return photo;
  checkPixels(photo.width, photo.height);
  const stored = await decodeInBrowser(withoutExif(data), "JPEG", checkPixels);
  if (stored === null) throw unsupported(photo.unread, "browser");
  const picture = upright(stored, photo.orientation);
  return { picture, width: picture.width, height: picture.height, exact: false };
}

/**
 * @param {Uint8Array} data
 * @param {string} kind
 * @param {string} [name]
 * @returns {Promise<UprightPhoto>}
 */
async function other(data, kind, name) {
  if (isRaw(data, name)) {
    const remedy = "export it as JPEG, or give the JPEG that the camera saved beside it";
    throw new Unfit("unsupported", "is a camera raw file, which edgeclf cannot read", remedy);
  }
  checkParts(kind, data);
  const stated = statedSize(kind, data);
  if (stated !== null) checkPixels(...stated);
  const plain = withoutExifChunks(kind, data);
  const lossy = kind === "WebP" ? await decodeLossyWebp(data, plain.data) : null;
  const own = kind === "PNG" ? await decodeTransparentPng(plain.data) : lossy?.picture;
  const stored = own ?? await decodeInBrowser(plain.data, kind, checkPixels);
  if (stored !== null) {
    const picture = upright(stored, plain.orientation);
    return { picture, width: picture.width, height: picture.height, exact: lossy?.exact ?? false };
  }
  if (RARE_IN_BROWSERS.includes(kind)) {
    const remedy = kind === "HEIC" ? HEIC_REMEDY : "save it as JPEG or PNG";
    throw new Unfit("unsupported", `is ${kind}, which this browser cannot read`, remedy);
  }
  if (kind === "") throw new Unfit("not-an-image", "not an image that edgeclf reads", "save it as JPEG or PNG");
  throw new Unfit("damaged", "damaged (this browser cannot decode it)");
}

/**
 * A JPEG whose orientation the browser does not know: of EXIF and XMP, only the markers' codes are changed.
 *
 * @param {Uint8Array} data
 */
function withoutExif(data) {
  const changed = data.slice();
  for (let at = nextMarker(data, 2); at >= 0 && data[at + 1] !== 0xda; ) {
    if (data[at + 1] === 0xe1) changed[at + 1] = 0xef;
    at = nextMarker(data, at + 2 + Math.max(2, (data[at + 2] ?? 0) * 256 + (data[at + 3] ?? 0)));
  }
  return changed;
}
