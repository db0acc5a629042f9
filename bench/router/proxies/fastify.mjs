import proxy from "@fastify/http-proxy";
import Fastify from "fastify";
import { forwarded, homes, hostOf, listenPort, logRequest, newRequestId } from "./serve.mjs";

const app = Fastify({ logger: false });
app.addHook("onRequest", async (request, reply) => {
  request.startedAt = performance.now();
  request.requestId = newRequestId();
  request.home = homes.get(hostOf(request.headers));
  if (request.home === undefined) return reply.code(404).send();
});
app.addHook("onResponse", async (request, reply) =>
  logRequest(request, request.requestId, request.home, reply.statusCode, request.startedAt),
);
await app.register(proxy, {
  upstream: "",
  undici: { connections: 256, pipelining: 1 },
  replyOptions: {
    getUpstream: (request) => `http://${request.home}`,
    rewriteRequestHeaders: (request, headers) => ({
      ...headers,
      ...forwarded(request.headers, request.ip, request.requestId),
    }),
    rewriteHeaders: (headers, request) => ({ ...headers, "x-request-id": request?.requestId }),
  },
});
await app.listen({ port: listenPort, host: "127.0.0.1" });
