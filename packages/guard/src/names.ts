/** Headers that belong to Stampyard. The router strips every one of them from clients (I6). */
export const reservedPrefix = "stampyard-";
/** `v1;kid;tenant|-;stamp;epoch;minute;mac`: what the router signed (decision D7). */
export const routeHeader = "stampyard-route";
/** Set by the control plane only, on hook calls: the hook's name, such as `tenant.onCreate`. */
export const hookHeader = "stampyard-hook";
/** Set by the guard on a refusal, read by the router, never shown to a client. */
export const refusalHeader = "stampyard-refusal";
