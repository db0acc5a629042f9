/** Every answer takes 300 ms longer. */
import { meddle, start } from "./meddle.ts";

meddle((_asked, _response, go) => {
  setTimeout(go, 300);
});
await start("api");
