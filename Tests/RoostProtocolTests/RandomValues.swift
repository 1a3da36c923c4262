import NIOCore
import RoostModel
import RoostProtocol

/// Values drawn from a seed, of every kind that travels between nodes. Numbers are of every width, lists are short.
struct RandomValues {
    var generator: SeededGenerator
    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &generator) }
    mutating func flag() -> Bool { generator.next() & 1 == 0 }
    mutating func word() -> UInt64 { generator.next() }
    /// As often one bit long as 64.
    mutating func number() -> UInt64 { generator.next() >> UInt64(below(64)) }
    mutating func number32() -> UInt32 { UInt32(truncatingIfNeeded: generator.next()) >> UInt32(below(32)) }
    mutating func time() -> Int64 { Int64(bitPattern: generator.next()) >> Int64(below(64)) }
    mutating func uuid() -> UUID128 { UUID128(high: generator.next(), low: generator.next()) }
    mutating func id<Kind>() -> Identifier<Kind> { Identifier(uuid()) }
    mutating func partition() -> PartitionID { PartitionID(UInt16(below(65_536))) }
    mutating func optional<T>(_ make: (inout RandomValues) -> T) -> T? { flag() ? make(&self) : nil }
    mutating func list<T>(_ limit: Int = 4, _ make: (inout RandomValues) -> T) -> [T] {
        var values: [T] = []
        for _ in 0..<below(limit) { values.append(make(&self)) }
        return values
    }
    mutating func one<T: CaseIterable>(of type: T.Type) -> T where T.AllCases == [T] {
        T.allCases[below(T.allCases.count)]
    }

    mutating func text(_ limit: Int = 40) -> String {
        let alphabet = Array("abcXYZ019 _-\"\\\n\t/ äß€😀\u{0}\u{7f}\u{2028}")
        return String((0..<below(limit)).map { _ in alphabet[below(alphabet.count)] })
    }
    mutating func word(_ limit: Int) -> String {
        let alphabet = Array("abcdefghijKLMNOP0123456789._-")
        return String((0...below(limit)).map { _ in alphabet[below(alphabet.count)] })
    }
    mutating func device() -> DeviceID { DeviceID(validated: word(64)) }
    mutating func node() -> NodeID { NodeID("node-" + word(20)) }
    mutating func blob(_ limit: Int = 300) -> ByteBuffer {
        ByteBuffer(bytes: (0..<below(limit)).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
    }
    mutating func generation() -> Generation { Generation(term: number(), count: number()) }
}

extension RandomValues {
    mutating func account() -> AccountRecord {
        AccountRecord(
            user: id(), username: text(), passwordHash: text(100), role: one(of: AccountRole.self), disabled: flag(),
            hidesLastSeen: flag(), createdAt: time(), revocations: flag() ? TokenRevocations() : revocations())
    }
    mutating func stamp() -> TokenStamp { TokenStamp(id: uuid(), generation: number(), expires: time()) }
    mutating func revocation() -> TokenRevocation {
        switch below(3) {
        case 0: .token(stamp())
        case 1: .device(device(), keeping: optional { $0.uuid() })
        default: .all
        }
    }
    mutating func revocations() -> TokenRevocations {
        var revocations = TokenRevocations()
        if flag() { revocations.revokeAll() }
        for _ in 0..<below(4) {
            revocations.revoke(TokenStamp(id: uuid(), generation: revocations.generation, expires: .max), now: 0)
        }
        for _ in 0..<below(4) { revocations.remove(device(), DeviceTokens(), keeping: nil, now: 0) }
        return revocations
    }
    mutating func sighting() -> DeviceSighting { DeviceSighting(user: id(), device: device(), seenAt: time()) }
    mutating func deviceRecord() -> DeviceRecord {
        DeviceRecord(user: id(), device: device(), startAt: time(), createdAt: time(), seenAt: time())
    }
    mutating func newKey() -> SigningKey { SigningKey(id: text(), secret: blob(64), createdAt: time()) }
    mutating func key() -> SigningKey {
        var key = newKey()
        key.activeAt = time()
        return key
    }
    mutating func cursor() -> CursorAdvance {
        CursorAdvance(user: id(), device: device(), conversation: id(), seq: number())
    }
    mutating func message() -> Message {
        Message(
            id: id(), conversation: id(), seq: number(), sender: id(), originDevice: device(), type: word(64),
            content: blob(), sentAt: time())
    }
    mutating func snapshot() -> ConversationSnapshot {
        ConversationSnapshot(
            id: id(), type: one(of: ConversationType.self), name: optional { $0.text() }, createdAt: time(),
            lastSeq: number(),
            members: list {
                MemberSnapshot(user: $0.id(), role: $0.one(of: MemberRole.self), current: $0.flag())
            })
    }
    mutating func send() -> SendCommand {
        SendCommand(
            conversation: id(), peer: optional { $0.id() }, sender: id(), device: device(), id: id(), type: word(64),
            content: blob(),
            order: SendOrder(session: SessionID(word()), run: number32(), counter: number(), base: number()))
    }
    mutating func command() -> Command {
        switch below(23) {
        case 0: .send(send())
        case 1: .createAccount(account())
        case 2: .setAccountDisabled(user: id(), disabled: flag())
        case 3: .registerDevice(user: id(), device: device(), startAt: time())
        case 4:
            .createConversation(
                CreateConversationCommand(
                    id: id(), type: one(of: ConversationType.self), name: optional { $0.text() }, creator: id(),
                    members: list { $0.id() }))
        case 5:
            .changeMembers(
                ChangeMembersCommand(
                    conversation: id(), actor: id(), users: list { $0.id() }, action: one(of: MembershipAction.self)))
        case 6: .advanceCursors(list { $0.cursor() })
        case 7: .seeDevices(list { $0.sighting() })
        case 8: .forgetDevices(list { $0.sighting() })
        case 9: .dropCursors(list { $0.sighting() })
        case 11: .raiseFloors(list { FloorRaise(conversation: $0.id(), seq: $0.number()) })
        case 12: .raiseIDFloors(list { FloorRaise(conversation: $0.id(), seq: $0.number()) })
        case 13: Command.send(send()).stripped(hash: word()) ?? .send(send())
        case 17: .setLastSeenHidden(user: id(), hidden: flag())
        case 14: .foundRing(ring())
        case 15: .changeRing(ringChange())
        case 10:
            .limited(
                CommandLimits(
                    members: number32(), conversationsPerUser: number32(), devicesPerUser: number32(),
                    deviceExpiry: time()), .registerDevice(user: id(), device: device(), startAt: time()))
        case 16: called()
        case 18: .registerDevice(user: id(), device: device(), startAt: time(), token: stamp())
        case 19: .revokeTokens(user: id(), revocation())
        case 20: .activateSigningKey(id: text())
        case 21: .removeSigningKey(id: text())
        default: .addSigningKey(newKey())
        }
    }
    mutating func called() -> Command {
        let id = word()
        let identity = CallIdentity(
            caller: RaftPeer(node: node(), store: StoreID(word())), id: id, oldest: id - min(id, number()))
        return .called(identity, .setAccountDisabled(user: self.id(), disabled: flag()))
    }
    mutating func result() -> CommandResult {
        switch below(5) {
        case 0: .sent(conversation: id(), seq: number(), sentAt: time())
        case 1: .created(at: time())
        case 2: .conversation(snapshot())
        case 3: .done
        default: .rejected(one(of: Rejection.self))
        }
    }
}

extension RandomValues {
    mutating func entry() -> RaftEntry {
        let kinds: [RaftEntry.Kind] = [.noop, .command, .configuration]
        return RaftEntry(index: number(), term: number(), kind: kinds[below(3)], payload: blob())
    }
    mutating func raft() -> RaftMessage {
        switch below(9) {
        case 0: .preVote(term: number(), lastIndex: number(), lastTerm: number())
        case 1: .preVoteReply(term: number(), granted: flag())
        case 2: .vote(term: number(), lastIndex: number(), lastTerm: number(), transfer: flag())
        case 3: .voteReply(term: number(), granted: flag())
        case 4:
            .append(
                term: number(), prevIndex: number(), prevTerm: number(), commit: number(), entries: list { $0.entry() })
        case 5: .appendReply(term: number(), success: flag(), index: number(), conflictTerm: number())
        case 6: .heartbeat(term: number(), commit: number(), read: number(), hibernate: flag())
        case 7: .heartbeatReply(term: number(), read: number(), lastIndex: number())
        default: .timeoutNow(term: number())
        }
    }
    mutating func swim() -> SwimMessage {
        let body: SwimMessage.Body =
            switch below(6) {
            case 0: .ping(sequence: number32())
            case 1: .ack(sequence: number32(), target: node())
            case 2: .pingRequest(sequence: number32(), target: node())
            case 3: .nack(sequence: number32(), target: node())
            case 4: .summary(members: word())
            default: .exchange(reply: flag())
            }
        return SwimMessage(
            body: body,
            rumours: list {
                MemberRumour(
                    node: $0.node(), epoch: $0.number(), incarnation: $0.number(),
                    status: $0.one(of: MemberStatus.self),
                    address: $0.text(), accuser: $0.optional { $0.node() })
            }, digests: list { PresenceDigest(node: $0.node(), epoch: $0.number(), version: $0.number()) })
    }
    mutating func presenceEntry() -> PresenceEntry {
        PresenceEntry(
            user: id(), device: device(), session: SessionID(word()), generation: generation(), since: time())
    }
    mutating func presence() -> PresenceMessage {
        switch below(3) {
        case 0:
            .delta(
                node: node(), epoch: number(), from: number(), to: number(),
                changes: list {
                    PresenceChange(version: $0.number(), online: $0.flag(), entry: $0.presenceEntry())
                })
        case 1: .request(node: node(), epoch: number(), version: number())
        default:
            .snapshot(
                node: node(), epoch: number(), version: number(), chunk: number32(), chunks: number32(),
                entries: list { $0.presenceEntry() })
        }
    }
    mutating func foundingRecord() -> FoundingRecord {
        FoundingRecord(
            clusterID: uuid(), cluster: text(), configurationHash: word(), partitions: UInt16(below(65_536)),
            replication: UInt16(below(9)),
            members: list { FoundingMember(node: $0.node(), store: StoreID($0.word()), address: $0.text()) })
    }
    mutating func founding() -> FoundingMessage {
        switch below(4) {
        case 0: .propose(foundingRecord())
        case 1: .promise(clusterID: uuid())
        case 2: .refuse(reason: text())
        default: .founded(foundingRecord())
        }
    }
    mutating func hello() -> HandshakeHello {
        HandshakeHello(
            minVersion: UInt16(below(65_536)), maxVersion: UInt16(below(65_536)), cluster: text(), clusterID: uuid(),
            node: node(), store: StoreID(word()), epoch: number(), lane: one(of: PeerLane.self), address: text())
    }
    mutating func handshake() -> HandshakeFrame {
        switch below(3) {
        case 0: .hello(hello())
        case 1: .accept(hello())
        default: .refuse(HandshakeRefusal(code: one(of: HandshakeRefusal.Code.self), text: text()))
        }
    }
}

extension RandomValues {
    mutating func read() -> ReadRequest {
        switch below(20) {
        case 0: .account(id())
        case 1: .accounts(after: optional { $0.id() }, limit: number32())
        case 2: .devices(id())
        case 3: .openSession(user: id(), device: device())
        case 4: .conversation(id())
        case 5: .conversations(id())
        case 6:
            .history(
                conversation: id(), user: id(), before: optional { $0.number() }, after: optional { $0.number() },
                skip: number32(), limit: number32())
        case 7:
            .sync(
                user: id(), since: time(), afterIndex: number(), conversations: list { $0.id() }, limit: number32())
        case 8: .signingKeys
        case 9: .cursors(id())
        case 10: .message(id())
        case 11: .pending(id(), devices: list { $0.deviceRecord() })
        case 12: .replica(index: number())
        case 13: .lastSeen(list { $0.id() })
        case 14: .contacts(of: id(), among: list { $0.id() })
        case 15: .ring
        case 16: .voters
        case 17: .openSession(user: id(), device: device(), token: stamp())
        case 18: .holdsKeys(digest: word())
        default: .backlog(conversation: id(), user: id(), after: number(), limit: number32())
        }
    }
    mutating func response() -> ReadResponse {
        switch below(21) {
        case 0: .account(account())
        case 18: .voters(list { $0.node() })
        case 1: .accounts(list { $0.account() })
        case 2: .devices(list { $0.deviceRecord() })
        case 3: .session(SessionGrant(generation: generation(), role: one(of: AccountRole.self), startAt: time()))
        case 4: .conversation(snapshot())
        case 5: .conversations(list { $0.snapshot() })
        case 6: .messages(list { $0.message() })
        case 7: .synced(messages: list { $0.message() }, through: number())
        case 8: .signingKeys(list { $0.key() })
        case 9: .cursors(snapshot(), list { $0.cursor() })
        case 10:
            .located(
                MessageLocation(
                    conversation: id(), seq: number(), sender: id(), originDevice: device(), sentAt: time(),
                    index: number(), term: number(), leader: node(),
                    replicas: list { MessageReplica(node: $0.node(), isVoter: $0.flag()) },
                    readers: list { $0.id() }, cursors: list { $0.cursor() }))
        case 11: .pending(list { DevicePending(device: $0.device(), count: $0.number()) })
        case 12: .none
        case 17: .ring(ring())
        case 19: .holds(flag())
        case 13: .rejected(one(of: Rejection.self))
        case 15: .users(list { $0.id() })
        case 16:
            .lastSeen(
                list { UserLastSeen(user: $0.id(), isHidden: $0.flag(), devices: $0.list { $0.deviceRecord() }) })
        case 14:
            .replica(
                ReplicaStatus(
                    term: optional { $0.number() }, syncedAt: optional { $0.time() }, lastIndex: number(),
                    appliedIndex: number()))
        default:
            .backlog(
                Backlog(
                    messages: list { $0.message() }, through: number(),
                    lost: flag() ? nil : 5...(5 + UInt64(number32()))))
        }
    }
    mutating func proposalResult() -> ProposalResult {
        ProposalResult(
            id: number(), outcome: flag() ? .applied(result()) : .notLeader(optional { $0.node() }))
    }
    mutating func openReply() -> OpenReply {
        OpenReply(
            id: number(), partition: partition(), slots: list { $0.number32() },
            outcome: flag()
                ? .notLeader(optional { $0.node() })
                : .opened(
                    term: number(), position: number(), index: number(),
                    unread: list {
                        UnreadConversation(
                            slot: $0.number32(), conversation: $0.id(), cursor: $0.number(), head: $0.number(),
                            lost: $0.flag() ? nil : 5...(5 + UInt64($0.number32())))
                    }))
    }
    mutating func openRequest() -> OpenRequest {
        OpenRequest(
            id: number(), partitions: list { $0.partition() },
            sessions: list {
                SubscribedSession(
                    slot: $0.number32(), session: SessionID($0.word()), generation: $0.generation(), user: $0.id(),
                    device: $0.device(), startAt: $0.time())
            }, reset: flag())
    }
    mutating func deliverBatch() -> DeliverBatch {
        DeliverBatch(
            partition: partition(), term: number(), position: number(),
            items: list {
                DeliverItem(
                    index: $0.number(), message: $0.message(),
                    targets: $0.list(9) { DeliverTarget(slot: $0.number32(), cursor: $0.number()) })
            })
    }

    mutating func repair() -> RepairMessage {
        switch below(4) {
        case 0: .ask(partition: partition(), indices: list { $0.number() })
        case 1:
            .rows(
                partition: partition(),
                rows: list { RepairRow(entry: $0.entry(), checksum: UInt32(truncatingIfNeeded: $0.word())) })
        case 2: .unfit(isFull: flag(), partitions: list { $0.partition() })
        default: .regressed(partition: partition(), term: number(), store: StoreID(word()), confirmed: number())
        }
    }

    mutating func member() -> RingMember {
        RingMember(
            node: node(), host: text(), peerPort: UInt16(below(65_536)), clientPort: UInt16(below(65_536)),
            adminPort: UInt16(below(65_536)), state: one(of: RingMember.State.self), since: number(), moved: number())
    }
    mutating func ring() -> Ring {
        var members: [NodeID: RingMember] = [:]
        let drawn = list { $0.member() }
        for member in drawn { members[member.node] = member }
        return Ring(version: number(), members: Array(members.values))
    }
    mutating func ringChange() -> RingChange {
        switch below(5) {
        case 0: .join(member())
        case 1: .leave(node())
        case 2: .removeAt(version: number(), node())
        case 3: .move(member())
        default: .remove(node())
        }
    }
    mutating func ringMessage() -> RingMessage {
        switch below(4) {
        case 0: .version(number())
        case 1: .record(ring())
        case 2: .isRemoved(partition: partition(), store: StoreID(word()))
        default: .wasRemoved(partition: partition(), store: StoreID(word()))
        }
    }

    /// The frame of one of the 23 kinds.
    mutating func frame(kind: Int) -> PeerFrame {
        switch kind {
        case 0: .swim(swim())
        case 1: .presence(presence())
        case 2: .founding(founding())
        case 3: .linkPing(token: word())
        case 4: .linkPong(token: word())
        case 5:
            .raft(
                list {
                    RaftEnvelope(
                        partition: $0.partition(), fromStore: StoreID($0.word()), toStore: StoreID($0.word()),
                        message: $0.raft())
                })
        case 6:
            .propose(
                list {
                    Proposal(id: $0.number(), partition: $0.partition(), hops: UInt8($0.below(256)), command: $0.blob())
                })
        case 7: .proposalResults(list { $0.proposalResult() })
        case 8: .read(list { ReadCall(id: $0.number(), partition: $0.partition(), request: $0.read()) })
        case 9:
            .readReplies(
                list {
                    ReadReply(
                        id: $0.number(),
                        outcome: $0.flag() ? .answered($0.response()) : .notLeader($0.optional { $0.node() }))
                })
        case 10: .open(openRequest())
        case 11: .opened(list { $0.openReply() })
        case 12: .unsubscribe(list { SubscriptionEnd(slot: $0.number32(), session: SessionID($0.word())) })
        case 13: .deliver(list { $0.deliverBatch() })
        case 14:
            .streamStatus(
                list {
                    StreamStatus(
                        partition: $0.partition(), term: $0.number(), position: $0.number(), digest: $0.word())
                })
        case 15: .acks(list { AckBatch(partition: $0.partition(), cursors: $0.list { $0.cursor() }) })
        case 16: .reaches(list { $0.node() })
        case 17: .clock(wall: Int64(bitPattern: word()))
        case 18: .relayed(RelayedFrame(origin: node(), target: node(), frame: blob()))
        case 19: .draining
        case 20: .repair(repair())
        case 21: .ring(ringMessage())
        default: .revoked(list { $0.id() })
        }
    }
    static let frameKinds = 23
}
