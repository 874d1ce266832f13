/** transformers.js with files of this host only, one thread; by its own classes, so that there are logits. */

import { AutoImageProcessor, AutoModelForImageClassification, env, RawImage } from "./transformers/transformers.min.js";

export async function open(name) {
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = new URL("models/", location.href).href;
  env.useBrowserCache = false;
  const file = (kind) => new URL(`transformers/ort-wasm-simd-threaded.asyncify.${kind}`, location.href).href;
  env.backends.onnx.wasm.wasmPaths = { mjs: file("mjs"), wasm: file("wasm") };
  env.backends.onnx.wasm.numThreads = 1;
  const processor = await AutoImageProcessor.from_pretrained("lite0");
  const options = { device: "wasm", dtype: name === "transformers 8-bit" ? "q8" : "fp32" };
  const model = await AutoModelForImageClassification.from_pretrained("lite0", options);
  return async (photo) => {
    const inputs = await processor(await RawImage.fromBlob(photo));
    const { logits } = await model(inputs);
    const bytes = (values) => {
      const all = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      let text = "";
      for (let at = 0; at < all.length; at += 8192) text += String.fromCharCode(...all.subarray(at, at + 8192));
      return btoa(text);
    };
    return { logits: () => bytes(logits.data), pixels: () => bytes(inputs.pixel_values.data) };
  };
}
