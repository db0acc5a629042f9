import { type Endpoint, json } from "../endpoint.ts";
import * as rollouts from "../schemas/rollouts.ts";
import { pageOf } from "../schemas/values.ts";

const command = {
  method: "POST",
  role: "operator",
  params: rollouts.rolloutParams,
  body: rollouts.rolloutReasonSchema,
  answers: "json",
  response: rollouts.rolloutSchema,
  status: 202,
  ifMatch: true,
} as const;

/** A release goes over the fleet in waves, watched against evidence (decision D20). */
export const rolloutEndpoints = {
  rolloutStart: {
    method: "POST",
    path: "/v1/rollouts",
    role: "operator",
    summary: "Bring a release to the stamps, wave by wave; or, with dryRun, say what that would be",
    query: rollouts.rolloutStartQuery,
    body: rollouts.rolloutStartSchema,
    answers: "json",
    response: rollouts.rolloutStartedSchema,
    status: 202,
    idempotencyKey: true,
  },
  rolloutList: {
    ...json,
    method: "GET",
    path: "/v1/rollouts",
    role: "viewer",
    summary: "Rollouts, the newest first",
    query: rollouts.rolloutListQuery,
    response: pageOf(rollouts.rolloutSchema),
  },
  rolloutGet: {
    ...json,
    method: "GET",
    path: "/v1/rollouts/{id}",
    role: "viewer",
    summary: "One rollout: its waves, what its gate says, what it waits for, since when and until when",
    params: rollouts.rolloutParams,
    response: rollouts.rolloutDetailSchema,
  },
  rolloutMembers: {
    ...json,
    method: "GET",
    path: "/v1/rollouts/{id}/members",
    role: "viewer",
    summary: "The stamps of a rollout, by wave and place",
    params: rollouts.rolloutParams,
    response: rollouts.rolloutMembersSchema,
  },
  rolloutPause: {
    ...command,
    path: "/v1/rollouts/{id}/pause",
    summary: "Begin nothing more of it; updates under way end",
  },
  rolloutResume: {
    ...command,
    path: "/v1/rollouts/{id}/resume",
    summary: "Let a paused rollout go on where it was",
  },
  rolloutPromote: {
    ...command,
    path: "/v1/rollouts/{id}/promote",
    summary: "Go on past the bake or the verdict of this wave, or of all waves",
    body: rollouts.rolloutPromoteSchema,
  },
  rolloutApprove: {
    ...command,
    path: "/v1/rollouts/{id}/approve",
    summary: "Let the wave begin that waits for a person",
  },
  rolloutAbort: {
    ...command,
    path: "/v1/rollouts/{id}/abort",
    summary: "Take every stamp that it touched back to what it ran before; wins over everything",
  },
  rolloutRetry: {
    ...command,
    path: "/v1/rollouts/{id}/retry",
    summary: "Try the stamps again that failed",
  },
  rolloutUndo: {
    method: "POST",
    path: "/v1/rollouts/{id}/undo",
    role: "operator",
    summary: "Take a finished rollout back by a new one: each stamp gets what it ran before",
    params: rollouts.rolloutParams,
    body: rollouts.rolloutUndoSchema,
    answers: "json",
    response: rollouts.rolloutSchema,
    status: 202,
    idempotencyKey: true,
  },
} as const satisfies Record<string, Endpoint>;
