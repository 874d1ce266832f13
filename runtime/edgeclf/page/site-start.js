/** A static site instead of a service: the engine on this device, its self-test, and the files kept for offline use. */

import { wasmEngine } from "./engine-wasm.js";
import { createHistoryPanel } from "./history-panel.js";
import { createLiveView } from "./live-view.js";
import { useWords } from "./messages.js";
import { keepOffline } from "./offline.js";
import { factsOf } from "./photo-facts.js";
import { createSitePanel } from "./site-panel.js";

/** @type {Record<string, [title: string, advice: string]>} where nothing is sent to a service */
const WORDS = {
  "too-large": ["This photo is too large for this device.", "Save a smaller copy, or save it as JPEG."],
  "unsupported": ["This browser cannot decode this kind of photo.", "Save it as JPEG or PNG and choose it again."],
  "offline": ["The model could not be loaded.", "Connect this device to the network: it is needed for the first visit."],
  "timeout": ["This device took too long.", "Close other programs and try again, or save a smaller copy of the photo."],
  "crashed": ["The browser ended the work on this photo.", "It may need more memory than this device has. Save a smaller copy."],
  "interrupted": ["The work on another photo ended this one.", "Try again."],
  "model": ["The model cannot be used.", "Reload the page. If that does not help, ask who made this page."],
};

/**
 * @param {string} description address of the file `model.json`
 * @param {import("./packed-site.js").Files | null} packed the files of a site that is one page
 * @param {string} model the first digits of its SHA-256. Browsers have one database for all pages of a disk: those of
 *     different models keep their answers apart
 * @returns {import("./types.js").Engine}
 */
export function startSite(description, packed, model) {
  useWords(WORDS, "Details");
  const panel = createSitePanel();
  // A first visit waits until all files are kept, so that none is fetched twice.
  const kept = packed ? Promise.resolve(panel.kept(true, "")) : keepOffline(panel);
  const engine = wasmEngine(description, { before: () => kept, files: packed ?? undefined });
  let differs = false;
  const tested = test();

  async function test() {
    try {
      const model = await engine.model();
      panel.testing();
      const result = await engine.selfTest();
      differs = !result.passed;
      panel.tested(result, model);
    } catch (error) {
      panel.untested(error);
    }
  }

  return {
    ...engine,
    facts: factsOf,
    tested,
    remark: (record) => differs ? "this device differs" : engine.isExact(record) ? "" : "pixels not proved",
    remember: createHistoryPanel(panel.element, packed ? `edgeclf ${model}` : undefined),
    offerLiveView: (add) => createLiveView(engine, add),
  };
}
