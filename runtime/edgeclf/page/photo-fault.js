/** Why a photo cannot be read: `edgeclf.errors.PhotoError`, with the same kinds and words. */

export class PhotoFault extends Error {
  /**
   * @param {string} kind "empty", "not-an-image", "damaged", "too-large" or "unsupported"
   * @param {string} message what is wrong, in one line
   * @param {string} remedy what to do next
   */
  constructor(kind, message, remedy) {
    super(oneLine(message));
    this.kind = kind;
    this.remedy = oneLine(remedy);
  }

  /** What is wrong and what to do, as records hold it. */
  get text() {
    return this.remedy ? `${this.message}; ${this.remedy}` : this.message;
  }
}

/** A photo is not decoded. `named` makes a `PhotoFault` of it; `message` is the cause without the photo's name. */
export class Unfit extends Error {
  /**
   * @param {string} kind
   * @param {string} cause
   * @param {string} [remedy]
   */
  constructor(kind, cause, remedy = "copy it again from the camera") {
    super(cause);
    this.kind = kind;
    this.remedy = remedy;
  }

  /**
   * @param {string} [name] the photo's
   * @returns {PhotoFault}
   */
  named(name) {
    return new PhotoFault(this.kind, `${name || "the photo"}: ${this.message}`, this.remedy);
  }
}

/** @param {string} text */
function oneLine(text) {
  return text.split(/\s+/).filter(Boolean).join(" ");
}
