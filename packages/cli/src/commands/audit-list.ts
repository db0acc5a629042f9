import { command, numberIn } from "../define.ts";
import { exitCode } from "../exit-codes.ts";
import { table } from "../output/table.ts";

interface Options {
  readonly subject?: string;
  readonly after?: number;
  readonly limit: number;
  readonly verify?: boolean;
}

export const auditList = command<Options>({
  usage: "list",
  summary: "List who changed what, numbered and chained",
  options: (c) =>
    c
      .option("--subject <subject>", "only about one thing, e.g. tenant/acme or stamp/shared-1")
      .option("--after <number>", "only rows after this number", numberIn("after", 0, Number.MAX_SAFE_INTEGER))
      .option("--limit <rows>", "how many rows", numberIn("limit", 1, 500), 100)
      .option("--verify", "check the chain from its first row; exit code 1 if it is broken"),
  examples: [
    ["audit list --subject tenant/acme", "everything done to acme"],
    ["audit list --verify -o json", "prove that no row was changed or removed"],
  ],
  run: async (run) => {
    const { subject, after, limit, verify } = run.options;
    const client = await run.client();
    const page = await client.auditList({
      query: {
        limit,
        verify: verify === true,
        ...(subject === undefined ? {} : { subject }),
        ...(after === undefined ? {} : { after }),
      },
      signal: run.io.signal,
    });
    run.emit(page, () =>
      table(
        ["seq", "at", "actor", "action", "subject", "reason", "detail"],
        page.items.map((row) => [
          row.seq,
          row.at,
          row.actor,
          row.action,
          row.subject,
          row.reason,
          JSON.stringify(row.detail),
        ]),
      ),
    );
    const chain = page.verification;
    if (chain === undefined) return exitCode.ok;
    run.say(chain.ok ? `The chain of ${chain.rows} rows holds` : `The chain is broken at row ${chain.brokenAt}`);
    return chain.ok ? exitCode.ok : exitCode.error;
  },
});
