/** Rounding as Python does it: to the nearest, and halves to the even neighbour. */

/**
 * @param {number} value
 * @returns {number} a whole number
 */
export function roundHalfEven(value) {
  const low = Math.floor(value);
  const rest = value - low; // exact
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/**
 * Python's `round(value, digits)`: the decimal number nearest to the exact value of the double.
 *
 * @param {number} value below 1e21
 * @param {number} digits decimal places, 0 to 20
 * @returns {number}
 */
export function roundDigits(value, digits) {
  // A double lies exactly between two such decimals only if it is an odd multiple of 1 / 2 ** (digits + 1).
  const halves = value * 2 ** (digits + 1);
  if (Math.abs(halves) < 2 ** 53 && Math.abs(halves % 2) === 1) {
    return roundHalfEven(value * 10 ** digits) / 10 ** digits; // the product is exact: few bits are in use
  }
  return Number(value.toFixed(digits));
}
