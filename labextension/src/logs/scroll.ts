/**
 * Scrolling through more rows than a browser can lay out.
 *
 * Browsers limit the height of an element (Firefox to 17.8 million pixels, Chromium to 33.5). What is higher is scrolled
 * with two measures: small steps (wheel, touch, arrows) move by as many pixels as the browser says; large ones (the thumb
 * of the scroll bar) go to the same fraction of the whole.
 */

/** Pixels that an element may be high; well below what browsers bear, whose text is drawn in 32-bit floats. */
export const HIGHEST = 8_000_000;

/** Viewports by which a step is still a small one. */
const SMALL = 2;

/** Where in a list of rows one is. All lengths are in pixels. */
export class VirtualScroll {
  /**
   * @param rowHeight - Of each row.
   * @param highest - Of the element that is scrolled.
   */
  constructor(
    readonly rowHeight: number,
    readonly highest = HIGHEST
  ) {}

  /** How many rows there are. */
  get rows(): number {
    return this._rows;
  }

  /** How much of them is seen at once. */
  get viewport(): number {
    return this._viewport;
  }

  /** What of all rows is above the viewport. */
  get top(): number {
    return this._top;
  }

  /** The largest `top`. */
  get bottom(): number {
    return Math.max(0, this._rows * this.rowHeight - this._viewport);
  }

  /** How high the element is that the browser scrolls. */
  get height(): number {
    return Math.min(this._rows * this.rowHeight, Math.max(this.highest, 2 * this._viewport));
  }

  /** Where that is to be scrolled to; the place that the browser was told, or told us, last. */
  get place(): number {
    return this._place;
  }

  /** Whether the last row is seen whole. */
  get isAtBottom(): boolean {
    return this._top >= this.bottom - 1;
  }

  /** The rows that are seen, at least in part: from the first one to before the second one. */
  get range(): [number, number] {
    const first = Math.floor(this._top / this.rowHeight);
    const end = Math.ceil((this._top + this._viewport) / this.rowHeight);
    return [Math.min(first, this._rows), Math.min(end, this._rows)];
  }

  /** There are more rows or fewer, or more or less of them is seen; what is on top stays there, if it can. */
  resize(rows: number, viewport: number): void {
    this._rows = rows;
    this._viewport = viewport;
    this.moveTo(this._top);
  }

  /** Goes to where so much is above the viewport. */
  moveTo(top: number): void {
    this._top = Math.min(Math.max(0, top), this.bottom);
    this.settle();
  }

  /** Brings a row into sight: by the shortest way, or to a fraction of the viewport. */
  reveal(row: number, at?: number): void {
    const top = row * this.rowHeight;
    const room = this._viewport - this.rowHeight;
    if (at !== undefined) {
      this.moveTo(top - at * Math.max(0, room));
    } else {
      this.moveTo(Math.max(Math.min(this._top, top), top - room));
    }
  }

  /** The browser has gone where it was told, as near as it can. */
  arrived(place: number): void {
    this._place = place;
  }

  /** The browser has scrolled to a place. */
  onScroll(place: number): void {
    const step = place - this._place;
    if (step === 0) {
      return;
    }
    this._place = place;
    const { _scrolled: scrolled, bottom } = this;
    const small = Math.abs(step) <= SMALL * this._viewport;
    const top =
      scrolled === bottom || !small ? (scrolled ? (place / scrolled) * bottom : 0) : this._top + step;
    this._top = Math.min(Math.max(0, top), bottom);
  }

  /**
   * Finds the place that belongs to where one is: after small steps, it is another one than the browser has.
   *
   * At least two viewports, if there are so many, remain on both sides, so that small steps can go on.
   */
  settle(): void {
    const { _scrolled: scrolled, bottom } = this;
    if (scrolled === bottom) {
      this._place = this._top;
      return;
    }
    const room = SMALL * this._viewport;
    const place = (this._top / bottom) * scrolled;
    const least = Math.min(this._top, room, scrolled / 2);
    const most = scrolled - Math.min(bottom - this._top, room, scrolled / 2);
    this._place = Math.min(Math.max(place, least), most);
  }

  /** Whether the browser cannot go on by small steps although there is more. */
  get isStuck(): boolean {
    const before = this._place < 1 && this._top >= 1;
    return before || (this._place > this._scrolled - 1 && this._top <= this.bottom - 1);
  }

  /** The largest place. */
  private get _scrolled(): number {
    return Math.max(0, this.height - this._viewport);
  }

  private _rows = 0;
  private _viewport = 0;
  private _top = 0;
  private _place = 0;
}
