/** What a static site says about itself: whether answers are exact here, whether it works offline, a new version. */

import { make, makeButton, makeProgress } from "./dom.js";
import { explained } from "./messages.js";
import { verdictOf } from "./self-test-words.js";

/** @typedef {import("./self-test.js").SelfTestResult} SelfTestResult */

/** Build the panel below the buttons for photos. */
export function createSitePanel() {
  const panel = make("section", "site-panel small");
  panel.setAttribute("aria-label", "This device");
  const offline = make("p", "site-offline quiet", "");
  const bar = makeProgress("Files for offline use");
  bar.hidden = true;
  const test = make("details", "site-test");
  const verdict = make("summary", "", "Loading the model …");
  test.append(verdict);
  panel.append(test, offline, bar);
  document.getElementById("add")?.after(panel);
  const update = createUpdateNotice(panel);

  /** @param {string} text @param {string} state */
  const say = (text, state) => {
    verdict.textContent = text;
    test.dataset.state = state;
  };

  return {
    element: panel,
    /** @param {number} share */
    loading(share) {
      bar.hidden = false;
      bar.value = share;
      offline.textContent = `Loading the page for use without a network: ${Math.floor(share * 100)}%`;
    },
    /** @param {number} share */
    loadingUpdate(share) {
      offline.textContent = `Works without a network. Loading a new version: ${Math.floor(share * 100)}%`;
    },
    /** @param {boolean} isKept @param {string} why */
    kept(isKept, why) {
      bar.hidden = true;
      offline.textContent = isKept ? "Works without a network." : `Does not work without a network: ${why}.`;
    },
    /** @param {() => void} use */
    updateReady(use) {
      offline.textContent = "Works without a network.";
      update(use);
    },
    testing() {
      say("Testing this device …", "waiting");
    },
    /** @param {SelfTestResult} result @param {import("./types.js").ModelInfo} model */
    tested(result, model) {
      say(verdictOf(result), result.passed ? "passed" : "failed");
      test.append(...partsOf(result, model));
    },
    /** @param {unknown} error */
    untested(error) {
      const { title, advice } = explained(error);
      say(`This device could not be tested. ${title} ${advice}`, "failed");
    },
  };
}

/** @param {SelfTestResult} result @param {import("./types.js").ModelInfo} model */
function partsOf(result, model) {
  const table = make("table", "site-checks");
  for (const { name, status, detail, remedy } of result.checks) {
    const row = table.insertRow();
    row.dataset.status = status;
    const head = make("th", "", name);
    head.scope = "row";
    row.append(head, make("td", "", status), make("td", "", remedy ? `${detail} → ${remedy}` : detail));
  }
  const text = JSON.stringify({ ...result, edgeclf: model.version, file: model.file, model: model.model,
    user_agent: navigator.userAgent }, null, 1);
  const buttons = make("div", "row");
  const copy = makeButton("Copy as JSON");
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text);
    copy.textContent = navigator.clipboard ? "Copied" : "This browser cannot copy here";
  });
  const save = make("a", "button", "Save as JSON");
  save.download = "edgeclf-self-test.json";
  save.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  buttons.append(copy, save);
  return [table, buttons];
}

/** @param {HTMLElement} panel */
function createUpdateNotice(panel) {
  const notice = make("div", "notice");
  notice.hidden = true;
  notice.setAttribute("role", "status");
  const button = makeButton("Use it now");
  notice.append(make("p", "", "A new version of this page is ready. Photos in the list are gone when you change."), button);
  panel.before(notice);
  return (/** @type {() => void} */ use) => {
    notice.hidden = false;
    button.onclick = () => {
      button.disabled = true;
      use();
    };
  };
}
