/** Who a token speaks for. `router` is a machine's role: it may follow the directory and nothing else. */
export const roles = ["admin", "operator", "viewer", "router"] as const;
export type Role = (typeof roles)[number];

const covers: Record<Role, readonly Role[]> = {
  admin: ["admin", "operator", "viewer"],
  operator: ["operator", "viewer"],
  viewer: ["viewer"],
  // The feed carries route keys, so not even an administrator's token opens it (I33).
  router: ["router"],
};

/** Whether a token of `role` may call an endpoint whose least role is `needed`. */
export function mayCall(role: Role, needed: Role): boolean {
  return covers[role].includes(needed);
}
