package import RoostModel

/// `cluster.json`: what founds a cluster, and every knob with its default. Durations are in milliseconds unless the
/// name says otherwise; sizes in bytes.
package struct ClusterConfig: Sendable, Equatable {
    package struct Node: Sendable, Equatable {
        package var id: NodeID
        package var host: String
        package var clientPort: Int
        package var peerPort: Int
        package var adminPort: Int
        /// Absolute.
        package var dataDirectory: String
        package init(
            id: NodeID, host: String, clientPort: Int, peerPort: Int, adminPort: Int, dataDirectory: String
        ) {
            self.id = id
            self.host = host
            self.clientPort = clientPort
            self.peerPort = peerPort
            self.adminPort = adminPort
            self.dataDirectory = dataDirectory
        }
        package var peerAddress: String { "\(host):\(peerPort)" }
        /// Absolute.
        package func certificates(_ security: Security) -> String { security.certificates ?? dataDirectory + "/tls" }
    }

    package struct Limits: Sendable, Equatable {
        /// Largest WebSocket frame (and message) a client may send.
        package var maxFrame = 65_536
        /// Largest `content` of a message; the rest of its frame has the difference.
        package var maxContent = 61_440
        package var maxMembers = 1_024
        package var maxConversationsPerUser = 10_000
        package var maxDevicesPerUser = 32
        /// A device not seen for so long is given up.
        package var deviceExpirySeconds = 2_592_000
        package var maxHTTPBody = 262_144
        /// From accepting a connection to the end of its HTTP head.
        package var handshakeMilliseconds = 10_000
        package var maxConnections = 100_000
        /// Sessions that a node opens; those beyond are told when to come back.
        package var maxSessionOpensPerSecond = 250
        /// Unacknowledged messages per session.
        package var window = 256
        /// Sends of one session not yet answered; beyond it the session's socket is not read.
        package var maxPendingSends = 256
        /// Users whom one session may watch.
        package var maxPresenceSubscriptions = 512
        /// Messages of one device, and of one user's devices at one node; 0: no limit. Ten seconds' worth may come at once.
        package var messagesPerSecondDevice = 1_000
        package var messagesPerSecondUser = 2_000
        /// HTTP calls of one user at one node; 0: no limit. Ten seconds' worth may come at once.
        package var callsPerSecondUser = 500
        /// Of one address at one node; 0: no limit. A minute's worth may come at once.
        package var loginsPerMinuteAddress = 120
        package var registrationsPerMinuteAddress = 60
        /// Wrong passwords for one account from one address; 0: no limit. A minute's worth may come at once.
        package var failedLoginsPerMinute = 30
        /// New connections of one address; 0: no limit. Five seconds' worth may come at once.
        package var handshakesPerSecondAddress = 100
        /// Connections of one address at one node; 0: no limit.
        package var maxConnectionsPerAddress = 4_096
        /// Whether limits by address alone hold on loopback too, where a proxy would be: 0 or 1.
        package var limitLoopback = 0
        /// Characters of a password that a user chooses.
        package var passwordMin = 1
        /// Queue of one link to a peer; beyond it streams end and are opened again.
        package var maxLinkQueueBytes = 67_108_864
        package init() {}
    }

    package struct Timing: Sendable, Equatable {
        package var electionMilliseconds = 600
        package var raftHeartbeatMilliseconds = 150
        package var hibernateMilliseconds = 3_000
        package var probeMilliseconds = 300
        package var probeTimeoutMilliseconds = 150
        /// Lowest suspicion timeout in probe periods, up to 10 nodes.
        package var suspicionPeriods = 4
        /// The highest, unconfirmed, as a multiple of the lowest.
        package var suspicionCeiling = 4
        package var gossipMilliseconds = 100
        /// Between two summaries of what a node knows of members, each to a random other node.
        package var exchangeSeconds = 30
        /// Unanswered that long, a proposal is sent again, to the leader as known then.
        package var proposalRetryMilliseconds = 500
        /// Unanswered that long, a send is `unavailable`.
        package var proposalTimeoutMilliseconds = 10_000
        /// An HTTP call is answered within this, WebSocket upgrades too; 503 where what it needs does not answer.
        package var httpTimeoutMilliseconds = 5_000
        /// WebSocket ping interval.
        package var heartbeatSeconds = 30
        /// A socket that took nothing for so long is closed with 4408.
        package var writeTimeoutMilliseconds = 30_000
        package var presenceBatchMilliseconds = 30
        /// Who is back within this was never offline, for those who watch him.
        package var presenceDebounceMilliseconds = 3_000
        /// Whether a session may still watch whom it watches is looked at so often.
        package var presenceRecheckSeconds = 300
        package var cursorCommitMilliseconds = 1_000
        package var streamStatusMilliseconds = 1_000
        package var drainMilliseconds = 5_000
        /// A node whose wall clock is off by more than this from the others' goes by theirs.
        package var clockBoundMilliseconds = 5_000
        package init() {}
    }

    package struct AdminToken: Sendable, Equatable {
        package var name: String
        package var token: String
        package init(name: String, token: String) {
            self.name = name
            self.token = token
        }
    }

    package struct Security: Sendable, Equatable {
        package var tokenLifetimeSeconds = 86_400
        /// scrypt N = 2^this.
        package var scryptLogN = 14
        package var scryptThreads = 1
        package var maxQueuedPasswordChecks = 128
        /// Address the admin endpoint listens on; other than loopback needs `admin_token`.
        package var adminHost = "127.0.0.1"
        package var adminToken: String?
        /// Further ones, each of somebody, by whose name the audit log knows him; sorted by name.
        package var adminTokens: [AdminToken] = []
        /// Absolute; nil where the cluster has no secret, and then nobody can join it.
        package var clusterSecretFile: String?
        /// Between nodes, with certificates of the cluster's CA at both ends.
        package var peerTLS = true
        /// Absolute; nil: `tls` in the node's data directory. It holds `ca.pem`, `{node}.pem` and `{node}.key`.
        package var certificates: String?
        /// Absolute, both or none: certificate chain and key of the client port, which speaks TLS then.
        package var clientCertificate: String?
        package var clientKey: String?
        /// The same for the admin port.
        package var adminCertificate: String?
        package var adminKey: String?
        /// Between two looks at whether a certificate's file has changed.
        package var certificateCheckSeconds = 30
        /// Absolute; not in the file: the directory of a CA out of which nodes get their certificates by themselves.
        /// Nil where an operator issues them.
        package var localAuthority: String?
        package init() {}
    }

    package struct Durability: Sendable, Equatable {
        /// Under load a batch may gather this long before it is synced.
        package var gatherMicroseconds = 0
        package var readerThreads = 2
        /// What a node sends at most, per second, to replicas that are behind, beyond what its memory holds.
        package var catchUpBytesPerSecond = 16_777_216
        /// In so many days all rows are read and checked; 0: never.
        package var scrubDays = 7
        /// At least so many a second, however small the database is.
        package var scrubMinRowsPerSecond = 200
        /// Messages older than this are removed; 0: never.
        package var retentionSeconds = 0
        /// How long a removed message's id is still known.
        package var idRetentionSeconds = 2_592_000
        package init() {}
    }

    package var cluster: String
    package var replication: Int
    package var partitions: Int
    package var nodes: [Node]
    package var limits: Limits
    package var timing: Timing
    package var security: Security
    package var durability: Durability
    /// For simulations; nothing reads it from a file.
    package var planted: PlantedFaults = []

    package init(
        cluster: String, replication: Int, partitions: Int = 32, nodes: [Node], limits: Limits = .init(),
        timing: Timing = .init(), security: Security = .init(), durability: Durability = .init()
    ) {
        self.cluster = cluster
        self.replication = replication
        self.partitions = partitions
        self.nodes = nodes
        self.limits = limits
        self.timing = timing
        self.security = security
        self.durability = durability
    }

    /// What this replication does not survive, for the operator; nil from three replicas on.
    package var durabilityWarning: String? {
        switch replication {
        case 1:
            "replication is 1: each message is on one node alone. What it has is unavailable while it is down, and gone "
                + "with its disk"
        case 2:
            "replication is 2: crashes lose nothing, but both replicas must be up to send, and a lost disk cannot be "
                + "filled anew"
        default: nil
        }
    }

    package func node(_ id: NodeID) -> Node? { nodes.first { $0.id == id } }

    /// Stable hash of the fields that found a cluster: a file that differs in them belongs to another cluster.
    package var foundingHash: UInt64 {
        var text = "\(cluster)|\(replication)|\(partitions)"
        for node in nodes.map(\.id).sorted() { text += "|\(node)" }
        return StableHash.of(text)
    }
}
