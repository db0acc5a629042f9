/** Whether a request is a gRPC call: `application/grpc`, `application/grpc+proto`, …, but not grpc-web, which is plain HTTP. */
export function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?:[+;]|$)/i.test(contentType);
}

const unimplemented = 12;
const message =
  "This router forwards HTTP/1.1 to stamps, which has no trailers for gRPC; ask GET /decide for the stamp and call it through an ingress that speaks gRPC";

/**
 * The answer to a gRPC call: 200 with the call's status as the only head, which every gRPC client reads as an error with
 * this message. A plain HTTP error would reach it as "unknown".
 */
export const grpcRefusal: readonly string[] = [
  "content-type",
  "application/grpc",
  "grpc-status",
  `${unimplemented}`,
  "grpc-message",
  message,
];
