import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import * as directory from "../schemas/directory.ts";
import { pageOf, pageQuery } from "../schemas/values.ts";

const page = z.strictObject(pageQuery);
const mebibyte = 1_048_576;
export const directoryEndpoints = {
  routerList: {
    ...json,
    method: "GET",
    path: "/v1/routers",
    role: "viewer",
    summary: "Routers and how far each one is",
    query: page,
    response: pageOf(directory.routerSchema),
  },
  directoryFeed: {
    method: "GET",
    path: "/v1/directory/feed",
    role: "router",
    summary: "The directory from a position on, for as long as the connection lives",
    query: directory.feedQuery,
    answers: "frames",
    status: 200,
  },
  directoryAck: {
    method: "POST",
    path: "/v1/directory/ack",
    role: "router",
    summary: "A router applied and journaled up to here",
    body: directory.acknowledgementSchema,
    answers: "none",
    status: 204,
  },
  directoryReport: {
    method: "POST",
    path: "/v1/directory/report",
    role: "router",
    summary: "A router's own table, for a restored control plane",
    body: directory.reportSchema,
    bodyLimit: 8 * mebibyte,
    answers: "none",
    status: 204,
  },
  directoryConfirm: {
    method: "POST",
    path: "/v1/directory/confirm",
    role: "admin",
    summary: "Let a held batch of directory changes go",
    query: directory.confirmQuery,
    answers: "none",
    status: 204,
  },
} as const satisfies Record<string, Endpoint>;
