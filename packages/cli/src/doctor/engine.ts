import { type Check, look } from "./check.ts";

/** What the local engine needs and can enforce on this machine. Looks only: nothing is fetched or installed. */
export async function examineEngine(): Promise<readonly Check[]> {
  const { isolation, resolveBinaries } = await import("@stampyard/engines");
  const checks: Check[] = [];
  for (const result of await resolveBinaries({ lookOnly: true })) {
    checks.push(
      await look(result.kind, async () => {
        if ("found" in result) {
          const { version, source, path } = result.found;
          return { level: "ok", found: `${version} from ${source} (${path})` };
        }
        const { message, mend } = result.error;
        // The first `up` fetches what is missing, so a missing binary is no failure yet.
        return { level: "warn", found: message, ...(mend === undefined ? {} : { mend }) };
      }),
    );
  }
  for (const fact of await isolation()) {
    checks.push({
      name: `${fact.what} of a stamp`,
      level: fact.level === "enforced" ? "ok" : "warn",
      found: `${fact.level}: ${fact.why}`,
    });
  }
  return checks;
}
