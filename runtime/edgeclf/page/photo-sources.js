/** Where photos come from: the camera, a choice of files, files and folders that are dropped, the clipboard. */

const PHOTO_NAME = /\.(jpe?g|jpe|jfif|mpo|hei[cf]|hif|png|gif|bmp|dib|tiff?|webp|avif|jp2|p[pgbn]m|tga|pcx)$/i;

/**
 * Call `add` with the photos of inputs, of drops anywhere on the page and of pastes.
 *
 * @param {HTMLInputElement[]} inputs of files
 * @param {HTMLElement} zone marked with the class `is-target` while files are dragged over the page
 * @param {(files: File[]) => void} add
 */
export function collectPhotos(inputs, zone, add) {
  /** @param {File[]} files */
  const addIfAny = (files) => {
    if (files.length) add(files);
  };
  for (const input of inputs) {
    const take = () => {
      addIfAny([...(input.files ?? [])]);
      input.value = ""; // the same photo may be chosen again
    };
    input.addEventListener("change", take);
    take(); // what was chosen while the page's scripts were still loading
  }
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) event.preventDefault();
    addIfAny(files);
  });
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    zone.classList.add("is-target");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) zone.classList.remove("is-target");
  });
  document.addEventListener("drop", async (event) => {
    zone.classList.remove("is-target");
    if (!hasFiles(event) || !event.dataTransfer) return;
    event.preventDefault();
    addIfAny(await droppedFiles(event.dataTransfer));
  });
}

/** @param {DragEvent} event */
function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

/**
 * The files of a drop, and the photos in its folders.
 *
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 */
async function droppedFiles(transfer) {
  // Both lists are emptied when the event is over, so they are read before anything is awaited.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const files = [...transfer.files];
  if (!entries.some((entry) => entry?.isDirectory)) return files;
  const found = [];
  for (const entry of entries) if (entry) found.push(...(await filesBelow(entry, false)));
  return found;
}

/**
 * @param {FileSystemEntry} entry
 * @param {boolean} inFolder there, hidden files and files that are no photos are left out
 * @returns {Promise<File[]>}
 */
async function filesBelow(entry, inFolder) {
  if (inFolder && entry.name.startsWith(".")) return [];
  if (entry.isFile) {
    if (inFolder && !PHOTO_NAME.test(entry.name)) return [];
    const file = /** @type {FileSystemFileEntry} */ (entry);
    return new Promise((resolve) => file.file((one) => resolve([one]), () => resolve([])));
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const found = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return found;
    for (const one of some) found.push(...(await filesBelow(one, true)));
  }
}
