/** One photo, large: the photo itself or its heat map, and the model's guess with bars. The next photos are loaded ahead. */

import { make, makeShare } from "./dom.js";
import { drawHeatMap } from "./heatmap.js";
import { counted, percent } from "./messages.js";
import { askExplanation, photoAddress } from "./sort-api.js";
import { announce, element } from "./sort-dom.js";

/** @typedef {import("./sort-api.js").SortPhoto} SortPhoto */
/** @typedef {import("./types.js").Explanation} Explanation */

const SIDE = 1280; // pixels of the longer side
const AHEAD = 3; // photos that are loaded before they are shown
const KEPT = 12; // pictures and heat maps in memory

const stage = element("stage", HTMLElement);
const status = element("stage-status", HTMLElement);
const canvas = element("heat", HTMLCanvasElement);
const heatButton = element("heat-button", HTMLButtonElement);
const heatControls = element("heat-controls", HTMLElement);
const heatClass = element("heat-class", HTMLSelectElement);
const heatOpacity = element("heat-opacity", HTMLInputElement);
const alikeButton = element("alike", HTMLButtonElement);

/** @type {Map<string, HTMLImageElement>} */
const pictures = new Map();
/** @type {Map<string, Promise<Explanation>>} */
const explanations = new Map();
/** @type {SortPhoto | undefined} */
let shown;
/** @type {Explanation | undefined} */
let explanation;
let heat = false;

/**
 * Show a photo.
 *
 * @param {SortPhoto} photo
 * @param {SortPhoto[]} next those that follow
 * @param {number} alike how many photos look nearly the same, with this one
 */
export function show(photo, next, alike) {
  const isNew = shown?.id !== photo.id;
  shown = photo;
  const picture = pictureOf(photo);
  if (isNew) {
    explanation = undefined;
    for (const old of stage.querySelectorAll("img")) old.remove();
    stage.prepend(picture);
    element("photo-name", HTMLElement).textContent = photo.name;
    heatClass.replaceChildren();
    if (heat) void showHeat();
    else showPicture();
  }
  showGuess(photo);
  alikeButton.hidden = alike < 2;
  alikeButton.textContent = `Label all ${counted(alike, "photo")} that look nearly the same`;
  for (const one of next.slice(0, AHEAD)) {
    pictureOf(one);
    if (heat) void explanationOf(one).catch(() => {});
  }
  forget(pictures);
  forget(explanations);
}

/** Show the photo and its heat map in turns. */
export function toggleHeat() {
  heat = !heat;
  heatButton.setAttribute("aria-pressed", String(heat));
  if (heat) void showHeat();
  else showPicture();
}

heatButton.addEventListener("click", toggleHeat);
heatClass.addEventListener("change", draw);
heatOpacity.addEventListener("input", draw);

/** @param {SortPhoto} photo */
function pictureOf(photo) {
  let picture = pictures.get(photo.id);
  if (!picture) {
    picture = make("img", "photo");
    picture.alt = `Photo ${photo.name}`;
    picture.decoding = "async";
    picture.addEventListener("error", () => {
      pictures.delete(photo.id); // another try when it is shown again
      if (shown?.id === photo.id) say(photo.error || "This photo cannot be shown. It may have been moved meanwhile.");
    });
    picture.addEventListener("load", () => {
      if (shown?.id === photo.id && !heat) say("");
    });
    picture.src = photoAddress(photo.id, SIDE);
  }
  pictures.delete(photo.id); // to the end: the first ones are forgotten
  pictures.set(photo.id, picture);
  return picture;
}

/** @param {SortPhoto} photo */
function explanationOf(photo) {
  let asked = explanations.get(photo.id);
  if (!asked) {
    asked = askExplanation(photo.id);
    explanations.set(photo.id, asked);
    asked.catch(() => explanations.delete(photo.id));
  }
  return asked;
}

function showPicture() {
  const picture = stage.querySelector("img");
  if (picture) picture.hidden = false;
  canvas.hidden = true;
  heatControls.hidden = true;
  say(picture?.complete ? "" : "Loading the photo …");
}

async function showHeat() {
  const photo = shown;
  if (!photo) return;
  try {
    if (!explanations.has(photo.id)) say("Looking for the evidence …");
    const found = await explanationOf(photo);
    const picture = pictureOf(photo);
    await picture.decode().catch(() => {});
    if (shown?.id !== photo.id || !heat) return;
    explanation = found;
    if (!found.maps.length) return say("The model has no heat map for this photo.");
    heatClass.replaceChildren(...found.maps.map((map, index) => {
      const option = make("option", "", `${map.display_name || map.label} ${percent(map.probability)}`);
      option.value = String(index);
      return option;
    }));
    draw();
    say("");
  } catch (error) {
    if (shown?.id === photo.id) say(`There is no heat map. ${error instanceof Error ? error.message : ""}`);
  }
}

function draw() {
  if (!explanation || !shown || !heat) return;
  const index = Number(heatClass.value) || 0;
  const picture = pictureOf(shown);
  drawHeatMap(canvas, picture.naturalWidth ? picture : null, explanation, index, Number(heatOpacity.value) / 100);
  canvas.setAttribute("aria-label", `Photo ${shown.name} with the heat map of ${heatClass.selectedOptions[0]?.text ?? ""}`);
  canvas.hidden = false;
  picture.hidden = true;
  heatControls.hidden = false;
}

/** @param {SortPhoto} photo */
function showGuess(photo) {
  const list = element("ranking", HTMLOListElement);
  const title = element("guess-title", HTMLElement);
  title.classList.toggle("is-needed", photo.ranking.length === 0);
  if (photo.error) {
    title.textContent = `The model cannot read this photo: ${photo.error}`;
  } else if (photo.ranking.length) {
    title.textContent = "The model’s guess";
  } else {
    title.textContent = `The model’s guess: ${photo.display_name} (it looks at this photo soon)`;
  }
  const rows = photo.ranking.slice(0, 3).map((guess) => {
    const row = make("li", "");
    row.append(...makeShare(guess.display_name, guess.probability));
    return row;
  });
  list.replaceChildren(...rows);
}

/** @param {string} text */
function say(text) {
  status.textContent = text;
  status.hidden = !text;
  if (text && !text.endsWith("…")) announce(text);
}

/** @param {Map<string, unknown>} map */
function forget(map) {
  for (const id of map.keys()) {
    if (map.size <= KEPT) return;
    if (id !== shown?.id) map.delete(id);
  }
}
