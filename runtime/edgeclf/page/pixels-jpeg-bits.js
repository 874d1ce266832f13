/** Huffman codes and bits of a JPEG's scan (ITU-T T.81, annex F). */

const SHORT = 10; // bits: nearly all codes are shorter, and such a table stays in a processor's cache

/**
 * For each beginning of so many bits: the length of the code, times 256, plus its value. 0 if there is no such code.
 * @typedef {{short: Uint16Array, long: Uint16Array}} HuffmanTable
 */

/**
 * @typedef {object} BitReader
 * @property {(table: HuffmanTable) => number} symbol the value of the next code; -1 without one
 * @property {(count: number) => number} bits the next bits, at most 16
 * @property {(count: number) => number} signed the next bits, as a number of that size: `RECEIVE` and `EXTEND`
 * @property {() => boolean} pastEnd more bits were taken than there are before the next marker
 * @property {(number: number) => boolean} restart go on after restart marker 0 to 7; false if another marker comes
 * @property {() => number} end offset after the last byte taken
 */

/**
 * @param {Uint8Array} counts of the codes of 1 to 16 bits
 * @param {Uint8Array} values
 * @returns {HuffmanTable | null} null if they are no such codes
 */
export function huffmanTable(counts, values) {
  const long = new Uint16Array(65536);
  let at = 0, number = 0;
  for (let length = 1; length <= 16; length += 1) {
    const width = 1 << (16 - length);
    for (let code = 0; code < counts[length - 1]; code += 1) {
      if (at + width > 65536 || number >= values.length) return null;
      long.fill(length * 256 + values[number], at, at + width);
      at += width;
      number += 1;
    }
  }
  const short = new Uint16Array(1 << SHORT);
  for (let start = 0; start < short.length; start += 1) {
    const entry = long[start << (16 - SHORT)];
    if (entry >> 8 <= SHORT) short[start] = entry;
  }
  return { short, long };
}

/**
 * @param {Uint8Array} data
 * @param {number} start offset of a scan's data
 * @returns {BitReader}
 */
export function bitReader(data, start) {
  let at = start, buffer = 0, held = 0, padded = 0;

  function fill() {
    while (held <= 22) { // with more than 30 bits, engines would not keep it as a small integer
      let byte = data[at];
      if (byte === 0xff && data[at + 1] === 0) {
        at += 2;
      } else if (byte === undefined || byte === 0xff) {
        byte = 0;
        padded += 8;
      } else {
        at += 1;
      }
      buffer = ((buffer << 8) | byte) & 0x3fffffff;
      held += 8;
    }
  }

  /** @param {number} count */
  function bits(count) {
    if (held < count) fill();
    held -= count;
    return (buffer >> held) & ((1 << count) - 1);
  }

  return {
    symbol({ short, long }) {
      if (held < 16) fill();
      const entry = short[(buffer >> (held - SHORT)) & 0x3ff] || long[(buffer >> (held - 16)) & 0xffff];
      held -= entry >> 8;
      return entry === 0 ? -1 : entry & 255;
    },

    bits,

    signed(count) {
      if (count === 0) return 0;
      const value = bits(count);
      return value < 1 << (count - 1) ? value - (1 << count) + 1 : value;
    },

    pastEnd: () => held < padded,

    restart(number) {
      if (held < padded) return false;
      buffer = held = padded = 0;
      while (data[at] === 0xff && data[at + 1] === 0xff) at += 1;
      if (data[at] !== 0xff || data[at + 1] !== 0xd0 + number) return false;
      at += 2;
      return true;
    },

    end: () => at,
  };
}
