package import RoostModel

/// Bounds of one partition's state. Part of what decides entries: the same on every replica of a cluster.
package struct StateLimits: Sendable, Equatable {
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
    /// UTF-8 bytes of a conversation's name.
    package var nameBytes: Int
    package var signingKeys: Int
    /// A session's last send to a conversation is forgotten when it is this many log indexes behind.
    package var sendOrderLifetime: UInt64
    /// Rules broken on purpose, in simulations.
    package var planted: PlantedFaults = []

    /// `conversationsPerUser` is for the whole cluster here; its share of one partition, rounded up, is what counts.
    package init(
        partitions: Int = 32, members: Int = 1024, membersEver: Int = 16_384, memberships: Int = 256,
        conversationsPerUser: Int = 100_000, devicesPerUser: Int = 1000, nameBytes: Int = 256, signingKeys: Int = 16,
        sendOrderLifetime: UInt64 = 100_000
    ) {
        self.members = members
        self.membersEver = membersEver
        self.memberships = memberships
        let partitions = max(1, partitions)
        self.conversationsPerUser = conversationsPerUser / partitions + (conversationsPerUser % partitions > 0 ? 1 : 0)
        self.devicesPerUser = devicesPerUser
        self.nameBytes = nameBytes
        self.signingKeys = signingKeys
        self.sendOrderLifetime = sendOrderLifetime
    }
}
