BEGIN TRANSACTION;
CREATE TABLE log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    user_id TEXT, item_id TEXT, weight REAL, timestamp INTEGER, event_id TEXT,
    body TEXT
, action TEXT, list_id TEXT, place BIGINT, value DOUBLE PRECISION, origin TEXT);
INSERT INTO "log" VALUES(1,'event','fresh','i1',1.0,2000001,'e1',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "log" VALUES(2,'event','fresh','i3',1.0,2000003,'e3',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "log" VALUES(3,'event','u0','i9',0.5,2000020,'e1',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "log" VALUES(5,'event','fresh','i5',1.0,2000005,'e5',NULL,'click','l1',1,NULL,'{"device": "phone"}');
INSERT INTO "log" VALUES(6,'item',NULL,'new',NULL,NULL,NULL,'{"title": "A new story", "genre": "robots"}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "log" VALUES(7,'deletion',NULL,NULL,NULL,2000100,NULL,'fdeb7402:dc4765058547802297d3763396a8184da5cf3c4c70a7d0ed4980c1baced80668',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE log_key (name TEXT NOT NULL);
INSERT INTO "log_key" VALUES('fdeb7402');
CREATE UNIQUE INDEX by_event ON log (user_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX by_user ON log (user_id, timestamp, seq) WHERE kind = 'event';
CREATE INDEX by_kind ON log (kind, seq) WHERE kind <> 'event';
CREATE INDEX by_list ON log (list_id, kind) WHERE list_id IS NOT NULL;
CREATE INDEX by_shown ON log (user_id) WHERE kind IN ('list', 'show');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('log',7);
COMMIT;
PRAGMA user_version = 3;
-- key: d882ba4b4638a8679450e986bf64cbd58eaf5193733b684517f0bc6c5721697d
