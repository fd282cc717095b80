-- Files and directories of sessions, without the root. The path begins with a slash and is
-- compared byte by byte, so that what is below a directory is a range of the primary key.
-- content is last: reading the other columns does not touch the pages that it overflows to.
CREATE TABLE session_files (
    org_id       BLOB    NOT NULL,
    session_id   BLOB    NOT NULL,
    path         TEXT    NOT NULL,
    is_directory INTEGER NOT NULL,
    is_readonly  INTEGER NOT NULL,
    size         INTEGER NOT NULL CHECK (size = length(content)),
    content_hash TEXT,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    content      BLOB    NOT NULL,
    PRIMARY KEY (org_id, session_id, path)
) STRICT;
-- Answers "how much does the session have" without reading contents.
CREATE INDEX session_files_size ON session_files (org_id, session_id, size);

-- Starter files as JSON, as they were given.
ALTER TABLE harnesses ADD COLUMN initial_files TEXT NOT NULL DEFAULT '[]';
ALTER TABLE agents ADD COLUMN initial_files TEXT NOT NULL DEFAULT '[]';
ALTER TABLE sessions ADD COLUMN initial_files TEXT NOT NULL DEFAULT '[]';
