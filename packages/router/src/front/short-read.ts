/** A read as text of one octet per character: heads are read as text, and hardly anything else of a short read is. */
export class ShortRead {
  readonly length: number;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
    this.length = text.length;
  }
  toString(_encoding: "latin1", from: number, to: number): string {
    return from === 0 && to >= this.length ? this.#text : this.#text.slice(from, to);
  }
  /** The bytes themselves, as a copy. */
  subarray(from: number, to: number = this.length): Buffer {
    return Buffer.from(this.#text.slice(from, to), "latin1");
  }
}

/** What was read, as far as finding heads in it needs it. */
export type Octets = ShortRead | Buffer;
