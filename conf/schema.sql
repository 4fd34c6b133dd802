-- conf/schema.sql - what vouch keeps in PostgreSQL; applied by "vouch db init"
-- PostgreSQL 13 or later. For Citus, CockroachDB, YugabyteDB and PgBouncer see README_FILES/DATABASE_README.
-- Each statement may be repeated. All times are parameters of vouch's statements: the server's clock is never asked.

CREATE TABLE IF NOT EXISTS vouch_schema (
	only_row	smallint NOT NULL PRIMARY KEY,	-- 1
	version		bigint NOT NULL,		-- of this file
	site		bigint NOT NULL			-- tells this database from any other
);

CREATE TABLE IF NOT EXISTS vouch_address (
	address		text COLLATE "C" NOT NULL PRIMARY KEY,	-- ':' as '_'; @domain: all of it was forgotten
	status		smallint NOT NULL,	-- 0 deliverable, 1 temporary failure, 2 undeliverable, 3 no result
	probed		bigint NOT NULL,	-- when the probe under way began, seconds since 1970; 0: none
	updated		bigint NOT NULL,	-- when the result came; 0: none
	forgot		bigint NOT NULL,	-- when it was last forgotten: results from before count for nothing
	changed		bigint NOT NULL,	-- microseconds; what tells other hosts that there is news; 0: a claim only
	origin		bigint NOT NULL,	-- who wrote this: vouch_host.id is origin / 2^32
	reason		text NOT NULL		-- the delivery agent's text
);

-- what is new, for the other hosts; claims are not news. ASC: some engines would hash it otherwise
CREATE INDEX IF NOT EXISTS vouch_address_changed ON vouch_address (changed ASC) WHERE changed > 0;

CREATE TABLE IF NOT EXISTS vouch_host (
	id		bigint NOT NULL PRIMARY KEY,
	name		text NOT NULL,
	seen		bigint NOT NULL		-- seconds since 1970
);

-- which host removes expired rows
CREATE TABLE IF NOT EXISTS vouch_lease (
	name		text COLLATE "C" NOT NULL PRIMARY KEY,
	holder		bigint NOT NULL,
	until		bigint NOT NULL,	-- microseconds since 1970
	place		text NOT NULL,
	done		bigint NOT NULL		-- when the last run ended, likewise
);

-- since version 2: greylisting
CREATE TABLE IF NOT EXISTS vouch_greylist (
	id		text COLLATE "C" NOT NULL PRIMARY KEY,	-- T triplet, S sender, D domain, C client network: and a keyed hash
	begun		bigint NOT NULL,	-- seconds since 1970
	seen		bigint NOT NULL,
	tries		bigint NOT NULL,
	passed		bigint NOT NULL,	-- when a retry of this triplet was good; 0: not yet
	forgot		bigint NOT NULL,	-- when it was last forgotten: what began before counts for nothing
	changed		bigint NOT NULL,	-- microseconds
	origin		bigint NOT NULL,	-- vouch_host.id is origin / 2^32
	members		text NOT NULL,		-- D: which senders passed, C: in which intervals
	client		text NOT NULL,		-- for people; empty with greylist_privacy = hash
	sender		text NOT NULL,
	recipient	text NOT NULL
);

CREATE INDEX IF NOT EXISTS vouch_greylist_changed ON vouch_greylist (changed ASC);
