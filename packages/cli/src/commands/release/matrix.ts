import type { ReleaseMatrixView } from "@stampyard/api";
import { command } from "../../define.ts";
import { durationText } from "../../output/quantity.ts";
import { table } from "../../output/table.ts";
import { releaseText, shortDigest } from "../rollout/rollout-text.ts";

export const releaseMatrix = command({
  usage: "matrix",
  summary: "Show which stamp runs which release, how far behind each is, and what has not arrived",
  examples: [
    ["release matrix", "a column for each release that a stamp runs or is to run"],
    ["release matrix -o json", "for a script or an alert"],
  ],
  run: async (run) => {
    const client = await run.client();
    const matrix = await client.releaseMatrix({ signal: run.io.signal });
    run.emit(matrix, () => matrixText(matrix));
  },
});

/** More columns than these no terminal has room for; the others are in one. */
const mostColumns = 5;

export function matrixText({ releases, stamps, alerts }: ReleaseMatrixView): string {
  if (stamps.length === 0) return "There are no stamps yet\n";
  const shown = releases.slice(0, mostColumns);
  const versions = shown.map(({ version }) => version);
  const isAmbiguous = (version: string) => versions.indexOf(version) !== versions.lastIndexOf(version);
  const titles = shown.map(({ version, digest, current }) => {
    const name = isAmbiguous(version) ? `${version} ${shortDigest(digest).slice(0, 6)}` : version;
    return current ? `${name}*` : name;
  });
  const others = releases.length > mostColumns ? ["older"] : [];
  const rows = stamps.map((row) => {
    const mark = row.converged === undefined ? "?" : row.converged ? "x" : "..";
    const at = shown.findIndex(({ digest }) => digest === row.release);
    const cells = shown.map((_, index) => (index === at ? mark : ""));
    const old = others.length === 0 ? [] : [at === -1 ? `${mark} ${releaseText(row)}` : ""];
    const behind = row.behindMs === 0 ? "" : durationText(row.behindMs);
    return [row.stamp, row.pool, row.region, ...cells, ...old, behind, row.rollout, row.pinned];
  });
  const body = table(["stamp", "pool", "region", ...titles, ...others, "behind", "rollout", "pinned"], rows);
  const told =
    alerts.length === 0 ? "" : `\n${alerts.map(({ stamp, text }) => `alert: stamp ${stamp}: ${text}\n`).join("")}`;
  return `${body}\n* of the fleet   x runs it   .. on its way   ? cannot be looked at\n${told}`;
}
