// Writes docs/reference from the tables in the code: `npm run docs`. A test compares what is kept with what this makes.
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openApi } from "@stampyard/api";
import { apiPage } from "./reference/api-page.mjs";
import { cliPage } from "./reference/cli-page.mjs";
import { errorsPage } from "./reference/errors-page.mjs";
import { formatJson } from "./reference/format-json.mjs";
import { fleetPage, templatePage } from "./reference/manifest-pages.mjs";

/** Every generated file of docs/reference: name and text. */
export function referencePages() {
  return {
    "api.md": apiPage(),
    "cli.md": cliPage(),
    "errors.md": errorsPage(),
    "fleet.md": fleetPage(),
    "openapi.json": formatJson(openApi()),
    "template.md": templatePage(),
  };
}

const folder = new URL("../docs/reference/", import.meta.url);
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(referencePages())) {
    writeFileSync(new URL(name, folder), text);
    console.log(`docs/reference/${name}`);
  }
}
