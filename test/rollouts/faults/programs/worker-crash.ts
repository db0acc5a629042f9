/** The worker dies a moment after its start, each time; the API knows nothing of it. */
import { start } from "./meddle.ts";

await start("worker");
setTimeout(() => process.exit(1), 700);
