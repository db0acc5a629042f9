import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";

export const poolApplyProposal = command<{ readonly reason?: string }>({
  usage: "apply-proposal <pool> <proposal>",
  summary: "Do what a pool proposes: build the next stamp, or drain one that it needs no more",
  about: "A drained stamp is destroyed once it is empty. A proposal that the pool does not make any more is refused.",
  completes: ["pool"],
  exits: [exitCode.ok, exitCode.error, exitCode.interrupted],
  options: (c) => c.option("--reason <text>", "why, for the audit"),
  examples: [
    ["pool apply-proposal shared grow-eu-next", "build the next stamp of a pool that only proposes it"],
    ["pool apply-proposal shared scale-down-shared-3", "drain and then destroy a stamp that is not needed"],
  ],
  run: async (run) => {
    const [pool = "", proposal = ""] = run.args;
    const { reason } = run.options;
    const client = await run.client();
    const applied = await client.poolApplyProposal({
      params: { name: pool },
      body: { proposal, ...(reason === undefined ? {} : { reason }) },
      signal: run.io.signal,
    });
    run.emit(applied, () => `Proposal ${applied.proposal} of pool ${applied.pool} is under way\n`);
    run.say(`See how it goes: stampyard stamp show ${applied.stamp}`);
  },
});
