/**
 * Draws a heat map on its photo: what the network never saw is dimmed, padding is hatched around the photo.
 *
 * The colours and the arithmetic are those of `edgeclf.heatmaps.overlay`, so that the page and `predict --cam` show the
 * same picture. Drawing has two layers: the photo, and the colours with their opacity. They are kept for the next call,
 * so moving a slider only blends them.
 */

/** @typedef {import("./types.js").Explanation} Explanation */
/** @typedef {import("./types.js").HeatMap} HeatMap */
/** @typedef {ImageBitmap | HTMLImageElement | HTMLCanvasElement} Picture */
/** @typedef {[number, number, number, number]} Box left, top, right, bottom */

/** From dark blue (0) to yellow-white (1), in order of brightness. */
export const COLOURS = [
  [10, 8, 60], [70, 12, 120], [150, 30, 120], [215, 60, 80], [250, 120, 40], [255, 195, 50], [255, 250, 190],
];
export const DEFAULT_OPACITY = 0.55;
const MAX_SIDE = 1280; // pixels, of the drawn picture
const MIN_SIDE = 640; // small photos are enlarged, so that the heat map is smooth

/** @typedef {{explanation: Explanation, picture: Picture | null, layout: Layout, photo: HTMLCanvasElement}} Drawn */
/** @type {WeakMap<HTMLCanvasElement, Drawn & {map: HeatMap | null, colours: HTMLCanvasElement | null}>} */
const lastDrawn = new WeakMap();

/**
 * Draw a photo with the heat map of one class.
 *
 * @param {HTMLCanvasElement} canvas gets the size of the picture: 640 to 1280 pixels on its longer side
 * @param {Picture | null} picture the upright photo in any size; null if the browser cannot show it: a grey field
 * @param {Explanation} explanation
 * @param {number} index which of `explanation.maps`; the photo alone if there is none
 * @param {number} [opacity] of the highest value, 0..1
 */
export function drawHeatMap(canvas, picture, explanation, index, opacity = DEFAULT_OPACITY) {
  let drawn = lastDrawn.get(canvas);
  if (drawn?.explanation !== explanation || drawn.picture !== picture) {
    const layout = layoutOf(explanation, MAX_SIDE, MIN_SIDE);
    const photo = photoLayer(fitting(picture, explanation), layout);
    drawn = { explanation, picture, layout, photo, map: null, colours: null };
    lastDrawn.set(canvas, drawn);
  }
  const map = explanation.maps[index] ?? null;
  if (drawn.map !== map) {
    drawn.map = map;
    drawn.colours = map && colourLayer(map, drawn.layout);
  }
  if (canvas.width !== drawn.photo.width || canvas.height !== drawn.photo.height) {
    canvas.width = drawn.photo.width;
    canvas.height = drawn.photo.height;
  }
  const context = contextOf(canvas);
  context.globalAlpha = 1;
  context.drawImage(drawn.photo, 0, 0);
  if (drawn.colours) {
    context.globalAlpha = Math.min(1, Math.max(0, opacity));
    context.drawImage(drawn.colours, drawn.layout.seen[0], drawn.layout.seen[1]);
    context.globalAlpha = 1;
  }
  drawFrame(context, drawn.layout);
}

/**
 * Where everything lies on the drawn picture, in its pixels.
 * @typedef {object} Layout
 * @property {number} width of the picture
 * @property {number} height
 * @property {Box} photo
 * @property {Box} seen the network input
 */

/**
 * Lay out a picture that holds the photo and the whole network input.
 *
 * @param {Explanation} explanation
 * @param {number} maxSide pixels
 * @param {number} [minSide] pixels
 * @returns {Layout}
 */
export function layoutOf(explanation, maxSide, minSide = 0) {
  const { width, height } = explanation.photo;
  const [x0, y0, x1, y1] = explanation.seen;
  const left = Math.min(0, x0), top = Math.min(0, y0), right = Math.max(width, x1), bottom = Math.max(height, y1);
  const side = Math.max(right - left, bottom - top);
  const scale = Math.min(maxSide, Math.max(side, minSide)) / side;
  /** @param {number[]} box @returns {Box} */
  const placed = ([a, b, c, d]) => {
    const x = Math.round((a - left) * scale), y = Math.round((b - top) * scale);
    return [x, y, Math.max(x + 1, Math.round((c - left) * scale)), Math.max(y + 1, Math.round((d - top) * scale))];
  };
  const photo = placed([0, 0, width, height]), seen = placed([x0, y0, x1, y1]);
  return { width: Math.max(photo[2], seen[2]), height: Math.max(photo[3], seen[3]), photo, seen };
}

/**
 * The colours of a heat map, with their opacity in the alpha channel: RGBA, row by row.
 *
 * @param {HeatMap} map
 * @param {number} width pixels
 * @param {number} height pixels
 * @returns {Uint8ClampedArray<ArrayBuffer>}
 */
export function coloured(map, width, height) {
  const rgba = new Uint8ClampedArray(width * height * 4);
  const columns = positions(map.width, width), rows = positions(map.height, height);
  for (let y = 0, at = 0; y < height; y += 1) {
    const { first: above, next: below, share: down } = rows[y];
    for (let x = 0; x < width; x += 1, at += 4) {
      const { first, next, share } = columns[x];
      const upper = map.values[above * map.width + first] * (1 - share) + map.values[above * map.width + next] * share;
      const lower = map.values[below * map.width + first] * (1 - share) + map.values[below * map.width + next] * share;
      const heat = upper * (1 - down) + lower * down;
      const place = Math.min(1, Math.max(0, heat)) * (COLOURS.length - 1);
      const step = Math.min(Math.floor(place), COLOURS.length - 2);
      for (let channel = 0; channel < 3; channel += 1) {
        const from = COLOURS[step][channel];
        rgba[at + channel] = from + (COLOURS[step + 1][channel] - from) * (place - step);
      }
      rgba[at + 3] = 255 * Math.min(1, heat * 1.6);
    }
  }
  return rgba;
}

/**
 * Make a photo's pixels less colourful where the network saw them, so that the heat map stands out, and dim the others.
 *
 * @param {Uint8ClampedArray} rgba changed in place
 * @param {number} width pixels of a row
 * @param {Box} seen
 */
export function dimUnseen(rgba, width, [left, top, right, bottom]) {
  for (let at = 0, x = 0, y = 0; at < rgba.length; at += 4) {
    const grey = (rgba[at] + rgba[at + 1] + rgba[at + 2]) / 3;
    const isSeen = x >= left && x < right && y >= top && y < bottom;
    for (let channel = at; channel < at + 3; channel += 1) {
      rgba[channel] = isSeen ? rgba[channel] * 0.7 + grey * 0.3 : grey * 0.45 + 20;
    }
    if ((x += 1) === width) {
      x = 0;
      y += 1;
    }
  }
}

/**
 * Which two cells of a grid each pixel lies between; at the edges the same one twice.
 * @param {number} cells
 * @param {number} pixels
 */
function positions(cells, pixels) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const place = Math.min(cells - 1, Math.max(0, ((pixel + 0.5) * cells) / pixels - 0.5));
    const first = Math.floor(place);
    return { first, next: Math.min(first + 1, cells - 1), share: place - first };
  });
}

/**
 * The picture, unless its shape shows that the browser did not turn it upright as the network saw it.
 * @param {Picture | null} picture
 * @param {Explanation} explanation
 */
function fitting(picture, { photo }) {
  if (!picture) return null;
  const [width, height] = "naturalWidth" in picture
    ? [picture.naturalWidth, picture.naturalHeight] : [picture.width, picture.height];
  const across = width / photo.width, down = height / photo.height;
  const rounding = 1 / Math.min(photo.width, photo.height, width, height);
  return Math.abs(across / down - 1) <= 0.02 + 2 * rounding ? picture : null;
}

/**
 * @param {Picture | null} picture
 * @param {Layout} layout
 */
function photoLayer(picture, layout) {
  const canvas = newCanvas(layout.width, layout.height);
  const context = contextOf(canvas);
  const [left, top, right, bottom] = layout.photo;
  context.fillStyle = "rgb(128 128 128)";
  context.imageSmoothingQuality = "high";
  if (picture) context.drawImage(picture, left, top, right - left, bottom - top);
  else context.fillRect(left, top, right - left, bottom - top);
  const pixels = context.getImageData(0, 0, layout.width, layout.height);
  dimUnseen(pixels.data, layout.width, layout.seen);
  context.putImageData(pixels, 0, 0);
  hatchAround(context, layout);
  return canvas;
}

/**
 * Black with diagonal lines around the photo, which mark padding.
 * @param {CanvasRenderingContext2D} context
 * @param {Layout} layout
 */
function hatchAround(context, { width, height, photo: [left, top, right, bottom] }) {
  if (left === 0 && top === 0 && right === width && bottom === height) return;
  context.save();
  context.beginPath();
  context.rect(0, 0, width, height);
  context.rect(left, top, right - left, bottom - top);
  context.clip("evenodd");
  context.fillStyle = "rgb(0 0 0)";
  context.fillRect(0, 0, width, height);
  const step = Math.max(8, Math.floor(Math.max(width, height) / 60));
  context.strokeStyle = "rgb(70 70 70)";
  context.lineWidth = Math.max(1, Math.floor(step / 8));
  context.beginPath();
  for (let x = -height; x < width; x += step) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.stroke();
  context.restore();
}

/**
 * @param {HeatMap} map
 * @param {Layout} layout
 */
function colourLayer(map, { seen: [left, top, right, bottom] }) {
  const canvas = newCanvas(right - left, bottom - top);
  const pixels = new ImageData(coloured(map, canvas.width, canvas.height), canvas.width, canvas.height);
  contextOf(canvas).putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * A white frame around what the network saw, if that is not the whole picture.
 * @param {CanvasRenderingContext2D} context
 * @param {Layout} layout
 */
function drawFrame(context, { width, height, seen: [left, top, right, bottom] }) {
  if (left === 0 && top === 0 && right === width && bottom === height) return;
  const line = Math.max(1, Math.round(Math.max(width, height) / 400));
  context.strokeStyle = "white";
  context.lineWidth = line;
  context.strokeRect(left + line / 2, top + line / 2, right - left - line, bottom - top - line);
}

/** @param {number} width @param {number} height */
function newCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** @param {HTMLCanvasElement} canvas */
function contextOf(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw on a canvas");
  return context;
}
