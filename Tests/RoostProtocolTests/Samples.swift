import NIOCore
import RoostModel
import RoostProtocol

/// One value of every kind that is on the wire or in a log, with numbers that are easy to find in the bytes.
enum Samples {
    static let user = UserID(UUID128(high: 0x1111_1111_1111_5111, low: 0x9111_1111_1111_1111))
    static let other = UserID(UUID128(high: 0x2222_2222_2222_5222, low: 0x9222_2222_2222_2222))
    static let conversation = ConversationID(UUID128(high: 0x3333_3333_3333_4333, low: 0x9333_3333_3333_3333))
    static let messageID = MessageID(UUID128(high: 0x4444_4444_4444_7444, low: 0x9444_4444_4444_4444))
    static let device = DeviceID(validated: "phone")
    static let session = SessionID(0x5e55_1055_5e55_1055)
    static let store = StoreID(0x5705_e570_5e57_05e5)
    static let stamp: Int64 = 1_700_000_000_123_456
    static let content = ByteBuffer(string: "\"hi\"")
    static let generation = Generation(term: 3, count: 300)

    static let message = Message(
        id: messageID, conversation: conversation, seq: 7, sender: user, originDevice: device, type: "text",
        content: content, sentAt: stamp)
    static let send = SendCommand(
        conversation: conversation, peer: other, sender: user, device: device, id: messageID, type: "text",
        content: content, order: SendOrder(session: session, run: 1, counter: 130, base: 129))
    static let account = AccountRecord(
        user: user, username: "Zoë", passwordHash: "scrypt$1", role: .admin, disabled: false, createdAt: stamp)
    static let deviceRecord = DeviceRecord(user: user, device: device, startAt: 0, createdAt: stamp)
    static let sighting = DeviceSighting(user: user, device: device, seenAt: stamp)
    static let cursor = CursorAdvance(user: user, device: device, conversation: conversation, seq: 7)
    static let newKey = SigningKey(id: "k1", secret: ByteBuffer(bytes: [1, 2, 3]), createdAt: stamp)
    static let key = SigningKey(id: "k1", secret: ByteBuffer(bytes: [1, 2, 3]), createdAt: stamp, activeAt: stamp + 1)
    static let token = TokenStamp(id: messageID.uuid, generation: 3, expires: 1_700_086_400)
    static var revocations: TokenRevocations {
        var revocations = TokenRevocations()
        revocations.revokeAll()
        revocations.revoke(TokenStamp(id: messageID.uuid, generation: 1, expires: 1_700_086_400), now: 0)
        revocations.remove(device, DeviceTokens(), keeping: nil, now: 0)
        return revocations
    }
    static var revokedAccount: AccountRecord {
        var account = account
        account.revocations = revocations
        return account
    }
    static let snapshot = ConversationSnapshot(
        id: conversation, type: .group, name: "team", createdAt: stamp, lastSeq: 7,
        members: [
            MemberSnapshot(user: user, role: .owner, current: true),
            MemberSnapshot(user: other, role: .member, current: false),
        ])
    static let founding = FoundingRecord(
        clusterID: UUID128(high: 0xc1c1_c1c1_c1c1_4c1c, low: 0x9c1c_1c1c_1c1c_1c1c), cluster: "dev",
        configurationHash: 0xabcd_ef01_2345_6789, partitions: 32, replication: 3,
        members: [FoundingMember(node: "node-1", store: store, address: "127.0.0.1:7001")])
    static let presenceEntry = PresenceEntry(
        user: user, device: device, session: session, generation: generation, since: stamp)
    static let rumours = [
        MemberRumour(node: "node-2", epoch: 1_700_000_000, incarnation: 2, status: .alive, address: "127.0.0.1:7002"),
        MemberRumour(
            node: "node-3", epoch: 1_700_000_001, incarnation: 0, status: .suspect, address: "127.0.0.1:7003",
            accuser: "node-1"),
    ]
    static let hello = HandshakeHello(
        minVersion: 1, maxVersion: 1, cluster: "dev", clusterID: founding.clusterID, node: "node-1", store: store,
        epoch: 1_700_000_000, lane: .control, address: "127.0.0.1:7001")

    static let handshakes: [(String, HandshakeFrame)] = [
        ("hello", .hello(hello)),
        ("accept", .accept(hello)),
        ("challenge", .challenge(Array(0..<32))),
        ("proof", .proof(Array(100..<132))),
        ("join", .join(JoinHello(minVersion: 1, maxVersion: 1, cluster: "dev", member: member))),
        ("joined", .joined(founding, ring)),
        ("refuse", .refuse(HandshakeRefusal(code: .otherCluster, text: "this is prod"))),
    ]

    static let commands: [(String, Command)] = [
        ("send", .send(send)),
        ("createAccount", .createAccount(account)),
        ("setAccountDisabled", .setAccountDisabled(user: user, disabled: true)),
        ("registerDevice", .registerDevice(user: user, device: device, startAt: stamp)),
        (
            "createConversation",
            .createConversation(
                CreateConversationCommand(
                    id: conversation, type: .group, name: "team", creator: user, members: [other]))
        ),
        (
            "changeMembers",
            .changeMembers(
                ChangeMembersCommand(conversation: conversation, actor: user, users: [other], action: .promote))
        ),
        ("advanceCursors", .advanceCursors([cursor])),
        ("addSigningKey", .addSigningKey(newKey)),
        (
            "limited",
            .limited(
                CommandLimits(members: 1024, conversationsPerUser: 10_000, devicesPerUser: 32, deviceExpiry: 1_000_000),
                .registerDevice(user: user, device: device, startAt: stamp))
        ),
        ("seeDevices", .seeDevices([sighting])),
        ("forgetDevices", .forgetDevices([sighting])),
        ("dropCursors", .dropCursors([sighting])),
        ("strippedSend", Command.send(send).stripped(hash: 0xabcd_ef01_2345_6789) ?? .send(send)),
        ("raiseFloors", .raiseFloors([FloorRaise(conversation: conversation, seq: 300)])),
        ("raiseIDFloors", .raiseIDFloors([FloorRaise(conversation: conversation, seq: 300)])),
        (
            "called",
            .called(
                CallIdentity(caller: RaftPeer(node: "node-1", store: store), id: 5 << 32 | 300, oldest: 5 << 32 | 2),
                .setAccountDisabled(user: user, disabled: true))
        ),
        ("setLastSeenHidden", .setLastSeenHidden(user: user, hidden: true)),
        ("foundRing", .foundRing(ring)),
        ("changeRing.join", .changeRing(.join(member))),
        ("changeRing.leave", .changeRing(.leave("node-1"))),
        ("changeRing.remove", .changeRing(.remove("node-3"))),
        ("changeRing.removeAt", .changeRing(.removeAt(version: 300, "node-3"))),
        ("changeRing.move", .changeRing(.move(member))),
        (
            "registerDevice.token", .registerDevice(user: user, device: device, startAt: stamp, token: token)
        ),
        ("revokeTokens.token", .revokeTokens(user: user, .token(token))),
        ("revokeTokens.device", .revokeTokens(user: user, .device(device, keeping: token.id))),
        ("revokeTokens.device.all", .revokeTokens(user: user, .device(device, keeping: nil))),
        ("revokeTokens.all", .revokeTokens(user: user, .all)),
        ("activateSigningKey", .activateSigningKey(id: "k1")),
        ("removeSigningKey", .removeSigningKey(id: "k1")),
    ]

    static let member = RingMember(
        node: "node-4", host: "10.0.0.4", peerPort: 7001, clientPort: 8001, adminPort: 9001, since: 2, moved: 3)
    static let ring = Ring(
        version: 3,
        members: [
            RingMember(
                node: "node-1", host: "10.0.0.1", peerPort: 7001, clientPort: 0, adminPort: 0, state: .removed, since: 3
            ),
            member,
        ])

    static let results: [(String, CommandResult)] = [
        ("sent", .sent(conversation: conversation, seq: 7, sentAt: stamp)),
        ("created", .created(at: stamp)),
        ("conversation", .conversation(snapshot)),
        ("done", .done),
        ("rejected", .rejected(.idReused)),
    ]

    private static func raft(_ name: String, _ message: RaftMessage) -> (String, PeerFrame) {
        ("raft.\(name)", .raft([RaftEnvelope(partition: 5, fromStore: StoreID(7), toStore: store, message: message)]))
    }
    private static func read(_ name: String, _ request: ReadRequest) -> (String, PeerFrame) {
        ("read.\(name)", .read([ReadCall(id: 9, partition: 5, request: request)]))
    }
    private static func reply(_ name: String, _ response: ReadResponse) -> (String, PeerFrame) {
        ("readReplies.\(name)", .readReplies([ReadReply(id: 9, outcome: .answered(response))]))
    }

    static let frames: [(String, PeerFrame)] =
        [
            ("swim.ping", .swim(SwimMessage(body: .ping(sequence: 8), rumours: rumours))),
            ("swim.ack", .swim(SwimMessage(body: .ack(sequence: 8, target: "node-2")))),
            ("swim.pingRequest", .swim(SwimMessage(body: .pingRequest(sequence: 8, target: "node-3")))),
            ("swim.nack", .swim(SwimMessage(body: .nack(sequence: 8, target: "node-3")))),
            (
                "swim.exchange",
                .swim(
                    SwimMessage(
                        body: .exchange(reply: true),
                        digests: [PresenceDigest(node: "node-2", epoch: 1_700_000_000, version: 12)]))
            ),
            ("swim.summary", .swim(SwimMessage(body: .summary(members: 0x0102_0304_0506_0708)))),
            (
                "presence.delta",
                .presence(
                    .delta(
                        node: "node-2", epoch: 1_700_000_000, from: 11, to: 12,
                        changes: [PresenceChange(version: 12, online: true, entry: presenceEntry)]))
            ),
            ("presence.request", .presence(.request(node: "node-2", epoch: 1_700_000_000, version: 11))),
            (
                "presence.snapshot",
                .presence(
                    .snapshot(
                        node: "node-2", epoch: 1_700_000_000, version: 12, chunk: 0, chunks: 1,
                        entries: [presenceEntry]))
            ),
            ("founding.propose", .founding(.propose(founding))),
            ("founding.promise", .founding(.promise(clusterID: founding.clusterID))),
            ("founding.refuse", .founding(.refuse(reason: "another configuration"))),
            ("founding.founded", .founding(.founded(founding))),
            ("linkPing", .linkPing(token: 0x0102_0304_0506_0708)),
            ("clock", .clock(wall: 0x0006_0102_0304_0506)),
            ("linkPong", .linkPong(token: 0x0102_0304_0506_0708)),
            ("reaches", .reaches(["node-1", "node-3"])),
            ("draining", .draining),
            ("repair.ask", .repair(.ask(partition: 5, indices: [7, 300]))),
            (
                "repair.rows",
                .repair(
                    .rows(
                        partition: 5,
                        rows: [
                            RepairRow(
                                entry: RaftEntry(index: 7, term: 2, kind: .noop, payload: ByteBuffer()),
                                checksum: 0x0102_0304)
                        ]))
            ),
            ("repair.unfit", .repair(.unfit(isFull: true, partitions: [5]))),
            ("repair.regressed", .repair(.regressed(partition: 5, term: 4, store: store, confirmed: 300))),
            ("ring.version", .ring(.version(3))),
            ("ring.record", .ring(.record(ring))),
            ("ring.isRemoved", .ring(.isRemoved(partition: 5, store: store))),
            ("ring.wasRemoved", .ring(.wasRemoved(partition: 5, store: store))),
            raft("preVote", .preVote(term: 4, lastIndex: 200, lastTerm: 3)),
            raft("preVoteReply", .preVoteReply(term: 4, granted: true)),
            raft("vote", .vote(term: 4, lastIndex: 200, lastTerm: 3, transfer: true)),
            raft("voteReply", .voteReply(term: 4, granted: false)),
            raft(
                "append",
                .append(
                    term: 4, prevIndex: 200, prevTerm: 3, commit: 199,
                    entries: [
                        RaftEntry(index: 201, term: 4, kind: .noop, payload: ByteBuffer()),
                        RaftEntry(index: 202, term: 4, kind: .command, payload: ByteBuffer(bytes: [0xca, 0xfe])),
                    ])),
            raft("appendReply", .appendReply(term: 4, success: false, index: 180, conflictTerm: 2)),
            raft("heartbeat", .heartbeat(term: 4, commit: 202, read: 1, hibernate: true)),
            raft("heartbeatReply", .heartbeatReply(term: 4, read: 1, lastIndex: 202)),
            raft("timeoutNow", .timeoutNow(term: 4)),
            (
                "propose",
                .propose([Proposal(id: 300, partition: 5, hops: 1, command: ByteBuffer(bytes: [0xca, 0xfe]))])
            ),
            (
                "proposalResults",
                .proposalResults([
                    ProposalResult(id: 300, outcome: .applied(.done)),
                    ProposalResult(id: 301, outcome: .notLeader("node-2")),
                    ProposalResult(id: 302, outcome: .notLeader(nil)),
                ])
            ),
        ] + reads + replies + streams

    private static let reads: [(String, PeerFrame)] = [
        read("account", .account(user)),
        read("accounts", .accounts(after: user, limit: 1_000)),
        read("devices", .devices(user)),
        read("openSession", .openSession(user: user, device: device)),
        read("conversation", .conversation(conversation)),
        read("conversations", .conversations(user)),
        read(
            "history",
            .history(conversation: conversation, user: user, before: 200, after: nil, skip: 0, limit: 50)),
        read("backlog", .backlog(conversation: conversation, user: user, after: 7, limit: 256)),
        read("sync", .sync(user: user, since: stamp, afterIndex: 0, conversations: [conversation], limit: 100)),
        read("signingKeys", .signingKeys),
        read("cursors", .cursors(conversation)),
        read("message", .message(messageID)),
        read("pending", .pending(user, devices: [deviceRecord])),
        read("lastSeen", .lastSeen([user, other])),
        read("contacts", .contacts(of: user, among: [other])),
        read("replica", .replica(index: 202)),
        read("ring", .ring),
        read("voters", .voters),
        read("openSession.token", .openSession(user: user, device: device, token: token)),
        read("holdsKeys", .holdsKeys(digest: 0xabcd_ef01_2345_6789)),
    ]

    private static let replies: [(String, PeerFrame)] = [
        reply("account", .account(account)),
        reply("account.revocations", .account(revokedAccount)),
        reply("holds", .holds(true)),
        reply("accounts", .accounts([account])),
        reply("devices", .devices([deviceRecord])),
        reply("session", .session(SessionGrant(generation: generation, role: .user, startAt: 0))),
        reply("conversation", .conversation(snapshot)),
        reply("conversations", .conversations([snapshot])),
        reply("messages", .messages([message])),
        reply("backlog", .backlog(Backlog(messages: [message], through: 9, lost: 3...6))),
        reply("synced", .synced(messages: [message], through: 202)),
        reply("signingKeys", .signingKeys([key])),
        reply("ring", .ring(ring)),
        reply("voters", .voters(["node-1", "node-2"])),
        reply("cursors", .cursors(snapshot, [cursor])),
        reply(
            "located",
            .located(
                MessageLocation(
                    conversation: conversation, seq: 7, sender: user, originDevice: device, sentAt: stamp, index: 202,
                    term: 4,
                    leader: "node-1", replicas: [MessageReplica(node: "node-1", isVoter: true)],
                    readers: [user, other], cursors: [cursor]))),
        reply("pending", .pending([DevicePending(device: device, count: 3)])),
        reply(
            "replica", .replica(ReplicaStatus(term: 4, syncedAt: stamp, lastIndex: 203, appliedIndex: 201))),
        reply("lastSeen", .lastSeen([UserLastSeen(user: user, isHidden: true, devices: [deviceRecord])])),
        reply("users", .users([user, other])),
        reply("none", .none),
        reply("rejected", .rejected(.notMember)),
        ("readReplies.notLeader", .readReplies([ReadReply(id: 9, outcome: .notLeader("node-2"))])),
    ]

    private static let streams: [(String, PeerFrame)] = [
        (
            "open",
            .open(
                OpenRequest(
                    id: 77, partitions: [0, 5],
                    sessions: [
                        SubscribedSession(
                            slot: 1, session: session, generation: generation, user: user, device: device, startAt: 0)
                    ], reset: true))
        ),
        (
            "opened",
            .opened([
                OpenReply(
                    id: 77, partition: 5, slots: [1],
                    outcome: .opened(
                        term: 4, position: 10, index: 202,
                        unread: [
                            UnreadConversation(slot: 1, conversation: conversation, cursor: 5, head: 7, lost: 6...7)
                        ])),
                OpenReply(id: 77, partition: 0, slots: [1], outcome: .notLeader("node-2")),
            ])
        ),
        ("unsubscribe", .unsubscribe([SubscriptionEnd(slot: 1, session: session)])),
        (
            "deliver",
            .deliver([
                DeliverBatch(
                    partition: 5, term: 4, position: 11,
                    items: [DeliverItem(index: 203, message: message, targets: [DeliverTarget(slot: 1, cursor: 6)])])
            ])
        ),
        (
            "streamStatus",
            .streamStatus([StreamStatus(partition: 5, term: 4, position: 11, digest: 0x0123_4567_89ab_cdef)])
        ),
        ("acks", .acks([AckBatch(partition: 5, cursors: [cursor])])),
        ("revoked", .revoked([user])),
        ("tokensRevoked", .tokensRevoked([UserRevocations(user: user, revocations: revocations)])),
        (
            "relayed",
            .relayed(RelayedFrame(origin: "node-1", target: "node-3", frame: ByteBuffer(bytes: [0x46, 0])))
        ),
    ]
}
