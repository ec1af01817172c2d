BEGIN TRANSACTION;
CREATE TABLE log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    user_id TEXT, item_id TEXT, weight REAL, timestamp INTEGER, event_id TEXT,
    body TEXT
);
INSERT INTO "log" VALUES(1,'event','fresh','i1',1.0,2000001,'e1',NULL);
INSERT INTO "log" VALUES(2,'event','fresh','i3',1.0,2000003,'e3',NULL);
INSERT INTO "log" VALUES(3,'event','u0','i9',0.5,2000020,'e1',NULL);
INSERT INTO "log" VALUES(5,'event','fresh','i5',1.0,2000005,'e5',NULL);
INSERT INTO "log" VALUES(6,'item',NULL,'new',NULL,NULL,NULL,'{"title": "A new story", "genre": "robots"}');
INSERT INTO "log" VALUES(7,'deletion',NULL,NULL,NULL,2000100,NULL,'44c59237:6c3101b89bbf8f1a65da91de55575dbfd192fdaa14303979f231ab18c9fb8d99');
CREATE TABLE log_key (name TEXT NOT NULL);
INSERT INTO "log_key" VALUES('44c59237');
CREATE UNIQUE INDEX by_event ON log (user_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX by_user ON log (user_id, timestamp, seq) WHERE kind = 'event';
CREATE INDEX by_kind ON log (kind, seq) WHERE kind <> 'event';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('log',7);
COMMIT;
PRAGMA user_version = 2;
-- key: 7940d8d6906fe97b6ab1d5c0470045d91347cc373dd1f3a6105d6e71f9361bab
