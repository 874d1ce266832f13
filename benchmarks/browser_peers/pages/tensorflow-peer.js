/** TensorFlow.js: the layers of EfficientNet-Lite0 with random weights, one thread, with SIMD. */

import "./tensorflow/tf.es2017.min.js";
import "./tensorflow/tf-backend-wasm.es2017.min.js";

// Kernel, stride, expansion, output channels, repeats.
const STAGES = [
  [3, 1, 1, 16, 1], [3, 2, 6, 24, 2], [5, 2, 6, 40, 2], [3, 2, 6, 80, 3], [5, 1, 6, 112, 3], [5, 2, 6, 192, 4],
  [3, 1, 6, 320, 1],
];

export async function open() {
  const tf = globalThis.tf;
  tf.wasm.setWasmPaths(new URL("tensorflow/", location.href).href);
  tf.wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  await tf.ready();
  const made = !(await fetch("lite0.json", { method: "HEAD" })).ok;
  if (made) await save(lite0(tf));
  const model = await tf.loadLayersModel(new URL("lite0.json", location.href).href);
  return async (photo) => {
    const bitmap = await createImageBitmap(photo);
    const scores = tf.tidy(() => {
      const whole = tf.browser.fromPixels(bitmap);
      const [height, width] = whole.shape;
      const side = Math.round(Math.min(height, width) * 0.875);
      const crop = whole.slice([(height - side) >> 1, (width - side) >> 1, 0], [side, side, 3]);
      const input = tf.image.resizeBilinear(crop, [224, 224]).sub(127).div(128).expandDims();
      return model.predict(input);
    });
    const found = await scores.data();
    scores.dispose();
    bitmap.close();
    return { best: found.indexOf(Math.max(...found)) };
  };
}

function lite0(tf) {
  const { layers } = tf;
  const norm = (x, isLast) => {
    const y = layers.batchNormalization({ epsilon: 1e-3 }).apply(x);
    return isLast ? y : layers.reLU({ maxValue: 6 }).apply(y);
  };
  const conv = (x, filters, kernelSize = 1, strides = 1, isLast = false) =>
    norm(layers.conv2d({ filters, kernelSize, strides, padding: "same", useBias: false }).apply(x), isLast);
  const input = tf.input({ shape: [224, 224, 3] });
  let x = conv(input, 32, 3, 2), channels = 32;
  for (const [kernelSize, stride, expansion, out, repeats] of STAGES) {
    for (let number = 0; number < repeats; number += 1) {
      const strides = number === 0 ? stride : 1;
      let y = expansion === 1 ? x : conv(x, channels * expansion);
      y = norm(layers.depthwiseConv2d({ kernelSize, strides, padding: "same", useBias: false }).apply(y), false);
      y = conv(y, out, 1, 1, true);
      x = strides === 1 && channels === out ? layers.add().apply([x, y]) : y;
      channels = out;
    }
  }
  x = layers.globalAveragePooling2d({}).apply(conv(x, 1280));
  return tf.model({ inputs: input, outputs: layers.dense({ units: 1000, activation: "softmax" }).apply(x) });
}

/** Give the network to the host, as two files. */
async function save(model) {
  await model.save({
    async save({ modelTopology, weightSpecs, weightData }) {
      const weightsManifest = [{ paths: ["lite0.bin"], weights: weightSpecs }];
      await fetch("lite0.bin", { method: "PUT", body: weightData });
      await fetch("lite0.json", { method: "PUT", body: JSON.stringify({ modelTopology, weightsManifest }) });
      return { modelArtifactsInfo: {} };
    },
  });
}
