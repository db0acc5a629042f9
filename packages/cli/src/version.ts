import { readFileSync } from "node:fs";

/** Version of this package; all packages are released together on one. */
export function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
