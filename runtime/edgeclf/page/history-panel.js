/** The part of a static site that keeps answers on the device: a switch, how many there are, files of them. */

import { saveRecords } from "./downloads.js";
import { createHistory } from "./history-store.js";
import { counted } from "./messages.js";
import { make, makeButton } from "./dom.js";

/**
 * @param {HTMLElement} panel
 * @param {string} [name] of the database, as for `createHistory`
 * @returns {(record: import("./history-store.js").KeptRecord) => Promise<void>} keeps a record, if that is switched on
 */
export function createHistoryPanel(panel, name) {
  const history = createHistory(name);
  const details = make("details", "site-history");
  const title = make("summary", "", "Answers of earlier visits");
  const option = make("label", "option");
  const isOn = make("input", "");
  isOn.type = "checkbox";
  isOn.checked = history.isOn;
  const words = make("span", "", "Keep answers on this device");
  words.append(make("span", "quiet small", "Names, answers, times and places of photos stay in this browser until you delete "
    + "them. Photos themselves are not kept."));
  option.append(isOn, words);
  const said = make("p", "quiet", "");
  const csv = makeButton("All as CSV"), jsonLines = makeButton("All as JSON lines"), remove = makeButton("Delete all");
  const buttons = make("div", "row");
  buttons.append(csv, jsonLines, remove);
  details.append(title, option, said, buttons);
  panel.append(details);

  async function update() {
    let count = 0;
    try {
      count = await history.count();
      said.textContent = count ? "" : "None is kept.";
    } catch {
      isOn.disabled = true;
      said.textContent = "This browser keeps nothing for this page.";
    }
    buttons.hidden = count === 0;
    title.textContent = count ? `${counted(count, "answer")} kept on this device` : "Keep answers on this device";
  }

  isOn.addEventListener("change", () => {
    history.isOn = isOn.checked;
    if (isOn.checked) void navigator.storage?.persist?.(); // else the browser may delete them when it needs room
  });
  csv.addEventListener("click", async () => saveRecords(await history.all(), "csv"));
  jsonLines.addEventListener("click", async () => saveRecords(await history.all(), "jsonl"));
  remove.addEventListener("click", async () => {
    const count = await history.count();
    if (!confirm(`Delete ${counted(count, "answer")}? They cannot be brought back.`)) return;
    await history.clear();
    await update();
  });
  void update();

  return async (record) => {
    if (!isOn.checked) return;
    try {
      await history.add(record);
      await update();
    } catch (error) {
      details.open = true;
      said.textContent = `An answer could not be kept (${error}). Make room on this device.`;
    }
  };
}
