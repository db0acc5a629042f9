import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createGuard, createPostgresOwnership, guardHttp } from "@stampyard/guard";
import { Pool } from "pg";
import { type Operation, operate } from "./operations.ts";
import { listNames } from "./schema.ts";

/** An application that says of each request what became of it: `ok`, `fail` or `unknown`. */
const stamp = process.env["STAMP"] ?? "";
const pool = new Pool({
  connectionString: process.env["DATABASE_URL"],
  max: 16,
  connectionTimeoutMillis: 3_000,
  statement_timeout: 8_000,
  idle_in_transaction_session_timeout: 10_000,
  application_name: "history",
});
pool.on("error", () => {});
const ownership = createPostgresOwnership(pool);
const guard = createGuard({ stamp, keys: process.env["ROUTE_KEYS"] ?? "", ownership });

const answer = (response: ServerResponse, status: number, body: unknown) => {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
};

async function read(request: IncomingMessage): Promise<Operation> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString()) as Operation;
}

const server = createServer(
  guardHttp(
    guard,
    async (request, response, { tenant, epoch }) => {
      if (tenant === undefined) return answer(response, 404, { outcome: "fail", code: "NO_TENANT" });
      const done = await operate(pool, tenant, stamp, await read(request));
      if (done.outcome === "ok") answer(response, 200, { outcome: "ok", stamp, epoch, ...done.result });
      else answer(response, done.outcome === "fail" ? 503 : 500, { outcome: done.outcome, stamp, code: done.code });
    },
    {
      open: {
        "/healthz": async (_request, response) => {
          await pool.query("select 1");
          answer(response, 200, {});
        },
      },
      hook: async (_request, response, { hook, tenant }) => {
        if (hook === "tenant.onCreate") {
          await pool.query("insert into lists (tenant_id, name) select $1, unnest($2::text[]) on conflict do nothing", [
            tenant,
            listNames,
          ]);
        } else for (const table of tables) await pool.query(`delete from ${table} where tenant_id = $1`, [tenant]);
        response.writeHead(204).end();
      },
    },
  ),
);
const tables = ["entries", "lists", "registers", "blobs", "seats"];
server.keepAliveTimeout = 65_000;
server.listen(Number(process.env["PORT"]), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
