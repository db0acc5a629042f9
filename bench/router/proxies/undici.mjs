import { createServer } from "node:http";
import { Pool } from "undici";
import { forwarded, homes, hostOf, listenPort, logRequest, newRequestId } from "./serve.mjs";

const pools = new Map();
const dropped = new Set([
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "proxy-connection",
  "expect",
]);
function poolOf(home) {
  let pool = pools.get(home);
  if (pool === undefined) {
    pool = new Pool(`http://${home}`, { connections: 256, pipelining: 1 });
    pools.set(home, pool);
  }
  return pool;
}

createServer((request, response) => {
  const startedAt = performance.now();
  const home = homes.get(hostOf(request.headers));
  if (home === undefined) return response.writeHead(404).end();
  const headers = {};
  for (const [name, value] of Object.entries(request.headers)) if (!dropped.has(name)) headers[name] = value;
  const requestId = newRequestId();
  Object.assign(headers, forwarded(request.headers, request.socket.remoteAddress, requestId));
  const { method, url: path } = request;
  const body = method === "GET" || method === "HEAD" ? null : request;
  const done = (status) => logRequest(request, requestId, home, status, startedAt);
  poolOf(home)
    .stream({ method, path, headers, body, opaque: response }, ({ statusCode, headers: answer, opaque }) => {
      for (const name of dropped) delete answer[name];
      answer["x-request-id"] = requestId;
      opaque.writeHead(statusCode, answer);
      return opaque;
    })
    .then(
      () => done(response.statusCode),
      () => response.destroy(),
    );
}).listen(listenPort, "127.0.0.1");
