import { command } from "../define.ts";
import { CommandFailure } from "../failure.ts";

export const down = command({
  usage: "down",
  summary: "Stop everything of a fleet on this machine; its data stays",
  examples: [["down", "stop; `stampyard up` brings it back"]],
  run: async () => {
    throw new CommandFailure("INTERNAL", "Not built yet");
  },
});
