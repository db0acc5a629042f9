import { Client } from "pg";
import { schemaSql } from "./schema.ts";

const client = new Client({ connectionString: process.env["DATABASE_URL"], application_name: "history-migrate" });
await client.connect();
await client.query(schemaSql);
await client.end();
