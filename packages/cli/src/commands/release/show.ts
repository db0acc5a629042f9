import type { ReleaseView } from "@stampyard/api";
import { command } from "../../define.ts";
import { fields } from "../../output/table.ts";
import { findRelease, releaseArgument } from "./find-release.ts";

function filesText({ content, kept }: ReleaseView): string {
  return kept === false ? `${content}, which are not kept any more` : String(content);
}

export const releaseShow = command({
  usage: "show <release>",
  summary: "Show a release: who made it and when, and the stamps that are to run it",
  about: releaseArgument,
  examples: [["release show 2.1.0", "with its digest, which names it for good"]],
  run: async (run) => {
    const { signal } = run.io;
    const client = await run.client();
    const release = await findRelease(client, run.args[0] ?? "", signal);
    const stamps = (await client.all("stampList", { query: { limit: 500 }, signal }))
      .filter(({ releaseDigest, goal }) => releaseDigest === release.digest && goal !== "absent")
      .map(({ name }) => name);
    run.emit({ ...release, runsOn: stamps }, () =>
      fields([
        ["Release", release.digest],
        ["Version", release.version],
        ["Template", release.template],
        ["Files", release.content === undefined ? undefined : filesText(release)],
        ["Of the fleet", release.current],
        ["Stamps", stamps.length === 0 ? "none" : stamps.join(", ")],
        ["Made", `${release.createdAt}${release.createdBy === undefined ? "" : ` by ${release.createdBy}`}`],
        ["Notes", release.notes],
      ]),
    );
  },
});
