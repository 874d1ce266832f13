/** The colours of a lossy WebP from its planes: libwebp's smooth chroma and its fixed-point YUV to RGB, bit for bit. */

/**
 * @typedef {object} Planes brightness of every pixel; two colours of every second pixel in every second row (I420)
 * @property {Uint8Array} data
 * @property {number} width pixels
 * @property {number} height
 * @property {{offset: number, stride: number}[]} layout of brightness, of blue and of red, in `data`
 */

/**
 * Write red, green and blue of each pixel, row by row.
 *
 * @param {Planes} planes
 * @param {Uint8Array} out
 * @param {number} step bytes from pixel to pixel in `out`: 3, or 4 to leave out the fourth
 */
export function writeColours({ data, width, height, layout: [grey, blue, red] }, out, step) {
  const clamped = new Uint8ClampedArray(out.buffer, out.byteOffset, out.length);
  const us = new Uint8Array(width + 2), vs = new Uint8Array(width + 2);
  const last = ((height + 1) >> 1) - 1;
  for (let row = 0, to = 0; row < height; row += 1) {
    const near = row >> 1, far = Math.min(Math.max(near + (row & 1 ? 1 : -1), 0), last);
    smooth(data, blue.offset + near * blue.stride, blue.offset + far * blue.stride, width, us);
    smooth(data, red.offset + near * red.stride, red.offset + far * red.stride, width, vs);
    for (let x = 0, from = grey.offset + row * grey.stride; x < width; x += 1, from += 1, to += step) {
      const y = (data[from] * 19077) >> 8, u = us[x], v = vs[x];
      clamped[to] = (y + ((v * 26149) >> 8) - 14234) >> 6;
      clamped[to + 1] = (y - ((u * 6419) >> 8) - ((v * 13320) >> 8) + 8708) >> 6;
      clamped[to + 2] = (y + ((u * 33050) >> 8) - 17685) >> 6;
    }
  }
}

/**
 * One colour of each pixel of a row, from the two nearest rows of the colour's plane: weights 9, 3, 3 and 1 of 16.
 *
 * @param {Uint8Array} data
 * @param {number} near where the nearest row begins
 * @param {number} far where the other one begins
 * @param {number} width of the picture, pixels
 * @param {Uint8Array} out has room for one more
 */
function smooth(data, near, far, width, out) {
  let a = data[near], c = data[far];
  out[0] = (3 * a + c + 2) >> 2;
  const last = (width - 1) >> 1;
  for (let x = 1; x <= last; x += 1) {
    const b = data[near + x], d = data[far + x];
    const sum = a + b + c + d + 8; // rounded twice, as libwebp does
    out[2 * x - 1] = (((sum + 2 * (b + c)) >> 3) + a) >> 1;
    out[2 * x] = (((sum + 2 * (a + d)) >> 3) + b) >> 1;
    a = b;
    c = d;
  }
  if (width % 2 === 0) out[width - 1] = (3 * a + c + 2) >> 2;
}
