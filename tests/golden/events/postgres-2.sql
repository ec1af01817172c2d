CREATE TABLE genre_log (
    seq bigint NOT NULL,
    kind text NOT NULL,
    user_id text,
    item_id text,
    weight double precision,
    "timestamp" bigint,
    event_id text,
    body text
);
CREATE TABLE genre_log_key (
    one boolean DEFAULT true NOT NULL,
    key bytea NOT NULL,
    CONSTRAINT genre_log_key_one_check CHECK (one)
);
ALTER TABLE genre_log ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME genre_log_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO genre_log OVERRIDING SYSTEM VALUE VALUES (1, 'event', 'fresh', 'i1', 1, 2000001, 'e1', NULL);
INSERT INTO genre_log OVERRIDING SYSTEM VALUE VALUES (2, 'event', 'fresh', 'i3', 1, 2000003, 'e3', NULL);
INSERT INTO genre_log OVERRIDING SYSTEM VALUE VALUES (3, 'event', 'u0', 'i9', 0.5, 2000020, 'e1', NULL);
INSERT INTO genre_log OVERRIDING SYSTEM VALUE VALUES (5, 'event', 'fresh', 'i5', 1, 2000005, 'e5', NULL);
INSERT INTO genre_log OVERRIDING SYSTEM VALUE VALUES (6, 'item', NULL, 'new', NULL, NULL, NULL, '{"title": "A new story", "genre": "robots"}');
INSERT INTO genre_log OVERRIDING SYSTEM VALUE VALUES (7, 'deletion', NULL, NULL, NULL, 2000100, NULL, '7a9d81cc:dcb25412018d89af27ffffa875967194669d70c43e7c29dd4aa4e6872e0fbed1');
INSERT INTO genre_log_key VALUES (true, '\x7492211034c04833b97090e1ffbdb0ebf1dbeabb23048975a475ce483b77c159');
SELECT pg_catalog.setval('genre_log_seq_seq', 7, true);
ALTER TABLE ONLY genre_log_key
    ADD CONSTRAINT genre_log_key_pkey PRIMARY KEY (one);
ALTER TABLE ONLY genre_log
    ADD CONSTRAINT genre_log_pkey PRIMARY KEY (seq);
CREATE UNIQUE INDEX genre_log_by_event ON genre_log USING btree (user_id, event_id);
CREATE INDEX genre_log_by_kind ON genre_log USING btree (kind, seq) WHERE (kind <> 'event'::text);
CREATE INDEX genre_log_by_user ON genre_log USING btree (user_id, "timestamp", seq) WHERE (kind = 'event'::text);
