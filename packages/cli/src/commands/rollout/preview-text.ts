import type { RolloutPreviewView } from "@stampyard/api";
import { amount } from "../../output/bar.ts";
import { counted, durationText } from "../../output/quantity.ts";
import { fields, table } from "../../output/table.ts";
import { releaseText, shortDigest } from "./rollout-text.ts";

/** Who goes when, what the gate could see, and what stands in the way. */
export function previewText(preview: RolloutPreviewView): string {
  const { waves, canary, skipped, components, takesMs, behind } = preview;
  const stamps = waves.reduce((sum, wave) => sum + wave.members.length, 0);
  const head = fields([
    ["Release", `${releaseText(preview)} (${shortDigest(preview.release)})${preview.hotfix ? ", a hotfix" : ""}`],
    ["Components", components.length === 0 ? undefined : components.join(", ")],
    ["Routing", preview.routing?.join(", ")],
    ["Stamps", `${stamps} to update, ${skipped.length} left out`],
    ["Canary", canary === undefined ? undefined : `${canary.stamp}: ${canary.why}`],
    ["Takes about", takesMs === undefined ? undefined : durationText(takesMs)],
    ["Waits for", behind],
  ]);
  const rows = waves.flatMap((wave) =>
    wave.members.map((member, place) => [
      place === 0 ? wave.name : "",
      member.stamp,
      member.perMinute === undefined ? undefined : amount(Math.round(member.perMinute)),
      place === 0 ? durationText(wave.bakeMs) : "",
      place === 0 ? wave.maxUnavailable : "",
      place === 0 && wave.approval ? "wanted" : "",
    ]),
  );
  const order =
    rows.length === 0 ? "" : `\n${table(["wave", "stamp", "requests/min", "bake", "at a time", "approval"], rows)}`;
  const out =
    skipped.length === 0
      ? ""
      : `\n${table(
          ["left out", "why"],
          skipped.map(({ stamp, why }) => [stamp, why]),
        )}`;
  return `${head}${order}${out}${listed("What the gate can see", preview.power)}${listed("Frozen", preview.frozen)}${listed(
    `Ways back of moves that it may close (${counted(preview.waysBack.length, "move")})`,
    preview.waysBack,
  )}${listed("Notes", preview.notes)}`;
}

function listed(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `\n${title}:\n${lines.map((line) => `  ${line}\n`).join("")}`;
}
