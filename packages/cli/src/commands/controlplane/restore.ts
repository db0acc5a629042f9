import { command } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";

export const controlplaneRestore = command({
  usage: "restore <file>",
  summary: "Bring the control plane's store back from a file",
  completes: ["file"],
  examples: [["controlplane restore notes-2026-11-22.backup", "then it learns from stamps and routers what it missed"]],
  run: async () => {
    throw new CommandFailure("INTERNAL", "Not built yet");
  },
});
