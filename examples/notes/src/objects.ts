import { createHash } from "node:crypto";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { queueAddress } from "./wake-ups.ts";

/**
 * Objects of tenants, outside of the database: a stream of the stamp's own NATS on its disk, one message for each. An
 * object is named by the SHA-256 of its bytes, so it never changes, and whoever has it has it right.
 */
export interface ObjectStore {
  put(tenant: string, bytes: Uint8Array): Promise<string>;
  /** Undefined = there is no such object. */
  get(tenant: string, sha256: string): Promise<Uint8Array | undefined>;
  list(tenant: string): Promise<readonly string[]>;
  /** Whoever has any object. */
  tenants(): Promise<readonly string[]>;
  erase(tenant: string): Promise<void>;
  close(): Promise<void>;
}

export const mostObjectBytes = 512 * 1024;

const stream = "ATTACHMENTS";
const timeout = 5_000;
/** One message for each subject: putting an object again changes nothing. */
const config = {
  name: stream,
  subjects: ["attachments.>"],
  storage: "file",
  max_msgs_per_subject: 1,
  allow_direct: true,
};

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function openObjects(url: string): ObjectStore {
  let opened: Promise<NatsConnection> | undefined;
  const begin = async () => {
    const connection = await connect({
      ...queueAddress(url),
      name: "notes objects",
      maxReconnectAttempts: -1,
      timeout,
    });
    await ask(connection, `$JS.API.STREAM.CREATE.${stream}`, config);
    return connection;
  };
  const ready = async () => {
    opened ??= begin();
    try {
      return await opened;
    } catch (caught) {
      opened = undefined; // The next request tries again.
      throw caught;
    }
  };
  const subjects = async (filter: string) => {
    const { state } = await ask<{ state: { subjects?: Record<string, number> } }>(
      await ready(),
      `$JS.API.STREAM.INFO.${stream}`,
      { subjects_filter: filter },
    );
    return Object.keys(state.subjects ?? {});
  };

  return {
    async put(tenant, bytes) {
      const sha256 = sha256Of(bytes);
      const connection = await ready();
      const answer = await connection.request(`attachments.${tenant}.${sha256}`, bytes, { timeout });
      checked(answer.json());
      return sha256;
    },
    async get(tenant, sha256) {
      const connection = await ready();
      const subject = `$JS.API.DIRECT.GET.${stream}.attachments.${tenant}.${sha256}`;
      const answer = await connection.request(subject, undefined, { timeout });
      if (answer.headers?.code === 404) return undefined;
      if (sha256Of(answer.data) !== sha256) throw new Error(`Object ${sha256} is damaged`);
      return answer.data;
    },
    async list(tenant) {
      return (await subjects(`attachments.${tenant}.>`)).map((subject) => subject.split(".").at(-1) ?? "").sort();
    },
    async tenants() {
      return [...new Set((await subjects("attachments.>")).map((subject) => subject.split(".")[1] ?? ""))].sort();
    },
    async erase(tenant) {
      await ask(await ready(), `$JS.API.STREAM.PURGE.${stream}`, { filter: `attachments.${tenant}.>` });
    },
    async close() {
      const connection = await opened?.catch(() => undefined);
      await connection?.close();
    },
  };
}

async function ask<T>(connection: NatsConnection, subject: string, request: object): Promise<T> {
  const answer = await connection.request(subject, JSON.stringify(request), { timeout });
  return checked(answer.json<T>());
}

/** JetStream answers what went wrong with the same status as what did not. */
function checked<T>(answer: T): T {
  const { error } = answer as { error?: { description?: string } };
  if (error !== undefined) throw new Error(`The object store answered: ${error.description ?? "an error"}`);
  return answer;
}
