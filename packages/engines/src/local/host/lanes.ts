import type { Host } from "./state.ts";

/** Runs one piece of work after the other for each name, in the order of their coming. A failure keeps nobody waiting. */
export async function inTurn<T>({ lanes }: Pick<Host, "lanes">, name: string, work: () => Promise<T>): Promise<T> {
  const before = lanes.get(name);
  const mine = (async () => {
    await before?.catch(() => {});
    return await work();
  })();
  lanes.set(name, mine);
  try {
    return await mine;
  } finally {
    if (lanes.get(name) === mine) lanes.delete(name);
  }
}
