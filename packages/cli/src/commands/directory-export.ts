import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { ExportFormat } from "@stampyard/router";
import { Option } from "commander";
import { command } from "../define.ts";
import { CommandFailure } from "../failure.ts";
import { findStateDir } from "../state-dir.ts";

interface Options {
  readonly format: ExportFormat;
  readonly out?: string;
  readonly routerState?: string;
  readonly withKeys?: true;
}

export const directoryExport = command<Options>({
  usage: "export",
  summary: "Write a router's copy of the directory as maps for nginx or HAProxy",
  about:
    "It reads the router's files, so router and control plane may be down. With --out: hosts.map, tenants.map and stamps.map; each replaced as a whole.",
  options: (c) =>
    c
      .addOption(
        new Option("--format <format>", "what to write")
          .choices(["nginx-map", "haproxy-map", "json"])
          .default("haproxy-map"),
      )
      .option("--out <directory>", "write files there; else the hosts go to stdout")
      .option("--with-keys", "keys.map too (secret, mode 0600), so that HAProxy can sign")
      .option("--router-state <directory>", "the router's state; else router/ of the state directory"),
  examples: [
    ["directory export --format nginx-map", "host and stamp, to include in a map block of nginx"],
    ["directory export --out /etc/haproxy/stampyard --with-keys", "all that HAProxy needs to route and sign"],
  ],
  connects: false,
  run: async (run) => {
    const { format, out, withKeys } = run.options;
    if (withKeys === true && (out === undefined || format !== "haproxy-map")) {
      throw new CommandFailure("INVALID_REQUEST", "Keys are written for HAProxy, into a directory only", {
        mend: "Add --format haproxy-map and --out with a directory that only HAProxy reads.",
      });
    }
    const folder = run.options.routerState ?? dirname(findStateDir(run.io, run.options).routerFile);
    // Loaded when it is needed: no other command of this file's section knows the router.
    const router = await import("@stampyard/router");
    const { directory, position } = await router.loadDirectory(resolve(run.io.cwd, folder));
    if (directory === undefined) {
      throw new CommandFailure("NOT_FOUND", `No copy of a directory is in ${folder}`, {
        mend: "Start a router of this fleet once, or name its state with --router-state.",
      });
    }
    if (format === "json" && out === undefined) {
      const all = router.exportJson(directory);
      run.emit(all, () => `${JSON.stringify(all, undefined, 2)}\n`);
      return;
    }
    if (out === undefined) {
      const lines = [...router.exportLines(directory, format, "hosts")];
      run.emit({ version: position.version, lines }, () => lines.map((line) => `${line}\n`).join(""));
      return;
    }
    const target = resolve(run.io.cwd, out);
    mkdirSync(target, { recursive: true, mode: 0o750 });
    const written: string[] = [];
    const write = (name: string, lines: Iterable<string>, mode: number) => {
      const draft = join(target, `.${name}.draft`);
      writeFileSync(draft, [...lines].map((line) => `${line}\n`).join(""), { mode });
      renameSync(draft, join(target, name));
      written.push(name);
    };
    if (format === "json") write("directory.json", [JSON.stringify(router.exportJson(directory))], 0o640);
    else
      for (const file of ["hosts", "tenants", "stamps"] as const) {
        write(`${file}.map`, router.exportLines(directory, format, file), 0o640);
      }
    if (withKeys === true) {
      const keys = await router.loadKeys(resolve(run.io.cwd, folder));
      write("keys.map", router.exportKeys(keys), 0o600);
    }
    run.emit({ version: position.version, directory: target, files: written }, () => {
      return `Version ${position.version} of the directory is in ${target}: ${written.join(", ")}\n`;
    });
  },
});
