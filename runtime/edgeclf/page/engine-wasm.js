/** The engine that runs the model on this device, in a worker. The answers are those of `edgeclf predict --json`. */

import { EngineError } from "./types.js";

/** @typedef {import("./model-session.js").SiteModel} SiteModel */
/** @typedef {import("./self-test.js").SelfTestResult} SelfTestResult */
/** @typedef {import("./types.js").PhotoRecord} PhotoRecord */
/** @typedef {import("./types.js").Engine & {selfTest: () => Promise<SelfTestResult>, close: () => void,
 *     isExact: (record: PhotoRecord) => boolean}} DeviceEngine `isExact`: the network saw the very pixels that Python gives it */

const SLOWEST = 180; // seconds for one answer, other photos before it not counted

/**
 * @typedef {object} Asked
 * @property {(value: any) => void} resolve
 * @property {(error: EngineError) => void} reject
 */

/**
 * @param {string} description address of the file `model.json`
 * @param {object} [options]
 * @param {() => Promise<unknown>} [options.before] waited for before the model is loaded
 * @param {import("./packed-site.js").Files} [options.files] of a site that is one page
 * @param {(script?: Blob) => Worker} [options.createWorker] `script`: not a module, in place of `worker.js`
 * @param {number} [options.slowest] seconds
 * @returns {DeviceEngine}
 */
export function wasmEngine(description, options = {}) {
  const { before = async () => {}, files = async () => ({}), createWorker = newWorker, slowest = SLOWEST } = options;
  /** @type {Map<number, Asked>} */
  const asked = new Map();
  /** @type {WeakMap<object, boolean>} records and whether their pixels are proved */
  const exact = new WeakMap();
  /** @type {Worker | null} */
  let worker = null;
  /** @type {Promise<SiteModel> | null} */
  let opening = null;
  let count = 0, watchdog = 0;

  /** @param {object} question @param {AbortSignal} [signal] @returns {Promise<any>} */
  function ask(question, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new EngineError("aborted", ""));
      const id = (count += 1);
      asked.set(id, { resolve, reject });
      signal?.addEventListener("abort", () => {
        if (!asked.delete(id)) return;
        worker?.postMessage({ id, kind: "cancel" });
        reject(new EngineError("aborted", ""));
      });
      worker?.postMessage({ id, ...question });
      watch();
    });
  }

  /** Ends a worker that gives no answer for too long. */
  function watch() {
    clearTimeout(watchdog);
    if (asked.size) watchdog = setTimeout(() => stop("timeout", ""), slowest * 1000);
  }

  /** @param {string} kind @param {string} message */
  function stop(kind, message) {
    worker?.terminate();
    worker = opening = null; // the next photo starts another one
    const left = [...asked.values()];
    asked.clear();
    watch();
    // The first was in work; the others waited and are not to blame.
    left.forEach((one, at) => one.reject(at ? new EngineError("interrupted", "") : new EngineError(kind, message)));
  }

  function open() {
    opening ??= (async () => {
      await before();
      /** @type {Record<string, Blob>} */
      const found = await files();
      const started = (worker = createWorker(found["page/worker.js"]));
      started.onmessage = ({ data: { id, value, error } }) => {
        const one = asked.get(id);
        asked.delete(id);
        watch();
        if (error) one?.reject(new EngineError(error.kind, error.message));
        else one?.resolve(value);
      };
      started.onerror = (event) => {
        event.preventDefault();
        if (worker === started) stop("crashed", event.message ?? "");
      };
      return ask({ kind: "open", address: new URL(description, document.baseURI).href, files: found });
    })();
    const mine = opening;
    mine.catch(() => {
      if (opening !== mine) return;
      worker?.terminate();
      worker = opening = null;
    });
    return mine;
  }

  return {
    model: open,

    async predict(file, { topK = 5, threshold, onProgress = () => {}, signal } = {}) {
      onProgress(1); // nothing is sent
      await open();
      const question = { kind: "predict", file, name: file.name, options: { topK, threshold } };
      const answer = await ask(question, signal);
      exact.set(answer.record, answer.exact);
      return answer.record;
    },

    async explain(file, signal) {
      await open();
      return (await ask({ kind: "explain", file, name: file.name }, signal)).explanation;
    },

    isExact: (record) => exact.get(record) ?? true,

    close: () => stop("aborted", ""),

    async selfTest() {
      await open();
      return ask({ kind: "self-test" });
    },
  };
}

/** @param {Blob} [script] Chromium starts no module from a blob that a page from a disk made */
function newWorker(script) {
  if (script) return new Worker(URL.createObjectURL(script));
  return new Worker(new URL("worker.js", import.meta.url), { type: "module" });
}
