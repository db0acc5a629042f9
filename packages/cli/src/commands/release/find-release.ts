import type { ReleaseView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import { CommandFailure } from "../../failure.ts";

/** What `<release>` means in every command. */
export const releaseArgument = "RELEASE is a version such as 2.1.0, or a digest or its first characters.";

/** @throws CommandFailure RELEASE_NOT_FOUND; INVALID_REQUEST when several are meant */
export async function findRelease(client: Client, named: string, signal: AbortSignal): Promise<ReleaseView> {
  const releases = await client.all("releaseList", { query: { limit: 500 }, signal });
  const digest = named.startsWith("sha256:") ? named : `sha256:${named}`;
  const ofVersion = releases.filter(({ version }) => version === named);
  const found =
    ofVersion.length > 0
      ? ofVersion
      : releases.filter((release) => named.length >= 4 && release.digest.startsWith(digest));
  const [only, another] = found;
  if (only === undefined) {
    throw new CommandFailure("RELEASE_NOT_FOUND", `No release ${JSON.stringify(named)}`, {
      mend: "See stampyard release list.",
    });
  }
  if (another !== undefined) {
    const digests = found.map((release) => release.digest.slice(7, 19)).join(", ");
    throw new CommandFailure("INVALID_REQUEST", `${JSON.stringify(named)} means ${found.length} releases: ${digests}`, {
      mend: "Name one by the first characters of its digest.",
    });
  }
  return only;
}
