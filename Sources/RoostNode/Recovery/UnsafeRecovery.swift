import NIOCore
import RoostCluster
import RoostConsensus
package import RoostModel
package import RoostProtocol
package import RoostStorage

/// The operator's last resort, when a majority of the stores of some partition is gone for good: the survivors go on in
/// a cluster of a new generation (a new cluster UUID), which nodes of the former one are refused by and blank nodes join
/// as learners.
///
/// Of each partition the survivor with the newest log, as an election would find it, is the only voter, and the other
/// survivors are its learners; what its log lacks is lost. A log counts as far as its first damaged row. Whose log ends
/// there, and is not chosen, gives the replica back and is filled anew, since it may have applied what is given up. Where
/// a majority survives nothing is lost, and nothing but the generation changes. Of the same surveys everybody makes the
/// same plan.
package struct UnsafeRecovery: Sendable {
    package struct Choice: Sendable, Equatable {
        package var partition: PartitionID
        /// Nil where a majority survives, and goes on by itself.
        package var voter: RaftPeer?
        /// Survivors that have it, ascending.
        package var survivors: [NodeID]
        /// As the newest log has it.
        package var configuration: RaftConfiguration
        package var newest: SurvivorSurvey.Replica
        /// Survivors whose replica is damaged and is filled anew.
        package var damaged: [RaftPeer]

        /// Voters that may have confirmed what no survivor has.
        package var lost: [NodeID] { configuration.voters.map(\.node).filter { !survivors.contains($0) } }
        /// Entries that were perhaps never accepted.
        package var open: UInt64 { newest.wholeIndex - min(newest.wholeIndex, newest.appliedIndex) }
    }

    package enum Refusal: Error, Sendable, Equatable {
        /// Nobody is named whose data directory holds a part of a founded cluster.
        case blank
        case twice(NodeID)
        /// They are of different generations.
        case strangers(NodeID, NodeID)
        /// None of those named holds these; with the nodes that the cluster's founding gave them to.
        case lacks([PartitionID], [NodeID])
    }

    /// Ascending.
    package let survivors: [NodeID]
    package let former: FoundingRecord
    /// One for each partition.
    package let choices: [Choice]
    package let clusterID: UUID128
    private let surveys: [SurvivorSurvey]

    package init(_ given: [SurvivorSurvey]) throws(Refusal) {
        let surveys = given.sorted { $0.node < $1.node }
        guard let first = surveys.first else { throw .blank }
        for (one, next) in zip(surveys, surveys.dropFirst()) {
            if one.node == next.node { throw .twice(one.node) }
            if one.record.clusterID != next.record.clusterID { throw .strangers(one.node, next.node) }
        }
        var choices: [Choice] = []
        var lacking: [PartitionID] = []
        for number in 0..<first.record.partitions {
            if let choice = Self.choose(PartitionID(number), surveys) {
                choices.append(choice)
            } else {
                lacking.append(PartitionID(number))
            }
        }
        guard lacking.isEmpty else {
            let layout = Placement.layout(
                partitions: Int(first.record.partitions), among: first.record.members.map(\.node),
                count: Int(first.record.replication))
            throw .lacks(lacking, Set(lacking.flatMap { layout[Int($0.value)] }).sorted())
        }
        self.surveys = surveys
        self.choices = choices
        survivors = surveys.map(\.node)
        former = first.record
        let seed = surveys.map { "\($0.node.name) \($0.store) \($0.nonce)" }.joined(separator: "\n")
        clusterID = .version5(namespace: first.record.clusterID, name: seed.utf8)
    }

    private static func choose(_ id: PartitionID, _ surveys: [SurvivorSurvey]) -> Choice? {
        let holders = surveys.compactMap { survey in
            survey.replica(of: id).map { (peer: survey.peer(of: $0), replica: $0) }
        }
        // Whoever has what an election would prefer has all that the others know to be committed.
        let best = holders.max { one, other in
            let (a, b) = (one.replica, other.replica)
            return (a.wholeTerm, a.wholeIndex, a.appliedIndex) < (b.wholeTerm, b.wholeIndex, b.appliedIndex)
        }
        guard let best else { return nil }
        let voters = best.replica.configuration.voters
        // A damaged one votes again once it has its rows from another, which gives only what it knows to be committed.
        let living = voters.count { voter in
            holders.contains {
                $0.peer == voter
                    && ($0.replica.isWhole || best.replica.isWhole && $0.replica.lastIndex <= best.replica.appliedIndex)
            }
        }
        let goesOn = living > voters.count / 2
        let damaged = goesOn ? [] : holders.filter { !$0.replica.isWhole && $0.peer != best.peer }.map(\.peer)
        return Choice(
            partition: id, voter: goesOn ? nil : best.peer, survivors: holders.map(\.peer.node).sorted(),
            configuration: best.replica.configuration, newest: best.replica, damaged: damaged.sorted())
    }

    /// To be saved with the writes, not behind them: from then on nodes of the former generation are refused.
    package func facts(_ former: NodeFacts) -> NodeFacts {
        var facts = former
        facts.promised = nil
        facts.founded = self.former
        facts.founded?.clusterID = clusterID
        // The log of partition 0 may have lost its end: then its leader takes this one, which is newer than any.
        if var ring = surveys.compactMap(\.ring).max(by: { $0.version < $1.version }) {
            ring.version += 1
            facts.ring = ring
        }
        let own = surveys.first { $0.store == former.store }?.node
        for choice in choices {
            guard let peer = choice.damaged.first(where: { $0.node == own }) else { continue }
            let known = facts.givenBack.first { $0.partition == choice.partition }?.number ?? 0
            let number = max(known, (former.store.replicaNumber(of: peer.store) ?? 0) + 1)
            facts.set(GivenBack(partition: choice.partition, number: number, isBeingDeleted: true))
        }
        return facts
    }

    /// What changes on a survivor's disk: where it goes on alone, it says so in its log, in a term that nobody has seen.
    package func writes(of node: NodeID) -> [PartitionWrite] {
        choices.compactMap { choice in
            guard let voter = choice.voter, voter.node == node else { return nil }
            let replicas = surveys.compactMap { survey in
                survey.replica(of: choice.partition).map { (peer: survey.peer(of: $0), replica: $0) }
            }
            let term = (replicas.map(\.replica.term).max() ?? 0) + 1
            let former = choice.configuration
            let learners = replicas.map(\.peer).filter {
                $0 != voter && !former.tombstones.contains($0) && !choice.damaged.contains($0)
            }
            let members = former.voters + former.learners + givenBack(choice)
            let gone = Set(members).filter { $0 != voter && !learners.contains($0) && !former.tombstones.contains($0) }
            let tombstones = (former.tombstones + gone.sorted()).filter { $0 != voter }
            var payload = ByteBuffer()
            RaftConfiguration(voters: [voter], learners: learners, tombstones: tombstones).encode(into: &payload)
            let newest = choice.newest
            let entry = RaftEntry(index: newest.wholeIndex + 1, term: term, kind: .configuration, payload: payload)
            return PartitionWrite(
                partition: choice.partition, hardState: RaftHardState(term: term, vote: nil),
                clearsState: newest.appliedIndex > newest.wholeIndex,
                truncateFrom: newest.isWhole ? nil : newest.wholeIndex + 1, entries: [entry])
        }
    }

    /// As whom the owners of damaged replicas took part, or may have without this log's knowing it: as none of these they
    /// come back.
    private func givenBack(_ choice: Choice) -> [RaftPeer] {
        choice.damaged.flatMap { peer -> [RaftPeer] in
            guard let store = surveys.first(where: { $0.node == peer.node })?.store else { return [peer] }
            return (0...(store.replicaNumber(of: peer.store) ?? 0)).map {
                RaftPeer(node: peer.node, store: store.replica($0))
            }
        }
    }
}
