/** Records as files that the browser saves. */

import { csvFile, jsonLinesFile } from "./records.js";

/**
 * @param {import("./types.js").PhotoRecord[]} records as `inFile` gives them
 * @param {"csv" | "jsonl"} format
 */
export function saveRecords(records, format) {
  const ranks = Math.max(1, ...records.map((record) => record.predictions?.length ?? 0));
  const text = format === "csv" ? csvFile(records, ranks) : jsonLinesFile(records);
  const address = URL.createObjectURL(new Blob([text], { type: format === "csv" ? "text/csv" : "application/jsonl" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = `edgeclf-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser may still read it
}
