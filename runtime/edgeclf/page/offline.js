/** Keeps the site's files on this device, by its service worker, and tells of new versions. */

const CHECK_EVERY = 3_600_000; // milliseconds between questions for a new version, while the page is looked at
const TAKES_OVER = 3000; // milliseconds, far more than it takes

/**
 * What is told on the way.
 * @typedef {object} Told
 * @property {(share: number) => void} loading 0..1, on the first visit
 * @property {(share: number) => void} loadingUpdate 0..1
 * @property {(isKept: boolean, why: string) => void} kept the page works offline from now on, or why it does not
 * @property {(use: () => void) => void} updateReady a new version is there as a whole; `use` changes to it
 */

/**
 * @param {Told} told
 * @param {string} [script] address of the service worker
 * @returns {Promise<void>} when the files are kept, or cannot be; it never rejects
 */
export async function keepOffline(told, script = "service-worker.js") {
  const workers = navigator.serviceWorker;
  if (!workers) return told.kept(false, isSecureContext ? "this browser keeps no sites" : "that needs https");
  const isUpdate = workers.controller !== null;
  let registration;
  try {
    registration = await workers.register(script, { updateViaCache: "none" });
  } catch (error) {
    // Offline, with all files kept, the browser still has the old script.
    return told.kept(isUpdate, `the browser refuses (${error instanceof Error ? error.message : error})`);
  }
  workers.addEventListener("message", ({ data }) => {
    if (data?.kind === "loading") (isUpdate ? told.loadingUpdate : told.loading)(data.share);
  });
  tellUpdates(registration, told);
  checkNowAndThen(registration);
  if (isUpdate) return told.kept(true, "");
  const isKept = await firstInstallation(registration);
  if (isKept && !workers.controller) await controlled();
  return told.kept(isKept, isKept ? "" : "not all files could be loaded; reload the page to try again");
}

/**
 * @param {ServiceWorkerRegistration} registration
 * @returns {Promise<boolean>} whether all files are there
 */
function firstInstallation(registration) {
  const first = registration.installing ?? registration.waiting;
  if (!first) return Promise.resolve(registration.active !== null);
  return new Promise((resolve) => {
    const look = () => {
      if (first.state === "activated") resolve(true);
      if (first.state === "redundant") resolve(false);
    };
    first.addEventListener("statechange", look);
    look();
  });
}

/** Wait until the service worker answers for this page, which it never does after a forced reload. */
function controlled() {
  return new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
    setTimeout(resolve, TAKES_OVER);
  });
}

/** @param {ServiceWorkerRegistration} registration @param {Told} told */
function tellUpdates(registration, told) {
  const workers = navigator.serviceWorker;
  let isControlled = workers.controller !== null, isAsked = false;
  /** @param {ServiceWorker} next */
  const offer = (next) => {
    if (!registration.active) return; // the first version
    told.updateReady(() => {
      isAsked = true;
      next.postMessage({ kind: "use-now" });
    });
  };
  workers.addEventListener("controllerchange", () => {
    if (isAsked) location.reload();
    else if (isControlled) told.updateReady(() => location.reload()); // another window asked for it
    isControlled = true;
  });
  if (registration.waiting) offer(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const next = registration.installing;
    next?.addEventListener("statechange", () => {
      if (next.state === "installed") offer(next);
    });
  });
}

/** @param {ServiceWorkerRegistration} registration */
function checkNowAndThen(registration) {
  let last = Date.now();
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible" || Date.now() - last < CHECK_EVERY) return;
    last = Date.now();
    registration.update().catch(() => {}); // offline
  });
}
