/**
 * The photos that wait for an answer. A few are asked for at a time; the others are only named here, not read.
 *
 * Where the service is busy or cannot be reached, the whole queue pauses and goes on by itself, a bounded number of
 * times. An error that is about one photo only ends that photo's turn.
 */

import { EngineError } from "./types.js";

const PARALLEL = 2;
const MAX_TRIES = 3; // of one photo, for errors that may be its own
const MAX_PAUSES = 20; // one after the other, without an answer between; then a person must press a button
const MAX_PAUSE = 30; // seconds
const PAUSING = new Set(["offline", "busy", "token"]);
const WORTH_ANOTHER_TRY = new Set(["timeout", "interrupted", "slow", "server"]);

/**
 * @typedef {object} Pause
 * @property {string} kind of the error
 * @property {string} message of the error
 * @property {number | null} until when the queue goes on by itself, as `Date.now()`; null: when `goOn` is called
 */

/**
 * @template Job
 * @typedef {object} QueueOptions
 * @property {(job: Job, signal: AbortSignal) => Promise<void>} work ask for one photo; rejects with an `EngineError`
 * @property {(job: Job, error: unknown) => void} onError the photo got no answer and is not tried again
 * @property {() => void} onChange the queue went on, paused or became empty
 * @property {(job: Job) => void} [onBack] the photo waits again
 * @property {(seconds: number, then: () => void) => () => void} [after] a timer; gives what cancels it
 */

/**
 * @template Job
 * @param {QueueOptions<Job>} options
 */
export function createQueue({ work, onError, onChange, onBack = () => {}, after = timer }) {
  /** @type {{job: Job, number: number, tries: number}[]} */
  const waiting = [];
  /** @type {Map<AbortController, Job>} */
  const working = new Map();
  /** @type {Pause | null} */
  let pause = null;
  let pauses = 0, added = 0;
  let cancelTimer = () => {};

  function next() {
    while (!pause && working.size < PARALLEL && waiting.length) {
      const entry = waiting.shift();
      if (entry) void run(entry);
    }
    onChange();
  }

  /** @param {{job: Job, number: number, tries: number}} entry */
  async function run(entry) {
    const control = new AbortController();
    working.set(control, entry.job);
    try {
      await work(entry.job, control.signal);
      pauses = 0;
    } catch (error) {
      if (!control.signal.aborted) failed(entry, error);
    } finally {
      working.delete(control);
      next();
    }
  }

  /** @param {{job: Job, number: number, tries: number}} entry @param {unknown} error */
  function failed(entry, error) {
    const kind = error instanceof EngineError ? error.kind : "";
    entry.tries += WORTH_ANOTHER_TRY.has(kind) ? 1 : 0;
    if (PAUSING.has(kind)) stopFor(/** @type {EngineError} */ (error));
    else if (!WORTH_ANOTHER_TRY.has(kind) || entry.tries >= MAX_TRIES) return onError(entry.job, error);
    const place = waiting.findIndex((other) => other.number > entry.number);
    waiting.splice(place < 0 ? waiting.length : place, 0, entry);
    onBack(entry.job);
  }

  /** @param {EngineError} error */
  function stopFor(error) {
    if (pause) return; // photos that were asked for together fail together
    pauses += 1;
    const backOff = Math.min(MAX_PAUSE, error.retryAfter ?? 2 ** Math.min(pauses, 10));
    const seconds = backOff * (1 + Math.random() / 4); // pages that failed together do not come back together
    const forever = error.kind === "token" || pauses > MAX_PAUSES;
    pause = { kind: error.kind, message: error.message, until: forever ? null : Date.now() + seconds * 1000 };
    if (!forever) cancelTimer = after(seconds, lift);
  }

  function lift() {
    cancelTimer();
    pause = null;
    next();
  }

  return {
    /** @param {Job[]} jobs */
    add(jobs) {
      for (const job of jobs) waiting.push({ job, number: (added += 1), tries: 0 });
      next();
    },
    /** Go on now, rather than when the pause ends. */
    goOn() {
      pauses = 0;
      if (pause) lift();
    },
    /**
     * Forget the photos that wait, and end what is in work.
     * @returns {Job[]} those that get no answer
     */
    cancel() {
      const jobs = [...working.values(), ...waiting.splice(0).map((entry) => entry.job)];
      for (const control of working.keys()) control.abort();
      pauses = 0;
      lift();
      return jobs;
    },
    get state() {
      return { waiting: waiting.length, working: working.size, pause };
    },
  };
}

/** @param {number} seconds @param {() => void} then */
function timer(seconds, then) {
  const id = setTimeout(then, seconds * 1000);
  return () => clearTimeout(id);
}
