import type { KeyRotationView } from "@stampyard/api";
import { command, numberIn } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { waitFor } from "../../process/wait.ts";

export const stampRotateKeys = command<{ timeout: number }>({
  usage: "rotate-keys <stamp>",
  summary: "Replace the key that routers sign this stamp's requests with",
  about:
    "The stamp learns the next key, routers sign with it, and the old one is dropped when no header under it can be on its way any more: some 6 minutes, without a refused request. Run again after Ctrl-C, it goes on where it was.",
  completes: ["stamp"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    c.option("--timeout <seconds>", "how long to wait for each step", numberIn("timeout", 1, 86_400), 600),
  examples: [
    ["stamp rotate-keys shared-1", "all steps, waiting between them"],
    ["stamp rotate-keys shared-1 --timeout 1", "only what is possible now; exit code 3 if steps are left"],
  ],
  run: async (run) => {
    const name = run.args[0] ?? "";
    const client = await run.client();
    const { signal } = run.io;
    const steps: string[] = [];
    for (;;) {
      let refusal = "";
      const done = await waitFor(
        async (): Promise<KeyRotationView | undefined> => {
          try {
            return await client.stampKeysRotate({ params: { name }, signal });
          } catch (error) {
            // Too early: the stamp or the routers have yet to follow the last step.
            if ((error as { code?: unknown }).code !== "WRONG_PHASE") throw error;
            refusal = (error as Error).message;
            return undefined;
          }
        },
        { timeoutMs: run.options.timeout * 1000, signal, everyMs: 1_000 },
      );
      if (done === undefined) throw notYet(name, refusal);
      steps.push(done.step);
      run.say(
        `${name}: ${wording[done.step] ?? done.step}${done.waitingOn === undefined ? "" : `; waits for ${done.waitingOn}`}`,
      );
      if (done.step !== "dropped") continue;
      run.emit(
        { stamp: name, steps, kids: done.kids },
        () => `Stamp ${name} and its routers use key ${done.kids.join(", ")} alone\n`,
      );
      return;
    }
  },
});

const wording: Readonly<Record<string, string>> = {
  added: "a next key is made",
  promoted: "routers sign with it",
  dropped: "the old key is dropped",
};

function notYet(name: string, refusal: string): CommandFailure {
  return new CommandFailure("TIMEOUT", `The rotation is not complete: ${refusal}`, {
    mend: `Go on with \`stampyard stamp rotate-keys ${name}\`; requests are served meanwhile.`,
    exit: exitCode.notReady,
  });
}
