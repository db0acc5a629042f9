/** Follows a feed without a router: reads what comes, and acknowledges as often as a router would. */
import { setTimeout as delay } from "node:timers/promises";

const [url] = process.argv.slice(2);
const response = await fetch(`${url}/v1/directory/feed?router=sink`);
process.send("follows");
let isNew = false;
const acknowledge = async () => {
  for (;;) {
    await delay(20);
    if (!isNew) continue;
    isNew = false;
    await fetch(`${url}/v1/directory/ack`, { method: "POST", body: JSON.stringify({ version: 0, router: "sink" }) });
  }
};
acknowledge().catch(() => process.exit(0));
for await (const _ of response.body) isNew = true;
process.exit(0);
