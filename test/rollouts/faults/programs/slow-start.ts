/** Takes its time before it listens. */
import { setTimeout as delay } from "node:timers/promises";
import { setting, start } from "./meddle.ts";

await delay(setting("FAULT_START_MS"));
await start("api");
