import GRDB

/// The tables of `roost.db`. All partitions share them.
///
/// `log`, `hard_state` and `facts` are the truth; `syncs` says since when the log has it, `commits`
/// how many commits there were. All other tables are derived
/// from the log: `applied` tells up to which entry, and deleting them all and replaying the log gives the same rows.
/// Every row carries a CRC-32C: see `LogRow` and `CheckedTable`.
///
/// Integers without sign (hashes, session and store ids) are kept by their bit pattern. UUIDs are blobs of 16 bytes in
/// network order. A conversation has a small integer key, local to this database, so that big tables stay narrow. Its
/// last seq and time are those of its newest message, so that a message costs no update of its conversation's row.
enum Schema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1-log", migrate: createLog)
        migrator.registerMigration("1-state", migrate: createState)
        migrator.registerMigration("1-messages", migrate: createMessages)
        migrator.registerMigration("2-syncs", migrate: createSyncs)
        migrator.registerMigration("2-devices", migrate: addSightings)
        migrator.registerMigration("2-retention", migrate: addRetention)
        migrator.registerMigration("2-checksums", migrate: Checksums.add)
        migrator.registerMigration("3-calls", migrate: createCalls)
        migrator.registerMigration("3-commits", migrate: createCommits)
        migrator.registerMigration("3-flags", migrate: renameDisabled)
        migrator.registerMigration("4-tokens", migrate: addTokens)
        return migrator
    }

    private static func createLog(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE facts (
                    id INTEGER PRIMARY KEY CHECK (id = 1), store INTEGER NOT NULL, epoch INTEGER NOT NULL,
                    promised BLOB, founded BLOB, ring BLOB, given_back BLOB);
                CREATE TABLE hard_state (
                    partition INTEGER PRIMARY KEY, term INTEGER NOT NULL, vote_node TEXT, vote_store INTEGER);
                -- position: see LogPosition. body: NULL where it is empty.
                CREATE TABLE log (
                    position INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL, crc INTEGER NOT NULL,
                    body BLOB);
                CREATE INDEX log_configurations ON log (position) WHERE kind = 2;
                """)
    }

    private static func createState(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE applied (
                    partition INTEGER PRIMARY KEY, idx INTEGER NOT NULL, last_stamp INTEGER NOT NULL);
                CREATE TABLE accounts (
                    partition INTEGER NOT NULL, user BLOB NOT NULL, username TEXT NOT NULL,
                    password_hash TEXT NOT NULL, role INTEGER NOT NULL, disabled INTEGER NOT NULL,
                    created_at INTEGER NOT NULL, PRIMARY KEY (partition, user)) WITHOUT ROWID;
                CREATE TABLE devices (
                    partition INTEGER NOT NULL, user BLOB NOT NULL, device TEXT NOT NULL, start_at INTEGER NOT NULL,
                    created_at INTEGER NOT NULL, PRIMARY KEY (partition, user, device)) WITHOUT ROWID;
                CREATE TABLE signing_keys (
                    partition INTEGER NOT NULL, id TEXT NOT NULL, secret BLOB, created_at INTEGER NOT NULL,
                    PRIMARY KEY (partition, id)) WITHOUT ROWID;
                CREATE TABLE ring (partition INTEGER PRIMARY KEY, ring BLOB);
                CREATE TABLE conversation_keys (
                    key INTEGER PRIMARY KEY, partition INTEGER NOT NULL, id BLOB NOT NULL, UNIQUE (partition, id));
                CREATE TABLE conversations (
                    conversation INTEGER PRIMARY KEY, type INTEGER NOT NULL, name TEXT, created_at INTEGER NOT NULL,
                    parameters_hash INTEGER NOT NULL);
                CREATE TABLE members (
                    conversation INTEGER NOT NULL, user BLOB NOT NULL, role INTEGER NOT NULL, ranges BLOB,
                    PRIMARY KEY (conversation, user)) WITHOUT ROWID;
                CREATE TABLE cursors (
                    conversation INTEGER NOT NULL, user BLOB NOT NULL, device TEXT NOT NULL, seq INTEGER NOT NULL,
                    PRIMARY KEY (conversation, user, device)) WITHOUT ROWID;
                CREATE TABLE send_orders (
                    conversation INTEGER NOT NULL, session INTEGER NOT NULL, run INTEGER NOT NULL,
                    counter INTEGER NOT NULL, idx INTEGER NOT NULL,
                    PRIMARY KEY (conversation, session)) WITHOUT ROWID;
                """)
    }

    private static func createMessages(_ db: Database) throws {
        try db.execute(
            sql: """
                -- The body stands in the log at idx.
                CREATE TABLE messages (
                    conversation INTEGER NOT NULL, seq INTEGER NOT NULL, idx INTEGER NOT NULL,
                    sent_at INTEGER NOT NULL, content_hash INTEGER NOT NULL,
                    PRIMARY KEY (conversation, seq)) WITHOUT ROWID;
                -- hash: StableHash of the message's id. Id and sender are read from the log. By conversation first, so
                -- that random ids touch few pages.
                CREATE TABLE message_ids (
                    conversation INTEGER NOT NULL, hash INTEGER NOT NULL, seq INTEGER NOT NULL,
                    PRIMARY KEY (conversation, hash, seq)) WITHOUT ROWID;
                """)
    }

    private static func createSyncs(_ db: Database) throws {
        try db.execute(
            sql: """
                -- The entries from position (see LogPosition) to that of the next row were committed here at `at`, by
                -- the wall clock in microseconds, or up to a second later.
                CREATE TABLE syncs (position INTEGER PRIMARY KEY, at INTEGER NOT NULL);
                """)
    }

    private static func addSightings(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE devices ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
                UPDATE devices SET seen_at = created_at;
                """)
    }

    private static func addRetention(_ db: Database) throws {
        for column in ["floor", "id_floor", "mark_seq", "mark_at"] {
            try db.execute(sql: "ALTER TABLE conversations ADD COLUMN \(column) INTEGER NOT NULL DEFAULT 0")
        }
    }

    private static func createCalls(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE calls (
                    partition INTEGER NOT NULL, node TEXT NOT NULL, store INTEGER NOT NULL, id INTEGER NOT NULL,
                    oldest INTEGER NOT NULL, answer INTEGER NOT NULL, idx INTEGER NOT NULL, crc INTEGER NOT NULL,
                    PRIMARY KEY (partition, node, store, id)) WITHOUT ROWID;
                """)
    }

    private static func createCommits(_ db: Database) throws {
        try db.execute(
            sql: """
                -- One row: how many commits there were. See CommitMark.
                CREATE TABLE commits (
                    id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, crc INTEGER NOT NULL);
                """)
    }

    /// What was 0 or 1 is now the lowest of several bits, so the checksums stay right.
    private static func renameDisabled(_ db: Database) throws {
        try db.execute(sql: "ALTER TABLE accounts RENAME COLUMN disabled TO flags")
    }

    /// What is derived from the log is left empty, since its checksums take the new columns in: a start replays the log.
    private static func addTokens(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE accounts ADD COLUMN tokens BLOB;
                ALTER TABLE devices ADD COLUMN tokens BLOB;
                ALTER TABLE signing_keys ADD COLUMN active_at INTEGER NOT NULL DEFAULT 0;
                """)
        for table in partitionedStateTables + conversationTables + ["conversation_keys"] {
            try db.execute(sql: "DELETE FROM \(table)")
        }
    }

    /// The tables with a column `partition` that hold state derived from the log.
    static let partitionedStateTables = ["applied", "accounts", "devices", "signing_keys", "calls", "ring"]
    /// The tables with a column `conversation`.
    static let conversationTables = [
        "conversations", "members", "cursors", "send_orders", "messages", "message_ids",
    ]
}
