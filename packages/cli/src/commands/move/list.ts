import type { MoveView } from "@stampyard/api";
import { Option } from "commander";
import { command, numberIn } from "../../define.ts";
import { moveTable } from "./move-text.ts";

const phases: readonly MoveView["phase"][] = [
  "requested",
  "checking",
  "copying",
  "switching",
  "opening",
  "verifying",
  "resting",
  "erasing",
  "done",
  "disputed",
  "aborting",
  "aborted",
  "returned",
];

interface Options {
  readonly tenant?: string;
  readonly stamp?: string;
  readonly phase?: MoveView["phase"];
  readonly campaign?: string;
  readonly open?: boolean;
  readonly limit: number;
}

export const moveList = command<Options>({
  usage: "list",
  summary: "List moves, the newest first",
  options: (c) =>
    c
      .option("--tenant <key>", "only of this tenant")
      .option("--stamp <name>", "only from or to this stamp")
      .addOption(new Option("--phase <phase>", "only in this phase").choices([...phases]))
      .option("--campaign <id>", "only of this campaign")
      .option("--open", "only those that have not ended; a move that rests has not")
      .option("-n, --limit <moves>", "how many", numberIn("limit", 1, 500), 100),
  examples: [
    ["move list --open", "what goes on, and what can still be taken back"],
    ["move list --stamp shared-2 -o json", "everything that went from or to a stamp, for a script"],
  ],
  run: async (run) => {
    const { tenant, stamp, phase, campaign, open, limit } = run.options;
    const client = await run.client();
    const { items } = await client.moveList({
      query: {
        limit,
        ...(tenant === undefined ? {} : { tenant }),
        ...(stamp === undefined ? {} : { stamp }),
        ...(phase === undefined ? {} : { phase }),
        ...(campaign === undefined ? {} : { campaign }),
        ...(open === true ? { open } : {}),
      },
      signal: run.io.signal,
    });
    run.emit({ items }, () => moveTable(items, Date.now()));
  },
});
