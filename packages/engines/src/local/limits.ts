import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { IsolationFact, Resources } from "@stampyard/domain";
import { isReachable, isRoot } from "./places.ts";

const mount = "/sys/fs/cgroup";
type Controller = "memory" | "cpu" | "pids";

/** Where this process may make groups of its own: below the group it is in, so that nothing escapes a host's account. */
type Ground =
  | { readonly version: 1; readonly dirs: Partial<Record<Controller, string>> }
  | { readonly version: 2; readonly dir: string };

/** No stamp's component needs more; a fork bomb stops here. */
const maxProcesses = 1024;

let known: Ground | { readonly version: 0; readonly why: string } | undefined;

function ground(): Ground | { readonly version: 0; readonly why: string } {
  known ??= findGround();
  return known;
}

function findGround(): Ground | { readonly version: 0; readonly why: string } {
  if (process.platform !== "linux") return { version: 0, why: "this system has no cgroups" };
  if (!isRoot) return { version: 0, why: "only root may make cgroups here" };
  const own = readFileSync("/proc/self/cgroup", "utf8").trim().split("\n");
  if (existsSync(join(mount, "cgroup.controllers"))) {
    const path = own.find((line) => line.startsWith("0::"))?.slice(3) ?? "/";
    const dir = join(mount, path, "stampyard");
    return tryMake(dir) && enableV2(dir)
      ? { version: 2, dir }
      : { version: 0, why: "the cgroup is not ours to divide" };
  }
  const dirs: Partial<Record<Controller, string>> = {};
  for (const controller of ["memory", "cpu", "pids"] as const) {
    const path = own.find((line) => line.split(":")[1]?.split(",").includes(controller) === true)?.split(":")[2];
    const named = own.find((line) => line.split(":")[1]?.split(",").includes(controller) === true)?.split(":")[1];
    if (path === undefined || named === undefined) continue;
    const dir = join(mount, existsSync(join(mount, controller)) ? controller : named, path, "stampyard");
    if (tryMake(dir)) dirs[controller] = dir;
  }
  return Object.keys(dirs).length > 0 ? { version: 1, dirs } : { version: 0, why: "no cgroup can be made here" };
}

function tryMake(dir: string): boolean {
  try {
    mkdirSync(dir, { recursive: true });
    return statSync(dir).isDirectory();
  } catch {
    return false;
  }
}

/** Version 2 hands controllers down level by level; a group with processes in it may refuse that. */
function enableV2(dir: string): boolean {
  try {
    for (const at of [join(dir, ".."), dir]) writeFileSync(join(at, "cgroup.subtree_control"), "+memory +cpu +pids");
    return true;
  } catch {
    return false;
  }
}

/** Puts a process, and all it will start, under the limits of its component. Without cgroups nothing happens. */
export function enterLimits(stamp: string, instance: string, pid: number, resources: Resources | undefined): void {
  const where = ground();
  if (where.version === 0) return;
  try {
    if (where.version === 2) {
      const dir = groupDir(where.dir, stamp, instance, true);
      if (resources?.memoryMb !== undefined) set(dir, "memory.max", resources.memoryMb * 1_048_576);
      if (resources?.cpus !== undefined) set(dir, "cpu.max", `${Math.round(resources.cpus * 100_000)} 100000`);
      set(dir, "pids.max", maxProcesses);
      set(dir, "cgroup.procs", pid);
      return;
    }
    for (const [controller, root] of Object.entries(where.dirs)) {
      const dir = groupDir(root, stamp, instance, false);
      if (controller === "memory" && resources?.memoryMb !== undefined) {
        set(dir, "memory.limit_in_bytes", resources.memoryMb * 1_048_576);
      }
      if (controller === "cpu" && resources?.cpus !== undefined) {
        set(dir, "cpu.cfs_quota_us", Math.round(resources.cpus * 100_000));
      }
      if (controller === "pids") set(dir, "pids.max", maxProcesses);
      set(dir, "cgroup.procs", pid);
    }
  } catch {
    // The process is gone already, or the group was taken from us: the component runs without limits, as on a Mac.
  }
}

function groupDir(root: string, stamp: string, instance: string, divide: boolean): string {
  const parent = join(root, stamp);
  const dir = join(parent, instance);
  mkdirSync(dir, { recursive: true });
  if (divide) set(parent, "cgroup.subtree_control", "+memory +cpu +pids");
  return dir;
}

function set(dir: string, file: string, value: string | number): void {
  writeFileSync(join(dir, file), String(value));
}

/** Removes a stamp's groups; its processes must be gone. Returns false while the kernel still holds one. */
export function removeLimits(stamp: string): boolean {
  const where = ground();
  if (where.version === 0) return true;
  const roots = where.version === 2 ? [where.dir] : Object.values(where.dirs);
  let all = true;
  for (const root of roots) {
    const dir = join(root, stamp);
    if (!existsSync(dir)) continue;
    try {
      for (const entry of readdirSync(dir, { withFileTypes: true })) {
        if (entry.isDirectory()) rmdirSync(join(dir, entry.name));
      }
      rmdirSync(dir);
    } catch {
      all = false;
    }
  }
  return all;
}

/** How well walls and limits hold on this machine. */
export function isolationFacts(): readonly IsolationFact[] {
  const where = ground();
  const uid = uidFact();
  const limits = (["memory", "cpu", "pids"] as const).map((what): IsolationFact => {
    if (where.version === 0) return { what, level: "advisory", why: where.why };
    if (where.version === 1 && where.dirs[what] === undefined) {
      return { what, level: "advisory", why: `this machine has no ${what} cgroup` };
    }
    return { what, level: "enforced", why: `cgroup version ${where.version}, one group per component` };
  });
  return [uid, ...limits];
}

function uidFact(): IsolationFact {
  if (!isRoot) {
    const why = "all stamps run as the user who started Stampyard; only root can give each its own";
    return { what: "uid", level: "advisory", why };
  }
  if (!isReachable(process.execPath)) {
    const why = `services run as root, because ${process.execPath} is closed to other users; databases run as users of their own`;
    return { what: "uid", level: "advisory", why };
  }
  return { what: "uid", level: "enforced", why: "each stamp's processes run as a user of its own" };
}
