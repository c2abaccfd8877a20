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

-- Engines that share the watching of one list of sources, and what they have seen last: one row a source. Nothing of it is a
-- record: it is not logged, no commit of it waits for the standby, and a server that takes over begins with nothing.
CREATE UNLOGGED TABLE IF NOT EXISTS quarterdeck_journal.share (
  list text PRIMARY KEY,
  -- Drawn, so that what was published before all this was lost fits nothing that comes after.
  born bigint NOT NULL,
  generation bigint NOT NULL,
  seq bigint NOT NULL,
  used timestamptz NOT NULL
);
CREATE UNLOGGED TABLE IF NOT EXISTS quarterdeck_journal.share_engine (
  list text REFERENCES quarterdeck_journal.share ON DELETE CASCADE,
  id text,
  host text NOT NULL,
  -- Drawn anew with each answer: whoever names it has had that answer.
  turn bigint NOT NULL,
  -- Whether it has ever had one; before that nothing is left to it.
  answered boolean NOT NULL,
  renewed timestamptz NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (list, id)
);
CREATE UNLOGGED TABLE IF NOT EXISTS quarterdeck_journal.share_sample (
  list text REFERENCES quarterdeck_journal.share ON DELETE CASCADE,
  source text,
  engine text NOT NULL,
  seq bigint NOT NULL,
  -- When `body` came; a sample that says the same as the one before leaves it where it is.
  body_seq bigint NOT NULL,
  seen timestamptz NOT NULL,
  took double precision NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (list, source)
);
CREATE INDEX IF NOT EXISTS share_sample_seq ON quarterdeck_journal.share_sample (list, seq);

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

-- Takes or renews the lease of an engine that shares a list of sources. Only who has had the last answer renews: an engine
-- that hears none watches for itself, and must not keep sources from the others. Whoever comes, and whoever is found gone,
-- makes a new generation. A lease that was renewed later than now is of a clock that was set back, and counts for nothing.
CREATE OR REPLACE FUNCTION quarterdeck_journal.share_renew(
  p_list text, p_engine text, p_host text, p_seconds double precision, p_turn bigint)
RETURNS TABLE (r_turn bigint, r_born bigint, r_generation bigint, r_engine text, r_host text, r_same boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_now timestamptz;
  v_gone boolean;
  v_came boolean;
  v_turn bigint := (random() * 9e15)::bigint;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO quarterdeck_journal.share (list, born, generation, seq, used)
    VALUES (p_list, (random() * 9e15)::bigint, 0, 0, clock_timestamp()) ON CONFLICT DO NOTHING;
  UPDATE quarterdeck_journal.share s SET used = clock_timestamp() WHERE s.list = p_list;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the list was put away a moment ago' USING ERRCODE = 'QD006';
  END IF;
  v_now := clock_timestamp();
  WITH gone AS (
    DELETE FROM quarterdeck_journal.share_engine e WHERE e.list = p_list AND (e.until < v_now OR e.renewed > v_now)
      RETURNING e.answered)
    SELECT coalesce(bool_or(g.answered), false) INTO v_gone FROM gone g;
  SELECT NOT e.answered INTO v_came FROM quarterdeck_journal.share_engine e
    WHERE e.list = p_list AND e.id = p_engine AND e.turn = p_turn;
  IF FOUND THEN
    UPDATE quarterdeck_journal.share_engine e SET answered = true, turn = v_turn, renewed = v_now,
      until = v_now + make_interval(secs => p_seconds) WHERE e.list = p_list AND e.id = p_engine;
  ELSE
    v_came := false;
    INSERT INTO quarterdeck_journal.share_engine AS e (list, id, host, turn, answered, renewed, until)
      VALUES (p_list, p_engine, p_host, v_turn, false, v_now, v_now + make_interval(secs => p_seconds))
      ON CONFLICT (list, id) DO UPDATE SET turn = v_turn;
  END IF;
  IF v_gone OR v_came THEN
    UPDATE quarterdeck_journal.share s SET generation = s.generation + 1 WHERE s.list = p_list;
  END IF;
  -- Lists that nobody has any more.
  DELETE FROM quarterdeck_journal.share s WHERE s.list IN (
    SELECT o.list FROM quarterdeck_journal.share o
      WHERE o.list <> p_list AND o.used < v_now - interval '1 hour' FOR UPDATE SKIP LOCKED);
  RETURN QUERY SELECT v_turn, s.born, s.generation, e.id, e.host, e.list = p_list
    FROM quarterdeck_journal.share s LEFT JOIN quarterdeck_journal.share_engine e
      ON e.answered AND (e.list = p_list OR e.until >= v_now AND e.renewed <= v_now)
    WHERE s.list = p_list;
END $$;
CREATE OR REPLACE FUNCTION quarterdeck_journal.share_leave(p_list text, p_engine text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  PERFORM FROM quarterdeck_journal.share s WHERE s.list = p_list FOR UPDATE;
  DELETE FROM quarterdeck_journal.share_engine e WHERE e.list = p_list AND e.id = p_engine AND e.answered;
  IF FOUND THEN
    UPDATE quarterdeck_journal.share s SET generation = s.generation + 1 WHERE s.list = p_list;
  END IF;
END $$;

-- Publishes samples as one of the engines of a generation. The row of the list is locked before a number is taken: numbers
-- come in the order in which others see them.
CREATE OR REPLACE FUNCTION quarterdeck_journal.share_publish(
  p_list text, p_engine text, p_born bigint, p_generation bigint, p_sources text[], p_ages double precision[],
  p_tooks double precision[], p_bodies bytea[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_seq bigint;
  v_now timestamptz;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  UPDATE quarterdeck_journal.share s SET seq = s.seq + 1
    WHERE s.list = p_list AND s.born = p_born AND s.generation = p_generation RETURNING s.seq INTO v_seq;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'engines have come or gone' USING ERRCODE = 'QD006';
  END IF;
  v_now := clock_timestamp();
  INSERT INTO quarterdeck_journal.share_sample AS s (list, source, engine, seq, body_seq, seen, took, body)
    SELECT p_list, n.source, p_engine, v_seq, v_seq, v_now - make_interval(secs => n.age), n.took, n.body
      FROM unnest(p_sources, p_ages, p_tooks, p_bodies) AS n (source, age, took, body) WHERE n.body IS NOT NULL
    ON CONFLICT (list, source) DO UPDATE SET engine = excluded.engine, seq = excluded.seq, body_seq = excluded.body_seq,
      seen = excluded.seen, took = excluded.took, body = excluded.body;
  UPDATE quarterdeck_journal.share_sample s
    SET seq = v_seq, seen = v_now - make_interval(secs => n.age), took = n.took
    FROM unnest(p_sources, p_ages, p_tooks, p_bodies) AS n (source, age, took, body)
    WHERE n.body IS NULL AND s.list = p_list AND s.source = n.source AND s.engine = p_engine;
END $$;

-- What others have published after a number, some of it. A sample of a time that has not come is of a clock that was set
-- back: nobody knows how old it is.
CREATE OR REPLACE FUNCTION quarterdeck_journal.share_read(p_list text, p_engine text, p_born bigint, p_after bigint)
RETURNS TABLE (r_source text, r_engine text, r_seq bigint, r_age double precision, r_took double precision, r_body bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM quarterdeck_journal.share s WHERE s.list = p_list AND s.born = p_born;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'what was published is lost' USING ERRCODE = 'QD006';
  END IF;
  -- The time is asked for each row: it is later than that of everything the statement sees.
  RETURN QUERY SELECT s.source, s.engine, s.seq,
      greatest(extract(epoch FROM clock_timestamp() - s.seen)::double precision, 0), s.took,
      CASE WHEN s.body_seq > p_after THEN s.body END
    FROM quarterdeck_journal.share_sample s
    WHERE s.list = p_list AND s.seq > p_after AND s.engine <> p_engine AND s.seen <= clock_timestamp()
    ORDER BY s.seq FETCH FIRST 500 ROWS WITH TIES;
END $$;

-- The engines whose lease lives, each with the number of sources of which it was the last to tell.
CREATE OR REPLACE FUNCTION quarterdeck_journal.share_show() RETURNS TABLE (r_host text, r_engine text, r_sources bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT e.host, e.id, (SELECT count(*) FROM quarterdeck_journal.share_sample s WHERE s.list = e.list AND s.engine = e.id)
    FROM quarterdeck_journal.share_engine e
    WHERE e.answered AND e.until >= clock_timestamp() AND e.renewed <= clock_timestamp() ORDER BY e.host, e.id;
$$;

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
  quarterdeck_journal.forget(text, bigint, bytea),
  quarterdeck_journal.share_renew(text, text, text, double precision, bigint),
  quarterdeck_journal.share_leave(text, text),
  quarterdeck_journal.share_publish(
    text, text, bigint, bigint, text[], double precision[], double precision[], bytea[]),
  quarterdeck_journal.share_read(text, text, bigint, bigint),
  quarterdeck_journal.share_show()
  TO quarterdeck_journal_writer;
COMMIT;
