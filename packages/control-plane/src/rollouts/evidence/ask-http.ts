import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** `why` = nobody answered. */
export type HttpAnswer = { readonly status: number } | { readonly status: undefined; readonly why: string };

/** One request on a connection of its own; only the status is read. Never rejects. */
export function askHttp(
  url: URL,
  path: string,
  { headers, timeoutMs }: { readonly headers: Readonly<Record<string, string>>; readonly timeoutMs: number },
): Promise<HttpAnswer> {
  const late = AbortSignal.timeout(timeoutMs);
  const options = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port),
    path,
    headers,
    agent: false as const,
    signal: late,
  };
  return new Promise((resolve) => {
    const asked =
      url.protocol === "https:"
        ? // What is looked at is the stamp, with data of nobody; the certificate is for the names of real tenants.
          httpsRequest({ ...options, servername: headers["host"] ?? "", rejectUnauthorized: false })
        : httpRequest(options);
    asked.on("error", (error: NodeJS.ErrnoException) => {
      const why = late.aborted ? `no answer in ${timeoutMs} ms` : (error.code ?? "the connection broke");
      resolve({ status: undefined, why });
    });
    asked.on("response", (response: IncomingMessage) => {
      response.on("error", () => {});
      response.on("end", () => resolve({ status: response.statusCode ?? 0 }));
      response.on("close", () => resolve({ status: response.statusCode ?? 0 }));
      response.resume();
    });
    asked.end();
  });
}
