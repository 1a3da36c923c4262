import NIOConcurrencyHelpers
import NIOCore
import RoostModel
import RoostNode
import RoostProtocol

/// A node that answers from a script and a few dictionaries.
final class FakeNode: NodeService {
    struct State: Sendable {
        var accounts: [UserID: AccountRecord] = [:]
        var devices: [UserID: [DeviceRecord]] = [:]
        var conversations: [ConversationID: ConversationSnapshot] = [:]
        var messages: [Message] = []
        var keys: [SigningKey] = []
        /// Known to partition 0 only, until asked for anew.
        var laterKeys: [SigningKey] = []
        var refreshes = 0
        /// Partition 0 does not answer.
        var keysUnknown = false
        var presence: [PresenceView] = []
        var located: (partition: Int, location: MessageLocation)?
        var replicas: [NodeID: ReplicaStatus] = [:]
        var wall: Int64 = 1_700_000_000_000_000
        var proposals: [Command] = []
        var reads: [ReadRequest] = []
        var revoked: [UserID] = []
        var drained = false
        var leaving: [NodeID] = []
        var removed: [NodeID] = []
        var ringRefusal: RingRefusal?
        /// Answers before anything else does.
        var onPropose: (@Sendable (Command) -> CommandResult?)?
        var onRead: (@Sendable (ReadRequest) -> ReadResponse?)?
        var onReadAll: (@Sendable (PartitionID, ReadRequest) -> ReadResponse?)?
        var refusal: SessionRefusal?
        var view = FakeNode.view(.serving)
        var uuids: UInt64 = 0
    }

    let configuration: ClusterConfig
    let nodeID: NodeID = "node-1"
    let state = NIOLockedValueBox(State())
    /// Every admitted session.
    let sessions = EventQueue<FakeSession>()
    /// Waited for before a session is admitted.
    let gate = NIOLockedValueBox<EventLoopFuture<Void>?>(nil)

    init(partitions: Int = 4, configure: (inout ClusterConfig) -> Void = { _ in }) {
        var configuration = ClusterConfig(
            cluster: "test", replication: 1, partitions: partitions,
            nodes: [
                ClusterConfig.Node(
                    id: "node-1", host: "127.0.0.1", clientPort: 1, peerPort: 2, adminPort: 3, dataDirectory: "/none")
            ])
        configuration.security.scryptLogN = 4
        configure(&configuration)
        self.configuration = configuration
        state.withLockedValue {
            $0.keys = [Self.key("key-1", createdAt: 1_600_000_000_000_000)]
        }
    }

    static func key(_ id: String, createdAt: Int64, activeAt: Int64? = nil) -> SigningKey {
        SigningKey(
            id: id, secret: ByteBuffer(string: "secret of \(id), long enough for HS256"), createdAt: createdAt,
            activeAt: activeAt ?? createdAt)
    }

    static func view(_ phase: NodeView.Phase) -> NodeView {
        NodeView(
            cluster: "test", clusterID: UUID128(high: 1, low: 2), node: "node-1", phase: phase,
            waitingFor: phase == .serving ? nil : "the others",
            members: [
                NodeView.Member(
                    id: "node-1", status: .alive, epoch: 7, incarnation: 2, host: "127.0.0.1", clientPort: 1,
                    adminPort: 3)
            ],
            ringVersion: 1, replication: 1,
            partitions: [
                NodeView.PartitionView(
                    id: 0, leader: "node-1", term: 3,
                    replicas: [
                        NodeView.Replica(node: "node-1", isVoter: true, matchIndex: 9),
                        NodeView.Replica(node: "node-2", isVoter: false, matchIndex: 4),
                    ],
                    lastIndex: 9, commitIndex: 9, appliedIndex: 8, conversations: 2, accounts: 1, hibernating: false)
            ],
            links: [LinkInfo(node: "node-2", connected: true, bytesIn: 10, roundTripMicroseconds: 150)],
            presenceVersions: [PresenceDigest(node: "node-1", epoch: 7, version: 5)], onlineDevices: 1, localSessions: 1
        )
    }

    // MARK: NodeService

    func propose(_ command: Command) async -> CommandResult {
        state.withLockedValue { state in
            state.proposals.append(command)
            if let answer = state.onPropose?(command) { return answer }
            switch command {
            case .createAccount(let account):
                guard state.accounts[account.user] == nil else { return .rejected(.conflict) }
                state.accounts[account.user] = account
                return .created(at: account.createdAt)
            case .setAccountDisabled(let user, let disabled):
                guard state.accounts[user] != nil else { return .rejected(.unknownUser) }
                state.accounts[user]?.disabled = disabled
                return .done
            case .setLastSeenHidden(let user, let hidden):
                guard state.accounts[user] != nil else { return .rejected(.unknownUser) }
                state.accounts[user]?.hidesLastSeen = hidden
                return .done
            case .revokeTokens(let user, let revocation):
                guard var account = state.accounts[user] else { return .rejected(.unknownUser) }
                switch revocation {
                case .token(let token): account.revocations.revoke(token, now: state.wall / 1_000_000)
                case .all: account.revocations.revokeAll()
                case .device(let device, let kept):
                    guard let record = state.devices[user]?.first(where: { $0.device == device }) else {
                        return .rejected(.unknownDevice)
                    }
                    account.revocations.remove(
                        device, record.tokens, keeping: kept, now: state.wall / 1_000_000)
                    state.devices[user]?.removeAll { $0.device == device }
                }
                state.accounts[user] = account
                return .done
            case .removeSigningKey(let id):
                guard state.keys.contains(where: { $0.id == id }) else { return .rejected(.unknownKey) }
                guard SigningKey.signing(among: state.keys)?.id != id else { return .rejected(.notAllowed) }
                state.keys.removeAll { $0.id == id }
                return .done
            case .createConversation(let command):
                let members =
                    [MemberSnapshot(user: command.creator, role: .owner, current: true)]
                    + command.members.map { MemberSnapshot(user: $0, role: .member, current: true) }
                let snapshot = ConversationSnapshot(
                    id: command.id, type: command.type, name: command.name, createdAt: state.wall, lastSeq: 0,
                    members: members.sorted { $0.user < $1.user })
                state.conversations[command.id] = snapshot
                return .conversation(snapshot)
            default: return .done
            }
        }
    }

    func read(_ request: ReadRequest) async -> ReadResponse {
        state.withLockedValue { state in
            state.reads.append(request)
            if let answer = state.onRead?(request) { return answer }
            switch request {
            case .account(let user): return state.accounts[user].map { .account($0) } ?? .none
            case .devices(let user): return .devices(state.devices[user] ?? [])
            case .conversation(let id): return state.conversations[id].map { .conversation($0) } ?? .none
            case .history: return .messages(state.messages)
            case .cursors(let id):
                return state.conversations[id].map { .cursors($0, []) } ?? .none
            default: return .none
            }
        }
    }

    func read(_ request: ReadRequest, of partition: PartitionID) async -> ReadResponse {
        guard case .lastSeen(let users) = request else { return await read(request) }
        return state.withLockedValue { state in
            state.reads.append(request)
            if let answer = state.onRead?(request) { return answer }
            return .lastSeen(
                users.compactMap { user in
                    guard let account = state.accounts[user] else { return nil }
                    return UserLastSeen(
                        user: user, isHidden: account.hidesLastSeen, devices: state.devices[user] ?? [])
                })
        }
    }

    func readAll(_ make: @Sendable (PartitionID) -> ReadRequest) async -> [ReadResponse] {
        (0..<configuration.partitions).map { number in
            let partition = PartitionID(UInt16(number))
            let request = make(partition)
            return state.withLockedValue { state in
                if let answer = state.onReadAll?(partition, request) { return answer }
                switch request {
                case .conversations(let user):
                    guard number == 0 else { return .conversations([]) }
                    return .conversations(
                        state.conversations.values.filter { $0.members.contains { $0.user == user } }
                            .sorted { $0.id < $1.id })
                case .accounts(let after, let limit):
                    let mine = state.accounts.values.filter {
                        PartitionID(of: $0.user.uuid, count: configuration.partitions) == partition
                            && (after == nil || $0.user > after ?? $0.user)
                    }
                    return .accounts(Array(mine.sorted { $0.user < $1.user }.prefix(Int(limit))))
                case .message:
                    guard let located = state.located, located.partition == number else { return .none }
                    return .located(located.location)
                case .sync(_, _, let after, _, _): return .synced(messages: [], through: after)
                default: return .none
                }
            }
        }
    }

    func replicaStatus(of partition: PartitionID, index: UInt64, at node: NodeID) async -> ReplicaStatus? {
        state.withLockedValue { $0.replicas[node] }
    }

    func signingKeys() async -> [SigningKey] { state.withLockedValue { $0.keys } }

    func refreshSigningKeys() async -> [SigningKey]? {
        state.withLockedValue {
            guard !$0.keysUnknown else { return nil }
            $0.refreshes += 1
            $0.keys += $0.laterKeys
            $0.laterKeys = []
            return $0.keys
        }
    }

    func rotateSigningKey() async -> Result<SigningKey, Rejection> {
        state.withLockedValue {
            let key = Self.key("key-\($0.keys.count + 1)", createdAt: $0.wall, activeAt: 0)
            $0.keys.append(key)
            return .success(key)
        }
    }

    func revokeSessions(of user: UserID) async { state.withLockedValue { $0.revoked.append(user) } }

    func openSession(_ request: SessionRequest) async -> Result<any PendingSession, SessionRefusal> {
        if let refusal = state.withLockedValue({ $0.refusal }) { return .failure(refusal) }
        let session = FakeSession(request: request)
        sessions.push(session)
        if let gate = gate.withLockedValue({ $0 }) { try? await gate.get() }
        return .success(session)
    }

    func view() async -> NodeView { state.withLockedValue { $0.view } }
    func presence(of users: [UserID]) async -> [PresenceView] {
        state.withLockedValue { $0.presence.filter { users.contains($0.user) } }
    }
    func onlineUsers(after user: UserID?, limit: Int) async -> [UserID] {
        state.withLockedValue { state in
            let users = Set(state.presence.map(\.user)).filter { user == nil || $0 > user ?? $0 }
            return Array(users.sorted().prefix(limit))
        }
    }
    func lastOnline(user: UserID, device: DeviceID) async -> Int64? { nil }
    func metrics() async -> MetricsView {
        MetricsView(families: [
            MetricsView.Family(
                name: "roost_test", help: "a \\ help", kind: .gauge,
                samples: [MetricsView.Sample(labels: [("peer", "a\"b\n")], value: 1.5)])
        ])
    }
    func drain() async { state.withLockedValue { $0.drained = true } }
    func join(_ member: RingMember) async -> Result<JoinGrant, RingRefusal> {
        .failure(RingRefusal("nobody joins here", retry: false))
    }
    func leave(_ node: NodeID) async -> Result<Void, RingRefusal> {
        state.withLockedValue { state in
            if let refusal = state.ringRefusal { return .failure(refusal) }
            state.leaving.append(node)
            return .success(())
        }
    }
    func remove(_ node: NodeID, force: Bool) async -> Result<Void, RingRefusal> {
        state.withLockedValue { state in
            if let refusal = state.ringRefusal, !force { return .failure(refusal) }
            state.removed.append(node)
            return .success(())
        }
    }
    func now() -> UInt64 { state.withLockedValue { UInt64($0.wall) * 1_000 } }
    func wall() -> Int64 { state.withLockedValue { $0.wall } }
    func makeUUID() async -> UUID128 {
        state.withLockedValue {
            $0.uuids += 1
            return UUID128(high: 0xabc, low: $0.uuids)
        }
    }
}
