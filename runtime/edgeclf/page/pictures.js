/** Photos as the browser shows them: thumbnails, upright pictures, smaller copies. All are decoded one at a time. */

const THUMBNAIL = 192; // pixels, shorter side: twice what is shown, for sharp screens
const LARGEST_DECODED = 80 * 2 ** 20; // bytes of a file that is decoded for a thumbnail
const SMALLER_QUALITY = 0.92;
export const SMALLER_SIDE = 1600; // pixels, longer side

/** @type {Promise<unknown>} */
let last = Promise.resolve();

/** @typedef {ImageBitmap | HTMLImageElement} Picture */

/**
 * Decode a photo, upright, and hand it to `use`. Its memory is given back when `use` is done.
 *
 * @template Result
 * @param {Blob} file
 * @param {(picture: Picture, width: number, height: number) => Result | Promise<Result>} use
 * @returns {Promise<Result | null>} null if the browser cannot show this kind of photo
 */
export function withPicture(file, use) {
  const turn = last.then(async () => {
    try {
      // A bitmap is freed at once when it is closed; images stay in the browser's cache, 48 MB for each phone photo.
      return await ("createImageBitmap" in window ? withBitmap(file, use) : withImage(file, use));
    } catch {
      return null;
    }
  });
  last = turn;
  return turn;
}

/**
 * @template Result
 * @param {Blob} file
 * @param {(picture: Picture, width: number, height: number) => Result | Promise<Result>} use
 */
async function withBitmap(file, use) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  try {
    return await use(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

/**
 * @template Result
 * @param {Blob} file
 * @param {(picture: Picture, width: number, height: number) => Result | Promise<Result>} use
 */
async function withImage(file, use) {
  const address = URL.createObjectURL(file);
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    return await use(image, image.naturalWidth, image.naturalHeight);
  } finally {
    URL.revokeObjectURL(address);
  }
}

/**
 * A small square picture of a photo.
 *
 * @param {Blob} file
 * @returns {Promise<string | null>} an object URL, to be revoked by the caller; null if the browser cannot show it
 */
export async function thumbnailOf(file) {
  if (file.size > LARGEST_DECODED) return null;
  const small = await withPicture(file, (picture, width, height) => {
    const side = Math.min(width, height);
    const left = (width - side) / 2, top = (height - side) / 2;
    return drawn(picture, [left, top, side, side], Math.min(THUMBNAIL, side), Math.min(THUMBNAIL, side), 0.8);
  });
  return small && URL.createObjectURL(small);
}

/**
 * A copy of a photo with at most `SMALLER_SIDE` pixels on its longer side.
 *
 * @param {File} file
 * @returns {Promise<File>} the file itself if it is small already, or if the browser cannot decode it
 */
export async function smaller(file) {
  const copy = await withPicture(file, (picture, width, height) => {
    const scale = SMALLER_SIDE / Math.max(width, height);
    if (scale >= 1) return null;
    return drawn(picture, [0, 0, width, height], Math.round(width * scale), Math.round(height * scale), SMALLER_QUALITY);
  });
  return copy ? new File([copy], file.name, { type: copy.type, lastModified: file.lastModified }) : file;
}

/**
 * @param {Picture} picture
 * @param {[number, number, number, number]} part left, top, width, height
 * @param {number} width
 * @param {number} height
 * @param {number} quality of the JPEG, 0..1
 * @returns {Promise<Blob | null>}
 */
function drawn(picture, part, width, height, quality) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) return Promise.resolve(null);
  context.fillStyle = "#fff"; // under transparent parts
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, ...part, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}
