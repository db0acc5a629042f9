import { command } from "../../define.ts";
import { findMove, moveArgument } from "./find-move.ts";
import { moveText } from "./move-text.ts";

export const moveShow = command({
  usage: "show <move>",
  summary: "Show one move: what it does, what it waits for, and what was measured",
  about: `${moveArgument} The write pause is from the order to hold until every router knew the new home.`,
  completes: ["move"],
  examples: [
    ["move show acme", "the latest move of acme"],
    ["move show mv-4f2c81d0 -o json", "the whole report of one move, for a script"],
  ],
  run: async (run) => {
    const move = await findMove(await run.client(), run.args[0] ?? "", run.io.signal);
    run.emit(move, () => moveText(move));
  },
});
