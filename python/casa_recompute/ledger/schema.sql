-- One workspace's memory. Times are Unix seconds (UTC), durations seconds, sizes bytes.

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Immutable states of data products. id: "absent", "c-<content>" (identified by content) or "k-<key and path>".
CREATE TABLE version (
    id        TEXT PRIMARY KEY,
    path      TEXT NOT NULL,            -- where it was first seen or made
    call      TEXT,                     -- key of the call that made it; NULL: identified by content
    manifest  BLOB NOT NULL,
    bytes     INTEGER NOT NULL,
    kept      INTEGER NOT NULL,         -- whether the store holds all of its files
    content   TEXT,                     -- identity of the bytes, once somebody needed it
    canonical TEXT,                     -- identity of the data (see worker/canonical.py), once somebody needed it
    created   REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX version_path ON version (path);

-- What was at each path when it was last looked at.
CREATE TABLE presence (
    path      TEXT PRIMARY KEY,
    version   TEXT NOT NULL REFERENCES version (id),
    signature BLOB NOT NULL,
    tree      TEXT NOT NULL             -- JSON: name -> stamp
) WITHOUT ROWID;

-- Memoised calls. shape: everything of the key but the versions of the inputs.
CREATE TABLE call (
    key       TEXT PRIMARY KEY,
    shape     TEXT NOT NULL,
    task      TEXT NOT NULL,
    record    BLOB NOT NULL,
    seconds   REAL NOT NULL,
    created   REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX call_shape ON call (shape);
CREATE INDEX call_task ON call (task, created);

-- Every use of a call, also failed ones.
CREATE TABLE run (
    id      INTEGER PRIMARY KEY,
    key     TEXT,
    task    TEXT NOT NULL,
    cell    TEXT NOT NULL,
    session TEXT NOT NULL,
    action  TEXT NOT NULL,              -- ran, restored, watched, failed
    reason  TEXT NOT NULL,
    seconds REAL NOT NULL,
    saved   REAL NOT NULL,
    started REAL NOT NULL
);
CREATE INDEX run_key ON run (key);

-- What each cell, as it last ran, did to each product.
CREATE TABLE touch (
    cell     TEXT NOT NULL,
    path     TEXT NOT NULL,
    notebook TEXT NOT NULL,
    before   TEXT NOT NULL,
    after    TEXT NOT NULL,
    run      INTEGER NOT NULL,          -- which run of the cell, to drop what an older one did
    PRIMARY KEY (cell, path)
) WITHOUT ROWID;

-- What each cell said when it last began to run, comments and white space left out (a hash).
CREATE TABLE cell (id TEXT PRIMARY KEY, source TEXT NOT NULL) WITHOUT ROWID;

-- Executions of cells (notebook/model.py: CellRun).
CREATE TABLE cell_run (
    id       INTEGER PRIMARY KEY,       -- the number of the run, as in touch
    cell     TEXT NOT NULL,
    notebook TEXT NOT NULL,
    text     TEXT NOT NULL,             -- hash of the source as written
    meaning  TEXT NOT NULL,             -- hash of what the source means
    source   TEXT NOT NULL,
    started  REAL NOT NULL,
    seconds  REAL NOT NULL,
    outcome  TEXT NOT NULL,             -- ok, error, interrupted
    shown    TEXT NOT NULL,             -- digest of what it showed, see `shown`
    record   TEXT NOT NULL              -- JSON: all else
);
CREATE INDEX cell_run_text ON cell_run (text, meaning);
CREATE INDEX cell_run_meaning ON cell_run (meaning, outcome, id);
CREATE INDEX cell_run_cell ON cell_run (cell, id);

-- Every state in which a cell run left a product.
CREATE TABLE written (
    path    TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (path, version)
) WITHOUT ROWID;

-- What cells showed: nbformat outputs as compressed JSON.
CREATE TABLE shown (digest TEXT PRIMARY KEY, outputs BLOB NOT NULL) WITHOUT ROWID;

-- Digests of stored files, by which one sees that a disk has changed them: seal (object, digest), see ledger.py.

-- What calls that ran have used: used (run, cpu, memory): CPU seconds; bytes at most, see ledger.py.

-- Values of Python names. version: of a name that shares nothing, or what names that share an object have in common.
CREATE TABLE value (
    version TEXT PRIMARY KEY,
    uses    TEXT NOT NULL,              -- JSON: names that functions in it use when they are called
    bytes   INTEGER NOT NULL,
    data    BLOB,                       -- signed, see values/keep.py; NULL: not kept, or (bytes > 0) in a file of its own
    within  TEXT                        -- "<version> <name>": it is kept as part of this one; NULL: it is not
);

-- The version of each product that a notebook found before any of its cells ran.
CREATE TABLE found (
    notebook TEXT NOT NULL,
    path     TEXT NOT NULL,
    version  TEXT NOT NULL,
    PRIMARY KEY (notebook, path)
) WITHOUT ROWID;

-- Sequences of cell sources of batch runs that name no cells (nbclient, papermill, nbconvert).
CREATE TABLE story (id TEXT PRIMARY KEY, sources TEXT NOT NULL, created REAL NOT NULL) WITHOUT ROWID;

-- A step under way. What is still here when nobody holds the workspace's lock is undone (or, a restore, completed).
CREATE TABLE pending (
    id       INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,             -- call, restore
    task     TEXT NOT NULL,
    versions TEXT NOT NULL,             -- JSON: path -> version to bring back
    patterns TEXT NOT NULL              -- JSON: globs of paths that the step may have created
);
