/**
 * Decodes photos and runs the model, beside the page: the page never waits for it. One photo at a time.
 *
 * Asked with `{id, kind, ...}`, it answers `{id, value}` or `{id, error}`. The self-test goes on only while no photo
 * waits.
 */

import { explanationOf, failedRecord, recordOf } from "./model-answers.js";
import { openSession } from "./model-session.js";
import { PhotoFault } from "./photo-fault.js";
import { openJpegDecoder } from "./pixels-jpeg-wasm.js";
import { networkInput } from "./pixels.js";
import { createSelfTest } from "./self-test.js";
import { EngineError } from "./types.js";

/** @typedef {import("./model-session.js").SiteModel} SiteModel */
/** @typedef {import("./model-session.js").Session} Session */
/** @typedef {import("./self-test.js").Decode} Decode */
/** @typedef {{id: number, kind: string, file?: File, name?: string, options?: {topK?: number, threshold?: number},
 *     address?: string, files?: Record<string, Blob>}} Question */

const MAX_FILE = 64 * 2 ** 20; // bytes, as `edgeclf serve --max-photo`; a phone's memory is small

/** @type {any} */
const page = self;
/** @type {Question[]} */
const waiting = [];
/** @type {{model: SiteModel, session: Session, decode: Decode} | null} */
let opened = null;
/** @type {{id: number, next: () => Promise<object | null>} | null} */
let selfTest = null;
let isBusy = false;
const turn = new MessageChannel(); // for good: the browser may forget one that only a waiting message refers to

page.onmessage = (/** @type {MessageEvent<Question>} */ { data }) => {
  if (data.kind === "cancel") {
    const at = waiting.findIndex((one) => one.id === data.id);
    if (at >= 0) waiting.splice(at, 1);
    return;
  }
  waiting.push(data);
  void work();
};

async function work() {
  if (isBusy) return;
  isBusy = true;
  for (;;) {
    const question = waiting.shift();
    if (question) await reply(question.id, () => answer(question));
    else if (selfTest) await testOnce(selfTest);
    else break;
    await pause(); // messages come in
  }
  isBusy = false;
}

/** @param {number} id @param {() => Promise<unknown>} find */
async function reply(id, find) {
  try {
    const value = await find();
    if (value !== undefined) page.postMessage({ id, value });
  } catch (error) {
    const known = error instanceof EngineError;
    page.postMessage({ id, error: { kind: known ? error.kind : "crashed", message: known ? error.message : String(error) } });
  }
}

/** @param {Question} question @returns {Promise<unknown>} undefined: the answer comes later */
async function answer(question) {
  if (question.kind === "open") return open(question.address ?? "", question.files ?? {});
  if (!opened) throw new EngineError("crashed", "the model is not open");
  if (question.kind === "self-test") {
    selfTest = { id: question.id, next: createSelfTest(opened.model, opened.session, opened.decode) };
    return undefined;
  }
  return answerPhoto(question, opened);
}

/** @param {{id: number, next: () => Promise<object | null>}} test */
async function testOnce(test) {
  await reply(test.id, async () => {
    try {
      const result = await test.next();
      if (result) selfTest = null;
      return result ?? undefined;
    } catch (error) {
      selfTest = null;
      throw error;
    }
  });
}

/**
 * @param {string} address of the description
 * @param {Record<string, Blob>} files path in the site -> file, of a site that is one page
 */
async function open(address, files) {
  const packed = (/** @type {string} */ path) => files[path] && URL.createObjectURL(files[path]);
  const vendor = (/** @type {string} */ name) =>
    packed(`page/vendor/${name}`) ?? new URL(`vendor/${name}`, import.meta.url).href;
  const described = await load(packed("model.json") ?? address);
  const model = /** @type {SiteModel} */ (JSON.parse(new TextDecoder().decode(described)));
  const content = await load(packed(model.address) ?? new URL(model.address, address).href);
  const session = await openSession(model, content, await load(vendor("ort-wasm-simd-threaded.wasm")), vendor);
  const decoder = await openJpegDecoder(await load(vendor("jpeg-turbo.wasm")));
  opened = { model, session, decode: (data, name) => networkInput(data, model.manifest.contract, { name, decoder }) };
  return model;
}

/** @param {string} address */
async function load(address) {
  let response;
  try {
    response = await fetch(address);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
  } catch {
    throw new EngineError("offline", "");
  }
  throw new EngineError("offline", `HTTP status ${response.status}`);
}

/** @param {Question} question @param {{model: SiteModel, session: Session, decode: Decode}} opened */
async function answerPhoto({ kind, file, name = "", options }, { model, session, decode }) {
  try {
    const input = await decode(await bytesOf(/** @type {File} */ (file), name), name);
    const outputs = await session.run(input.pixels);
    if (kind === "predict") return { record: recordOf(name, outputs, model, options), exact: input.exact };
    const explanation = explanationOf(name, outputs, model, input);
    if (explanation.maps.length) return { explanation, exact: input.exact };
    const best = explanation.record?.predictions?.[0].label;
    const known = "the model was exported without heat maps";
    const remedy = "export it again without --no-cam; networks of tokens have no heat maps";
    throw new EngineError("no-heat-map", `no heat map for ${best}: ${known}; ${remedy}`);
  } catch (error) {
    if (!(error instanceof PhotoFault)) throw error;
    if (kind === "predict") return { record: failedRecord(name, error.kind, error.text, model), exact: true };
    throw new EngineError(error.kind, error.text);
  }
}

/** @param {File} file @param {string} name */
async function bytesOf(file, name) {
  if (file.size > MAX_FILE) {
    const what = `${name}: the file has more than ${MAX_FILE / 2 ** 20} MiB`;
    throw new PhotoFault("too-large", what, "save it smaller, or as JPEG");
  }
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new EngineError("file-gone", "");
  }
}

/** Let messages come in. A timer would wait 4 ms, and does not run in a page in the background. */
function pause() {
  return new Promise((resolve) => {
    turn.port1.onmessage = resolve;
    turn.port2.postMessage(null);
  });
}
