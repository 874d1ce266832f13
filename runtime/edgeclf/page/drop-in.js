/**
 * The engine for pages of others: `edgeclf.js` of a site. Its types are in `edgeclf.d.ts`.
 *
 * The model runs in a worker, so the page that uses it never waits.
 */

import { wasmEngine } from "./engine-wasm.js";
import { inFile } from "./records.js";
import { EngineError } from "./types.js";

export { EngineError } from "./types.js";

/** @typedef {import("./types.js").PhotoRecord} PhotoRecord */
/** @typedef {{name?: string, topK?: number, threshold?: number, signal?: AbortSignal}} ClassifyOptions */

/**
 * Open the model of a site.
 *
 * @param {string | URL} [site] address of its folder, relative to the page; by default, the one that has this module
 * @throws {EngineError} the model cannot be loaded
 */
export async function open(site = new URL("../", import.meta.url)) {
  const address = new URL("model.json", new URL(`${site}`.replace(/\/?$/, "/"), document.baseURI)).href;
  const engine = wasmEngine(address);
  const model = await engine.model();
  /** @type {WeakMap<object, PhotoRecord>} records of ours -> those of the engine */
  const asked = new WeakMap();
  let isClosed = false;

  /** @param {Blob} photo @param {string} [name] */
  function named(photo, name) {
    if (isClosed) throw new EngineError("closed", "the classifier is closed; open it again");
    if (photo instanceof File && name === undefined) return photo;
    const lastModified = photo instanceof File ? photo.lastModified : 0;
    return new File([photo], name ?? "photo", { type: photo.type, lastModified });
  }

  return {
    model,

    /** @param {Blob} photo @param {ClassifyOptions} [options] */
    async classify(photo, { name, topK, threshold, signal } = {}) {
      const file = named(photo, name);
      const record = await engine.predict(file, { topK, threshold, signal });
      const whole = inFile(record, file, { ...model, threshold: threshold ?? model.threshold });
      if (!(photo instanceof File)) whole.modified = null; // nothing says when a blob was written
      asked.set(whole, record);
      return whole;
    },

    /** @param {Blob} photo @param {{name?: string, signal?: AbortSignal}} [options] */
    explain: async (photo, { name, signal } = {}) => engine.explain(named(photo, name), signal),

    /** @param {PhotoRecord} record that `classify` gave */
    isExact: (record) => engine.isExact(asked.get(record) ?? record),

    selfTest: () => engine.selfTest(),

    close() {
      isClosed = true;
      engine.close();
    },
  };
}
