/**
 * Records as files: the same lines, byte for byte, that edgeclf writes for the same records.
 *
 * CSV has the columns and the escaping of `edgeclf.field.csv_columns`, JSON lines are those of `Record.to_json`.
 */

/** @typedef {import("./types.js").PhotoRecord} PhotoRecord */
/** @typedef {string | number | boolean | null | undefined} Cell */

const LAST_COLUMNS = [
  "error", "message", "cam", "cam_class", "padding_share", "copy", "size", "modified", "model", "folder", "threshold",
  "maps_of", "taken", "latitude", "longitude", "camera",
];
// JSON does not tell 1 from 1.0, and Python writes them differently.
const FLOATS = /^(probability(_\d+)?|padding_share|threshold|latitude|longitude)$/;
const CONTROL = /[\x00-\x1f\x7f\ud800-\udfff]|\\(?=u[0-9a-f]{4})/gu;
const FORMULA = /^[=+\-@'\uff1d\uff0b\uff0d\uff20]/;

/**
 * The record as it stands in a record file: with the photo's size and time, the model and the settings.
 *
 * @param {PhotoRecord} record
 * @param {{size: number, lastModified: number}} photo the file that was sent
 * @param {{model: string, threshold: number}} model
 * @returns {PhotoRecord}
 */
export function inFile(record, photo, model) {
  const modified = new Date(photo.lastModified).toISOString().replace("Z", "000000Z"); // nanoseconds, as edgeclf's
  return {
    ...record, size: photo.size, modified, model: model.model, folder: null, threshold: model.threshold, maps_of: null,
  };
}

/**
 * @param {number} ranks how many classes are ranked for a photo
 * @returns {string[]}
 */
export function csvColumns(ranks) {
  const ranking = Array.from({ length: ranks }, (_, at) => [`label_${at + 1}`, `probability_${at + 1}`]);
  return ["path", "unknown", ...ranking.flat(), ...LAST_COLUMNS];
}

/**
 * A whole CSV file, with the byte order mark that spreadsheets look for.
 *
 * @param {PhotoRecord[]} records
 * @param {number} ranks at least as many classes as any record ranks
 * @returns {string}
 */
export function csvFile(records, ranks) {
  const columns = csvColumns(ranks);
  const lines = [columns.join(","), ...records.map((record) => csvRow(record, columns))];
  return `\ufeff${lines.join("\n")}\n`;
}

/**
 * @param {PhotoRecord[]} records
 * @returns {string}
 */
export function jsonLinesFile(records) {
  return records.map((record) => `${pythonJson(record, "")}\n`).join("");
}

/**
 * @param {PhotoRecord} record
 * @param {string[]} columns
 * @returns {string}
 */
function csvRow(record, columns) {
  /** @type {Record<string, any>} */
  const values = { ...record, error: record.error?.kind, message: record.error?.message };
  record.predictions?.forEach((one, at) => {
    values[`label_${at + 1}`] = one.label;
    values[`probability_${at + 1}`] = one.probability;
  });
  return columns.map((name) => csvCell(values[name], FLOATS.test(name))).join(",");
}

/**
 * @param {Cell} value
 * @param {boolean} float
 * @returns {string}
 */
function csvCell(value, float) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return float ? pythonFloat(value) : String(value);
  const text = escaped(String(value));
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Control characters as `\uXXXX`, and what a spreadsheet would run as a formula behind an apostrophe.
 *
 * @param {string} text
 * @returns {string}
 */
export function escaped(text) {
  const plain = text.replace(CONTROL, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return FORMULA.test(plain) ? `'${plain}` : plain;
}

/**
 * A number as Python writes a float.
 *
 * @param {number} value finite
 * @returns {string}
 */
export function pythonFloat(value) {
  const [digits, exponent] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power < -4 || power >= 16) {
    return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  if (Object.is(value, -0)) return "-0.0";
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/**
 * A value as Python's `json.dumps` writes it.
 *
 * @param {unknown} value
 * @param {string} key under which it stands
 * @returns {string}
 */
function pythonJson(value, key) {
  if (Array.isArray(value)) return `[${value.map((one) => pythonJson(one, key)).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).filter(([, one]) => one !== undefined);
    return `{${entries.map(([name, one]) => `${pythonJson(name, "")}: ${pythonJson(one, name)}`).join(", ")}}`;
  }
  if (typeof value === "number" && FLOATS.test(key)) return pythonFloat(value);
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
