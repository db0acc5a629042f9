/** Writers of one tenant through the router: what a pause is, they tell. */
import { Agent } from "node:http";
import { send } from "../../test/moves/clients.ts";

const levels = ["read committed", "repeatable read", "serializable"];

/** `count` writers, each with one request on its way, `pauseMs` after the last. Half of the writes hit the many rows. */
export function startWriters(bed, tenant, { count, rows, pauseMs }) {
  const agent = new Agent({ keepAlive: true });
  const acknowledged = [];
  const slowest = [];
  const refused = {};
  let isOver = false;
  const writers = Array.from({ length: count }, async (_, writer) => {
    for (let n = 1; !isOver; n++) {
      const level = levels[writer % levels.length];
      const value = `${tenant}-w${writer}-${n}-${Math.random()}`;
      const which =
        n % 2 === 0 && rows > 0
          ? { kind: "grow", key: `seat-${1 + Math.floor(Math.random() * rows)}` }
          : { kind: "append", key: "l1" };
      const op = await send(agent, bed.fleet.router, { client: `w${writer}`, tenant, value, level, ...which });
      if (op.outcome === "ok") {
        acknowledged.push(op.end);
        slowest.push({ at: op.end, ms: op.end - op.start });
      } else {
        const why = `${op.code} at ${level}`;
        refused[why] = (refused[why] ?? 0) + 1;
      }
      await new Promise((resolve) => setTimeout(resolve, op.outcome === "ok" ? pauseMs : 3));
    }
  });
  return {
    acknowledged,
    /** How often each came back without being done: the code of the router or of the database, and the isolation level. */
    refused,
    /** Longest time without an acknowledged write, and the slowest single one that ended, between two moments. */
    pauseWithin(from, to) {
      const ends = acknowledged.filter((at) => at >= from && at <= to).sort((a, b) => a - b);
      const gaps = ends.map((at, n) => (n === 0 ? 0 : at - ends[n - 1]));
      const single = slowest.filter(({ at }) => at >= from && at <= to).map(({ ms }) => ms);
      return { pauseMs: Math.max(0, ...gaps), slowestMs: Math.max(0, ...single), writes: ends.length };
    },
    async stop() {
      isOver = true;
      await Promise.all(writers);
      agent.destroy();
    },
  };
}
