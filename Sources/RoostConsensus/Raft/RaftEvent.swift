package import RoostModel
package import RoostProtocol

extension RaftGroup {
    /// A learner is a follower that its configuration does not count as a voter.
    package enum Role: UInt8, Sendable { case follower, preCandidate, candidate, leader }

    /// What happens to a group. Proposals and membership changes, which have an answer, are methods.
    package enum Event: Sendable {
        /// `nextDeadline` is reached. Too early does no harm.
        case tick
        case received(RaftMessage, from: RaftPeer)
        /// Everything of that `persist` and of all before it is synced.
        case persisted(ticket: UInt64)
        /// Answered by `readReady` or `readFailed`, once.
        case readIndex(id: UInt64)
        /// The answer to `load`: entries from its `from` on, at least one; empty if they cannot be read just now.
        case entriesLoaded(id: UInt64, entries: [RaftEntry])
        /// Ignored unless this is the leader and `to` another voter. Given up after an election timeout.
        case transferLeadership(to: RaftPeer)
        /// The link to the node broke, or the cluster holds it for dead. Nodes count as reachable until this comes.
        case peerUnreachable(NodeID)
        case peerReachable(NodeID)
        /// Somebody proposes, reads or opens here: leave hibernation.
        case wake
        /// Nothing can be written: hand leadership on if somebody can take it, take no entries, neither vote nor campaign. What was given to
        /// `persist` stays owed: the shell writes it when there is room.
        case storageFull
        case storageAvailable
        /// Whether this peer has what it takes to lead: its whole log and state. One that has not hands on, and lets
        /// others campaign first.
        case fitness(Bool)
        /// Nodes that should not be made to lead; replaces those named before.
        case peersUnfit([NodeID])
        case stepDown
        /// The node, which may be this one, drains: it is not handed leadership. A draining peer still campaigns where
        /// nobody else does, but leaves the others time to be first.
        case draining(NodeID)
        /// The node came back and drains no more.
        case drainingEnded(NodeID)
    }

    /// What a `load` is for; it only tells how urgent it is.
    package enum LoadPurpose: Sendable, Equatable {
        case apply
        case replicate(RaftPeer)
    }

    /// What the shell has to do, in order.
    package enum Action: Sendable {
        /// Write term and vote, delete all entries from `truncateFrom` on, write `entries`: atomically, and after all
        /// earlier ones. Then `persisted`.
        case persist(ticket: UInt64, hardState: RaftHardState?, truncateFrom: UInt64?, entries: [RaftEntry])
        /// To be sent at once: what has to wait for `persisted` is held back by the group.
        case send(RaftMessage, to: RaftPeer)
        /// To be applied: each index once, ascending without gaps, synced here. Includes no-ops and configurations.
        case committed(entries: [RaftEntry])
        /// Read entries `from` ... `through` or as many of them from the front as fit `maxBytes`, at least one. They
        /// are synced. Answered by `entriesLoaded` with the same id.
        case load(id: UInt64, from: UInt64, through: UInt64, maxBytes: Int, purpose: LoadPurpose)
        /// Leadership was proved after the read was asked for: state applied through `index` serves it.
        case readReady(id: UInt64, index: UInt64)
        /// Not the leader (any more), or too many are waiting.
        case readFailed(id: UInt64)
        case roleChanged(role: Role, term: UInt64, leader: RaftPeer?)
        /// In force from now on, committed or not.
        case membershipChanged(RaftConfiguration)
        /// A peer lacks entries that it had confirmed in this term: its store must not take part any longer.
        case peerRegressed(RaftPeer, confirmed: UInt64, has: UInt64)
    }

    package enum MembershipChange: Sendable, Equatable {
        case addLearner(RaftPeer)
        case promote(RaftPeer)
        /// A voter becomes a tombstone for good; a learner may be added again.
        case remove(RaftPeer)
        /// Nobody wants the peer any more: it becomes a tombstone, a learner too or one whose addition was lost, so that
        /// its replica is told to go.
        case giveUp(RaftPeer)
    }

    package enum MembershipRefusal: Error, Sendable, Equatable {
        /// Not the leader, handing leadership on, or storage is full.
        case notLeader
        /// No entry of this term is committed yet, or the change before is not. Try again.
        case notReady
        /// The learner is too far behind, or not reachable. Try again.
        case notCaughtUp
        /// The leader cannot remove itself: transfer leadership first.
        case isLeader
        /// Already so, a tombstone, unknown, the last voter, or too many tombstones.
        case invalid
    }

    /// One peer as the leader sees it, for operators.
    package struct PeerStatus: Sendable, Equatable {
        package var peer: RaftPeer
        package var isVoter: Bool
        package var isReachable: Bool
        package var matchIndex: UInt64
        package init(peer: RaftPeer, isVoter: Bool, isReachable: Bool, matchIndex: UInt64) {
            self.peer = peer
            self.isVoter = isVoter
            self.isReachable = isReachable
            self.matchIndex = matchIndex
        }
    }
}
