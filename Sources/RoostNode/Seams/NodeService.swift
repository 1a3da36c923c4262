package import RoostModel
package import RoostProtocol

/// What the HTTP, WebSocket and admin surfaces ask of a node. May be called from anywhere.
package protocol NodeService: Sendable {
    var configuration: ClusterConfig { get }
    var nodeID: NodeID { get }

    /// Proposes to the partition of the command's key, retrying within `proposal_timeout`.
    /// `.unavailable` where the outcome is unknown.
    func propose(_ command: Command) async -> CommandResult
    /// Reads from the leader of the request's partition, after it has proved its leadership.
    func read(_ request: ReadRequest) async -> ReadResponse
    /// The same where the partition does not follow from the request.
    func read(_ request: ReadRequest, of partition: PartitionID) async -> ReadResponse
    /// The same of every partition, in partition order; `.rejected(.unavailable)` for those without a leader in time.
    func readAll(_ make: @Sendable (PartitionID) -> ReadRequest) async -> [ReadResponse]
    /// What a node's replica has of an entry; nil where it has none of the partition, or does not answer in time.
    func replicaStatus(of partition: PartitionID, index: UInt64, at node: NodeID) async -> ReplicaStatus?
    /// Known to this node now; asks partition 0 where there are none.
    func signingKeys() async -> [SigningKey]
    /// Asks partition 0 anew, for a token whose key is unknown; nil where it does not answer.
    func refreshSigningKeys() async -> [SigningKey]?
    /// Adds a key, which signs once every node alive has it. One that is on the way already is answered instead.
    func rotateSigningKey() async -> Result<SigningKey, Rejection>
    /// Ends the user's sessions on every node with 4401.
    func revokeSessions(of user: UserID) async

    /// Admits a session, or says why not. The socket's events go to the returned object, on the core executor.
    func openSession(_ request: SessionRequest) async -> Result<any PendingSession, SessionRefusal>

    func view() async -> NodeView
    func presence(of users: [UserID]) async -> [PresenceView]
    /// Users online above `user`, ascending, at most `limit`.
    func onlineUsers(after user: UserID?, limit: Int) async -> [UserID]
    /// When a device that is not connected was so last, microseconds since 1970, where it is remembered.
    func lastOnline(user: UserID, device: DeviceID) async -> Int64?
    /// Prometheus text of what the node itself counts.
    func metrics() async -> MetricsView
    /// Stops taking sessions, hands its leaderships over, closes sessions with 1012, says `left`.
    func drain() async
    /// Takes a blank node in.
    func join(_ member: RingMember) async -> Result<JoinGrant, RingRefusal>
    /// A node is to give away what it holds, and to go. Answered when that is decided, long before it is done.
    func leave(_ node: NodeID) async -> Result<Void, RingRefusal>
    /// A node is gone for good.
    func remove(_ node: NodeID, force: Bool) async -> Result<Void, RingRefusal>
    /// Microseconds since 1970, by the other nodes' clocks where this one's is wrong.
    func wall() -> Int64
    /// The node's monotonic clock, nanoseconds.
    func now() -> UInt64
    /// A random UUID from the node's generator.
    func makeUUID() async -> UUID128
}

package struct SessionRequest: Sendable {
    package enum Start: Sendable, Equatable {
        case all
        case now
        /// UNIX seconds.
        case at(Double)
    }
    package var user: UserID
    package var device: DeviceID
    package var start: Start
    /// `roost.v1` was offered: welcome and caught_up are sent, every send is answered.
    package var modern: Bool
    /// The client acknowledges by `ack`; otherwise pongs acknowledge.
    package var clientAcks: Bool
    /// The token's expiry, UNIX seconds.
    package var tokenExpires: Double
    /// When it was issued, UNIX seconds, where that is known.
    package var tokenIssued: Double?
    /// Nil for a session that no revocation ends, such as those of simulations.
    package var token: TokenStamp?
    /// Says whether another token may take its place; answers on the core executor.
    package var checkToken: TokenCheck?
    package init(
        user: UserID, device: DeviceID, start: Start, modern: Bool, clientAcks: Bool, tokenExpires: Double,
        tokenIssued: Double? = nil, token: TokenStamp? = nil, checkToken: TokenCheck? = nil
    ) {
        self.user = user
        self.device = device
        self.start = start
        self.modern = modern
        self.clientAcks = clientAcks
        self.tokenExpires = tokenExpires
        self.tokenIssued = tokenIssued
        self.token = token
        self.checkToken = checkToken
    }
}

package typealias TokenCheck = @Sendable (String, @escaping @Sendable (TokenVerdict) -> Void) -> Void

/// What is known of a token without asking the user's partition.
package enum TokenVerdict: Sendable {
    package struct Token: Sendable {
        package var stamp: TokenStamp
        /// UNIX seconds.
        package var issued: Double
        package var expires: Double
        package init(stamp: TokenStamp, issued: Double, expires: Double) {
            self.stamp = stamp
            self.issued = issued
            self.expires = expires
        }
    }
    /// Signed by the cluster, for this user and no other device, not expired.
    case holds(Token)
    case refused(String)
    /// The signing keys cannot be had just now.
    case unknown
}

/// A session that was admitted before its upgrade was answered. Exactly one of the two is called, on the core executor.
package protocol PendingSession: Sendable {
    /// The upgrade is done: from here on the session lives.
    func attach(_ socket: any SessionSocket) -> any SessionEvents
    /// The connection went away first.
    func abandon()
}

package enum SessionRefusal: Error, Sendable, Equatable {
    /// 401
    case disabled
    /// 401
    case revoked
    /// 429
    case tooManyDevices
    /// 503
    case unavailable
    /// 503
    case draining
    /// 503: too many are being opened at once; not before so many milliseconds.
    case tooMany(afterMilliseconds: UInt64)
}

/// A node as `/admin` shows it.
package struct NodeView: Sendable {
    package struct Member: Sendable {
        package var id: NodeID
        package var status: MemberStatus
        package var epoch: Epoch
        package var incarnation: UInt64
        package var host: String
        package var clientPort: Int?
        package var adminPort: Int?
        package init(
            id: NodeID, status: MemberStatus, epoch: Epoch, incarnation: UInt64, host: String, clientPort: Int?,
            adminPort: Int?
        ) {
            self.id = id
            self.status = status
            self.epoch = epoch
            self.incarnation = incarnation
            self.host = host
            self.clientPort = clientPort
            self.adminPort = adminPort
        }
    }
    package struct Replica: Sendable {
        package var node: NodeID
        package var isVoter: Bool
        /// Known to the leader only.
        package var matchIndex: UInt64?
        package init(node: NodeID, isVoter: Bool, matchIndex: UInt64?) {
            self.node = node
            self.isVoter = isVoter
            self.matchIndex = matchIndex
        }
    }
    package struct PartitionView: Sendable {
        package var id: PartitionID
        package var leader: NodeID?
        package var term: UInt64
        package var replicas: [Replica]
        package var lastIndex: UInt64
        package var commitIndex: UInt64
        package var appliedIndex: UInt64
        package var conversations: Int
        package var accounts: Int
        package var hibernating: Bool
        package init(
            id: PartitionID, leader: NodeID?, term: UInt64, replicas: [Replica], lastIndex: UInt64,
            commitIndex: UInt64, appliedIndex: UInt64, conversations: Int, accounts: Int, hibernating: Bool
        ) {
            self.id = id
            self.leader = leader
            self.term = term
            self.replicas = replicas
            self.lastIndex = lastIndex
            self.commitIndex = commitIndex
            self.appliedIndex = appliedIndex
            self.conversations = conversations
            self.accounts = accounts
            self.hibernating = hibernating
        }
    }
    /// Replicas of a node that is new or came back blank, as far as they are led here.
    package struct Filling: Sendable, Equatable {
        package var node: NodeID
        package var replicas: Int
        /// Log entries that they lack together.
        package var missingEntries: UInt64
        package init(node: NodeID, replicas: Int, missingEntries: UInt64) {
            self.node = node
            self.replicas = replicas
            self.missingEntries = missingEntries
        }
    }
    /// The node's own database.
    package struct Storage: Sendable {
        package var isFull = false
        package var damagedRows: UInt64 = 0
        package var repairedRows: UInt64 = 0
        /// Damaged rows of the log that are not had from another replica yet.
        package var waitingRows = 0
        package var statesRebuilt: UInt64 = 0
        package var scrubbedRows: UInt64 = 0
        /// Of this pass, 0 to 1.
        package var scrubProgress: Double = 0
        /// Microseconds since 1970.
        package var scrubStartedAt: Int64?
        package var lastScrubAt: Int64?
        package init() {}
    }
    package enum Phase: String, Sendable {
        case founding
        case starting
        case serving
        case draining
    }
    package var cluster: String
    package var clusterID: UUID128
    package var node: NodeID
    package var phase: Phase
    /// Why it does not serve, in one line, while it does not.
    package var waitingFor: String?
    package var members: [Member]
    package var ringVersion: UInt64
    package var replication: Int
    package var partitions: [PartitionView]
    package var links: [LinkInfo]
    package var presenceVersions: [PresenceDigest]
    package var onlineDevices: Int
    package var localSessions: Int
    /// Replicas on this node that have no vote, since they are being filled.
    package var unfilled: Int
    package var filling: [Filling]
    package var storage = Storage()
    /// The members of the ring, those that were removed included.
    package var ring: [RingMember] = []
    /// Partitions led here whose replicas are not yet where they should be.
    package var unsettled = 0
    package init(
        cluster: String, clusterID: UUID128, node: NodeID, phase: Phase, waitingFor: String?, members: [Member],
        ringVersion: UInt64, replication: Int, partitions: [PartitionView], links: [LinkInfo],
        presenceVersions: [PresenceDigest], onlineDevices: Int, localSessions: Int, unfilled: Int = 0,
        filling: [Filling] = []
    ) {
        self.cluster = cluster
        self.clusterID = clusterID
        self.node = node
        self.phase = phase
        self.waitingFor = waitingFor
        self.members = members
        self.ringVersion = ringVersion
        self.replication = replication
        self.partitions = partitions
        self.links = links
        self.presenceVersions = presenceVersions
        self.onlineDevices = onlineDevices
        self.localSessions = localSessions
        self.unfilled = unfilled
        self.filling = filling
    }
}

/// One device of a user, as the presence table has it.
package struct PresenceView: Sendable {
    package var user: UserID
    package var device: DeviceID
    package var node: NodeID
    package var session: SessionID
    package var online: Bool
    /// Microseconds since 1970: of the session's begin while online, else of its end.
    package var since: Int64
    package init(
        user: UserID, device: DeviceID, node: NodeID, session: SessionID, online: Bool, since: Int64
    ) {
        self.user = user
        self.device = device
        self.node = node
        self.session = session
        self.online = online
        self.since = since
    }
}

/// Samples for `/metrics`: name, help, type and values with labels.
package struct MetricsView: Sendable {
    package enum Kind: String, Sendable { case counter, gauge, histogram }
    package struct Sample: Sendable {
        /// Appended to the family's name: "", "_bucket", "_sum", "_count".
        package var suffix: String
        package var labels: [(String, String)]
        package var value: Double
        package init(suffix: String = "", labels: [(String, String)] = [], value: Double) {
            self.suffix = suffix
            self.labels = labels
            self.value = value
        }
    }
    package struct Family: Sendable {
        package var name: String
        package var help: String
        package var kind: Kind
        package var samples: [Sample]
        package init(name: String, help: String, kind: Kind, samples: [Sample]) {
            self.name = name
            self.help = help
            self.kind = kind
            self.samples = samples
        }
    }
    package var families: [Family]
    package init(families: [Family]) { self.families = families }
}
