/** The lines above the list: progress, pauses of the queue, and what a screen reader is told. */

import { counted, explained, wordsFor } from "./messages.js";

/** @typedef {import("./queue.js").Pause} Pause */

const QUIET = 1500; // milliseconds between two announcements, so that they can be listened to

/**
 * @param {{goOn: () => void, cancel: () => void}} actions
 */
export function createStatus({ goOn, cancel }) {
  /** @param {string} id */
  const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
  const bar = /** @type {HTMLProgressElement} */ (byId("progress"));
  const notice = byId("notice"), noticeText = byId("notice-text"), signIn = document.getElementById("sign-in");
  let wanted = 0, done = 0, failed = 0;
  /** @type {string[]} */
  let unsaid = [];
  let speaker = 0, clock = 0;
  /** @type {Pause | null} */
  let pause = null;

  function speak() {
    speaker = 0;
    if (!unsaid.length) return;
    const more = unsaid.length > 1 ? `${unsaid.length} new answers, the last: ` : "";
    const end = done === wanted ? ` All ${counted(wanted, "photo")} done.` : "";
    byId("announcements").textContent = `${more}${unsaid[unsaid.length - 1]}.${wanted > 1 ? end : ""}`;
    unsaid = [];
    speaker = setTimeout(speak, QUIET);
  }

  function showPause() {
    clearTimeout(clock);
    notice.hidden = !pause;
    if (!pause) return;
    const { title, advice } = wordsFor(pause.kind);
    const seconds = pause.until === null ? 0 : Math.max(0, Math.ceil((pause.until - Date.now()) / 1000));
    const next = pause.until === null ? "" : ` Trying again by itself in ${seconds} s.`;
    noticeText.textContent = `${title} ${advice}${next}`;
    notice.classList.toggle("notice-error", pause.kind !== "busy");
    notice.classList.toggle("notice-unsure", pause.kind === "busy");
    if (signIn) signIn.hidden = pause.kind !== "token";
    if (pause.until !== null) clock = setTimeout(showPause, 1000);
  }

  function showProgress() {
    const busy = wanted > done;
    byId("working").hidden = !busy;
    bar.max = Math.max(1, wanted);
    bar.value = done;
    const errors = failed ? `, ${failed} without` : "";
    byId("progress-text").textContent = `${done - failed} of ${counted(wanted, "photo")} answered${errors}`;
  }

  byId("go-on").addEventListener("click", goOn);
  byId("cancel").addEventListener("click", cancel);

  return {
    /** @param {number} count photos that were added */
    begin(count) {
      if (done === wanted) wanted = done = failed = 0;
      wanted += count;
      showProgress();
    },
    /** @param {string} words @param {boolean} isError */
    answered(words, isError) {
      done += 1;
      failed += isError ? 1 : 0;
      unsaid.push(words);
      if (!speaker) speaker = setTimeout(speak, 50);
      showProgress();
    },
    /** @param {number} count photos that are not wanted any more */
    forget(count) {
      wanted -= count;
      showProgress();
    },
    reset() {
      wanted = done = failed = 0;
      showProgress();
    },
    /** @param {{pause: Pause | null}} state of the queue */
    show(state) {
      const isNew = state.pause !== pause;
      pause = state.pause;
      if (!isNew) return;
      showPause();
      if (pause) byId("alerts").textContent = `${wordsFor(pause.kind).title} ${wordsFor(pause.kind).advice}`;
    },
    /** @param {string} words */
    say(words) {
      byId("announcements").textContent = words;
      byId("said").textContent = words;
    },
    /** @param {unknown} error */
    modelUnknown(error) {
      const { title, advice } = explained(error);
      byId("privacy").textContent = `${title} ${advice}`;
    },
  };
}
