import type { FeedPosition } from "@stampyard/directory";
import type { ChangesAnswer, Store } from "../store/port.ts";

/** Questions whose query has not begun yet. */
const waiting = new WeakMap<Store, Map<string, Promise<ChangesAnswer>>>();

/**
 * What follows a position, asked of the store once for all readers that stand there: one notification wakes every reader,
 * and fifty of them would ask the same fifty times. Whoever joins does so before the query begins, so nobody gets an
 * answer that is older than his question, and a change that was told to him is in it.
 */
export function changesAfter(store: Store, position: FeedPosition, limit: number): Promise<ChangesAnswer> {
  let questions = waiting.get(store);
  if (questions === undefined) {
    questions = new Map();
    waiting.set(store, questions);
  }
  const key = `${position.incarnation} ${position.version} ${position.chain} ${limit}`;
  const asked = questions.get(key);
  if (asked !== undefined) return asked;
  const answer = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
    questions.delete(key);
    return store.directory.changesAfter(position, limit);
  });
  questions.set(key, answer);
  return answer;
}
