/** The view of one photo with its heat map: a choice of classes, and a slider for the opacity. */

import { make } from "./dom.js";
import { DEFAULT_OPACITY, drawHeatMap } from "./heatmap.js";
import { explained, percent } from "./messages.js";
import { answerInWords, rankedParts } from "./photo-card.js";
import { withPicture } from "./pictures.js";
import { EngineError } from "./types.js";

/** @typedef {import("./types.js").Explanation} Explanation */
/** @typedef {import("./photo-card.js").Item} Item */

const SHOWN_CLASSES = 5; // the others are behind "More classes"
const MENTIONED_PADDING = 0.1; // share of the evidence on padding from which the view says so

/**
 * @param {import("./types.js").Engine} engine
 * @returns {(item: Item) => void} opens the view
 */
export function createHeatView(engine) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("heat-view"));
  /** @param {string} name */
  const part = (name) => /** @type {HTMLElement} */ (dialog.querySelector(`[data-part="${name}"]`));
  const canvas = /** @type {HTMLCanvasElement} */ (part("canvas"));
  const opacity = /** @type {HTMLInputElement} */ (part("opacity"));
  const title = part("title"), status = part("status"), controls = part("controls"), classes = part("classes");
  const notes = part("notes"), body = part("body"), retry = part("retry"), photoName = part("photo-name"), more = part("more"), opacityText = part("opacity-text");
  opacity.value = String(DEFAULT_OPACITY * 100);

  /** @type {(() => void) | null} draws again, with the class and the opacity of now */
  let draw = null;
  /** @type {AbortController | null} */
  let loading = null;
  /** @type {Item | null} */
  let shown = null;
  let chosen = 0;

  /** @param {Item} item */
  async function load(item) {
    const control = (loading = new AbortController());
    draw = null;
    chosen = 0;
    canvas.hidden = controls.hidden = retry.hidden = true;
    status.hidden = false;
    status.textContent = "Drawing the heat map …";
    const file = item.sent ?? item.file;
    try {
      const explanation = (item.explanation ??= await engine.explain(file, control.signal));
      if (control.signal.aborted) return;
      const drawn = await withPicture(file, (picture) => {
        if (!control.signal.aborted) show(explanation, picture);
        return true;
      });
      if (!drawn && !control.signal.aborted) show(explanation, null);
    } catch (error) {
      if (control.signal.aborted) return;
      const { title: what, advice } = explained(error);
      status.textContent = `${what} ${advice}`;
      retry.hidden = error instanceof EngineError && error.kind === "no-heat-map";
    }
  }

  /** @param {Explanation} explanation @param {import("./pictures.js").Picture | null} picture */
  function show(explanation, picture) {
    draw = () => {
      const strength = Number(opacity.value) / 100;
      drawHeatMap(canvas, picture, explanation, chosen, strength);
      opacityText.textContent = `${Math.round(strength * 100)}%`;
      const map = explanation.maps[chosen];
      canvas.setAttribute("aria-label", map ? `Photo with the heat map of ${map.display_name || map.label}` : "Photo");
      notes.replaceChildren(...notesOn(explanation, chosen, picture).map((text) => make("li", "", text)));
    };
    const choices = explanation.maps.map((map, index) => choiceOf(map, index));
    classes.replaceChildren(...choices.slice(0, SHOWN_CLASSES));
    more.hidden = choices.length <= SHOWN_CLASSES;
    more.onclick = () => {
      more.hidden = true;
      classes.append(...choices.slice(SHOWN_CLASSES));
      choices[SHOWN_CLASSES].querySelector("input")?.focus();
    };
    draw();
    status.hidden = explanation.maps.length > 0;
    status.textContent = "This model has no heat map for this photo.";
    canvas.hidden = controls.hidden = false;
  }

  /** @param {import("./types.js").HeatMap} map @param {number} index */
  function choiceOf(map, index) {
    const label = make("label", "heat-choice");
    const radio = make("input", "");
    radio.type = "radio";
    radio.name = "heat-class";
    radio.checked = index === chosen;
    radio.addEventListener("change", () => {
      chosen = index;
      draw?.();
    });
    const text = make("span", shown?.record?.unknown ? "heat-choice-text unsure" : "heat-choice-text");
    text.append(...rankedParts(map));
    label.append(radio, text);
    return label;
  }

  opacity.addEventListener("input", () => draw?.());
  part("close").addEventListener("click", () => dialog.close());
  retry.addEventListener("click", () => shown && void load(shown));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
  dialog.addEventListener("close", () => {
    loading?.abort();
    shown?.card.open.focus();
    draw = shown = null;
    canvas.width = canvas.height = 1; // gives its memory back
  });

  return (item) => {
    shown = item;
    title.textContent = item.record ? answerInWords(item.record) : "";
    photoName.textContent = item.file.name;
    dialog.showModal();
    body.scrollTop = 0;
    void load(item);
  };
}

/**
 * What to know about a heat map, in sentences.
 *
 * @param {Explanation} explanation
 * @param {number} index
 * @param {unknown} picture
 */
function notesOn({ photo, seen: [left, top, right, bottom], maps }, index, picture) {
  const notes = [];
  if (left > 0.5 || top > 0.5 || right < photo.width - 0.5 || bottom < photo.height - 0.5) {
    notes.push("Dimmed parts are outside the white frame: the network never saw them.");
  }
  if (left < -0.5 || top < -0.5 || right > photo.width + 0.5 || bottom > photo.height + 0.5) {
    notes.push("Hatched parts are padding that was added around the photo.");
  }
  const padding = maps[index]?.padding_share ?? 0;
  if (padding >= MENTIONED_PADDING) {
    notes.push(`${percent(padding)} of the evidence lies on the padding, not on the photo: trust this answer less.`);
  }
  if (!picture) notes.push("This browser cannot show this kind of photo: the map lies on a grey field of its shape.");
  return notes;
}
