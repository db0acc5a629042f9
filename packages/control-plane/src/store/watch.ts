import { StampyardError } from "@stampyard/domain";
import { Client } from "pg";
import { connectionConfig, type Database } from "./database.ts";
import { freezesChannel } from "./freezes.ts";
import { holdsChannel, readHoldEvent } from "./holds.ts";
import type { StoreEvent, StoreMode } from "./records.ts";
import { directoryChannel } from "./sequence.ts";
import { keysChannel } from "./stamp-secrets.ts";

/** A lost notification costs this long at most (decision D8). */
const pollMs = 1_000;

export interface Watch {
  watch(listener: (event: StoreEvent) => void): () => void;
  /** From this process, after a commit. */
  tell(event: StoreEvent): void;
  close(): Promise<void>;
}

interface HeadRow extends Record<string, unknown> {
  incarnation: number;
  mode: StoreMode;
  version: number;
  chain: string;
}

/** One listening connection and one poll for all listeners, from the first one on. */
export function openWatch(url: string, applicationName: string, db: () => Database): Watch {
  const listeners = new Set<(event: StoreEvent) => void>();
  let seen: HeadRow | undefined;
  let listening: Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let turn = Promise.resolve();

  const tell = (event: StoreEvent) => {
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (error) {
        // The write is committed: a listener's fault must not make it look failed.
        process.emitWarning(`A listener of the store failed at ${event.kind}: ${StampyardError.from(error).code}`);
      }
    }
  };

  async function look(): Promise<void> {
    const { rows } = await db().query<HeadRow>(
      "SELECT m.incarnation, m.mode, h.version, h.chain FROM meta m, directory_head h",
    );
    const [now] = rows;
    if (now === undefined) return;
    const before = seen;
    seen = now;
    if (before === undefined) return;
    const { incarnation, version, chain, mode } = now;
    if (before.mode !== mode) tell({ kind: "mode", mode });
    if (before.chain !== chain || before.incarnation !== incarnation) {
      tell({ kind: "directory", head: { incarnation, version, chain } });
    }
  }

  async function listen(): Promise<void> {
    const client = new Client(connectionConfig(url, `${applicationName} (listen)`));
    const drop = () => {
      if (listening === client) listening = undefined;
    };
    client.on("error", drop);
    client.on("end", drop);
    client.on("notification", ({ channel, payload }) => {
      if (channel === keysChannel && payload !== undefined) tell({ kind: "keys", stamp: payload });
      else if (channel === freezesChannel) tell({ kind: "freeze" });
      else if (channel === holdsChannel) for (const event of readHoldEvent(payload)) tell(event);
      else lookSoon();
    });
    await client.connect();
    listening = client;
    await client.query(`LISTEN ${directoryChannel}`);
    await client.query(`LISTEN ${freezesChannel}`);
    await client.query(`LISTEN ${holdsChannel}`);
    await client.query(`LISTEN ${keysChannel}`);
  }

  /** One look at a time; a database that is away is tried again by the next poll. */
  function lookSoon(): void {
    turn = turn
      .then(async () => {
        if (timer === undefined) return;
        if (listening === undefined) await listen();
        await look();
      })
      .catch(() => {});
  }

  return {
    tell,
    watch(listener) {
      listeners.add(listener);
      if (timer === undefined) {
        timer = setInterval(lookSoon, pollMs);
        timer.unref();
        lookSoon();
      }
      return () => {
        listeners.delete(listener);
      };
    },
    async close() {
      clearInterval(timer);
      timer = undefined;
      listeners.clear();
      await turn;
      await listening?.end();
    },
  };
}
