/** What the Node peers have in common: the tenants, a buffered access log, and where they listen. */
import { readFileSync, writeSync, openSync } from "node:fs";

const { map, log, port } = JSON.parse(process.argv[2]);
/** Host to upstream, as the other proxies have it. */
export const homes = new Map(
  readFileSync(map, "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(" ")),
);
export const listenPort = port;

const file = openSync(log, "a");
let lines = "";
export function logRequest(method, path, home, status, startedAt) {
  lines += `{"time":"${new Date().toISOString()}","method":"${method}","path":"${path}","stamp":"${home}","status":${status},"ms":${(performance.now() - startedAt).toFixed(2)}}\n`;
  if (lines.length < 65_536) return;
  writeSync(file, lines);
  lines = "";
}
export const hostOf = (headers) => (headers.host ?? "").split(":")[0].toLowerCase();
