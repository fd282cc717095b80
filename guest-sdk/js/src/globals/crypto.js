/** `crypto.getRandomValues` and `crypto.randomUUID` from the host; nothing else of Web Crypto. */
import { bytes, uuid } from "../random.js";

/**
 * @template {ArrayBufferView} T
 * @param {T} view
 * @returns {T}
 */
function getRandomValues(view) {
  if (!ArrayBuffer.isView(view) || view instanceof Float32Array || view instanceof Float64Array || view instanceof DataView) {
    throw new TypeError("crypto.getRandomValues needs an integer typed array");
  }
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(bytes(view.byteLength));
  return view;
}

Object.defineProperty(globalThis, "crypto", {
  value: Object.freeze({ getRandomValues, randomUUID: uuid }),
  configurable: true,
  enumerable: true,
  writable: true,
});
