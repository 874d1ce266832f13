/** The values of a scan of a sequential JPEG (ITU-T T.81, annex F), block by block, for a test of each block. */

/** @typedef {import("./pixels-jpeg-bits.js").HuffmanTable} HuffmanTable */

/**
 * One block of a unit (an "MCU") of a scan.
 * @typedef {object} BlockPlan
 * @property {number} component its number in the scan
 * @property {HuffmanTable} dc
 * @property {HuffmanTable} ac
 * @property {Uint16Array} quantization in zigzag order
 */

/**
 * Read a scan.
 *
 * One long function with all of its state in local variables: three times as fast as several, and there are millions of
 * codes in a photo.
 *
 * @param {Uint8Array} data
 * @param {number} start offset of the scan's data
 * @param {BlockPlan[]} plan the blocks of a unit
 * @param {number} units how many there are
 * @param {number} interval units between restart markers; 0 without
 * @param {number} most for the sum of a block's values, the first one halved
 * @param {(values: Int32Array) => boolean} accept called with the values, quantization undone, of a block that has more
 * @returns {number} the offset of the scan's end; -1 if it is not as the standard says, or a block was not accepted
 */
export function readSequential(data, start, plan, units, interval, most, accept) {
  const previous = new Int32Array(4), values = new Int32Array(64);
  // The bits that were read and not used, at most 30: more would not be a small integer to browsers' engines.
  let at = start, buffer = 0, held = 0, padded = 0;
  for (let unit = 0; unit < units; unit += 1) {
    if (interval && unit && unit % interval === 0) {
      if (held < padded) return -1;
      while (data[at] === 0xff && data[at + 1] === 0xff) at += 1;
      if (data[at] !== 0xff || data[at + 1] !== 0xd0 + ((unit / interval - 1) % 8)) return -1;
      at += 2;
      buffer = held = padded = 0;
      previous.fill(0);
    }
    for (let block = 0; block < plan.length; block += 1) {
      const { component, dc, ac, quantization } = plan[block];
      let k = 0, sum = 0, reach = 0;
      while (k < 64) {
        while (held <= 22) {
          let byte = data[at] | 0; // 0 after the end
          if (byte !== 0xff && at < data.length) {
            at += 1;
          } else if (byte === 0xff && data[at + 1] === 0) {
            at += 2;
          } else { // a marker
            byte = 0;
            padded += 8;
          }
          buffer = ((buffer << 8) | byte) & 0x3fffffff;
          held += 8;
        }
        const { short, long } = k === 0 ? dc : ac;
        const entry = short[(buffer >> (held - 10)) & 0x3ff] || long[(buffer >> (held - 16)) & 0xffff];
        if (entry === 0) return -1;
        held -= entry >> 8;
        const size = entry & 15, run = (entry & 255) >> 4;
        let value = 0;
        if (size) {
          while (held < size) {
            let byte = data[at] | 0;
            if (byte !== 0xff && at < data.length) {
              at += 1;
            } else if (byte === 0xff && data[at + 1] === 0) {
              at += 2;
            } else {
              byte = 0;
              padded += 8;
            }
            buffer = ((buffer << 8) | byte) & 0x3fffffff;
            held += 8;
          }
          held -= size;
          value = (buffer >> held) & ((1 << size) - 1);
          if (value < 1 << (size - 1)) value -= (1 << size) - 1;
        }
        if (k === 0) {
          if (run) return -1;
          previous[component] += value;
          value = values[0] = previous[component] * quantization[0];
          sum = (value < 0 ? -value : value) / 2;
          k = 1;
        } else if (size) {
          k += run;
          if (k > 63) return -1;
          value *= quantization[k];
          values[k] = value;
          reach = k;
          sum += value < 0 ? -value : value;
          k += 1;
        } else if (run === 15) {
          k += 16;
        } else if (run === 0) {
          break;
        } else {
          return -1;
        }
      }
      if (sum > most && !accept(values)) return -1;
      for (; reach > 0; reach -= 1) values[reach] = 0;
    }
    if (held < padded) return -1;
  }
  return at;
}
