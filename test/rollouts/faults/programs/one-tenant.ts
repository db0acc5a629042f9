/** Fails for one tenant, as with data that only it has. */
import { fail, meddle, start } from "./meddle.ts";

const victim = process.env["FAULT_TENANT"] ?? "";
meddle((asked, response, go) => {
  if (victim.split(",").includes(asked.tenant)) fail(asked, response);
  else go();
});
await start("api");
