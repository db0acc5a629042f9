/** Works for a while, then every third request fails, as when a pool has run dry. */
import { fail, meddle, setting, start } from "./meddle.ts";

const failsFrom = performance.now() + setting("FAULT_AFTER_MS");
let count = 0;
meddle((asked, response, go) => {
  count++;
  if (performance.now() > failsFrom && count % 3 === 0) fail(asked, response);
  else go();
});
await start("api");
