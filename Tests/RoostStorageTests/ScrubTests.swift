import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage
import Testing

/// Every row is read once, and every damaged one is told.
@Suite struct ScrubTests {
    /// Two partitions with rows in all tables.
    private func makeStore() throws -> SQLiteStore {
        let store = try SQLiteStore()
        try store.saveFacts(NodeFacts(store: StoreID(1), epoch: 1))
        for partition in [1, 2] as [PartitionID] {
            var log = MessageLog(partition)
            var write = log.write(conversation(UInt64(partition.value)), count: 20, firstID: 1)
            write.hardState = RaftHardState(term: 3, vote: RaftPeer(node: "node-1", store: StoreID(1)))
            let id = conversation(UInt64(partition.value))
            write.changes += [
                .conversation(
                    ConversationRow(
                        id: id, type: .group, name: "n", createdAt: 1, parametersHash: 2, lastSeq: 0, lastSentAt: 0)),
                .member(
                    conversation: id,
                    MemberRow(user: user(1), role: .owner, ranges: [SeqRange(after: 0, through: nil)])),
                .cursor(CursorAdvance(user: user(1), device: device("d"), conversation: id, seq: 3)),
                .sendOrder(SendOrderRow(session: SessionID(1), conversation: id, run: 1, counter: 1, index: 1)),
                .account(
                    AccountRecord(user: user(1), username: "u", passwordHash: "h", role: .user, createdAt: 0)),
                .device(DeviceRecord(user: user(1), device: device("d"), startAt: 0, createdAt: 0)),
                .signingKey(SigningKey(id: "k", secret: ByteBuffer(string: "s"), createdAt: 1)),
                .call(
                    CallRow(
                        caller: RaftPeer(node: "node-1", store: StoreID(1)), id: 1, oldest: 1, answer: .done, index: 1)),
            ]
            try store.commit([write])
        }
        return store
    }

    private func scrub(
        _ store: SQLiteStore, limit: Int
    ) throws -> (rows: Int, entries: [LogDamage], states: [String], rest: [ScrubStep]) {
        var place: ScrubPlace? = .start
        var found: (rows: Int, entries: [LogDamage], states: [String], rest: [ScrubStep]) = (0, [], [], [])
        while let next = place {
            let step = try store.scrub(next, limit: limit, maxBytes: .max)
            found.rows += step.rows
            found.entries += step.entries
            found.states += step.states.map { "\($0.partition.map { "\($0)" } ?? "?") \($0.text)" }
            if step.isIdentityDamaged || !step.hardStates.isEmpty { found.rest.append(step) }
            place = step.next
        }
        return found
    }

    @Test(arguments: [1, 3, 7, 1000])
    func allRowsAreReadOnceWhateverTheStep(limit: Int) throws {
        let found = try scrub(try makeStore(), limit: limit)
        // Of each partition: 20 entries, 20 messages, 20 ids and one row each in eleven tables; the facts, and the count of
        // commits.
        #expect(found.rows == 2 * (60 + 11) + 2)
        #expect(found.entries.isEmpty && found.states.isEmpty && found.rest.isEmpty)
    }

    @Test func damageIsToldWithWhatItIs() throws {
        let store = try makeStore()
        for index in [1, 7, 20] as [UInt64] { #expect(try store.flipBit(partition: 2, index: index)) }
        let tables = [
            "applied", "accounts", "devices", "signing_keys", "conversations", "members", "cursors", "send_orders",
            "calls",
        ]
        for table in tables { #expect(try store.damageState(partition: 1, table: table)) }
        let found = try scrub(store, limit: 5)
        #expect(found.entries == [1, 7, 20].map { LogDamage(2, $0, .checksum) })
        #expect(Set(found.states) == Set(tables.map { "1 partition 1, \($0): a row's checksum does not match" }))
    }

    @Test func gapsAreTold() throws {
        let store = try SQLiteStore()
        try store.commit([
            PartitionWrite(partition: 1, entries: [entry(2), entry(3)]),
            PartitionWrite(partition: 4, entries: [entry(1), entry(2), entry(5)]),
        ])
        let missing = [LogDamage(1, 1, .missing), LogDamage(4, 3, .missing), LogDamage(4, 4, .missing)]
        #expect(try scrub(store, limit: 2).entries == missing)
    }

    @Test func damagedTablesAreToldAtTheStartAndClearedForTheReplay() throws {
        for table in ["applied", "members", "cursors", "conversations", "accounts"] {
            let store = try makeStore()
            let before = try store.stateDump(1)
            #expect(try store.damageState(partition: 1, table: table))
            let restored = try store.loadPartition(1)
            #expect(restored.stateDamage == "partition 1, \(table): a row's checksum does not match")
            #expect(restored.state.appliedIndex == 0 && restored.lastIndex == 20)
            #expect(restored.hardState.term == 3)
            try store.commit([PartitionWrite(partition: 1, clearsState: true)])
            let cleared = try store.loadPartition(1)
            #expect(cleared.stateDamage == nil && cleared.state.appliedIndex == 0)
            #expect(try store.stateDump(1).isEmpty && !before.isEmpty)
            #expect(try store.loadPartition(2).state.appliedIndex == 20)
        }
    }

    @Test func aDamagedRowWhoseTermIsPlainDoesNotKeepAGroupFromStarting() throws {
        let store = try SQLiteStore()
        var entries = (1...300).map { entry(UInt64($0), term: $0 <= 100 ? 1 : 4) }
        entries[299] = entry(300, term: 5)
        try store.commit([PartitionWrite(partition: 1, entries: entries, appliedIndex: 300)])
        let runs = try store.loadPartition(1).termRuns.map { "\($0.firstIndex):\($0.term)" }
        #expect(runs == ["1:1", "101:4", "300:5"])
        // The survey looks at both, by bisection.
        #expect(try store.flipBit(partition: 1, index: 150))
        #expect(try store.flipBit(partition: 1, index: 151))
        let within = try store.loadPartition(1)
        #expect(within.missing.isEmpty)
        #expect(within.termRuns.map { "\($0.firstIndex):\($0.term)" } == runs)
        #expect(Set(within.holes.map(\.index)).isSubset(of: [150, 151]))
        // Of the last one, and of one between two terms, nobody here knows the term.
        #expect(try store.flipBit(partition: 1, index: 300))
        #expect(try store.loadPartition(1).missing == [LogDamage(1, 300, .checksum)])
        try store.commit([PartitionWrite(partition: 1, repairs: [entries[299]])])
        #expect(try store.flipBit(partition: 1, index: 101))
        #expect(try store.loadPartition(1).missing == [LogDamage(1, 101, .checksum)])
        try store.commit([PartitionWrite(partition: 1, repairs: [entries[100]])])
        #expect(try store.loadPartition(1).missing.isEmpty)
    }

    @Test func clearingAPartitionLeavesTheRowsOfOthers() throws {
        let store = try makeStore()
        #expect(try store.damageState(partition: 2, table: "conversation_keys"))
        let before = try store.stateDump(2)
        try store.commit([PartitionWrite(partition: 1, clearsState: true)])
        #expect(try store.stateDump(1).isEmpty)
        #expect(try store.stateDump(2) == before && !before.isEmpty)
        #expect(
            try scrub(store, limit: 100).states == ["2 partition 2, conversation_keys: a row's checksum does not match"]
        )
        // Its own go, or nothing could be made anew.
        try store.commit([PartitionWrite(partition: 2, clearsState: true)])
        #expect(try store.stateDump(2).isEmpty && scrub(store, limit: 100).states.isEmpty)
    }

    /// What stands before a damaged row is compared with other survivors' logs by its terms.
    @Test func termsAreKnownUpToADamagedRow() throws {
        for damaged in [150, 151, 200, 299] as [UInt64] {
            let store = try SQLiteStore()
            let entries = (1...300).map { entry(UInt64($0), term: UInt64($0) / 50 + 1) }
            try store.commit([PartitionWrite(partition: 1, entries: entries, appliedIndex: 300)])
            let runs = try store.loadPartition(1).termRuns
            // Neighbours of several damaged rows at a change of terms do not tell theirs.
            for index in damaged...300 { #expect(try store.flipBit(partition: 1, index: index)) }
            let found = try store.loadPartition(1)
            #expect(found.missing.map(\.index).min() == damaged)
            let known = runs.filter { $0.firstIndex < damaged }.map { "\($0.firstIndex):\($0.term)" }
            #expect(found.termRuns.map { "\($0.firstIndex):\($0.term)" } == known, "damaged from \(damaged) on")
        }
    }

    @Test func whatIsNotAppliedMustBeWhole() throws {
        let store = try SQLiteStore()
        let entries = (1...50).map { entry(UInt64($0)) }
        try store.commit([PartitionWrite(partition: 1, entries: entries, appliedIndex: 30)])
        #expect(try store.flipBit(partition: 1, index: 20))
        #expect(try store.loadPartition(1).missing.isEmpty)
        #expect(try store.flipBit(partition: 1, index: 40))
        #expect(try store.loadPartition(1).missing == [LogDamage(1, 40, .checksum)])
    }
}

/// A committed entry in the place of a damaged row of a history that was given up.
@Suite struct LogRepairTests {
    private func makeStore(_ terms: [UInt64], hardTerm: UInt64 = 9) throws -> SQLiteStore {
        let store = try SQLiteStore()
        let entries = terms.enumerated().map { entry(UInt64($0.offset + 1), term: $0.element) }
        try store.commit([PartitionWrite(partition: 1, hardState: RaftHardState(term: hardTerm), entries: entries)])
        return store
    }

    private func terms(_ store: SQLiteStore) throws -> [UInt64] {
        try store.entries(partition: 1, from: 1, through: .max, maxBytes: .max).map(\.term)
    }

    @Test func neighboursThatAgreeStay() throws {
        let store = try makeStore([1, 1, 2, 2, 3])
        #expect(try store.flipBit(partition: 1, index: 3))
        try store.commit([PartitionWrite(partition: 1, repairs: [entry(3, term: 2)])])
        #expect(try terms(store) == [1, 1, 2, 2, 3])
        #expect(try store.loadPartition(1).hardState.term == 9)
    }

    @Test func whatFollowsWithALowerTermIsRemoved() throws {
        let store = try makeStore([1, 1, 2, 2, 2])
        #expect(try store.flipBit(partition: 1, index: 3))
        try store.commit([PartitionWrite(partition: 1, repairs: [entry(3, term: 3)])])
        #expect(try terms(store) == [1, 1, 3])
    }

    @Test func whatStandsBeforeWithAHigherTermIsRemoved() throws {
        let store = try makeStore([1, 1, 4, 4, 4, 4])
        #expect(try store.flipBit(partition: 1, index: 5))
        #expect(try store.flipBit(partition: 1, index: 3))
        // What the damaged one before was is not known: it stays, and is asked for.
        try store.commit([PartitionWrite(partition: 1, repairs: [entry(5, term: 3)])])
        #expect(try terms(store) == [1, 1])
        #expect(try store.loadPartition(1).missing == [LogDamage(1, 3, .checksum)])
        try store.commit([PartitionWrite(partition: 1, repairs: [entry(3, term: 2)])])
        #expect(try terms(store) == [1, 1, 2])
    }

    @Test func theTermIsRaisedToThatOfTheEntry() throws {
        let store = try makeStore([1, 1, 2], hardTerm: 2)
        #expect(try store.flipBit(partition: 1, index: 3))
        try store.commit([PartitionWrite(partition: 1, repairs: [entry(3, term: 6)])])
        #expect(try store.loadPartition(1).hardState == RaftHardState(term: 6))
        #expect(try store.loadPartition(1).missing.isEmpty)
    }
}
