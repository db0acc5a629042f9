/**
 * Schema version 5: a key knows the request that holds it, so that the audit says whether a request without an answer was
 * carried out. Of both columns nothing is known in a key that an older version wrote.
 */
export const schema5 = `
ALTER TABLE idempotency_keys
  ADD COLUMN request_id text,
  -- Every audit row of the request has a higher id.
  ADD COLUMN audit_before bigint,
  -- The request ended, and its answer is not kept.
  ADD COLUMN given_up boolean NOT NULL DEFAULT false;
`;
