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
INSERT INTO genre_log OVERRIDING SYSTEM VALUE VALUES (3, 'event', 'u0', 'i9', 0.5, 2000020, 'e9', NULL);
INSERT INTO genre_log OVERRIDING SYSTEM VALUE VALUES (5, 'event', 'fresh', 'i5', 1, 2000005, 'e5', NULL);
INSERT INTO genre_log OVERRIDING SYSTEM VALUE VALUES (6, 'item', NULL, 'new', NULL, NULL, NULL, '{"title": "A new story", "genre": "robots"}');
INSERT INTO genre_log OVERRIDING SYSTEM VALUE VALUES (7, 'deletion', NULL, NULL, NULL, NULL, NULL, 'bb82030dbc2bcaba32a90bf2e207a84a856fc5f033b77c480836ab6f77f40f19');
SELECT pg_catalog.setval('genre_log_seq_seq', 7, true);
ALTER TABLE ONLY genre_log
    ADD CONSTRAINT genre_log_event_id_key UNIQUE (event_id);
ALTER TABLE ONLY genre_log
    ADD CONSTRAINT genre_log_pkey PRIMARY KEY (seq);
CREATE INDEX genre_log_by_kind ON genre_log USING btree (kind, seq) WHERE (kind <> 'event'::text);
CREATE INDEX genre_log_by_user ON genre_log USING btree (user_id, "timestamp", seq) WHERE (kind = 'event'::text);
