import type { ReleaseView } from "@stampyard/api";
import { command, numberIn } from "../../define.ts";
import { age, table } from "../../output/table.ts";
import { shortDigest } from "../rollout/rollout-text.ts";

export const releaseList = command<{ readonly limit: number }>({
  usage: "list",
  summary: "List releases, the newest first",
  options: (c) => c.option("-n, --limit <releases>", "how many", numberIn("limit", 1, 500), 100),
  examples: [["release list", "which one is the fleet's, and how many stamps each has"]],
  run: async (run) => {
    const client = await run.client();
    const { items } = await client.releaseList({ query: { limit: run.options.limit }, signal: run.io.signal });
    run.emit({ items }, () => releaseTable(items, Date.now()));
  },
});

export function releaseTable(releases: readonly ReleaseView[], nowMs: number): string {
  if (releases.length === 0) return "No releases\n";
  return table(
    ["release", "version", "template", "of the fleet", "stamps", "files", "age", "by", "notes"],
    releases.map((release) => [
      shortDigest(release.digest),
      release.version,
      release.template,
      release.current,
      release.stamps,
      release.content === undefined ? undefined : filesText(release.content, release.kept),
      age(Date.parse(release.createdAt), nowMs),
      release.createdBy,
      release.notes,
    ]),
  );
}

/** A release whose files are gone can be applied again, and not be gone back to. */
function filesText(content: string, kept = true): string {
  return kept ? shortDigest(content) : `${shortDigest(content)} (removed)`;
}
