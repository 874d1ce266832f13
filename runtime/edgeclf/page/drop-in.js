/**
 * The engine for pages of others: `edgeclf.js` of a site. Its types are in `edgeclf.d.ts`.
 *
 * The model runs in a worker, so the page that uses it never waits.
 */

import { wasmEngine } from "./engine-wasm.js";
import { factsOf } from "./photo-facts.js";
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
  let isClosed = false;

  /** @param {Blob} photo @param {string} [name] */
  function named(photo, name) {
    if (isClosed) throw new EngineError("closed", "the classifier is closed; open it again");
    if (photo instanceof File && name === undefined) return photo;
    return new File([photo], name ?? "photo", { type: photo.type });
  }

  return {
    model,

    /** @param {Blob} photo @param {ClassifyOptions} [options] */
    classify: async (photo, { name, ...options } = {}) => {
      const record = await engine.predict(named(photo, name), options);
      return record.predictions ? { ...record, ...(await factsOf(photo)) } : record;
    },

    /** @param {Blob} photo @param {{name?: string, signal?: AbortSignal}} [options] */
    explain: async (photo, { name, signal } = {}) => engine.explain(named(photo, name), signal),

    /** @param {PhotoRecord} record that `classify` gave */
    isExact: (record) => engine.isExact(record),

    selfTest: () => engine.selfTest(),

    close() {
      isClosed = true;
      engine.close();
    },
  };
}
