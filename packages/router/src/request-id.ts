import { randomFillSync } from "node:crypto";

const idBytes = 16;
const idLetters = 36;
const perBatch = 256;
const digits = Buffer.from("0123456789abcdef");
const hyphen = 0x2d;

const random = Buffer.alloc(idBytes * perBatch);
const letters = Buffer.alloc(idLetters * perBatch);
let batch = "";
let at = 0;

/**
 * A new random UUID (version 4). Made by the batch, and cut out of one text: `randomUUID` glues each from twenty pieces,
 * which are walked again every time the id is written, and ours are written three times.
 */
export function newRequestId(): string {
  if (at >= batch.length) {
    batch = newBatch();
    at = 0;
  }
  const id = batch.slice(at, at + idLetters);
  at += idLetters;
  return id;
}

function newBatch(): string {
  randomFillSync(random);
  let to = 0;
  for (let from = 0; from < random.length; from++) {
    const place = from % idBytes;
    let octet = random[from] as number;
    // RFC 9562 section 5.4: version and variant.
    if (place === 6) octet = (octet & 0x0f) | 0x40;
    else if (place === 8) octet = (octet & 0x3f) | 0x80;
    if (place === 4 || place === 6 || place === 8 || place === 10) letters[to++] = hyphen;
    letters[to++] = digits[octet >> 4] as number;
    letters[to++] = digits[octet & 15] as number;
  }
  return letters.toString("latin1");
}
