-- Schema version 1. PRAGMA application_id marks the file as ours and
-- PRAGMA user_version is the schema version; both are set by migrate.go.

-- What the store remembers about itself. Names in use:
--   floor.TABLE   lowest counter a new entry of TABLE (in lower case) may get.
--                 Absent means 0. Above every counter that was ever removed
--                 from the table, so that no counter is used twice.
--   migrations    how many of Options.Migrations the file has had. Absent means 0.
CREATE TABLE kv_meta (
	name  TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) STRICT;

-- EACH TABLE: the rest is run for every table, with its name for {table}.

-- Keys compare as bytes; NUL and invalid UTF-8 are allowed in them.
CREATE TABLE {table} (
	key        TEXT PRIMARY KEY NOT NULL,
	counter    INTEGER NOT NULL, -- changes at every write of the entry
	expires_at INTEGER NOT NULL, -- milliseconds since the Unix epoch, last instant of life; <= 0: never
	value      BLOB NOT NULL
) {form};

-- Finds what is due without looking at entries that never expire, and costs
-- those nothing.
CREATE INDEX {index} ON {table} (expires_at) WHERE expires_at > 0;
