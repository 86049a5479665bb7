-- What a pool claims ahead of its places may be lost without having run.

-- 1: claimed ahead, and no beat has said that it has begun. A worker lost then is no loss of the task's.
ALTER TABLE tasks ADD COLUMN ahead INTEGER NOT NULL DEFAULT 0 CHECK (ahead IN (0, 1));
