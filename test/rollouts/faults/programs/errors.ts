/** One request in twenty fails: the five points that are worth an abort. */
import { fail, meddle, start } from "./meddle.ts";

let count = 0;
meddle((asked, response, go) => {
  count++;
  if (count % 20 === 0) fail(asked, response);
  else go();
});
await start("api");
