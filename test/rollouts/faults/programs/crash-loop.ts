/** Becomes healthy, and dies a moment later, each time. */
import { start } from "./meddle.ts";

await start("api");
setTimeout(() => process.exit(1), 700);
