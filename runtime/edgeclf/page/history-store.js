/** Answers that are kept on this device, if that is wanted: records, without photos, in the browser's database. */

const STORE = "records";

/** @typedef {import("./types.js").PhotoRecord & import("./photo-facts.js").PhotoFacts} KeptRecord */

/**
 * @param {string} [name] of the database; every site on a host has its own
 */
export function createHistory(name = `edgeclf ${new URL("./", document.baseURI).pathname}`) {
  /** @type {Promise<IDBDatabase> | null} */
  let opening = null;

  function open() {
    opening ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { autoIncrement: true });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    return opening;
  }

  /**
   * @template Result
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest<Result>} act
   * @returns {Promise<Result>} when it is on the disk
   */
  async function inStore(mode, act) {
    const transaction = (await open()).transaction(STORE, mode);
    const request = act(transaction.objectStore(STORE));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? request.error);
    });
  }

  return {
    /** @param {KeptRecord} record */
    add: (record) => inStore("readwrite", (store) => store.add(record)),
    count: () => inStore("readonly", (store) => store.count()),
    /** @returns {Promise<KeptRecord[]>} the oldest first */
    all: () => inStore("readonly", (store) => store.getAll()),
    clear: () => inStore("readwrite", (store) => store.clear()),
    get isOn() {
      try {
        return localStorage.getItem(name) === "on";
      } catch {
        return false; // the browser keeps nothing for this page
      }
    },
    /** @param {boolean} isOn */
    set isOn(isOn) {
      try {
        if (isOn) localStorage.setItem(name, "on");
        else localStorage.removeItem(name);
      } catch {
        // For this visit only.
      }
    },
  };
}
