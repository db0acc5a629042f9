import { existsSync, openSync, readFileSync, readSync, closeSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import type { EngineFact } from "@stampyard/domain";
import { type HostState, type InstanceRecord, type ProcessRecord, readState } from "./host/state.ts";
import { isRoot, type StampPlace } from "./places.ts";
import { isAlive } from "./process/identity.ts";

/** What a stamp has on this machine: asked of the system and the files, not of the specification. */
export function factsOf(place: StampPlace): readonly EngineFact[] {
  const state = readState(place);
  if (state === undefined) return [];
  const { stamp } = place;
  const directories = [
    directory(stamp, "its files", place.dir),
    directory(stamp, "its data", place.dataDir),
    directory(stamp, "its sockets", place.runDir),
  ];
  const instances = Object.values(state.instances);
  return [...directories.flat(), ...instances.flatMap((record) => factsOfInstance(place, state, record))];
}

function factsOfInstance(place: StampPlace, state: HostState, record: InstanceRecord): readonly EngineFact[] {
  const { component, kind } = record;
  const running = [record.current, record.candidate, ...record.retiring].flatMap((one) =>
    one !== undefined && isAlive(one.identity) ? [one] : [],
  );
  const data = join(place.dataDir, component);
  const sockets = join(place.socketDir, component);
  return [
    ...running.flatMap((one) => factsOfProcess(component, state, one)),
    ...(kind === "service" ? [] : [...directory(component, "data", data), ...directory(component, "sockets", sockets)]),
    ...(kind === "postgres" ? clusterFact(component, data) : []),
  ];
}

function factsOfProcess(component: string, state: HostState, { identity, port }: ProcessRecord): readonly EngineFact[] {
  const { pid } = identity;
  const facts: EngineFact[] = [{ kind: "process", component, identity: String(pid), shown: `process ${pid}` }];
  if (port !== undefined) facts.push({ kind: "port", component, identity: String(port), shown: `port ${port}` });
  const uid = userOf(pid);
  if (uid === undefined) return facts;
  const own = uid === state.uid;
  const why =
    state.sharedUser ?? (isRoot ? "it has no user of its own" : "only root can give each stamp a user of its own");
  return [
    ...facts,
    { kind: "uid", component, identity: String(uid), shown: `user ${uid}`, ...(own ? {} : { advisory: why }) },
  ];
}

/** Who a process runs as, where the system says so in files. */
function userOf(pid: number): number | undefined {
  try {
    return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return undefined;
  }
}

/** By device and inode: a link to another stamp's directory is that directory. */
function directory(component: string, what: string, path: string): readonly EngineFact[] {
  try {
    const real = realpathSync(path);
    const { dev, ino } = statSync(real);
    return [{ kind: "directory", component, identity: `${dev}:${ino}`, shown: `${what} in ${real}` }];
  } catch {
    return [];
  }
}

/**
 * A cluster is known by its control file. Its system identifier alone does not tell two apart: all clusters of this
 * machine are clones of one template.
 */
function clusterFact(component: string, dataDir: string): readonly EngineFact[] {
  const file = join(dataDir, "global", "pg_control");
  if (!existsSync(file)) return [];
  try {
    const { dev, ino } = statSync(file);
    const identifier = systemIdentifier(file);
    const shown = `cluster ${identifier} in ${realpathSync(dataDir)}`;
    return [{ kind: "database", component, identity: `${identifier} ${dev}:${ino}`, shown }];
  } catch {
    return [];
  }
}

/** The first eight bytes of pg_control, in the machine's own order. */
function systemIdentifier(file: string): string {
  const bytes = Buffer.alloc(8);
  const handle = openSync(file, "r");
  try {
    readSync(handle, bytes, 0, 8, 0);
  } finally {
    closeSync(handle);
  }
  return bytes.readBigUInt64LE().toString();
}
