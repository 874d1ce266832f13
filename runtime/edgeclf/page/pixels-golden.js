/** Pixels of the self-test, in whole numbers, so the same on every machine: `edgeclf.model.selftest`. */

/**
 * Average a square picture over blocks; halves are rounded up.
 *
 * @param {Uint8Array} pixels RGB, `size` x `size`
 * @param {number} size
 * @param {number} side blocks in each direction, 1 to `size`; some are a pixel larger if `size` is no multiple of it
 * @returns {Uint8Array} RGB, `side` x `side`
 */
export function reducePixels(pixels, size, side) {
  const edges = Array.from({ length: side + 1 }, (_, index) => Math.floor((index * size) / side));
  const result = new Uint8Array(side * side * 3);
  let to = 0;
  for (let row = 0; row < side; row += 1) {
    for (let column = 0; column < side; column += 1) {
      const sums = [0, 0, 0];
      for (let y = edges[row]; y < edges[row + 1]; y += 1) {
        for (let at = (y * size + edges[column]) * 3; at < (y * size + edges[column + 1]) * 3; at += 3) {
          for (let colour = 0; colour < 3; colour += 1) sums[colour] += pixels[at + colour];
        }
      }
      const count = (edges[row + 1] - edges[row]) * (edges[column + 1] - edges[column]);
      for (const sum of sums) {
        result[to] = Math.floor((2 * sum + count) / (2 * count));
        to += 1;
      }
    }
  }
  return result;
}

/**
 * Enlarge a square picture bilinearly.
 *
 * @param {Uint8Array} pixels RGB, `side` x `side`
 * @param {number} side
 * @param {number} size height and width of the result, at least `side`
 * @returns {Uint8Array} RGB, `size` x `size`
 */
export function enlargePixels(pixels, side, size) {
  const unit = 2 * size; // positions are multiples of 1 / unit
  const low = new Int32Array(size), high = new Int32Array(size), share = new Int32Array(size);
  for (let index = 0; index < size; index += 1) {
    const position = Math.min(Math.max((2 * index + 1) * side - size, 0), unit * (side - 1));
    low[index] = Math.floor(position / unit);
    high[index] = Math.min(low[index] + 1, side - 1);
    share[index] = position % unit;
  }
  const result = new Uint8Array(size * size * 3);
  const half = Math.floor((unit * unit) / 2);
  let to = 0;
  for (let y = 0; y < size; y += 1) {
    const upper = low[y] * side * 3, lower = high[y] * side * 3, down = share[y];
    for (let x = 0; x < size; x += 1) {
      const left = low[x] * 3, right = high[x] * 3, across = share[x];
      for (let colour = 0; colour < 3; colour += 1) {
        const first = pixels[upper + left + colour] * (unit - down) + pixels[lower + left + colour] * down;
        const second = pixels[upper + right + colour] * (unit - down) + pixels[lower + right + colour] * down;
        // Below 2 ** 35: exact in doubles.
        result[to] = Math.floor((first * (unit - across) + second * across + half) / (unit * unit));
        to += 1;
      }
    }
  }
  return result;
}

/**
 * The mean absolute difference of two pictures, 0 to 255.
 *
 * @param {Uint8Array} one
 * @param {Uint8Array} other of the same length
 */
export function meanDifference(one, other) {
  let sum = 0;
  for (let at = 0; at < one.length; at += 1) sum += Math.abs(one[at] - other[at]);
  return sum / one.length;
}
