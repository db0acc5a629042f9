import { command } from "../define.ts";
import { fields, table } from "../output/table.ts";
import { askRouter } from "../router-admin.ts";

interface Row {
  readonly host: string;
  readonly path: string;
  readonly reason: string;
  readonly count: number;
  readonly lastAt: number;
}

export const routeUnresolved = command<{ admin?: string }>({
  usage: "unresolved",
  summary: "What no tenant claimed, while a stamp takes everything else",
  about:
    "Counted by a router since it started, while a pool has a catchAll: the list to work off before its last day. Ids in paths are left out.",
  options: (c) => c.option("--admin <url>", "the router's admin address; else read from the state directory"),
  examples: [["route unresolved", "hosts and paths that name no tenant, most frequent first"]],
  run: async (run) => {
    const answer = await askRouter(run.io, run.options, "/unresolved");
    const rows = (Array.isArray(answer["rows"]) ? answer["rows"] : []) as Row[];
    const catchAll = answer["catchAll"] as { stamp: string; until: string } | undefined;
    run.emit(answer, () => {
      const fallback = catchAll === undefined ? "none" : `${catchAll.stamp} until ${catchAll.until}`;
      const lines = rows.map((row) => [row.count, row.host, row.path, row.reason, new Date(row.lastAt).toISOString()]);
      const list = rows.length === 0 ? "" : table(["count", "host", "path", "why", "last"], lines);
      return `${fields([["Fallback", fallback]])}${list}`;
    });
  },
});
