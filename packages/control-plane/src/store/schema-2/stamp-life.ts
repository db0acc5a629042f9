/** Life of a stamp: what its operator wants of it, where it came from, and for whom it is kept. */
export const stampLifeSql = `
ALTER TABLE stamps DROP CONSTRAINT stamps_goal_check;
ALTER TABLE stamps ADD CONSTRAINT stamps_goal_check CHECK (goal IN ('present', 'cordoned', 'drained', 'absent'));
-- Who wants this goal, why, and until when: {reason?, by?, deadline?, message?}.
ALTER TABLE stamps ADD COLUMN goal_detail jsonb;
ALTER TABLE stamps ADD COLUMN origin text NOT NULL DEFAULT 'built' CHECK (origin IN ('built', 'adopted'));
-- A dedicated stamp is its tenant's from the moment it is asked for.
ALTER TABLE stamps ADD COLUMN reserved_for text;
-- What an adopted stamp said of itself.
ALTER TABLE stamps ADD COLUMN adoption jsonb;
-- What showed that it serves tenants.
ALTER TABLE stamps ADD COLUMN verification jsonb;
-- Where clients enter a router.
ALTER TABLE routers ADD COLUMN entrance text;
`;
