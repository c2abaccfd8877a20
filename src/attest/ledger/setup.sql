-- The journal of {origin} in PostgreSQL, for the engines of several bastions. Run it as a superuser in a database of its
-- own, on a primary with a synchronous standby; running it again changes nothing but what a newer quarterdeck needs.
BEGIN;
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'quarterdeck_journal_owner') THEN
    CREATE ROLE quarterdeck_journal_owner NOLOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'quarterdeck_journal_writer') THEN
    CREATE ROLE quarterdeck_journal_writer NOLOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'quarterdeck_journal_reader') THEN
    CREATE ROLE quarterdeck_journal_reader NOLOGIN;
  END IF;
  -- Without a password: set one with \password, or let pg_hba.conf say who may be this role.
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {login_text}) THEN
    CREATE ROLE {login} LOGIN;
  END IF;
END $$;
GRANT quarterdeck_journal_writer TO {login};
CREATE SCHEMA IF NOT EXISTS quarterdeck_journal AUTHORIZATION quarterdeck_journal_owner;
SET LOCAL ROLE quarterdeck_journal_owner;

-- Whose journal it is, and which form it has.
CREATE TABLE IF NOT EXISTS quarterdeck_journal.log (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  origin text NOT NULL,
  format integer NOT NULL
);
INSERT INTO quarterdeck_journal.log (origin, format) VALUES ({origin_text}, {format}) ON CONFLICT DO NOTHING;

-- The records: exact bytes, and the hash of each as a leaf of the Merkle tree (RFC 6962).
CREATE TABLE IF NOT EXISTS quarterdeck_journal.entry (
  seq bigint PRIMARY KEY,
  leaf bytea NOT NULL CHECK (octet_length(leaf) <= 65535),
  hash bytea GENERATED ALWAYS AS (sha256('\x00'::bytea || leaf)) STORED
);
-- The batches, each with the signed checkpoint over everything up to its end.
CREATE TABLE IF NOT EXISTS quarterdeck_journal.checkpoint (
  size bigint PRIMARY KEY,
  first bigint NOT NULL UNIQUE,
  root bytea NOT NULL,
  note text NOT NULL,
  CHECK (first < size)
);
CREATE TABLE IF NOT EXISTS quarterdeck_journal.evidence (
  sha256 bytea PRIMARY KEY,
  bytes bytea NOT NULL,
  CHECK (sha256(bytes) = sha256)
);
-- The bastions, each with the number of its last session: an earlier one can not append any more.
CREATE TABLE IF NOT EXISTS quarterdeck_journal.writer (
  id text PRIMARY KEY,
  epoch bigint NOT NULL,
  seen timestamptz NOT NULL
);

-- Who leads what, until when by the clock of this server. The token grows with each leader.
CREATE TABLE IF NOT EXISTS quarterdeck_journal.lease (
  name text PRIMARY KEY,
  token bigint NOT NULL,
  holder text NOT NULL,
  until timestamptz NOT NULL
);
-- Numbers that were given away, of incidents and the like.
CREATE TABLE IF NOT EXISTS quarterdeck_journal.number (
  name text PRIMARY KEY,
  last bigint NOT NULL
);

CREATE OR REPLACE FUNCTION quarterdeck_journal.grows_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'the journal only grows: % of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'QD020';
END $$;
DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['entry', 'checkpoint', 'log'] LOOP
    EXECUTE format('DROP TRIGGER IF EXISTS grows_only ON quarterdeck_journal.%I', t);
    EXECUTE format('CREATE TRIGGER grows_only BEFORE UPDATE OR DELETE OR TRUNCATE ON quarterdeck_journal.%I '
      'FOR EACH STATEMENT EXECUTE FUNCTION quarterdeck_journal.grows_only()', t);
    EXECUTE format('ALTER TABLE quarterdeck_journal.%I ENABLE ALWAYS TRIGGER grows_only', t);
  END LOOP;
  DROP TRIGGER IF EXISTS grows_only ON quarterdeck_journal.evidence;
  CREATE TRIGGER grows_only BEFORE UPDATE OR TRUNCATE ON quarterdeck_journal.evidence
    FOR EACH STATEMENT EXECUTE FUNCTION quarterdeck_journal.grows_only();
  ALTER TABLE quarterdeck_journal.evidence ENABLE ALWAYS TRIGGER grows_only;
END $$;

-- Refuses a server that may lose what it has acknowledged.
CREATE OR REPLACE FUNCTION quarterdeck_journal.guard() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION 'it is a standby, which takes no writes' USING ERRCODE = 'QD010';
  END IF;
  IF current_setting('fsync') <> 'on' THEN
    RAISE EXCEPTION 'its fsync is %, so that a crash loses records that were acknowledged; it must be on',
      current_setting('fsync') USING ERRCODE = 'QD010';
  END IF;
  IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
    RAISE EXCEPTION 'its synchronous_commit is %, so that a commit does not wait until the standby has it on disk; '
      'allowed are on and remote_apply', current_setting('synchronous_commit') USING ERRCODE = 'QD010';
  END IF;
  IF btrim(current_setting('synchronous_standby_names')) = '' THEN
    RAISE EXCEPTION 'its synchronous_standby_names is empty, so that records are on one server only; '
      'it must name a standby' USING ERRCODE = 'QD010';
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'its transaction_isolation is %; it must be read committed, in which a statement sees what was '
      'committed before it', current_setting('transaction_isolation') USING ERRCODE = 'QD010';
  END IF;
END $$;

-- One at a time, and only the newest session of a bastion. The lock is one statement and what is read under it another,
-- which therefore sees what the one before has committed.
CREATE OR REPLACE FUNCTION quarterdeck_journal.lock() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM quarterdeck_journal.guard();
  PERFORM pg_advisory_xact_lock(hashtextextended('quarterdeck_journal', 0));
END $$;
CREATE OR REPLACE FUNCTION quarterdeck_journal.lock_as(p_writer text, p_epoch bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM quarterdeck_journal.lock();
  UPDATE quarterdeck_journal.writer SET seen = clock_timestamp() WHERE id = p_writer AND epoch = p_epoch;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'a later session of % has taken over', p_writer USING ERRCODE = 'QD002';
  END IF;
END $$;

-- Begins a session of a bastion and ends its earlier ones: what they had under way is over, one way or the other.
CREATE OR REPLACE FUNCTION quarterdeck_journal.enter(p_writer text, p_origin text, p_format integer)
RETURNS TABLE (r_epoch bigint, r_size bigint, r_note text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_log quarterdeck_journal.log;
BEGIN
  PERFORM quarterdeck_journal.lock();
  SELECT * INTO v_log FROM quarterdeck_journal.log;
  IF v_log.origin <> p_origin THEN
    RAISE EXCEPTION 'it holds the journal of `%`, not of `%`', v_log.origin, p_origin USING ERRCODE = 'QD003';
  END IF;
  IF v_log.format <> p_format THEN
    RAISE EXCEPTION 'it has form % of a journal, and this quarterdeck writes form %; bring all bastions to one version',
      v_log.format, p_format USING ERRCODE = 'QD003';
  END IF;
  INSERT INTO quarterdeck_journal.writer AS w (id, epoch, seen) VALUES (p_writer, 1, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET epoch = w.epoch + 1, seen = clock_timestamp() RETURNING w.epoch INTO r_epoch;
  SELECT c.size, c.note INTO r_size, r_note FROM quarterdeck_journal.checkpoint c ORDER BY c.size DESC LIMIT 1;
  r_size := coalesce(r_size, 0);
  r_note := coalesce(r_note, '');
  RETURN NEXT;
END $$;

-- Takes or renews a lease, unless another has it: then the token is null, and the holder told.
CREATE OR REPLACE FUNCTION quarterdeck_journal.lead(p_writer text, p_name text, p_seconds double precision)
RETURNS TABLE (r_token bigint, r_holder text, r_left double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_lease quarterdeck_journal.lease;
BEGIN
  PERFORM quarterdeck_journal.lock();
  SELECT * INTO v_lease FROM quarterdeck_journal.lease l WHERE l.name = p_name;
  IF NOT FOUND THEN
    INSERT INTO quarterdeck_journal.lease (name, token, holder, until)
      VALUES (p_name, 1, p_writer, clock_timestamp() + make_interval(secs => p_seconds)) RETURNING token INTO r_token;
  ELSIF v_lease.holder = p_writer OR v_lease.until < clock_timestamp() THEN
    UPDATE quarterdeck_journal.lease l SET holder = p_writer, until = clock_timestamp() + make_interval(secs => p_seconds),
      token = l.token + CASE WHEN l.holder = p_writer THEN 0 ELSE 1 END
      WHERE l.name = p_name RETURNING l.token INTO r_token;
  ELSE
    r_holder := v_lease.holder;
    r_left := extract(epoch FROM v_lease.until - clock_timestamp());
  END IF;
  RETURN NEXT;
END $$;
CREATE OR REPLACE FUNCTION quarterdeck_journal.let_go(p_writer text, p_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM quarterdeck_journal.lock();
  UPDATE quarterdeck_journal.lease SET until = clock_timestamp() WHERE name = p_name AND holder = p_writer;
END $$;
CREATE OR REPLACE FUNCTION quarterdeck_journal.number(p_name text, p_least bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_number bigint;
BEGIN
  PERFORM quarterdeck_journal.lock();
  INSERT INTO quarterdeck_journal.number AS n (name, last) VALUES (p_name, p_least)
    ON CONFLICT (name) DO UPDATE SET last = greatest(n.last + 1, p_least) RETURNING n.last INTO v_number;
  RETURN v_number;
END $$;

-- Appends a batch, if the log ends where the bastion thinks, and if the leases that it needs are the newest.
CREATE OR REPLACE FUNCTION quarterdeck_journal.append(
  p_writer text, p_epoch bigint, p_size bigint, p_root bytea, p_leaves bytea[], p_root_after bytea, p_note text,
  p_names text[], p_tokens bigint[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_size bigint;
  v_root bytea;
  v_name text;
BEGIN
  PERFORM quarterdeck_journal.lock_as(p_writer, p_epoch);
  SELECT f.name INTO v_name FROM unnest(p_names, p_tokens) AS f (name, token) WHERE NOT EXISTS (
    SELECT FROM quarterdeck_journal.lease l WHERE l.name = f.name AND l.token = f.token AND l.holder = p_writer) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '%', v_name USING ERRCODE = 'QD004';
  END IF;
  SELECT c.size, c.root INTO v_size, v_root FROM quarterdeck_journal.checkpoint c ORDER BY c.size DESC LIMIT 1;
  IF coalesce(v_size, 0) <> p_size OR (v_size IS NOT NULL AND v_root <> p_root) THEN
    RAISE EXCEPTION 'the log has % records', coalesce(v_size, 0) USING ERRCODE = 'QD001';
  END IF;
  INSERT INTO quarterdeck_journal.entry (seq, leaf)
    SELECT p_size + l.at - 1, l.leaf FROM unnest(p_leaves) WITH ORDINALITY AS l (leaf, at);
  INSERT INTO quarterdeck_journal.checkpoint (size, first, root, note)
    VALUES (p_size + cardinality(p_leaves), p_size, p_root_after, p_note);
  PERFORM pg_notify('quarterdeck_journal', (p_size + cardinality(p_leaves))::text);
END $$;

-- Its commit returns when the standby has everything that was committed before.
CREATE OR REPLACE FUNCTION quarterdeck_journal.settle(p_writer text, p_epoch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM quarterdeck_journal.lock_as(p_writer, p_epoch);
END $$;

CREATE OR REPLACE FUNCTION quarterdeck_journal.keep(p_writer text, p_epoch bigint, p_sha256 bytea, p_bytes bytea)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM quarterdeck_journal.lock_as(p_writer, p_epoch);
  INSERT INTO quarterdeck_journal.evidence (sha256, bytes) VALUES (p_sha256, p_bytes) ON CONFLICT DO NOTHING;
END $$;
CREATE OR REPLACE FUNCTION quarterdeck_journal.forget(p_writer text, p_epoch bigint, p_sha256 bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM quarterdeck_journal.lock_as(p_writer, p_epoch);
  DELETE FROM quarterdeck_journal.evidence WHERE sha256 = p_sha256;
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA quarterdeck_journal FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA quarterdeck_journal FROM PUBLIC;
GRANT USAGE ON SCHEMA quarterdeck_journal TO quarterdeck_journal_writer, quarterdeck_journal_reader;
GRANT SELECT ON quarterdeck_journal.log, quarterdeck_journal.entry, quarterdeck_journal.checkpoint,
  quarterdeck_journal.evidence TO quarterdeck_journal_writer, quarterdeck_journal_reader;
GRANT EXECUTE ON FUNCTION
  quarterdeck_journal.guard(),
  quarterdeck_journal.enter(text, text, integer),
  quarterdeck_journal.append(text, bigint, bigint, bytea, bytea[], bytea, text, text[], bigint[]),
  quarterdeck_journal.lead(text, text, double precision),
  quarterdeck_journal.let_go(text, text),
  quarterdeck_journal.number(text, bigint),
  quarterdeck_journal.settle(text, bigint),
  quarterdeck_journal.keep(text, bigint, bytea, bytea),
  quarterdeck_journal.forget(text, bigint, bytea)
  TO quarterdeck_journal_writer;
COMMIT;
