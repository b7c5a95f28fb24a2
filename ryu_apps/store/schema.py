"""The SQLite schema of the registry and its history: one migration a version.

A migration, once released, is never changed: a registry in the field has run it. A new version
appends one, and a file of that version to `tests/data/registry`. `PRAGMA user_version` holds the
number of migrations a file has run.
"""

APPLICATION_ID = 0x6F76736D
"""Marks the file as ours (`file` and we tell it from another's database): "ovsm"."""

MIGRATIONS = (
    # 1. Droplets with their claims and tags, and the metadata servers that follow switches.
    # status is NULL where there is none; status_revision outlives it and is 0 before the first.
    # dpid is text: 64 unsigned bits do not fit INTEGER.
    # The region index needs no droplet_id: the rowid is part of every index entry.
    """
    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO counter VALUES ('boot_count', 0), ('revision', 0), ('droplets', 0);
    CREATE TABLE droplet (
        droplet_id INTEGER PRIMARY KEY,
        revision INTEGER NOT NULL,
        region TEXT NOT NULL,
        document BLOB NOT NULL,
        status BLOB,
        status_revision INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX droplet_region ON droplet (region);
    CREATE TABLE port (
        name TEXT PRIMARY KEY,
        droplet_id INTEGER NOT NULL REFERENCES droplet ON DELETE CASCADE,
        mac TEXT NOT NULL,
        dpid TEXT
    ) WITHOUT ROWID;
    CREATE INDEX port_droplet ON port (droplet_id);
    CREATE TABLE tag (
        tag TEXT NOT NULL,
        droplet_id INTEGER NOT NULL REFERENCES droplet ON DELETE CASCADE,
        PRIMARY KEY (tag, droplet_id)
    ) WITHOUT ROWID;
    CREATE INDEX tag_droplet ON tag (droplet_id);
    CREATE TABLE server (
        dpid TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (dpid, name)
    ) WITHOUT ROWID;
    """,
    # 2. What a copy of the file must know of itself. `copied`: 1 in a backup, until it is opened as
    # the registry. `restored`: the boot count at which it last was, 0 for never. `settled`: the
    # switches all of whose metadata servers are in `server` again since then.
    """
    INSERT INTO counter VALUES ('copied', 0), ('restored', 0);
    CREATE TABLE settled (dpid TEXT PRIMARY KEY) WITHOUT ROWID;
    """,
    # 3. The hop limit of metadata_options, which the datapath needs of every droplet at the start;
    # no document written before had one.
    """
    ALTER TABLE droplet ADD COLUMN hop_limit INTEGER;
    """,
    # 4. What is large gets a table of its own, so that a start, which needs what is small of every
    # droplet, reads none of it. status comes before document: to read it no document is gone over.
    """
    CREATE TABLE content (
        droplet_id INTEGER PRIMARY KEY REFERENCES droplet ON DELETE CASCADE,
        status BLOB,
        document BLOB NOT NULL
    );
    INSERT INTO content SELECT droplet_id, status, document FROM droplet ORDER BY droplet_id;
    ALTER TABLE droplet DROP COLUMN document;
    ALTER TABLE droplet DROP COLUMN status;
    """,
    # 5. What droplets are found by, apart from their documents: a search reads little, in id order.
    # Filled as registry/search.py has it.
    """
    CREATE TABLE search (
        droplet_id INTEGER PRIMARY KEY REFERENCES droplet ON DELETE CASCADE,
        words TEXT NOT NULL
    );
    INSERT INTO search SELECT droplet_id, lower(
        droplet_id || char(10)
        || coalesce(json_extract(text, '$.metadata.hostname'), 'droplet-' || droplet_id)
        || coalesce((SELECT group_concat(char(10) || name || char(10) || mac, '')
            FROM port WHERE port.droplet_id = documents.droplet_id), '')
        || coalesce((SELECT group_concat(char(10) || value, '')
            FROM json_tree(text, '$.metadata') WHERE key = 'ip_address' AND type = 'text'), ''))
    FROM (SELECT droplet_id, CAST(document AS TEXT) AS text FROM content) AS documents;
    """,
)

VERSION = len(MIGRATIONS)
