/** The camera's picture with an answer a second, where the browser allows it. */

import { make, makeButton } from "./dom.js";
import { explained, percent } from "./messages.js";
import { answerInWords, rankedParts } from "./photo-card.js";

const EVERY = 1000; // milliseconds from one frame to the next
const SIDE = 1280; // pixels, longer side, of a frame
const QUALITY = 0.92;
const SHOWN_CLASSES = 3;

/**
 * A button that opens the view; none where there is no camera to ask for.
 *
 * @param {import("./types.js").Engine} engine
 * @param {(photo: File) => void} add a frame that the user keeps
 */
export function createLiveView(engine, add) {
  const buttons = document.querySelector(".add-buttons");
  if (!buttons || !navigator.mediaDevices?.getUserMedia) return;
  const open = makeButton("Live view");
  open.prepend(make("span", "icon icon-camera"));
  buttons.insertBefore(open, buttons.querySelector(".add-hint"));
  const { dialog, video, status, answer, take, close } = createDialog();
  /** @type {MediaStream | null} */
  let stream = null;
  let timer = 0;
  /** @type {Blob | null} */
  let frame = null;

  open.addEventListener("click", async () => {
    dialog.showModal();
    status.textContent = "Opening the camera …";
    try {
      const found = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: "environment", width: { ideal: SIDE } }, audio: false,
      });
      if (!dialog.open) return found.getTracks().forEach((track) => track.stop());
      stream = found;
      video.srcObject = found;
      await video.play();
      status.textContent = "";
      void next();
    } catch (error) {
      const refused = error instanceof DOMException && error.name === "NotAllowedError";
      status.textContent = refused ? "The camera was not allowed. Allow it for this page in the browser's settings."
        : `The camera cannot be used (${error}).`;
    }
  });

  async function next() {
    const began = Date.now();
    try {
      frame = await frameOf(video);
      if (!stream || !frame) return;
      const record = await engine.predict(new File([frame], "live.jpg"), { topK: SHOWN_CLASSES });
      if (!stream) return;
      answer.replaceChildren(...(record.predictions ?? []).map((one) => {
        const row = make("li", record.unknown ? "unsure" : "");
        row.append(...rankedParts(one));
        return row;
      }));
      take.disabled = false;
      const best = record.predictions?.[0];
      status.textContent = record.unknown ? `Unknown: no answer is sure enough${best ? ` (${percent(best.probability)})` : ""}`
        : record.error ? answerInWords(record) : "";
    } catch (error) {
      status.textContent = explained(error).title;
    }
    if (stream) timer = setTimeout(next, Math.max(0, EVERY - (Date.now() - began)));
  }

  take.addEventListener("click", () => {
    if (!frame) return;
    const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    add(new File([frame], `live-${time}.jpg`, { type: "image/jpeg", lastModified: Date.now() }));
    dialog.close();
  });
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    clearTimeout(timer);
    stream?.getTracks().forEach((track) => track.stop());
    stream = frame = null;
    video.srcObject = null;
    take.disabled = true;
    answer.replaceChildren();
    open.focus();
  });
}

/** @param {HTMLVideoElement} video @returns {Promise<Blob | null>} a JPEG */
function frameOf(video) {
  const scale = Math.min(1, SIDE / Math.max(1, video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
  canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
  canvas.getContext("2d")?.drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

function createDialog() {
  const dialog = make("dialog", "live-view");
  dialog.setAttribute("aria-label", "Live view");
  const video = make("video", "live-video");
  video.muted = video.playsInline = true;
  const answer = make("ol", "ranking"), status = make("p", "quiet");
  status.setAttribute("role", "status");
  const row = make("div", "row");
  const take = makeButton("Keep this photo", "button button-primary"), close = makeButton("Close");
  take.disabled = true;
  row.append(take, close);
  dialog.append(video, status, answer, row);
  document.body.append(dialog);
  return { dialog, video, status, answer, take, close };
}
