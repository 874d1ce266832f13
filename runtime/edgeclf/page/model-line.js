/** What the page tells about the model: in the footer, and beside the buttons. */

import { counted, percent } from "./messages.js";
import { make } from "./dom.js";

/**
 * @param {import("./types.js").ModelInfo} model
 */
export function describeModel(model) {
  /** @param {string} id */
  const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
  const names = model.manifest.display_names ?? {};
  const facts = [
    ["Model", model.file], ["Classes", String(model.manifest.classes.length)], ["Runs on", deviceName(model.device)],
    ["Unknown below", model.threshold > 0 ? percent(model.threshold) : "no threshold"], ["edgeclf", model.version],
  ];
  byId("model-facts").replaceChildren(...facts.map(([term, text]) => {
    const value = make("dd", "", text);
    value.dir = "auto";
    const fact = make("div", "");
    fact.append(make("dt", "", term), value);
    return fact;
  }));
  const sortLink = document.getElementById("sort-link");
  if (sortLink) sortLink.hidden = !model.sorting;
  byId("privacy").textContent = model.keeps_unsure
    ? "The service keeps copies of photos that it is unsure about, so that a person can sort them."
    : model.runtime ? "Photos never leave this device." : "The service does not keep your photos.";
  const classes = /** @type {HTMLDetailsElement} */ (byId("classes"));
  classes.hidden = false;
  byId("classes-title").textContent = `Show ${counted(model.manifest.classes.length, "class", "classes")}`;
  classes.addEventListener("toggle", () => {
    const list = byId("class-list");
    if (list.childElementCount) return;
    list.replaceChildren(...model.manifest.classes.map((label) => {
      const name = make("li", "", names[label] || label);
      name.dir = "auto";
      return name;
    }));
  });
}

/** @param {string} device onnxruntime's name */
function deviceName(device) {
  return device.replace(/ExecutionProvider$/, "");
}
