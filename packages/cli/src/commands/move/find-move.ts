import type { MoveView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import { CommandFailure } from "../../failure.ts";

/** What `<move>` means in every command of the group. */
export const moveArgument = "MOVE is the id of a move, or the key of a tenant: then its latest move.";

/** @throws CommandFailure NOT_FOUND when it is neither */
export async function findMove(client: Client, named: string, signal: AbortSignal): Promise<MoveView> {
  try {
    return await client.moveGet({ params: { id: named }, signal });
  } catch (caught) {
    const { code } = caught as { readonly code?: unknown };
    if (code !== "NOT_FOUND" && code !== "INVALID_REQUEST") throw caught;
  }
  const { items } = await client
    .moveList({ query: { tenant: named, limit: 1 }, signal })
    .catch((caught: { readonly code?: unknown }) => {
      // Neither can be what was meant; one message says so.
      if (caught.code === "INVALID_NAME" || caught.code === "INVALID_REQUEST") return { items: [] };
      throw caught;
    });
  const [latest] = items;
  if (latest !== undefined) return latest;
  throw new CommandFailure("NOT_FOUND", `No move ${JSON.stringify(named)}, and no move of a tenant of that key`, {
    mend: "See stampyard move list.",
  });
}
