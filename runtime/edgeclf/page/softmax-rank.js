/** The ranking of a photo's classes from its logits: `edgeclf.results.ranked`, as records hold it. */

import { roundDigits } from "./rounding.js";
import { EngineError } from "./types.js";

const DIGITS = 6; // of probabilities in records

/**
 * @typedef {object} RankingRules
 * @property {readonly string[]} labels class names in index order
 * @property {Readonly<Record<string, string>>} [displayNames] class name -> name for people
 * @property {number} [temperature] logits are divided by it before the softmax; 1 without calibration
 * @property {number} [threshold] a photo whose best probability is below it is unknown, 0..1
 * @property {number} [topK] how many classes to return; all if there are fewer
 */

/**
 * Rank the classes of one photo.
 *
 * @param {ArrayLike<number>} scores logits, float32
 * @param {RankingRules} rules
 * @returns {{unknown: boolean, predictions: import("./types.js").Ranked[]}} best first, equal ones in index order
 * @throws {EngineError} a logit is not finite
 */
export function rank(scores, { labels, displayNames = {}, temperature = 1, threshold = 0, topK = 5 }) {
  const logits = Array.from(scores);
  if (!logits.every(Number.isFinite)) {
    const what = "the model's output for a photo is not finite (NaN or infinity)";
    throw new EngineError("model", `${what}; export it again, from a run that did not diverge`);
  }
  const order = bestFirst(logits);
  const best = logits[order[0]];
  const shares = Float64Array.from(logits, (logit) => Math.exp((logit - best) / temperature));
  const total = pairwiseSum(shares, 0, shares.length);
  const predictions = order.slice(0, topK).map((index) => {
    const label = labels[index];
    const entry = { label, index, probability: roundDigits(shares[index] / total, DIGITS) };
    return Object.hasOwn(displayNames, label) ? { ...entry, display_name: displayNames[label] } : entry;
  });
  return { unknown: shares[order[0]] / total < threshold, predictions };
}

/**
 * Indices of values, largest first, equal ones in index order.
 *
 * @param {readonly number[]} values finite
 */
function bestFirst(values) {
  return values.map((_, index) => index).sort((one, other) => values[other] - values[one]);
}

/**
 * The sum in numpy's order, so that it is rounded as numpy rounds it.
 *
 * @param {Float64Array} values
 * @param {number} from
 * @param {number} count
 * @returns {number}
 */
function pairwiseSum(values, from, count) {
  if (count < 8) {
    let sum = 0;
    for (let at = from; at < from + count; at += 1) sum += values[at];
    return sum;
  }
  if (count > 128) {
    const half = Math.floor(count / 16) * 8;
    return pairwiseSum(values, from, half) + pairwiseSum(values, from + half, count - half);
  }
  const parts = values.slice(from, from + 8);
  const whole = count - (count % 8);
  for (let at = 8; at < whole; at += 1) parts[at % 8] += values[from + at];
  let sum = parts[0] + parts[1] + (parts[2] + parts[3]) + (parts[4] + parts[5] + (parts[6] + parts[7]));
  for (let at = whole; at < count; at += 1) sum += values[from + at];
  return sum;
}
