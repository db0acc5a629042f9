import { Agent, createServer } from "node:http";
import httpProxy from "http-proxy";
import { homes, hostOf, listenPort, logRequest } from "./serve.mjs";

const agent = new Agent({ keepAlive: true, maxFreeSockets: 256 });
const proxy = httpProxy.createProxyServer({ agent, xfwd: true });
proxy.on("error", (_error, _request, response) => response.writeHead?.(502).end());
createServer((request, response) => {
  const startedAt = performance.now();
  const home = homes.get(hostOf(request.headers));
  if (home === undefined) return response.writeHead(404).end();
  response.on("close", () => logRequest(request.method, request.url, home, response.statusCode, startedAt));
  proxy.web(request, response, { target: `http://${home}` });
}).listen(listenPort, "127.0.0.1");
