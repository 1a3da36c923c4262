/// Rules that are broken on purpose, to show that the simulator notices. Only a simulation can switch them on: neither
/// the configuration's file nor anything on the wire knows of them. Off, each costs the test of a bit.
package struct PlantedFaults: OptionSet, Sendable, Hashable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    private init(bit: UInt64) { rawValue = 1 << bit }

    // Raft.
    /// A leader answers a send when it is appended.
    package static let acceptBeforeCommit = Self(bit: 0)
    /// A majority has one too few.
    package static let majorityOffByOne = Self(bit: 1)
    /// A vote leaves before it is synced.
    package static let voteNotSynced = Self(bit: 2)
    /// A follower confirms before it has synced.
    package static let confirmNotSynced = Self(bit: 3)
    /// A leader counts itself before it has synced.
    package static let leaderCountsUnsynced = Self(bit: 4)
    /// A vote is given twice in a term.
    package static let votesTwice = Self(bit: 5)
    /// A vote is given to a candidate whose log is behind.
    package static let votesForStaleLog = Self(bit: 6)
    /// Entries of former terms are committed by counting.
    package static let commitsOldTerms = Self(bit: 7)
    /// Reads are answered without a proof of leadership.
    package static let readsUnproven = Self(bit: 8)
    /// Every "no" comes from the applied state of whoever thinks it leads.
    package static let refusesUnproven = Self(bit: 9)
    /// A leader answers changes of members and accounts when they are appended.
    package static let answersUncommitted = Self(bit: 32)
    /// A peer that was removed may come back.
    package static let tombstonesForgotten = Self(bit: 30)
    /// A failed sync is taken for a good one.
    package static let ignoresFailedSync = Self(bit: 10)
    /// The applied index is written one too high.
    package static let appliedAhead = Self(bit: 11)

    // Messages.
    /// The order of a session's sends is not looked at.
    package static let orderIgnored = Self(bit: 12)
    /// A message's id is not looked up.
    package static let idForgotten = Self(bit: 13)
    /// Another content under a known id is taken for the first.
    package static let contentIgnored = Self(bit: 14)
    /// Accounts are made whether or not there is one.
    package static let accountOverwritten = Self(bit: 15)
    /// A call that reaches the log again is applied again.
    package static let callsApplyTwice = Self(bit: 29)
    /// Messages are old by the clock of the node that leads, right or wrong.
    package static let floorByLocalClock = Self(bit: 31)
    /// Who was a member once reads everything.
    package static let rangesIgnored = Self(bit: 16)

    // Deliveries.
    /// A cursor moves when a message is written to a device.
    package static let cursorBeforeAck = Self(bit: 17)
    /// A gap in a stream is stepped over, and so is what a leader says of its stream.
    package static let gapIgnored = Self(bit: 18)
    /// A session is subscribed some time after its open was answered.
    package static let subscribesLate = Self(bit: 19)
    /// A window has room for ever.
    package static let windowIgnored = Self(bit: 20)
    /// What was written is written again.
    package static let writesTwice = Self(bit: 21)
    /// What a leader says of its stream once a second is not looked at.
    package static let statusIgnored = Self(bit: 22)

    // Nodes.
    /// A node that lost its disk keeps its store id, and votes.
    package static let wipedVotes = Self(bit: 23)
    /// A node comes back with the epoch it had.
    package static let epochIgnored = Self(bit: 24)
    /// A follower sleeps on when its link to the leader breaks.
    package static let sleepsOn = Self(bit: 26)
    /// A session that ended is not withdrawn from the presence table.
    package static let presenceNotWithdrawn = Self(bit: 27)
    /// A call that is not answered is not sent again.
    package static let callsNeverRetried = Self(bit: 28)

    // Membership.
    /// A node denies its death in the incarnation of which that was said.
    package static let denialNotRaised = Self(bit: 40)
    /// An older incarnation is as good as a newer one.
    package static let incarnationIgnored = Self(bit: 41)
    /// Nobody is told who is suspect or dead.
    package static let deathsNotSpread = Self(bit: 42)
    /// A goodbye is not noted.
    package static let leftForgotten = Self(bit: 43)
    /// Who is dead to another is dead here.
    package static let deathOnTrust = Self(bit: 44)
    /// Who hears nobody judges all the same.
    package static let deafJudges = Self(bit: 45)
    /// A new life of a node is taken for its former one.
    package static let lifeIgnored = Self(bit: 46)

    // Presence.
    /// A delta is applied whether or not it continues what is here.
    package static let presenceGapIgnored = Self(bit: 48)
    /// A snapshot counts as whole with its first chunk.
    package static let snapshotTorn = Self(bit: 49)
    /// Digests are not compared.
    package static let digestsIgnored = Self(bit: 50)
    /// Devices at a dead node are shown.
    package static let deadShown = Self(bit: 51)
    /// What is known of a node's part outlives the node's life.
    package static let partOutlivesLife = Self(bit: 52)
}
