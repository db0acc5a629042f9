import proxy from "@fastify/http-proxy";
import Fastify from "fastify";
import { homes, hostOf, listenPort, logRequest } from "./serve.mjs";

const app = Fastify({ logger: false });
app.addHook("onRequest", async (request, reply) => {
  request.startedAt = performance.now();
  request.home = homes.get(hostOf(request.headers));
  if (request.home === undefined) return reply.code(404).send();
});
app.addHook("onResponse", async (request, reply) =>
  logRequest(request.method, request.url, request.home, reply.statusCode, request.startedAt),
);
await app.register(proxy, {
  upstream: "",
  undici: { connections: 256, pipelining: 1 },
  replyOptions: {
    getUpstream: (request) => `http://${request.home}`,
    rewriteRequestHeaders: (request, headers) => ({ ...headers, "x-forwarded-for": request.ip }),
  },
});
await app.listen({ port: listenPort, host: "127.0.0.1" });
