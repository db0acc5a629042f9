import type { FreezeView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import { command } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import { addExpiryOptions, type ExpiryOptions, expiryOf } from "../expiry.ts";
import { namesOf } from "../rollout/start.ts";
import { freezeTable, scopeText, stopsText } from "./freeze-text.ts";

const things: readonly FreezeView["stops"][number][] = ["rollouts", "moves", "scaling", "destroys"];

interface Options extends ExpiryOptions {
  readonly reason?: string;
  readonly pool?: string;
  readonly region?: string;
  readonly stamp?: string;
  readonly stops?: string;
}

export const freezeCommand = command<Options>({
  usage: "freeze",
  summary: "Stop rollouts, moves, scaling and destroys in a scope, within seconds; undone by unfreeze",
  about:
    "What is under way in a stamp ends; nothing new begins. Requests are routed as ever, sick stamps are mended, and an abort goes through. Without a scope it is the whole fleet.",
  options: (c) =>
    addExpiryOptions(
      c
        .option("--reason <text>", "why, for the audit and for everybody who waits (required)")
        .option("--pool <names>", "only in these pools, e.g. gold,silver")
        .option("--region <names>", "only in these regions")
        .option("--stamp <names>", "only these stamps")
        .option("--stops <things>", `only some of ${things.join(", ")} (default: all)`),
      "until unfreeze",
    ),
  examples: [
    ['freeze --reason "the fair" --for 12h', "nothing changes for twelve hours"],
    ['freeze --pool gold --stops rollouts,moves --reason "audit"', "one pool, and no releases or moves in it"],
    ["freeze list", "what is frozen, by whom, until when; and the windows of the fleet file"],
  ],
  run: async (run) => {
    const { reason, pool, region, stamp, stops } = run.options;
    // Not commander's own check: that one would also ask `freeze list` for a reason.
    if (reason === undefined || reason.trim() === "") {
      throw new CommandFailure("INVALID_REQUEST", "A freeze wants a reason", {
        mend: "Say why with --reason; see what is frozen with stampyard freeze list.",
      });
    }
    const until = expiryOf(run.options, Date.now());
    const client = await run.client();
    const freeze = await client.freezeStart({
      body: {
        scope: {
          ...(pool === undefined ? {} : { pools: namesOf(pool) }),
          ...(region === undefined ? {} : { regions: namesOf(region) }),
          ...(stamp === undefined ? {} : { stamps: namesOf(stamp) }),
        },
        ...(stops === undefined ? {} : { stops: thingsOf(stops) }),
        ...(until === undefined ? {} : { until }),
        reason,
      },
      signal: run.io.signal,
    });
    run.emit(
      freeze,
      () =>
        `Frozen: ${stopsText(freeze)} of ${scopeText(freeze.scope)}${freeze.until === undefined ? "" : ` until ${freeze.until}`}\n`,
    );
    run.say(`End it: stampyard unfreeze ${freeze.id}`);
  },
});

function thingsOf(text: string): FreezeView["stops"] {
  return namesOf(text).map((name) => {
    const thing = things.find((known) => known === name);
    if (thing !== undefined) return thing;
    throw new CommandFailure("INVALID_REQUEST", `${JSON.stringify(name)} is nothing that a freeze stops`, {
      mend: `Use some of ${things.join(", ")}.`,
    });
  });
}

export const freezeList = command({
  usage: "list",
  summary: "List freezes that people have said, and the windows of the fleet file",
  examples: [["freeze list", "what is frozen now, by whom, and until when"]],
  run: async (run) => {
    const client = await run.client();
    const freezes = await client.freezeList({ signal: run.io.signal });
    run.emit(freezes, () => freezeTable(freezes));
  },
});

export const unfreeze = command<{ readonly reason?: string; readonly all?: boolean }>({
  usage: "unfreeze [freeze]",
  summary: "End a freeze that a person said",
  about:
    "FREEZE is its id. Without it the only one there is. A window of the fleet file ends by itself, or with another file.",
  options: (c) => c.option("--all", "every one of them").option("--reason <text>", "why, for the audit"),
  examples: [
    ["unfreeze", "the one there is"],
    ["unfreeze fz-0a1b2c3d4e", "one of several"],
  ],
  run: async (run) => {
    const { signal } = run.io;
    const { reason } = run.options;
    const client = await run.client();
    const ids = await meant(client, run.args[0], run.options.all === true, signal);
    const query = reason === undefined ? {} : { reason };
    for (const id of ids) await client.freezeEnd({ params: { id }, query, signal });
    run.emit({ ended: ids }, () => ids.map((id) => `Freeze ${id} is over\n`).join(""));
  },
});

/** @throws CommandFailure NOT_FOUND, or INVALID_REQUEST when several are meant */
async function meant(client: Client, named: string | undefined, all: boolean, signal: AbortSignal) {
  if (named !== undefined) return [named];
  const { items } = await client.freezeList({ signal });
  const ids = items.flatMap((freeze) => (freeze.kind === "person" ? [freeze.id] : []));
  if (ids.length === 0) {
    throw new CommandFailure("NOT_FOUND", "Nobody has frozen anything", { mend: "See stampyard freeze list." });
  }
  if (all || ids.length === 1) return ids;
  throw new CommandFailure("INVALID_REQUEST", `There are ${ids.length} freezes: ${ids.join(", ")}`, {
    mend: "Name one, or end them with --all.",
  });
}
