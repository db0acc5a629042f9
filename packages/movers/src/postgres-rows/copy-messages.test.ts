import { createSeededRandom, forSeeds } from "@stampyard/testing";
import { expect, test } from "vitest";
import { createCopyReader } from "./copy-messages.ts";

const message = (kind: string, body: Uint8Array | string = "") => {
  const bytes = Buffer.from(body as string);
  const head = Buffer.alloc(5);
  head.write(kind);
  head.writeUInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
};

function heardOf(chunks: readonly Buffer[]) {
  const heard = { rows: [] as Buffer[], bytes: 0, asides: "", rest: [] as Buffer[] };
  let isOver = false;
  const reader = createCopyReader({
    rows(messages, bytes) {
      heard.rows.push(messages);
      heard.bytes += bytes;
    },
    aside: (aside) => {
      heard.asides += String.fromCharCode(aside[0] ?? 0);
    },
    end(rest) {
      isOver = true;
      heard.rest.push(rest);
    },
  });
  for (const chunk of chunks) {
    if (isOver) heard.rest.push(chunk);
    else reader.read(chunk);
  }
  return { ...heard, rows: Buffer.concat(heard.rows), rest: Buffer.concat(heard.rest), runs: heard.rows };
}

test("createCopyReader() passes rows on whole and in order, wherever the connection cuts them", async () => {
  await forSeeds(300, (random) => {
    const rows: Buffer[] = [];
    const sent: Buffer[] = [message("H", "\0\0\0")];
    let bytes = 0;
    let asides = "H";
    for (let n = random.int(0, 40); n > 0; n--) {
      if (random.chance(0.1)) {
        const kind = random.pick(["N", "S", "A"]);
        asides += kind;
        sent.push(message(kind, "d".repeat(random.int(0, 9))));
      }
      const body = Buffer.from(random.bytes(random.chance(0.1) ? 3_000 : random.int(0, 20)));
      bytes += body.length;
      rows.push(message("d", body));
      sent.push(rows.at(-1) as Buffer);
    }
    const end = Buffer.concat([message(random.pick(["c", "E"])), message("C", "COPY 7"), message("Z", "T")]);
    const all = Buffer.concat([...sent, end]);
    const heard = heardOf(cut(all, random.int(1, 600), random.seed));
    expect(heard.rows.equals(Buffer.concat(rows))).toBe(true);
    expect(heard).toMatchObject({ bytes, asides });
    expect(heard.rest.equals(end)).toBe(true);
    for (const run of heard.runs) expect(wholeMessages(run)).toBe(true);
  });
});

test("createCopyReader() puts a row of many pieces together once, and gives rows that came together on together", () => {
  const long = message("d", Buffer.alloc(1_000_000, 1));
  const pieces = Array.from({ length: 20 }, (_, n) => long.subarray(n * 50_001, (n + 1) * 50_001));
  const short = Buffer.concat([message("d", "a"), message("d", "b"), message("d", "c")]);
  const { runs } = heardOf([...pieces, short]);
  expect(runs.map(({ length }) => length)).toEqual([long.length, short.length]);
});

test("createCopyReader() steps back for whatever it does not know", () => {
  const strange = Buffer.concat([message("T", "columns"), message("D", "a row"), message("C"), message("Z", "I")]);
  expect(heardOf([strange]).rest.equals(strange)).toBe(true);
});

function cut(bytes: Buffer, most: number, seed: number): Buffer[] {
  const random = createSeededRandom(seed);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = random.int(1, most);
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

function wholeMessages(run: Buffer): boolean {
  let at = 0;
  while (at < run.length) at += 1 + run.readUInt32BE(at + 1);
  return at === run.length;
}
