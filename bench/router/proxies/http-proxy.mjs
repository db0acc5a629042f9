import { Agent, createServer } from "node:http";
import httpProxy from "http-proxy";
import { forwarded, homes, hostOf, listenPort, logRequest, newRequestId } from "./serve.mjs";

const agent = new Agent({ keepAlive: true, maxFreeSockets: 256 });
const proxy = httpProxy.createProxyServer({ agent });
proxy.on("error", (_error, _request, response) => response.writeHead?.(502).end());
createServer((request, response) => {
  const startedAt = performance.now();
  const home = homes.get(hostOf(request.headers));
  if (home === undefined) return response.writeHead(404).end();
  const requestId = newRequestId();
  response.on("close", () => logRequest(request, requestId, home, response.statusCode, startedAt));
  response.setHeader("x-request-id", requestId);
  const headers = forwarded(request.headers, request.socket.remoteAddress, requestId);
  proxy.web(request, response, { target: `http://${home}`, headers });
}).listen(listenPort, "127.0.0.1");
