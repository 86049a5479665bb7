-- Lists behind a long history.

-- What has finished, by when: lists in that order, and what retention deletes first.
CREATE INDEX tasks_finished ON tasks (finished_at, id) WHERE finished_at IS NOT NULL;
-- What has finished, by everything that is counted: `counts` says which of these are worth a look. The
-- order of the ids is one that no other index has, so that a statement can ask for this one.
CREATE INDEX tasks_grouped ON tasks (owner, queue, type, status, id DESC NULLS LAST, finished_at)
    WHERE finished_at IS NOT NULL;
-- The second one finds these too.
DROP INDEX tasks_unhappy;
