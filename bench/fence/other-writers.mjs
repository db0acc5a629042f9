/** Other clients of the same server: each updates one row after the other of a table without a fence, until it is ended. */
import { createRequire } from "node:module";

const require = createRequire(new URL("../../packages/movers/package.json", import.meta.url));
const { Client } = require("pg");
const [url, count] = process.argv.slice(2);

async function write() {
  const client = new Client(url);
  await client.connect();
  for (;;) {
    await client.query("update other set n = n + 1 where id = $1", [1 + Math.floor(Math.random() * 20_000)]);
  }
}

await Promise.all(Array.from({ length: Number(count) }, write));
