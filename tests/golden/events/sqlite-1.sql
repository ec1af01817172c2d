BEGIN TRANSACTION;
CREATE TABLE log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    user_id TEXT, item_id TEXT, weight REAL, timestamp INTEGER, event_id TEXT UNIQUE,
    body TEXT
);
INSERT INTO "log" VALUES(1,'event','fresh','i1',1.0,2000001,'e1',NULL);
INSERT INTO "log" VALUES(2,'event','fresh','i3',1.0,2000003,'e3',NULL);
INSERT INTO "log" VALUES(3,'event','u0','i9',0.5,2000020,'e9',NULL);
INSERT INTO "log" VALUES(5,'event','fresh','i5',1.0,2000005,'e5',NULL);
INSERT INTO "log" VALUES(6,'item',NULL,'new',NULL,NULL,NULL,'{"title": "A new story", "genre": "robots"}');
INSERT INTO "log" VALUES(7,'deletion',NULL,NULL,NULL,NULL,NULL,'bb82030dbc2bcaba32a90bf2e207a84a856fc5f033b77c480836ab6f77f40f19');
CREATE INDEX by_user ON log (user_id, timestamp, seq) WHERE kind = 'event';
CREATE INDEX by_kind ON log (kind, seq) WHERE kind <> 'event';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('log',7);
COMMIT;
PRAGMA user_version = 1;
