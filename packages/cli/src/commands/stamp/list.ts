import type { StampView } from "@stampyard/api";
import { command } from "../../define.ts";
import { age, table } from "../../output/table.ts";

export const stampList = command<{ pool?: string; wide?: boolean }>({
  usage: "list",
  summary: "List stamps with their phase, places and what they wait for",
  options: (c) =>
    c.option("--pool <name>", "only stamps of this pool").option("-w, --wide", "also digests and endpoints"),
  examples: [
    ["stamp list", "every stamp"],
    ["stamp list --pool shared -o json", "stamps of one pool, for a script"],
  ],
  run: async (run) => {
    const client = await run.client();
    const all = await client.all("stampList", { signal: run.io.signal });
    const items = all.filter((stamp) => run.options.pool === undefined || stamp.pool === run.options.pool);
    run.emit({ items }, () => stampTable(items, run.options.wide === true, Date.now()));
  },
});

export function stampTable(stamps: readonly StampView[], wide: boolean, nowMs: number): string {
  if (stamps.length === 0) return "No stamps\n";
  const head = ["name", "pool", "region", "phase", "tenants", "host", "age", "waiting on"];
  return table(
    wide ? [...head, "endpoints", "stamp digest"] : head,
    stamps.map((stamp) => {
      const row = [
        stamp.name,
        stamp.pool,
        stamp.region,
        stamp.phase,
        `${stamp.used.tenants}/${stamp.capacity.tenants}${stamp.over === undefined ? "" : " over"}`,
        stamp.origin === "adopted" ? "adopted" : stamp.observation?.host,
        stamp.createdAt === undefined ? undefined : age(Date.parse(stamp.createdAt), nowMs),
        stamp.cause ?? stamp.waitingOn,
      ];
      if (!wide) return row;
      return [...row, endpointText(stamp), stamp.stampDigest.slice(0, "sha256:".length + 12)];
    }),
  );
}

export function endpointText(stamp: Pick<StampView, "endpoints">): string {
  return stamp.endpoints.map((endpoint) => `${endpoint.host}:${endpoint.port}`).join(",");
}
