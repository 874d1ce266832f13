/**
 * libjpeg-turbo in WebAssembly: the npm package @cwasm/jpeg-turbo, of which only `tjDecompress2` is used.
 *
 * Its pixels are those of Pillow's libjpeg-turbo at 1/1, 1/2, 1/4 and 1/8. It has no arithmetic coding. Errors leave by
 * `longjmp`, which ends the use of an instance, so every photo has an instance of its own.
 */

import { latin } from "./pixels-orientation.js";

const RGB = 0, CMYK = 11; // TurboJPEG's pixel formats
const NOT_A_JPEG = "Not a JPEG file: starts with 0x68 0x65"; // libjpeg's words for "he"

/**
 * @typedef {object} TurboJpeg
 * @property {WebAssembly.Memory} memory
 * @property {(bytes: number) => number} malloc
 * @property {() => number} tjInitDecompress
 * @property {(decoder: number, data: number, bytes: number, pixels: number, width: number, pitch: number,
 *     height: number, format: number, flags: number) => number} tjDecompress2
 */

/**
 * @typedef {object} JpegDecoder
 * @property {WebAssembly.Module} module
 * @property {number} message where it writes the first warning, or the error, of a photo
 */

/**
 * @typedef {object} DecodedJpeg
 * @property {Uint8Array} pixels row by row, in the memory of an instance that nothing else uses
 * @property {string} warning the decoder's first warning, "" without
 */

/** The decoder cannot read the data. `message` is libjpeg's. */
export class DecoderError extends Error {}

/**
 * Compile the decoder.
 *
 * @param {BufferSource | WebAssembly.Module} wasm `jpeg-turbo.wasm` of the package
 * @returns {Promise<JpegDecoder>}
 * @throws {Error} it is another file
 */
export async function openJpegDecoder(wasm) {
  const module = wasm instanceof WebAssembly.Module ? wasm : await WebAssembly.compile(wasm);
  const turbo = instance(module);
  const data = copied(turbo, [new TextEncoder().encode("hello")]);
  attempt(() => turbo.tjDecompress2(turbo.tjInitDecompress(), data, 5, data, 1, 0, 1, RGB, 0));
  const message = latin(new Uint8Array(turbo.memory.buffer)).indexOf(`${NOT_A_JPEG}\0`);
  if (message < 0) throw new Error("jpeg-turbo.wasm is not the decoder of @cwasm/jpeg-turbo");
  return { module, message };
}

/**
 * @param {JpegDecoder} decoder
 * @param {Uint8Array[]} parts the file, in parts
 * @param {{width: number, height: number, layers: number}} size at which it is decoded, pixels; and its colours
 * @returns {DecodedJpeg} RGB, or CMYK for four colours
 * @throws {DecoderError}
 */
export function decodeParts({ module, message }, parts, { width, height, layers }) {
  const turbo = instance(module);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const data = copied(turbo, parts);
  const bytes = width * height * (layers === 4 ? 4 : 3);
  const pixels = data && turbo.malloc(bytes);
  const handle = pixels && turbo.tjInitDecompress();
  if (!handle) throw new DecoderError("Insufficient memory");
  new Uint8Array(turbo.memory.buffer)[message] = 0; // in place of "No error"
  const format = layers === 4 ? CMYK : RGB;
  const left = attempt(() => turbo.tjDecompress2(handle, data, length, pixels, width, 0, height, format, 0));
  const memory = new Uint8Array(turbo.memory.buffer);
  const text = memory.subarray(message, memory.indexOf(0, message));
  const warning = text.length > 0 && text.length < 200 ? latin(text) : "";
  if (left) throw new DecoderError(warning);
  return { pixels: memory.subarray(pixels, pixels + bytes), warning };
}

/**
 * @param {WebAssembly.Module} module
 * @returns {TurboJpeg}
 */
function instance(module) {
  const none = () => 0;
  const leave = () => {
    throw new Left();
  };
  const { exports } = new WebAssembly.Instance(module, {
    env: { setjmp: none, longjmp: leave },
    wasi_snapshot_preview1: {
      environ_sizes_get: none, environ_get: none, fd_close: none, fd_seek: none, fd_write: none, proc_exit: leave,
    },
  });
  return /** @type {TurboJpeg} */ (/** @type {unknown} */ (exports));
}

/** Code in WebAssembly left by `longjmp`. */
class Left extends Error {}

/**
 * Whether a call of the decoder was left before its end: by `longjmp`, or by a trap on a hostile file.
 *
 * @param {() => number} call
 */
function attempt(call) {
  try {
    call();
  } catch (error) {
    if (error instanceof Left || error instanceof WebAssembly.RuntimeError) return true;
    throw error;
  }
  return false;
}

/**
 * Copy parts of a file into the decoder's memory, one after the other.
 *
 * @param {TurboJpeg} turbo
 * @param {Uint8Array[]} parts
 * @returns {number} where they are; 0 without memory
 */
function copied(turbo, parts) {
  const start = turbo.malloc(parts.reduce((sum, part) => sum + part.length, 0));
  if (!start) return 0;
  const memory = new Uint8Array(turbo.memory.buffer);
  let at = start;
  for (const part of parts) {
    memory.set(part, at);
    at += part.length;
  }
  return start;
}
