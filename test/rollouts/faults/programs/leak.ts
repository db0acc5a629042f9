/** Keeps what it should forget, until the limit of its memory ends it: some 16 MiB a second. */
import { start } from "./meddle.ts";

const kept: unknown[] = [];
setInterval(() => {
  for (let n = 0; n < 16; n++) kept.push(Array.from({ length: 5_000 }, () => Math.random()));
}, 40);
await start("api");
