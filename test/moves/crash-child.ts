import { readControlPlaneConfig, startControlPlane } from "@stampyard/control-plane";
import type { Mover, OpenMover } from "@stampyard/domain";
import { openRowsMover } from "@stampyard/movers";

/**
 * A control plane that is killed at one point of one move, as the machine would: nothing of it runs on. Points are
 * `mover.flip:before`, `moves.write.opening:after`, `holds.hold:before` and so on.
 */
const { CRASH_AT: crashAt = "", ABORT_AT: abortAt = "", SPARED: spared = "" } = process.env;

type Call = (...args: never[]) => Promise<unknown>;
type Ctx = { readonly actor: string; readonly token: number };
let abort: ((id: string) => Promise<unknown>) | undefined;
let hasAborted = false;

async function at(point: string, move: string): Promise<void> {
  if (move === spared) return;
  if (point === abortAt && !hasAborted) {
    hasAborted = true;
    await abort?.(move);
  }
  if (point !== crashAt) return;
  process.kill(process.pid, "SIGKILL");
  await new Promise(() => {});
}

function around<T extends object>(
  target: T,
  names: readonly (keyof T & string)[],
  tell: (name: string, args: never[]) => readonly [string, string],
): T {
  const copy = { ...target };
  for (const name of names) {
    const method = target[name] as Call;
    const wrapped = async (...args: never[]) => {
      const [point, move] = tell(name, args);
      await at(`${point}:before`, move);
      const result = await method.apply(target, args);
      await at(`${point}:after`, move);
      return result;
    };
    copy[name] = wrapped as T[typeof name];
  }
  return copy;
}

const steps = [
  ...(["check", "admit", "arm", "copy", "follow", "verify", "fence", "settle", "flip"] as const),
  ...(["open", "compare", "erase", "unfence", "reopen", "forget"] as const),
] satisfies readonly (keyof Mover)[];

const openMover: OpenMover = async (request) =>
  around(await openRowsMover(request), steps, (name) => [`mover.${name}`, request.move.id]);

await startControlPlane(readControlPlaneConfig(process.env), {
  openMover,
  aroundStore(store) {
    let ctx: Ctx | undefined;
    const plain = store.moves;
    abort = async (id) => {
      if (ctx !== undefined) await plain.abort(id, {}, ctx);
    };
    const moves = around(plain, ["write", "land"], (name, args) => {
      const [first] = args as unknown as [string | { id: string; state: { kind: string } }];
      ctx = args.at(-1) as unknown as Ctx;
      return typeof first === "string" ? [`moves.${name}`, first] : [`moves.${name}.${first.state.kind}`, first.id];
    });
    const holds = around(store.holds, ["hold", "release"], (name, args) => {
      const [first, second] = args as unknown as [string | { moveId: string }, string];
      return [`holds.${name}`, typeof first === "string" ? second : first.moveId];
    });
    return { ...store, moves, holds };
  },
});
