package import RoostModel

/// A rule that can be broken on purpose, and under which trouble a breach shows.
package struct PlantedRule: Sendable {
    /// As the command line names it.
    package var name: String
    /// What the rule says.
    package var rule: String
    package var fault: PlantedFaults
    package var scenario: Scenario
    package var nodes = "3"
    package var virtualSeconds: UInt64 = 60
    /// Faults that are off by default and without which it does not show.
    package var needs: Set<FaultPlan.Kind> = []

    package func plant(in options: inout SimulationRun.Options) {
        options.planted.insert(fault)
        options.allowed.formUnion(needs)
    }

    private init(
        _ name: String, _ fault: PlantedFaults, _ scenario: Scenario, _ rule: String, nodes: String = "3",
        seconds: UInt64 = 60, needs: Set<FaultPlan.Kind> = []
    ) {
        self.name = name
        self.rule = rule
        self.fault = fault
        self.scenario = scenario
        self.nodes = nodes
        virtualSeconds = seconds
        self.needs = needs
    }

    package static let all: [PlantedRule] = [
        PlantedRule("accept-before-commit", .acceptBeforeCommit, .mixed, "accepted means committed"),
        PlantedRule("majority-off-by-one", .majorityOffByOne, .mixed, "committed means synced on a majority"),
        PlantedRule("vote-not-synced", .voteNotSynced, .crashes, "a vote is synced before it is sent"),
        PlantedRule("confirm-not-synced", .confirmNotSynced, .mixed, "an entry is synced before it is confirmed"),
        PlantedRule(
            "leader-counts-unsynced", .leaderCountsUnsynced, .disks, "a leader counts itself once it has synced"),
        PlantedRule("votes-twice", .votesTwice, .brutal, "one vote a term"),
        PlantedRule("votes-for-stale-log", .votesForStaleLog, .partitions, "a vote only for a log as new as one's own"),
        PlantedRule("commits-old-terms", .commitsOldTerms, .disks, "only entries of the own term are counted"),
        PlantedRule("reads-unproven", .readsUnproven, .partitions, "a leader proves its leadership before it answers"),
        PlantedRule("refuses-unproven", .refusesUnproven, .partitions, "every \"no\" comes from a proven leader"),
        PlantedRule("ignores-failed-sync", .ignoresFailedSync, .disks, "a failed sync ends the process"),
        PlantedRule("applied-ahead", .appliedAhead, .crashes, "state tables are never ahead of the log"),
        PlantedRule(
            "order-ignored", .orderIgnored, .handovers, "a leader appends a session's sends in their order",
            nodes: "5"),
        PlantedRule(
            "calls-apply-twice", .callsApplyTwice, .calls, "a call is applied once, however often it is sent"),
        PlantedRule("id-forgotten", .idForgotten, .mixed, "an id sent again is the same message"),
        PlantedRule("content-ignored", .contentIgnored, .mixed, "another content under an id is refused"),
        PlantedRule("account-overwritten", .accountOverwritten, .mixed, "one account per name"),
        PlantedRule("ranges-ignored", .rangesIgnored, .mixed, "a member reads what was sent while he was one"),
        PlantedRule("cursor-before-ack", .cursorBeforeAck, .mixed, "a cursor moves when the device acknowledges"),
        PlantedRule("gap-ignored", .gapIgnored, .connections, "a stream proves itself complete"),
        PlantedRule("subscribes-late", .subscribesLate, .mixed, "subscribed first, then proven, then answered"),
        PlantedRule("window-ignored", .windowIgnored, .mixed, "a window bounds what is unacknowledged"),
        PlantedRule("writes-twice", .writesTwice, .mixed, "only the next readable seq is written"),
        PlantedRule(
            "status-ignored", .statusIgnored, .connections, "a leader tells of its streams, for idle partitions too"),
        PlantedRule(
            "wiped-votes", .wipedVotes, .losses, "a node without its disk is another peer", seconds: 120,
            needs: [.wipe]),
        PlantedRule("epoch-ignored", .epochIgnored, .crashes, "every life of a node has a higher epoch"),
        PlantedRule("sleeps-on", .sleepsOn, .idle, "a follower wakes when it loses its leader", seconds: 120),
        PlantedRule("presence-not-withdrawn", .presenceNotWithdrawn, .mixed, "who leaves is taken out of the table"),
        PlantedRule(
            "calls-never-retried", .callsNeverRetried, .handovers, "an unanswered proposal goes to the next leader",
            nodes: "5"),
        PlantedRule(
            "answers-uncommitted", .answersUncommitted, .mixed, "nothing is answered from memory that is not committed"),
        PlantedRule(
            "floor-by-local-clock", .floorByLocalClock, .clocks, "no clock of one node decides what is removed"),
        PlantedRule(
            "tombstones-forgotten", .tombstonesForgotten, .losses, "a peer that was removed never comes back",
            needs: [.wipe, .oldDisk]),
    ]
}
