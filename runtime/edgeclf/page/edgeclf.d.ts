/** A model of edgeclf in the browser. */

/**
 * Open the model of a site that `edgeclf web` wrote. The page must come from the same host as the site.
 *
 * @param site address of the site's folder, relative to the page; by default, the folder of this module
 * @throws EngineError: the model cannot be loaded
 */
export function open(site?: string | URL): Promise<Classifier>;

export interface Classifier {
  readonly model: Model;
  /**
   * Classify a photo: a `File`, or the bytes of one as a `Blob`. One photo at a time is in work, others wait.
   *
   * @returns the record of `edgeclf predict --json`; with `error` for a photo that cannot be read
   * @throws EngineError: there is no answer
   */
  classify(photo: Blob, options?: ClassifyOptions): Promise<PhotoRecord>;
  /** The heat maps of all classes that have one. */
  explain(photo: Blob, options?: { name?: string; signal?: AbortSignal }): Promise<Explanation>;
  /** Whether the network saw the very pixels that `edgeclf predict` makes of the photo: true for JPEGs. */
  isExact(record: PhotoRecord): boolean;
  /** What `edgeclf doctor` says, of this device. */
  selfTest(): Promise<SelfTest>;
  /** Free the memory. What waits fails with the kind "aborted". */
  close(): void;
}

export interface ClassifyOptions {
  /** Name of the photo in the record, for a `Blob`; a `File` has one. */
  name?: string;
  /** How many classes to rank; 5 if missing. */
  topK?: number;
  /** Below it, the best probability means unknown, 0..1; the model's own if missing. */
  threshold?: number;
  signal?: AbortSignal;
}

export interface Model {
  /** Name of the model file. */
  file: string;
  /** The first 16 hex digits of its SHA-256. */
  model: string;
  threshold: number;
  /** Version of edgeclf. */
  version: string;
  manifest: { classes: string[]; display_names?: Record<string, string> };
}

export interface PhotoRecord {
  path: string;
  /** The best probability is below the threshold. */
  unknown?: boolean;
  /** Best first. Missing where there is an `error`. */
  predictions?: Ranked[];
  error?: { kind: string; message: string };
  /** "wasm" */
  device?: string;
  /** When the photo was taken, by the camera's clock, ISO 8601. This and the following: only if its EXIF says so. */
  taken?: string;
  /** Degrees north. */
  latitude?: number;
  /** Degrees east. */
  longitude?: number;
  /** Maker, model, and the serial number in brackets. */
  camera?: string;
}

export interface Ranked {
  label: string;
  /** The name for people. */
  display_name?: string;
  /** 0..1 */
  probability: number;
  /** Position among the logits. */
  index?: number;
}

export interface Explanation {
  /** The upright photo, pixels. */
  photo: { width: number; height: number };
  /** Left, top, right, bottom of what the network saw, in pixels of the upright photo; outside of it is padding. */
  seen: [number, number, number, number];
  /** Best-ranked class first. */
  maps: HeatMap[];
}

export interface HeatMap {
  label: string;
  display_name?: string | null;
  probability: number;
  padding_share: number;
  /** Rows. */
  height: number;
  /** Columns. */
  width: number;
  /** Row by row, 0..1. */
  values: number[];
}

export interface SelfTest {
  /** No check failed. */
  passed: boolean;
  /** All pixels and all logits are the same bits as where the model was exported. */
  exact: boolean;
  checks: { name: string; status: "ok" | "warning" | "FAIL"; detail: string; remedy: string }[];
}

/** Why there is no answer. */
export class EngineError extends Error {
  constructor(kind: string, message: string, retryAfter?: number);
  /** Such as "offline", "model", "timeout", "crashed", "file-gone", "aborted", "closed". */
  kind: string;
}
