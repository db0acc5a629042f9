import type { RolloutView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import { CommandFailure } from "../../failure.ts";

/** What `[rollout]` means in every command of the group. */
export const rolloutArgument =
  "ROLLOUT is the id of a rollout, or a stamp: then the latest one that it is a member of. Without it, the one that goes on, else the latest.";

/** @throws CommandFailure NOT_FOUND when there is none */
export async function findRollout(
  client: Client,
  named: string | undefined,
  signal: AbortSignal,
): Promise<RolloutView> {
  if (named === undefined) return findLatest(client, signal);
  if (/^ro-[a-z0-9]{1,40}$/.test(named)) {
    try {
      return await client.rolloutGet({ params: { id: named }, signal });
    } catch (caught) {
      if ((caught as { readonly code?: unknown }).code !== "NOT_FOUND") throw caught;
    }
  }
  const { items } = await client
    .rolloutList({ query: { stamp: named, limit: 1 }, signal })
    .catch((caught: { readonly code?: unknown }) => {
      // Neither can be what was meant; one message says so.
      if (caught.code === "INVALID_NAME" || caught.code === "INVALID_REQUEST") return { items: [] };
      throw caught;
    });
  const [latest] = items;
  if (latest !== undefined) return latest;
  throw new CommandFailure("NOT_FOUND", `No rollout ${JSON.stringify(named)}, and none with a stamp of that name`, {
    mend: "See stampyard rollout list.",
  });
}

/** Of those that go on the one that is at work, before those that wait for it. */
async function findLatest(client: Client, signal: AbortSignal): Promise<RolloutView> {
  const open = await client.rolloutList({ query: { open: true, limit: 100 }, signal });
  const running = open.items.find(({ phase }) => phase !== "queued") ?? open.items.at(-1);
  if (running !== undefined) return running;
  const [latest] = (await client.rolloutList({ query: { limit: 1 }, signal })).items;
  if (latest !== undefined) return latest;
  throw new CommandFailure("NOT_FOUND", "There was no rollout yet", {
    mend: "Start one: stampyard rollout start, or stampyard apply.",
  });
}
