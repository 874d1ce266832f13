/**
 * The service worker of a site: after the first visit everything comes from this device, with or without a network.
 *
 * `edgeclf web` writes `self.SITE` before this script: the version, and every file with its SHA-256 and size. A new
 * version is fetched beside the one in use, and each file must have its hash; only when all are there can it take over.
 * Half an update, a file from a proxy's cache or a sign-in page of a Wi-Fi leave the old version as it is.
 */

/** @type {any} */
const worker = self;
/** @type {{version: string, files: Record<string, [digest: string, bytes: number]>}} */
const SITE = worker.SITE;
/** @type {string} */
const SCOPE = worker.registration.scope;
const OURS = `edgeclf ${SCOPE} `; // other sites on this host have caches of their own
const CACHE = OURS + SITE.version;
const DIGEST = "X-Edgeclf-Digest";
const LARGE = 100_000; // bytes from which a file is worth the question whether the host compresses
const TELL_EVERY = 200; // milliseconds

/** @type {Record<string, string>} */
const TYPES = {
  html: "text/html; charset=utf-8", css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8",
  json: "application/json", webmanifest: "application/manifest+json", svg: "image/svg+xml", png: "image/png",
  wasm: "application/wasm", txt: "text/plain; charset=utf-8",
};

const total = Object.values(SITE.files).reduce((sum, [, bytes]) => sum + bytes, 0);
let loaded = 0, told = 0;

worker.addEventListener("install", (/** @type {any} */ event) => event.waitUntil(install()));
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(activate()));
worker.addEventListener("message", (/** @type {MessageEvent} */ event) => {
  if (event.data?.kind === "use-now") void worker.skipWaiting();
});
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const address = event.request.url.split(/[?#]/)[0];
  if (event.request.method !== "GET" || !address.startsWith(SCOPE)) return;
  const path = address.slice(SCOPE.length) || "index.html";
  if (Object.hasOwn(SITE.files, path)) event.respondWith(answer(path, event.request));
});

/** @param {string} path @param {Request} request */
async function answer(path, request) {
  const cache = await caches.open(CACHE);
  // The browser may have deleted the cache to make room: then the host is asked, as without this script.
  return (await cache.match(SCOPE + path)) ?? fetch(request);
}

/** Fetch all files. What arrived before an interruption is not fetched again by the next try. */
async function install() {
  const cache = await caches.open(CACHE);
  const others = (await caches.keys()).filter((name) => name.startsWith(OURS) && name !== CACHE);
  const sources = [cache, ...(await Promise.all(others.map((name) => caches.open(name))))];
  for (const [path, [digest, bytes]] of Object.entries(SITE.files)) {
    const before = loaded;
    const kept = await keptFile(path, digest, sources);
    if (kept === null) await cache.put(SCOPE + path, await fetchedFile(path, digest));
    else if (kept.source !== cache) await cache.put(SCOPE + path, kept.response);
    loaded = before + bytes;
    await tell();
  }
}

async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith(OURS) && name !== CACHE) await caches.delete(name);
  }
  await worker.clients.claim();
}

/** @param {string} path @param {string} digest @param {Cache[]} sources */
async function keptFile(path, digest, sources) {
  for (const source of sources) {
    const response = await source.match(SCOPE + path);
    if (response?.headers.get(DIGEST) === digest) return { source, response };
  }
  return null;
}

/**
 * A file from the host, with its hash checked. The type is ours: hosts do not know all of them.
 *
 * @param {string} path
 * @param {string} digest
 */
async function fetchedFile(path, digest) {
  let content = await download(path);
  if ((await digestOf(content)) !== digest) content = await download(path, "reload"); // not from the browser's own cache
  if ((await digestOf(content)) !== digest) throw new Error(`${path}: not the file of this version`);
  const type = TYPES[path.split(".").pop() ?? ""] ?? "application/octet-stream";
  return new Response(content, { headers: { "Content-Type": type, [DIGEST]: digest } });
}

/**
 * @param {string} path
 * @param {RequestCache} [cache]
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
async function download(path, cache = "no-cache") {
  const stop = new AbortController();
  let response = await fetch(SCOPE + path, { cache, signal: stop.signal });
  if (path === "index.html" && !response.ok) response = await fetch(SCOPE, { cache });
  if (!response.ok) throw new Error(`${path}: HTTP status ${response.status}`);
  if (SITE.files[path][1] >= LARGE && !response.headers.get("Content-Encoding")) {
    const packed = await fetch(`${SCOPE}${path}.gz`, { cache }).catch(() => null);
    if (packed?.ok && packed.body) {
      stop.abort(); // the host does not compress, so the file that is compressed already is fetched
      return unpacked(await readAll(packed));
    }
  }
  return readAll(response);
}

/** @param {Uint8Array<ArrayBuffer>} content gzip, or plain where the host said that it is compressed */
async function unpacked(content) {
  if (content[0] !== 0x1f || content[1] !== 0x8b) return content;
  const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** @param {Response} response */
async function readAll(response) {
  if (!response.body) return new Uint8Array(await response.arrayBuffer());
  const reader = response.body.getReader();
  const parts = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
    loaded += value.length;
    await tell();
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {Uint8Array<ArrayBuffer>} content */
async function digestOf(content) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Tell open pages how much is there. */
async function tell() {
  const now = Date.now();
  if (now - told < TELL_EVERY) return;
  told = now;
  for (const client of await worker.clients.matchAll({ includeUncontrolled: true, type: "window" })) {
    client.postMessage({ kind: "loading", share: Math.min(1, loaded / total), version: SITE.version });
  }
}
