import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage
import Testing

@Suite struct StateTests {
    let store: SQLiteStore
    init() throws { store = try SQLiteStore(inMemory: .init()) }

    private func row(_ id: ConversationID, name: String? = nil, lastSeq: UInt64 = 0) -> ConversationRow {
        ConversationRow(
            id: id, type: name == nil ? .direct : .channel, name: name, createdAt: 77, parametersHash: .max,
            lastSeq: lastSeq, lastSentAt: Int64(lastSeq * 1000))
    }

    @Test func everyKindOfRowComesBack() throws {
        let account = AccountRecord(
            user: user(1), username: "Ålice", passwordHash: "scrypt$…", role: .admin, disabled: true,
            hidesLastSeen: true, createdAt: 5)
        let phone = DeviceRecord(user: user(1), device: device("phone"), startAt: 12, createdAt: 13)
        let key = SigningKey(id: "k1", secret: ByteBuffer(bytes: [0, 1, 2]), createdAt: 3)
        let owner = MemberRow(user: user(1), role: .owner, ranges: [SeqRange(after: 0, through: nil)])
        let former = MemberRow(
            user: user(2), role: .member,
            ranges: [SeqRange(after: 0, through: 4), SeqRange(after: 9, through: 12)])
        let cursor = CursorAdvance(user: user(1), device: device("phone"), conversation: conversation(1), seq: 3)
        let order = SendOrderRow(
            session: SessionID(.max), conversation: conversation(1), run: .max, counter: 9, index: 8)
        let answers: [CallRow.Answer] = [.done, .conversation] + Rejection.allCases.map { .rejected($0) }
        let calls = answers.enumerated().map { number, answer in
            CallRow(
                caller: RaftPeer(node: "node-1", store: StoreID(.max)), id: UInt64(number + 1) << 32, oldest: 7,
                answer: answer, index: 8)
        }
        try store.commit([
            PartitionWrite(
                partition: 4,
                changes: [
                    .account(account), .device(phone), .signingKey(key), .conversation(row(conversation(1), name: "n")),
                    .conversation(row(conversation(2))), .member(conversation: conversation(1), owner),
                    .member(conversation: conversation(1), former), .cursor(cursor), .sendOrder(order),
                ] + calls.map { .call($0) }, appliedIndex: 8, lastStamp: 99)
        ])
        let state = try store.loadPartition(4).state
        #expect(state.appliedIndex == 8)
        #expect(state.lastStamp == 99)
        #expect(state.accounts == [account])
        #expect(state.devices == [phone])
        #expect(state.signingKeys == [key])
        #expect(state.conversations == [row(conversation(1), name: "n"), row(conversation(2))])
        #expect(state.members.map(\.conversation) == [conversation(1), conversation(1)])
        #expect(state.members.map(\.member) == [owner, former])
        #expect(state.cursors == [cursor])
        #expect(state.sendOrders == [order])
        #expect(state.calls == calls)
        let other = try store.loadPartition(5).state
        #expect(other.conversations.isEmpty && other.accounts.isEmpty && other.appliedIndex == 0)
    }

    @Test func laterRowsReplaceEarlierOnes() throws {
        func cursor(_ seq: UInt64) -> StateChange {
            .cursor(CursorAdvance(user: user(1), device: device("d"), conversation: conversation(1), seq: seq))
        }
        func order(_ counter: UInt64) -> SendOrderRow {
            SendOrderRow(session: SessionID(1), conversation: conversation(1), run: 1, counter: counter, index: counter)
        }
        try store.commit([
            PartitionWrite(partition: 0, changes: [cursor(1), .sendOrder(order(1))], appliedIndex: 1, lastStamp: 10),
            PartitionWrite(partition: 0, changes: [cursor(2), .sendOrder(order(2))], appliedIndex: 2),
        ])
        var state = try store.loadPartition(0).state
        #expect(state.cursors.map(\.seq) == [2])
        #expect(state.sendOrders == [order(2)])
        #expect(state.appliedIndex == 2)
        #expect(state.lastStamp == 10)
        try store.commit([
            PartitionWrite(
                partition: 0,
                changes: [
                    cursor(5), .sendOrderExpired(session: SessionID(1), conversation: conversation(1)),
                    .sendOrderExpired(session: SessionID(2), conversation: conversation(1)),
                ], appliedIndex: 3, lastStamp: 11)
        ])
        state = try store.loadPartition(0).state
        #expect(state.cursors.map(\.seq) == [5])
        #expect(state.sendOrders.isEmpty)
        #expect(state.lastStamp == 11)
        try store.commit([
            PartitionWrite(
                partition: 0,
                changes: [
                    .sendOrder(order(3)), .sendOrderExpired(session: SessionID(1), conversation: conversation(1)),
                    .sendOrder(order(4)),
                ])
        ])
        #expect(try store.loadPartition(0).state.sendOrders == [order(4)])
    }

    @Test func lastSeqAndTimeAreTheNewestMessages() throws {
        var log = MessageLog(0)
        var write = log.write(conversation(1), count: 3, firstID: 1)
        write.changes.insert(.conversation(row(conversation(1), lastSeq: 1)), at: 1)
        write.changes.append(.conversation(row(conversation(1), lastSeq: 3)))
        try store.commit([write])
        #expect(try store.loadPartition(0).state.conversations == [row(conversation(1), lastSeq: 3)])
        var next = log.write(conversation(1), count: 1, firstID: 9)
        next.changes.append(.conversation(row(conversation(1), lastSeq: 4)))
        try store.commit([next])
        #expect(try store.loadPartition(0).state.conversations == [row(conversation(1), lastSeq: 4)])
    }

    @Test func aChangedConversationIsWritten() throws {
        try store.commit([PartitionWrite(partition: 0, changes: [.conversation(row(conversation(1), name: "old"))])])
        try store.commit([PartitionWrite(partition: 0, changes: [.conversation(row(conversation(1), name: "new"))])])
        #expect(try store.loadPartition(0).state.conversations.map(\.name) == ["new"])
    }

    @Test func keysOfARefusedCommitAreForgotten() throws {
        let directory = try TemporaryDirectory()
        var options = SQLiteStore.Options()
        options.maxPages = 60
        let store = try SQLiteStore(directory: directory.path, options: options)
        let refused = PartitionWrite(
            partition: 0, entries: [entry(1, String(repeating: "x", count: 300_000))],
            changes: [.conversation(row(conversation(1), name: "n"))])
        #expect(throws: StoreError.self) { try store.commit([refused]) }
        try store.commit([PartitionWrite(partition: 0, changes: [.conversation(row(conversation(2), name: "m"))])])
        try store.commit([PartitionWrite(partition: 0, changes: [.conversation(row(conversation(1), name: "n"))])])
        #expect(try store.loadPartition(0).state.conversations.map(\.name) == ["n", "m"])
    }
}
