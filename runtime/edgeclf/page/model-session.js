/** A model in onnxruntime's WebAssembly, on one thread. Runs in a worker, and in node for tests. */

import { EngineError } from "./types.js";

const SEAL_LENGTH = 84; // bytes at the end of a model file: `edgeclf.model.file`

/**
 * What `edgeclf web` writes about a model: that which the service tells, with the photos of the self-test.
 * @typedef {import("./types.js").ModelInfo & {address: string, sha256: string, bytes: number,
 *     runtime: Record<string, string>, manifest: SiteManifest}} SiteModel
 */

/**
 * @typedef {object} SiteManifest
 * @property {string[]} classes
 * @property {Record<string, string>} [display_names]
 * @property {import("./pixels-placement.js").ImageContract} contract
 * @property {string} architecture
 * @property {string} precision
 * @property {{temperature: number} | null} [calibration]
 * @property {{side: number, tolerance: number, photos: GoldenPhoto[]} | null} [golden]
 */

/** @typedef {{label: string, jpeg: string, pixels: string, logits: string}} GoldenPhoto in Base64 */

/**
 * What the network gives for one photo.
 * @typedef {object} Outputs
 * @property {Float32Array} logits
 * @property {Float32Array} cam heat maps, one after the other
 * @property {number[]} camClass the classes that they explain
 * @property {number} rows of a heat map
 * @property {number} columns
 */

/** @typedef {{run: (pixels: Uint8Array) => Promise<Outputs>}} Session */

/**
 * Open a model.
 *
 * @param {SiteModel} model
 * @param {Uint8Array<ArrayBuffer>} content the bytes of its file
 * @param {Uint8Array<ArrayBuffer>} wasm onnxruntime
 * @param {(name: string) => string} vendor address of a file of the browser runtime
 * @returns {Promise<Session>}
 * @throws {EngineError} the file is damaged, or cannot be opened
 */
export async function openSession(model, content, wasm, vendor) {
  await checkSeal(model, content);
  const ort = await import(vendor("ort.wasm.min.js"));
  ort.env.wasm.numThreads = 1; // more need a host with special headers, and fail on some phones
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.wasmPaths = { mjs: vendor("ort-wasm-simd-threaded.js") };
  ort.env.logLevel = "error";
  let session;
  try {
    session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
  } catch (error) {
    throw new EngineError("model", `onnxruntime cannot load ${model.file} (${error}); reload the page`);
  }
  const side = model.manifest.contract.size;
  return {
    async run(pixels) {
      const image = new ort.Tensor("uint8", pixels, [1, side, side, 3]);
      const { logits, cam, cam_class: camClass } = await session.run({ image });
      const [, , rows, columns] = cam.dims;
      const outputs = { logits: logits.data, cam: cam.data, camClass: Array.from(camClass.data, Number), rows, columns };
      return outputs;
    },
  };
}

/** @param {SiteModel} model @param {Uint8Array<ArrayBuffer>} content */
async function checkSeal(model, content) {
  // Browsers offer hashes on https and localhost only; elsewhere the length must do.
  const digest = globalThis.crypto?.subtle && content.length > SEAL_LENGTH
    ? await crypto.subtle.digest("SHA-256", content.subarray(0, content.length - SEAL_LENGTH)) : null;
  const found = digest && [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (content.length !== model.bytes || (found !== null && found !== model.sha256)) {
    throw new EngineError("model", `${model.file}: is damaged or of another version; reload the page`);
  }
}
