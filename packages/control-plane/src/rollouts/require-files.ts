import { type Digest, StampyardError } from "@stampyard/domain";
import type { ReleaseInput } from "../store/port.ts";
import type { Contents } from "./content.ts";

export interface FilesKept {
  /** Files of releases. @default none is kept, so none is missed */
  readonly contents?: Pick<Contents, "hold">;
}

/**
 * Whoever is to run a release needs its files; of one that nobody ran for long they may be removed. Those that are there
 * stay until the rollout that is about to start names them.
 * @throws StampyardError RELEASE_NOT_FOUND
 */
export async function requireFiles({ contents }: FilesKept, releases: readonly ReleaseInput[]): Promise<void> {
  if (contents === undefined) return;
  for (const release of releases) {
    for (const content of contentsOf(release)) {
      if (await contents.hold(content)) continue;
      throw new StampyardError(
        "RELEASE_NOT_FOUND",
        `Files of release ${release.version} (${release.digest}) are not kept any more`,
        {
          mend: "Apply it again from the commit that it came from, or choose one whose files stampyard release list shows.",
        },
      );
    }
  }
}

/** Its own files, and those of parts that were taken from others. */
function contentsOf({ content, template }: ReleaseInput): ReadonlySet<Digest> {
  const parts = template.stages
    .flatMap((stage) => stage.components)
    .flatMap((component) => (component.kind === "service" || component.kind === "job" ? [component.content] : []));
  return new Set([content, ...parts].filter((one) => one !== undefined));
}
