/** The photos that wait, in the order in which they are shown. Pure bookkeeping: nothing is asked or drawn here. */

/** @typedef {import("./sort-api.js").SortPhoto} SortPhoto */

const KEPT_IN_PLACE = 3; // photos that are shown or loaded already: their order does not change any more

export class Queue {
  constructor() {
    /** @type {Map<string, SortPhoto>} all that were ever listed, so that an undo can show them again */
    this.known = new Map();
    /** @type {string[]} */
    this.order = [];
    /** @type {string[]} at the end of the queue, in this visit */
    this.skipped = [];
    /** @type {Set<string>} labelled in this page; the service does not know it yet */
    this.gone = new Set();
  }

  /** The photos that wait, the next one first. @returns {SortPhoto[]} */
  get photos() {
    return [...this.order, ...this.skipped].map((id) => /** @type {SortPhoto} */ (this.known.get(id)));
  }

  /** @returns {SortPhoto | undefined} */
  get current() {
    const id = this.order[0] ?? this.skipped[0];
    return id === undefined ? undefined : this.known.get(id);
  }

  get length() {
    return this.order.length + this.skipped.length;
  }

  /**
   * Take over what the service listed.
   *
   * @param {SortPhoto[]} listed the most useful first
   * @param {boolean} complete these are all: others are not there any more
   * @returns {string[]} ids of photos that somebody else sorted or removed
   */
  take(listed, complete) {
    const skipped = new Set(this.skipped);
    const there = new Set(listed.map((photo) => photo.id));
    for (const photo of listed) this.known.set(photo.id, photo);
    const lost = complete ? [...this.order, ...this.skipped].filter((id) => !there.has(id)) : [];
    const missing = new Set(lost);
    const first = this.order.slice(0, KEPT_IN_PLACE).filter((id) => !missing.has(id));
    const placed = new Set(first);
    const fresh = listed.map((photo) => photo.id).filter((id) => !this.gone.has(id) && !skipped.has(id) && !placed.has(id));
    for (const id of fresh) placed.add(id);
    const others = this.order.filter((id) => !placed.has(id) && !missing.has(id));
    this.order = [...first, ...fresh, ...others];
    this.skipped = this.skipped.filter((id) => !missing.has(id));
    return lost;
  }

  /** Take photos out: they are labelled. @param {string[]} ids */
  remove(ids) {
    const out = new Set(ids);
    for (const id of ids) this.gone.add(id);
    this.order = this.order.filter((id) => !out.has(id));
    this.skipped = this.skipped.filter((id) => !out.has(id));
  }

  /** The service has moved these photos: it does not list them any more. @param {string[]} ids */
  confirm(ids) {
    for (const id of ids) this.gone.delete(id);
  }

  /**
   * Put photos in front: a label was taken back, or did not come through.
   * @param {string[]} ids
   * @returns {boolean} whether all of them are known
   */
  putBack(ids) {
    for (const id of ids) this.gone.delete(id);
    const back = ids.filter((id) => this.known.has(id));
    const set = new Set(back);
    this.order = [...back, ...this.order.filter((id) => !set.has(id))];
    this.skipped = this.skipped.filter((id) => !set.has(id));
    return back.length === ids.length;
  }

  /** Show a photo next. @param {string} id */
  bringForward(id) {
    this.skipped = this.skipped.filter((other) => other !== id);
    this.order = [id, ...this.order.filter((other) => other !== id)];
  }

  /** Put the current photo to the end. */
  skip() {
    const id = this.order.shift() ?? this.skipped.shift();
    if (id !== undefined) this.skipped.push(id);
  }

  /** Show the photo that was skipped last. */
  unskip() {
    const id = this.skipped.pop();
    if (id !== undefined) this.order.unshift(id);
  }

  /** The ids of a photo and of those that look nearly the same. @param {SortPhoto} photo @returns {string[]} */
  alike(photo) {
    if (photo.group === null || photo.group < 0) return [photo.id];
    return this.photos.filter((other) => other.group === photo.group).map((other) => other.id);
  }
}
