#!/usr/bin/env python3
"""What parts of a commit cost, each by itself: see README.md."""
import os, random, resource, sqlite3, sys, tempfile, time

MESSAGES = 100        # in one commit
PARTITIONS = 32
CONVERSATIONS = 50
COMMITS = int(sys.argv[1]) if len(sys.argv) > 1 else 300
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 7
BODY = os.urandom(330)  # a send of 256 bytes of content

SCHEMA = """
CREATE TABLE log (position INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB);
CREATE INDEX log_configurations ON log (position) WHERE kind = 2;
CREATE TABLE messages (conversation INTEGER NOT NULL, seq INTEGER NOT NULL, idx INTEGER NOT NULL, sent_at INTEGER NOT NULL,
    content_hash INTEGER NOT NULL {crc}, PRIMARY KEY (conversation, seq)) WITHOUT ROWID;
CREATE TABLE message_ids (conversation INTEGER NOT NULL, hash INTEGER NOT NULL, seq INTEGER NOT NULL {crc},
    PRIMARY KEY (conversation, hash, seq)) WITHOUT ROWID;
CREATE TABLE send_orders (conversation INTEGER NOT NULL, session INTEGER NOT NULL, run INTEGER NOT NULL,
    counter INTEGER NOT NULL, idx INTEGER NOT NULL {crc}, PRIMARY KEY (conversation, session)) WITHOUT ROWID;
CREATE TABLE applied (partition INTEGER PRIMARY KEY, idx INTEGER NOT NULL, last_stamp INTEGER NOT NULL {crc});
CREATE TABLE syncs (position INTEGER PRIMARY KEY, at INTEGER NOT NULL);
CREATE TABLE commits (id INTEGER PRIMARY KEY, number INTEGER NOT NULL, crc INTEGER NOT NULL);
"""

# What is left out; "all" is what Roost does.
VARIANTS = ["all", "no checksum columns", "no syncs", "no auto-vacuum", "no commit number", "syncs in every commit"]


def run(variant, directory):
    path = os.path.join(directory, "db")
    for suffix in ["", "-wal", "-shm"]:
        if os.path.exists(path + suffix):
            os.remove(path + suffix)
    db = sqlite3.connect(path, isolation_level=None)
    if variant != "no auto-vacuum":
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 4096")
    db.execute("PRAGMA cache_size = -65536")
    crc = variant != "no checksum columns"
    db.executescript(SCHEMA.format(crc=", crc INTEGER NOT NULL" if crc else ""))
    pick = random.Random(1)
    index = [0] * PARTITIONS
    seq = [0] * CONVERSATIONS
    batches = []
    for number in range(COMMITS):
        log, messages, ids, orders, touched, firsts = [], [], [], {}, set(), {}
        for _ in range(MESSAGES):
            conversation = pick.randrange(CONVERSATIONS)
            partition = conversation % PARTITIONS
            index[partition] += 1
            seq[conversation] += 1
            tail = (pick.getrandbits(32),) if crc else ()
            position = partition << 48 | index[partition]
            log.append((position, 1, 1, pick.getrandbits(32), BODY))
            messages.append((conversation, seq[conversation], index[partition], 1764000000000000 + number,
                             pick.getrandbits(63)) + tail)
            ids.append((conversation, pick.getrandbits(63), seq[conversation]) + tail)
            orders[conversation] = (conversation, conversation, 1, seq[conversation], index[partition]) + tail
            touched.add(partition)
            firsts.setdefault(partition, position)
        applied = [(p, index[p], number) + ((7,) if crc else ()) for p in sorted(touched)]
        batches.append((log, messages, ids, list(orders.values()), applied, list(firsts.values())))

    def marks(rows):
        return ",".join("?" * len(rows[0]))

    began, cpu = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    second = began
    for number, (log, messages, ids, orders, applied, firsts) in enumerate(batches):
        db.execute("BEGIN IMMEDIATE")
        db.executemany(f"INSERT INTO log VALUES ({marks(log)})", log)
        if variant != "no syncs" and (variant == "syncs in every commit" or time.monotonic() - second > 1 or number == 0):
            second = time.monotonic()
            db.executemany("INSERT OR REPLACE INTO syncs VALUES (?,?)", [(p, number) for p in firsts])
        db.executemany(f"INSERT OR REPLACE INTO messages VALUES ({marks(messages)})", messages)
        db.executemany(f"INSERT OR REPLACE INTO message_ids VALUES ({marks(ids)})", ids)
        db.executemany(f"INSERT OR REPLACE INTO send_orders VALUES ({marks(orders)})", orders)
        db.executemany(f"INSERT OR REPLACE INTO applied VALUES ({marks(applied)})", applied)
        if variant != "no commit number":
            db.execute("INSERT OR REPLACE INTO commits VALUES (1,?,?)", (number, number))
        db.execute("COMMIT")
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime
    size = db.execute("PRAGMA page_count").fetchone()[0] * 4096
    db.close()
    count = COMMITS * MESSAGES
    return seconds / count * 1e6, (time.monotonic() - began) / COMMITS * 1e3, size / count


with tempfile.TemporaryDirectory(dir=os.environ.get("DIRECTORY", "/tmp")) as directory:
    results = {variant: [] for variant in VARIANTS}
    for _ in range(ROUNDS):
        for variant in VARIANTS:
            results[variant].append(run(variant, directory))
    print(f"{COMMITS} commits of {MESSAGES} messages, {PARTITIONS} partitions, {CONVERSATIONS} conversations; "
          f"best of {ROUNDS}")
    for variant in VARIANTS:
        columns = [min(column) for column in zip(*results[variant])]
        print(f"{variant:24} {columns[0]:6.2f} us of processor a message {columns[1]:7.2f} ms a commit "
              f"{columns[2]:6.0f} bytes a message")
