package import RoostModel
package import RoostProtocol

/// Bounds of one partition's state. Part of what decides entries, so the same on every replica: those that a file may
/// change come with the command (`CommandLimits`), and these hold where it carries none.
package struct StateLimits: Sendable, Equatable {
    private let partitions: Int
    /// Current members of a group or channel.
    package var members: Int
    /// Current and former members of a conversation together; former ones keep a row for what they may read.
    package var membersEver: Int
    /// Ranges of seq that one user's membership of one conversation may fall into.
    package var memberships: Int
    /// Conversations of this partition in which a user is or was a member, above which he can make no more. Others may
    /// still add him.
    package var conversationsPerUser: Int
    package var devicesPerUser: Int
    /// Microseconds after which a device that was not seen may be given up.
    package var deviceExpiry: Int64
    /// UTF-8 bytes of a conversation's name.
    package var nameBytes: Int
    package var signingKeys: Int
    /// A session's last send to a conversation is forgotten when it is this many log indexes behind.
    package var sendOrderLifetime: UInt64
    /// Answers to calls of one node that are remembered.
    package var callsRemembered: Int
    /// Rules broken on purpose, in simulations.
    package var planted: PlantedFaults = []

    /// `conversationsPerUser` is for the whole cluster here; its share of one partition, rounded up, is what counts.
    package init(
        partitions: Int = 32, members: Int = 1024, membersEver: Int = 16_384, memberships: Int = 256,
        conversationsPerUser: Int = 100_000, devicesPerUser: Int = 1000,
        deviceExpiry: Int64 = 30 * 86_400_000_000, nameBytes: Int = 256, signingKeys: Int = 16,
        sendOrderLifetime: UInt64 = 100_000, callsRemembered: Int = 1024
    ) {
        self.members = members
        self.membersEver = membersEver
        self.memberships = memberships
        self.partitions = max(1, partitions)
        self.conversationsPerUser = Self.share(of: conversationsPerUser, partitions: self.partitions)
        self.deviceExpiry = deviceExpiry
        self.devicesPerUser = devicesPerUser
        self.nameBytes = nameBytes
        self.signingKeys = signingKeys
        self.sendOrderLifetime = sendOrderLifetime
        self.callsRemembered = max(1, callsRemembered)
    }
    private static func share(of count: Int, partitions: Int) -> Int {
        count / partitions + (count % partitions > 0 ? 1 : 0)
    }

    /// These, but where the leader says.
    package func with(_ limits: CommandLimits) -> StateLimits {
        var changed = self
        changed.members = Int(limits.members)
        changed.conversationsPerUser = Self.share(of: Int(limits.conversationsPerUser), partitions: partitions)
        changed.devicesPerUser = Int(limits.devicesPerUser)
        changed.deviceExpiry = limits.deviceExpiry
        return changed
    }
}
