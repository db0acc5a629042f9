import { readControlPlaneConfig, startControlPlane } from "@stampyard/control-plane";
import type { RolloutState } from "@stampyard/domain";
import { remoteEngine } from "./remote-engine.ts";

/**
 * A control plane whose stamps are elsewhere, and that asks before and after each durable step of a rollout whether it may
 * go on: so it can be killed exactly there. Points are `rollouts.baking:before`, `apply:after` and so on.
 */
const engine = remoteEngine(process.env["ENGINE"] ?? "");

async function around<T>(point: string, work: () => Promise<T>): Promise<T> {
  await engine.at(`${point}:before`);
  const result = await work();
  await engine.at(`${point}:after`);
  return result;
}

await startControlPlane(readControlPlaneConfig(process.env), {
  engine: { ...engine, apply: (spec, call) => around("apply", () => engine.apply(spec, call)) },
  aroundStore(store) {
    const { write } = store.rollouts;
    const rollouts: typeof store.rollouts = {
      ...store.rollouts,
      write: (rollout, ...rest) => {
        const { kind }: RolloutState = rollout.state;
        return around(`rollouts.${kind}`, () => write(rollout, ...rest));
      },
    };
    return { ...store, rollouts };
  },
});
