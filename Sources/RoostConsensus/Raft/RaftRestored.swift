package import RoostProtocol

/// Entries from `firstIndex` up to the next run's first have `term`.
package struct RaftTermRun: Sendable, Equatable {
    package var firstIndex: UInt64
    package var term: UInt64
    package init(firstIndex: UInt64, term: UInt64) {
        self.firstIndex = firstIndex
        self.term = term
    }
}

/// A configuration and the index of the entry that holds it; 0 for the founding one, which is in no log.
package struct RaftConfigurationRecord: Sendable, Equatable {
    package var index: UInt64
    package var configuration: RaftConfiguration
    package init(index: UInt64, configuration: RaftConfiguration) {
        self.index = index
        self.configuration = configuration
    }
}

/// What a group knows of itself when it starts: all of it synced.
package struct RaftRestored: Sendable {
    package var hardState: RaftHardState
    /// Ascending by index. The last two of the log suffice, since at most one is not committed; the one before is what
    /// is in force again if the last is truncated. None: a replica the leader has just made, which learns from its log.
    package var configurations: [RaftConfigurationRecord]
    package var lastIndex: UInt64
    /// Ascending, covering 1 ... `lastIndex`.
    package var termRuns: [RaftTermRun]
    /// How far the state tables are. Entries after it are handed out again once they are known to be committed.
    package var appliedIndex: UInt64

    package init(
        hardState: RaftHardState = RaftHardState(), configurations: [RaftConfigurationRecord] = [],
        lastIndex: UInt64 = 0, termRuns: [RaftTermRun] = [], appliedIndex: UInt64 = 0
    ) {
        self.hardState = hardState
        self.configurations = configurations
        self.lastIndex = lastIndex
        self.termRuns = termRuns
        self.appliedIndex = appliedIndex
    }
}
