/**
 * The engine that asks the service this page came from: the only module that knows HTTP.
 *
 * Photos go by XMLHttpRequest, which alone tells how much of an upload is done. All addresses are relative, so the page
 * works under any prefix.
 */

import { EngineError } from "./types.js";

/** @typedef {import("./types.js").Engine} Engine */
/** @typedef {import("./types.js").PhotoRecord} PhotoRecord */

const STALLED = 60; // seconds without progress of an upload
const SLOWEST_ANSWER = 90; // seconds from the end of an upload to the answer
const CHANGES = { "X-Edgeclf": "1" }; // tells the service that a script of its own page asks, not a form elsewhere

/** @type {Record<number, string>} */
const KIND_OF_STATUS = {
  401: "token", 403: "forbidden", 408: "slow", 413: "too-large", 429: "busy", 502: "offline", 503: "busy", 504: "offline",
};

/**
 * @param {string} [base] where the service is, relative to the page
 * @param {{stalled?: number, slowestAnswer?: number}} [limits] seconds
 * @returns {Engine}
 */
export function httpEngine(base = "./", { stalled = STALLED, slowestAnswer = SLOWEST_ANSWER } = {}) {
  /** @param {string} path @param {RequestInit} [init] */
  async function request(path, init = {}) {
    const limit = AbortSignal.timeout(slowestAnswer * 1000);
    const signal = init.signal ? anyOf(init.signal, limit) : limit;
    try {
      const response = await fetch(base + path, { ...init, signal, credentials: "same-origin" });
      return answerOf(response.status, await response.text(), response.headers.get("Retry-After"));
    } catch (error) {
      if (error instanceof EngineError) throw error;
      if (init.signal?.aborted) throw new EngineError("aborted", "");
      throw new EngineError(limit.aborted ? "timeout" : "offline", "");
    }
  }

  /** Whether the service answers at all: tells a lost connection from an upload that the service cut off. */
  async function reachable() {
    try {
      const limit = AbortSignal.timeout(10_000);
      await fetch(`${base}healthz`, { cache: "no-store", signal: limit });
      return true;
    } catch {
      return false;
    }
  }

  return {
    async model() {
      return /** @type {import("./types.js").ModelInfo} */ (await request("model", { cache: "no-store" }));
    },

    async predict(file, { topK = 5, threshold, onProgress = () => {}, signal } = {}) {
      await checkReadable(file);
      const query = new URLSearchParams({ name: file.name, top_k: String(topK) });
      if (threshold !== undefined) query.set("threshold", String(threshold));
      try {
        const sent = await upload(`${base}predict?${query}`, file, { stalled, slowestAnswer, onProgress, signal });
        return /** @type {PhotoRecord} */ (answerOf(sent.status, sent.responseText, sent.getResponseHeader("Retry-After")));
      } catch (error) {
        if (!(error instanceof EngineError) || error.kind !== "offline" || error.message) throw error;
        await checkReadable(file);
        throw (await reachable()) ? new EngineError("interrupted", "") : error;
      }
    },

    async explain(file, signal) {
      await checkReadable(file);
      const query = new URLSearchParams({ name: file.name, format: "json" });
      const headers = { ...CHANGES, "Content-Type": "application/octet-stream" };
      const answer = await request(`explain?${query}`, { method: "POST", body: file, headers, signal });
      if ("error" in answer && answer.error) throw new EngineError(answer.error.kind, answer.error.message);
      return /** @type {import("./types.js").Explanation} */ (answer);
    },
  };
}

/**
 * @param {string} address
 * @param {File} file
 * @param {{stalled: number, slowestAnswer: number, onProgress: (share: number) => void, signal?: AbortSignal}} options
 * @returns {Promise<XMLHttpRequest>}
 */
function upload(address, file, { stalled, slowestAnswer, onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let timer = 0;
    /** @param {number} seconds */
    const allow = (seconds) => {
      clearTimeout(timer);
      timer = setTimeout(() => fail("timeout"), seconds * 1000);
    };
    const stop = () => fail("aborted");
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    };
    /** @param {string} kind */
    const fail = (kind) => {
      end();
      reject(new EngineError(kind, ""));
      request.abort();
    };
    request.upload.onprogress = (event) => {
      allow(stalled);
      onProgress(event.total ? event.loaded / event.total : 1);
    };
    request.upload.onload = () => {
      allow(slowestAnswer);
      onProgress(1);
    };
    request.onload = () => {
      end();
      resolve(request);
    };
    request.onerror = () => fail("offline");
    request.open("POST", address);
    for (const [name, value] of Object.entries(CHANGES)) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) return stop();
    allow(stalled);
    request.send(file);
  });
}

/**
 * What the service answered: an object, with a record's own error in it. Other errors are thrown.
 *
 * @param {number} status
 * @param {string} text
 * @param {string | null} retryAfter
 * @returns {any}
 */
function answerOf(status, text, retryAfter) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  const isObject = typeof answer === "object" && answer !== null;
  if (isObject && (status === 200 || "path" in answer)) return answer;
  const message = isObject && typeof answer.error?.message === "string" ? answer.error.message : "";
  if (status === 200 || (status < 400 && status >= 300)) throw new EngineError("not-edgeclf", "");
  const kind = KIND_OF_STATUS[status] ?? (status >= 500 ? "server" : "refused");
  const seconds = Number(retryAfter);
  throw new EngineError(kind, message || `HTTP status ${status}`, retryAfter && seconds > 0 ? seconds : undefined);
}

/**
 * Fail early, and with the right words, for a file that was moved or deleted after it was chosen.
 * @param {File} file
 */
async function checkReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new EngineError("file-gone", "");
  }
}

/** @param {AbortSignal} one @param {AbortSignal} other */
function anyOf(one, other) {
  const both = new AbortController();
  for (const signal of [one, other]) {
    if (signal.aborted) both.abort();
    signal.addEventListener("abort", () => both.abort(), { once: true });
  }
  return both.signal;
}
