/** The coefficients of a scan of a progressive JPEG (ITU-T T.81, annex G). */

import { bitReader } from "./pixels-jpeg-bits.js";

/** @typedef {import("./pixels-jpeg-bits.js").BitReader} BitReader */
/** @typedef {import("./pixels-jpeg-bits.js").HuffmanTable} HuffmanTable */

/**
 * @typedef {object} Component
 * @property {number} id
 * @property {number} across its blocks in a unit (an "MCU") of all components
 * @property {number} down
 * @property {number} columns blocks, of the component alone
 * @property {number} rows
 * @property {number} stride blocks of a row in memory
 * @property {Int16Array} blocks 64 coefficients of each block, in zigzag order
 * @property {number} quantization number of its table
 */

/** @typedef {{component: Component, dc: HuffmanTable | undefined, ac: HuffmanTable | undefined}} Part */

/**
 * @typedef {object} Scan
 * @property {Part[]} parts
 * @property {number} first coefficient
 * @property {number} last
 * @property {number} high bits that earlier scans have given, 0 in the first one
 * @property {number} low bits that are left to later scans
 * @property {number} interval units between restart markers, 0 without
 * @property {[columns: number, rows: number]} units of all components
 */

/**
 * Read a scan.
 *
 * @param {Uint8Array} data
 * @param {number} start offset of the scan's data
 * @param {Scan} scan
 * @returns {number} the offset of its end; -1 if it is not as the standard says
 */
export function readProgressive(data, start, scan) {
  const reader = bitReader(data, start), read = blockReader(reader, scan);
  if (scan.parts.length === 1) {
    const [part] = scan.parts, { columns, rows, stride } = part.component;
    for (let unit = 0; unit < columns * rows; unit += 1) {
      if (!read.next(unit)) return -1;
      const column = unit % columns;
      if (!read.block(part, 0, (((unit - column) / columns) * stride + column) * 64)) return -1;
    }
  } else {
    const [columns, rows] = scan.units;
    for (let unit = 0; unit < columns * rows; unit += 1) {
      if (!read.next(unit)) return -1;
      const column = unit % columns, row = (unit - column) / columns;
      for (let number = 0; number < scan.parts.length; number += 1) {
        const { across, down, stride } = scan.parts[number].component;
        for (let block = 0; block < across * down; block += 1) {
          const x = column * across + (block % across), y = row * down + ((block / across) | 0);
          if (!read.block(scan.parts[number], number, (y * stride + x) * 64)) return -1;
        }
      }
    }
  }
  return reader.pastEnd() ? -1 : reader.end();
}

/**
 * @param {BitReader} reader
 * @param {Scan} scan
 */
function blockReader(reader, { first, last, high, low, interval }) {
  const previous = new Int32Array(4);
  let empty = 0; // blocks of which nothing more comes

  /** @param {Part} part @param {number} number of the part @param {number} at */
  function firstCoefficient({ component: { blocks }, dc }, number, at) {
    if (high) {
      blocks[at] |= reader.bits(1) << low;
      return true;
    }
    const size = dc ? reader.symbol(dc) : -1;
    if (size < 0 || size > 15) return false;
    previous[number] += reader.signed(size);
    const value = previous[number] * (1 << low);
    blocks[at] = value;
    return blocks[at] === value;
  }

  /** @param {Int16Array} blocks @param {HuffmanTable} table @param {number} at */
  function others(blocks, table, at) {
    if (empty) {
      empty -= 1;
      return true;
    }
    for (let k = first; k <= last; k += 1) {
      const symbol = reader.symbol(table), run = symbol >> 4, size = symbol & 15;
      if (symbol < 0) return false;
      if (size) {
        k += run;
        if (k > last) return false;
        const value = reader.signed(size) * (1 << low);
        blocks[at + k] = value;
        if (blocks[at + k] !== value) return false;
      } else if (run === 15) {
        k += 15;
      } else {
        empty = (1 << run) - 1 + reader.bits(run);
        return true;
      }
    }
    return true;
  }

  /** @param {Int16Array} blocks @param {HuffmanTable} table @param {number} at */
  function refined(blocks, table, at) {
    const bit = 1 << low;
    const refine = (/** @type {number} */ place) => {
      if (reader.bits(1) && !(Math.abs(blocks[place]) & bit)) blocks[place] += blocks[place] > 0 ? bit : -bit;
    };
    let k = first;
    for (; !empty && k <= last; k += 1) {
      const symbol = reader.symbol(table);
      let run = symbol >> 4, value = 0;
      if (symbol < 0 || (symbol & 15) > 1) return false;
      if (symbol & 15) {
        value = reader.bits(1) ? bit : -bit;
      } else if (run < 15) {
        empty = (1 << run) + reader.bits(run);
        break;
      }
      for (; k <= last; k += 1) {
        if (blocks[at + k]) refine(at + k);
        else if (run) run -= 1;
        else break;
      }
      if (!value) continue;
      if (k > last) return false;
      blocks[at + k] = value;
    }
    if (!empty) return true;
    for (; k <= last; k += 1) if (blocks[at + k]) refine(at + k);
    empty -= 1;
    return true;
  }

  return {
    /** Before a unit: false if a restart marker is missing. @param {number} unit */
    next(unit) {
      if (!interval || !unit || unit % interval) return true;
      previous.fill(0);
      empty = 0;
      return reader.restart((unit / interval - 1) % 8);
    },

    /** @param {Part} part @param {number} number @param {number} at */
    block(part, number, at) {
      if (first === 0) return last === 0 && firstCoefficient(part, number, at);
      const { blocks } = part.component;
      if (part.ac === undefined) return false;
      return high ? refined(blocks, part.ac, at) : others(blocks, part.ac, at);
    },
  };
}
