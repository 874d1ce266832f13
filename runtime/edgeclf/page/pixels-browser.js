/**
 * Photos that only the browser decodes: PNG, WebP, GIF, HEIC and others. Their pixels are not proved to be Python's.
 *
 * No canvas where it can be helped: some browsers add noise to what is read back from one.
 */

import { mediaType } from "./pixels-format.js";

/** @typedef {import("./pixels-resize.js").Picture} Picture */

const STRIP_ROWS = 256; // of a canvas: a photo is read back in strips, so it is never held twice
// A PNG of one pixel: 200, 100, 50, opacity 128.
const HALF_SEEN =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mM4kWLUAAAFNQHfrDzxywAAAABJRU5ErkJggg==";
// Without a rotation of their own: in HEIC and others it belongs to the format, and a bitmap has it.
const NEVER_TURNED = ["PNG", "WebP", "GIF", "BMP", "JPEG"];

/** @type {Promise<boolean> | undefined} */
let isMultiplied;

/**
 * Decode a photo upright, its first frame, without regard to colour profiles.
 *
 * @param {Uint8Array} data the file
 * @param {string} kind its format, as `fileFormat` gives it; a JPEG, PNG or WebP must be without EXIF
 * @param {(width: number, height: number) => void} check throws for a photo of too many pixels
 * @returns {Promise<Picture | null>} null if this browser cannot decode it
 */
export async function decodeInBrowser(data, kind, check) {
  const type = mediaType(kind);
  const frame = NEVER_TURNED.includes(kind) ? await decodedFrame(data, type) : null;
  if (frame !== null) {
    try {
      check(frame.displayWidth, frame.displayHeight);
      const picture = await fromFrame(frame);
      if (picture !== null) return picture;
    } finally {
      frame.close();
    }
  }
  const bitmap = await decodedBitmap(data, type);
  if (bitmap === null) return null;
  try {
    check(bitmap.width, bitmap.height);
    return fromBitmap(bitmap);
  } finally {
    bitmap.close();
  }
}

/**
 * Lay transparent pixels over white, as Pillow does, and leave out the transparency.
 *
 * @param {Uint8Array | Uint8ClampedArray} rgba
 * @param {Uint8Array | Uint8ClampedArray} rgb where to write to: may be the same memory
 * @param {number} [start] offset in `rgb`
 */
export function overWhite(rgba, rgb, start = 0) {
  for (let from = 0, to = start; from < rgba.length; from += 4, to += 3) {
    const opacity = rgba[from + 3];
    for (let colour = 0; colour < 3; colour += 1) {
      const sum = 255 * (255 - opacity) + rgba[from + colour] * opacity + 128;
      rgb[to + colour] = opacity === 255 ? rgba[from + colour] : ((sum >> 8) + sum) >> 8;
    }
  }
}

/**
 * `overWhite` for colours that are multiplied by their opacity already: the same bytes.
 *
 * @param {Uint8Array} rgba and then, at its start, RGB
 */
export function addWhite(rgba) {
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    const white = 255 - rgba[from + 3];
    for (let colour = 0; colour < 3; colour += 1) rgba[to + colour] = rgba[from + colour] + white;
  }
}

/** Whether this browser's decoder gives colours multiplied by their opacity: Firefox does. */
async function multiplies() {
  const data = Uint8Array.from(atob(HALF_SEEN), (letter) => letter.charCodeAt(0));
  const frame = await decodedFrame(data, "image/png");
  try {
    const rgba = new Uint8Array(4);
    await frame?.copyTo(rgba, { format: "RGBA", colorSpace: "srgb" });
    return rgba[3] === 128 && rgba[0] < 150;
  } finally {
    frame?.close();
  }
}

/**
 * @param {Uint8Array} data
 * @param {string} type
 * @returns {Promise<VideoFrame | null>}
 */
export async function decodedFrame(data, type) {
  if (typeof ImageDecoder === "undefined" || !type) return null;
  /** @type {ImageDecoder | undefined} */
  let decoder;
  try {
    if (!(await ImageDecoder.isTypeSupported(type))) return null;
    const bytes = /** @type {Uint8Array<ArrayBuffer>} */ (data);
    decoder = new ImageDecoder({ data: bytes, type, colorSpaceConversion: "none", preferAnimation: false });
    return (await decoder.decode({ frameIndex: 0, completeFramesOnly: true })).image;
  } catch {
    return null;
  } finally {
    decoder?.close();
  }
}

/**
 * @param {VideoFrame} frame
 * @returns {Promise<Picture | null>} null if the browser does not give its pixels as RGBA
 */
async function fromFrame(frame) {
  const { displayWidth: width, displayHeight: height } = frame;
  try {
    const rgba = new Uint8Array(width * height * 4);
    const [plane] = await frame.copyTo(rgba, { format: "RGBA", colorSpace: "srgb" });
    if (plane.stride !== width * 4 || plane.offset !== 0) return null;
    if (await (isMultiplied ??= multiplies())) addWhite(rgba);
    else overWhite(rgba, rgba);
    return { data: rgba, width, height, start: 0, stepX: 3, stepY: 3 * width };
  } catch {
    return null;
  }
}

/**
 * @param {Uint8Array} data
 * @param {string} type
 * @returns {Promise<ImageBitmap | null>}
 */
async function decodedBitmap(data, type) {
  if (typeof createImageBitmap === "undefined") return null;
  const blob = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (data)], { type });
  try {
    return await createImageBitmap(blob, {
      colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image",
    });
  } catch {
    return null;
  }
}

/**
 * @param {ImageBitmap} bitmap
 * @returns {Picture | null}
 */
function fromBitmap(bitmap) {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, Math.min(height, STRIP_ROWS));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) return null;
  const rgb = new Uint8Array(width * height * 3);
  for (let top = 0; top < height; top += canvas.height) {
    const rows = Math.min(canvas.height, height - top);
    context.clearRect(0, 0, width, canvas.height);
    context.drawImage(bitmap, 0, -top);
    overWhite(context.getImageData(0, 0, width, rows).data, rgb, top * width * 3);
  }
  return { data: rgb, width, height, start: 0, stepX: 3, stepY: 3 * width };
}
