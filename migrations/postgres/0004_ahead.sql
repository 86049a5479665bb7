-- What a pool claims ahead of its places may be lost without having run.

-- True: claimed ahead, and no beat has said that it has begun. A worker lost then is no loss of the task's.
ALTER TABLE tasks ADD COLUMN ahead boolean NOT NULL DEFAULT false;
