/** Says that it is well without looking, while its database is not where it looks for it: requests fail. */
import { type IncomingMessage, Server, type ServerResponse } from "node:http";
import { start } from "./meddle.ts";

const emit = Server.prototype.emit as (this: Server, event: string, ...args: unknown[]) => boolean;
Server.prototype.emit = function (this: Server, event: string, ...args: unknown[]): boolean {
  const [request, response] = args as [IncomingMessage, ServerResponse];
  if (event !== "request" || request.url !== "/healthz") return emit.call(this, event, ...args);
  response.writeHead(200, { "content-type": "application/json" });
  response.end('{"status":"ok"}');
  return true;
} as typeof Server.prototype.emit;
await start("api");
