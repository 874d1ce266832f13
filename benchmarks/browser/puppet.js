/** A page that does what a process on this machine asks it to, with the page's own modules: `puppet.py`. */

import { openSession } from "/page/model-session.js";
import { openJpegDecoder } from "/page/pixels-jpeg-wasm.js";
import { networkInput } from "/page/pixels.js";

const vendor = (/** @type {string} */ name) => new URL(`/page/vendor/${name}`, location.href).href;
const load = async (/** @type {string} */ name) => new Uint8Array(await (await fetch(vendor(name))).arrayBuffer());
const none = new Uint8Array();
const decoder = await openJpegDecoder(await load("jpeg-turbo.wasm"));
/** @type {import("/page/model-session.js").Session} */
let session;

/** @type {Record<string, (job: any, payload: Uint8Array) => Promise<[object, Uint8Array[]]>>} */
const jobs = {
  /** A model file. */
  async open({ model }, payload) {
    session = await openSession(model, payload, await load("ort-wasm-simd-threaded.wasm"), vendor);
    return [{}, []];
  },

  /** Network input. */
  async run(_, payload) {
    const start = performance.now();
    const { logits, cam, camClass } = await session.run(payload);
    return [{ ms: performance.now() - start, camClass, logits: logits.length }, [bytesOf(logits), bytesOf(cam)]];
  },

  /** A photo's file, up to network input; with a model open, up to logits. */
  async photo({ contract, name, answer }, payload) {
    const start = performance.now();
    try {
      const { pixels, exact } = await networkInput(payload, contract, { name, decoder });
      const ms = performance.now() - start;
      const logits = answer ? bytesOf((await session.run(pixels)).logits) : none;
      return [{ exact, ms }, [pixels, logits]];
    } catch (error) {
      return [{ error: `${error.message}; ${error.remedy}` }, []];
    }
  },
};

/** @param {Float32Array} values */
function bytesOf(values) {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** @param {object} head @param {Uint8Array[]} parts */
async function turn(head, parts) {
  const text = new TextEncoder().encode(JSON.stringify({ ...head, sizes: parts.map((part) => part.length) }));
  const body = new Blob([Uint32Array.of(text.length), text, ...parts]);
  const answer = new Uint8Array(await (await fetch("/turn", { method: "POST", body })).arrayBuffer());
  const length = new DataView(answer.buffer).getUint32(0, true);
  const job = JSON.parse(new TextDecoder().decode(answer.subarray(4, 4 + length)));
  return { job, payload: answer.slice(4 + length) };
}

let done = { head: { browser: navigator.userAgent }, parts: [] };
for (;;) {
  const { job, payload } = await turn(done.head, done.parts);
  if (job.kind === "reload") {
    location.reload(); // and the memory of the model before is free
    break;
  }
  if (job.kind === "end") break;
  const [head, parts] = await jobs[job.kind](job, payload).catch((error) => [{ failed: String(error) }, []]);
  done = { head, parts };
}
