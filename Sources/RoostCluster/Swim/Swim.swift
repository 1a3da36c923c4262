package import RoostModel
package import RoostProtocol

/// Who is reachable: SWIM (Das, Gupta, Motivala 2002) with suspicion and incarnations, and Lifeguard (Dadgar, Phillips,
/// Currey 2017). A pure machine; its shell owes it:
/// 1. `tick` when `nextDeadline` is reached. A late one is taken for this node's own lag.
/// 2. Every message of an established link, in order; `linkUp` once the control lane is up, `linkDown` when it breaks.
/// 3. Every `send` is written, or dropped where no link is up: a loss is what the machine is made for.
/// 4. On `conflictingSelf` a higher epoch, synced, then `epochRaised`.
/// 5. The presence digests that go with a message (`PresenceTable.digests(for:)`) are added as it is sent.
///
/// Deviations from the papers: links are TCP, so a broken one is a reason to probe now. Rumours are also gossiped
/// between probes. Who hears of a suspicion that wants confirmation may probe the suspect at once. **Nobody takes a death
/// on trust**: of a member that is alive here it is one more accusation, and the member has the lowest suspicion timeout
/// to deny it. Dead members are still pinged and can come back within their epoch by a higher incarnation; `left` is
/// final for its epoch. docs/membership.md has the derivations and the figures.
///
/// Members of `cluster.json` that were never heard of have epoch 0 and are `suspect`; no rumour tells of them, no
/// suspicion runs, and only after `seedGrace` they count as `dead`, for this node alone.
package struct Swim: Sendable {
    package enum Event: Sendable, Equatable {
        case tick
        case received(SwimMessage, from: NodeID)
        /// A handshake succeeded: the node lives, in this epoch.
        case linkUp(NodeID, epoch: Epoch, address: String)
        /// A reason to probe now, never a death.
        case linkDown(NodeID)
        /// This node drains and says goodbye; it goes on answering.
        case leave
        /// Points of local health lost to a lag of the event loop: 1 for each `lateTick` or so.
        case localHealth(penalty: Int)
        /// This node has a higher epoch now.
        case epochRaised(Epoch)
    }

    package enum Action: Sendable, Equatable {
        case send(SwimMessage, to: NodeID)
        /// `old` is nil for a node never heard of before; a higher epoch in `new` means that the node returned.
        case statusChanged(old: MemberState?, new: MemberState)
        /// Somebody held this node for suspect or dead.
        case refuted(incarnation: UInt64)
        /// Another life of this node is known in `epoch`, ours or a higher one: ours must become higher still.
        case conflictingSelf(epoch: Epoch)
        case digests([PresenceDigest], from: NodeID)
    }

    package let timing: SwimTiming
    package internal(set) var own: MemberState
    /// Lifeguard's local health score, 0 (well) to `timing.healthLimit`.
    package var healthScore: Int { health.score }

    var members = MemberTable()
    /// Those of whom is heard; nil: all.
    var allowed: Set<NodeID>?
    var queue = RumourQueue()
    var schedule = ProbeSchedule()
    var health: LocalHealth
    /// Under way, in the order they began; at most one per target.
    var probes: [Probe] = []
    var relays: [RelayedProbe] = []
    var generator: SeededGenerator
    var sequence: UInt32

    /// When any message came last.
    var lastHeard: UInt64
    var nextProbe: UInt64
    var nextDeadProbe: UInt64
    var nextExchange: UInt64
    /// While rumours are queued.
    var nextGossip: UInt64
    /// Full exchanges that may be begun now because links come up or dead members are back.
    var exchangeTokens: Int
    /// In which life of a member this node heard it itself, over a link with it.
    var lives: [NodeID: Epoch] = [:]
    /// Full exchanges heard so far: a newcomer asks for some, later ones are for repair.
    var exchangesHeard = 0
    /// When unheard members of `cluster.json` count as dead; nil once it was done.
    var seedsDue: UInt64?
    var conflictReported: Epoch = 0

    /// - Parameters:
    ///   - epoch: above 0, and synced.
    ///   - seeds: the nodes of `cluster.json`; this one may be among them.
    ///   - now: monotonic nanoseconds, as everywhere here.
    ///   - seed: of all random choices.
    package init(
        me: NodeID, epoch: Epoch, address: String, seeds: [(node: NodeID, address: String)],
        timing: SwimTiming = SwimTiming(), now: UInt64, seed: UInt64
    ) {
        self.timing = timing
        own = MemberState(
            node: me, epoch: max(1, epoch), incarnation: 0, status: .alive, address: address, since: now)
        health = LocalHealth(limit: timing.healthLimit)
        var generator = SeededGenerator(seed: seed)
        sequence = UInt32(truncatingIfNeeded: generator.next())
        // Nodes started together do not probe in step.
        nextProbe = now + UInt64.random(in: 0...timing.probePeriod, using: &generator)
        nextDeadProbe = now + UInt64.random(in: 0...timing.deadProbePeriod, using: &generator)
        nextExchange = now + UInt64.random(in: 0...timing.exchangePeriod, using: &generator)
        nextGossip = now
        lastHeard = now
        exchangeTokens = timing.exchangeBurst
        seedsDue = now + timing.seedGrace
        self.generator = generator
        for seed in seeds where seed.node != me {
            let state = MemberState(
                node: seed.node, epoch: 0, incarnation: 0, status: .suspect, address: seed.address, since: now)
            members.put(state)
        }
        queue.put(own.rumour())
    }

    package mutating func receive(_ event: Event, now: UInt64, into actions: inout [Action]) {
        switch event {
        case .tick: tick(now: now, into: &actions)
        case .received(let message, let from): receive(message, from: from, now: now, into: &actions)
        case .linkUp(let node, let epoch, let address):
            linkUp(node, epoch: epoch, address: address, now: now, into: &actions)
        case .linkDown(let node):
            if own.status != .left, members.state(of: node)?.isActive == true {
                startProbe(of: node, now: now, into: &actions)
            }
        case .leave: leave(now: now, into: &actions)
        case .localHealth(let penalty): health.penalise(penalty)
        case .epochRaised(let epoch): raise(to: epoch, now: now, into: &actions)
        }
    }

    // MARK: What is known

    /// All members, this one included, sorted by id.
    package var allMembers: [MemberState] {
        var states = members.records.map(\.state)
        let index = states.firstIndex { $0.node > own.node } ?? states.count
        states.insert(own, at: index)
        return states
    }

    package func state(of node: NodeID) -> MemberState? {
        node == own.node ? own : members.state(of: node)
    }

    /// Nodes alive or suspect in a life that was heard of, this one included: the n of every bound.
    package var activeCount: Int { members.activeCount + 1 }

    /// Of all that were heard of, this one included: the same where the same is known.
    package var membersHash: UInt64 { members.hash &+ own.hash }

    /// When the next `tick` is due; nil once this node has left.
    package var nextDeadline: UInt64? {
        guard own.status != .left else { return relays.map { $0.nackAt ?? $0.end }.min() }
        var next = min(nextProbe, nextDeadProbe, nextExchange)
        if let seedsDue { next = min(next, seedsDue) }
        if !queue.isEmpty { next = min(next, nextGossip) }
        for probe in probes { next = min(next, probe.askOthersAt ?? probe.end) }
        for relay in relays { next = min(next, relay.nackAt ?? relay.end) }
        return min(next, members.suspicionDue)
    }

    /// What must hold between events; empty if it does.
    package func checkInvariants() -> [String] {
        var broken = members.checkInvariants().map { "\(own.node): \($0)" }
        for record in members.records {
            let state = record.state
            if (state.status == .suspect && state.isHeard) != (record.suspicion != nil) {
                broken.append("\(own.node): suspicion of \(state.node) does not fit status \(state.status.name)")
            }
            if state.node == own.node { broken.append("\(own.node) is among its own peers") }
        }
        if Set(probes.map(\.target)).count != probes.count { broken.append("\(own.node): two probes of one target") }
        if relays.count > timing.maxRelays { broken.append("\(own.node): too many relayed probes") }
        if queue.count > members.count + 1 { broken.append("\(own.node): more rumours than members") }
        if members.count > timing.maxMembers { broken.append("\(own.node): too many members") }
        if own.status != .alive && own.status != .left { broken.append("\(own.node) holds itself for \(own.status)") }
        return broken
    }
}
