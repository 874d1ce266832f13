/**
 * The shapes that the page's modules pass to each other. Types only: this module does nothing.
 *
 * `Engine` is all that the page knows of a classifier. `engine-http.js` asks the service, `engine-wasm.js` runs the model
 * in the browser. No other module knows how an answer comes about.
 */

/**
 * One class of a ranking.
 * @typedef {object} Ranked
 * @property {string} label the class name
 * @property {number} probability 0..1
 * @property {number} [index] position among the logits
 * @property {string} [display_name] the name for people
 */

/**
 * What was predicted for one photo: the record of `edgeclf predict --json`.
 * @typedef {object} PhotoRecord
 * @property {string} path the photo's name
 * @property {boolean} [unknown] the best probability is below the threshold
 * @property {Ranked[]} [predictions] the best classes, best first
 * @property {{kind: string, message: string}} [error] why there is no prediction, or no heat map
 * @property {string | null} [cam]
 * @property {string | null} [cam_class]
 * @property {number | null} [padding_share]
 * @property {string | null} [copy]
 * @property {string} [device] the execution provider
 * @property {string} [taken] when, by the camera's clock, ISO 8601
 * @property {number} [latitude] degrees north
 * @property {number} [longitude] degrees east
 * @property {string} [camera] maker, model, serial number
 * @property {number | null} [size] bytes of the photo
 * @property {string | null} [modified] ISO 8601 in UTC
 * @property {string} [model] the first 16 hex digits of the model file's SHA-256
 * @property {string | null} [folder]
 * @property {number | null} [threshold] 0..1
 * @property {string | null} [maps_of]
 */

/**
 * The heat map of one class.
 * @typedef {object} HeatMap
 * @property {string} label
 * @property {string | null} [display_name]
 * @property {number} probability 0..1
 * @property {number} padding_share share of the map's energy on padding, 0..1
 * @property {number} height rows of the grid
 * @property {number} width columns of the grid
 * @property {number[]} values row by row, 0..1
 */

/**
 * The heat maps of one photo, and where they lie on it.
 * @typedef {object} Explanation
 * @property {PhotoRecord} [record]
 * @property {{width: number, height: number}} photo the upright photo in full, pixels
 * @property {[number, number, number, number]} seen left, top, right, bottom of the network input, in pixels of the
 *     upright photo; what lies outside the photo is padding
 * @property {HeatMap[]} maps best-ranked class first
 */

/**
 * The model behind an engine.
 * @typedef {object} ModelInfo
 * @property {string} file the model file's name
 * @property {string} model the first 16 hex digits of its SHA-256
 * @property {string} device the execution provider
 * @property {number} threshold a photo whose best probability is below it is unknown, 0..1
 * @property {string} version edgeclf's version
 * @property {Record<string, string>} [runtime] what runs it in the browser: package -> version
 * @property {boolean} [sorting] there is a page to sort photos on
 * @property {boolean} [keeps_unsure] the service keeps a copy of photos whose answer is unsure
 * @property {{classes: string[], display_names?: Record<string, string>}} manifest
 */

/**
 * @typedef {object} PredictOptions
 * @property {number} [topK] how many classes to rank
 * @property {number} [threshold] 0..1; the model's own if missing
 * @property {(share: number) => void} [onProgress] called with the share of the photo that was sent, 0..1
 * @property {AbortSignal} [signal]
 */

/**
 * @typedef {object} Engine
 * @property {() => Promise<ModelInfo>} model
 * @property {(file: File, options?: PredictOptions) => Promise<PhotoRecord>} predict a record with an `error` for a
 *     photo that cannot be read; rejects with an `EngineError` if there is no answer
 * @property {(file: File, signal?: AbortSignal) => Promise<Explanation>} explain
 * @property {(file: File) => Promise<import("./photo-facts.js").PhotoFacts>} [facts] what the EXIF of a photo
 *     says; missing: the records of the engine do
 * @property {(record: PhotoRecord) => Promise<void>} [remember] keeps a record on this device, if the user wants that
 * @property {(add: (photo: File) => void) => void} [offerLiveView]
 * @property {Promise<void>} [tested] from then on, `remark` may say more about answers of before
 * @property {(record: PhotoRecord) => string} [remark] why an answer may differ from that of edgeclf's Python, in a few
 *     words; empty if it does not
 */

/** Why an engine gives no answer: a stable `kind`, see `messages.js`. */
export class EngineError extends Error {
  /**
   * @param {string} kind
   * @param {string} message what is wrong; what to do next
   * @param {number} [retryAfter] seconds after which another try makes sense
   */
  constructor(kind, message, retryAfter) {
    super(message);
    this.kind = kind;
    this.retryAfter = retryAfter;
  }
}
