import RoostCluster
import RoostModel
import RoostProtocol

/// What is done to nodes and links.
extension GossipCluster {
    // MARK: Links

    func linkEvent(_ index: Int, sees other: Int) -> Swim.Event {
        let state = nodes[other].swim.own
        return .linkUp(state.node, epoch: state.epoch, address: state.address)
    }

    /// This end has shaken hands.
    mutating func linkUp(_ index: Int, _ other: Int) {
        guard nodes[index].isUp, nodes[other].isUp, !isLinked[pair(index, other)] else { return }
        isLinked[pair(index, other)] = true
        nodes[index].presence.linkUp(GossipNode.id(other))
        feed(linkEvent(index, sees: other), to: index)
    }

    mutating func changeLink(_ index: Int, _ other: Int, isUp: Bool) {
        let isCut = isCut[pair(index, other)] || isCut[pair(other, index)]
        if isUp {
            guard !isCut else { return }
            linkUp(index, other)
            linkUp(other, index)
        } else {
            // Unless it came to life again meanwhile.
            guard isLinked[pair(index, other)], isCut || !nodes[other].isUp || nodes[other].stall != nil else { return }
            isLinked[pair(index, other)] = false
            if !isCut, nodes[other].isUp, nodes[other].stall != nil {
                // It stands still, and is dialled again once it goes on.
                let at = max(now, nodes[other].stalledUntil) + random(1_000_000...options.redial)
                schedule(.link(Int32(index), Int32(other), isUp: true), at: at)
            }
            if nodes[index].isUp { feed(.linkDown(GossipNode.id(other)), to: index) }
        }
    }

    /// Nothing of `from` reaches `to` any more. If links are torn, both ends give theirs up when nothing was heard for
    /// too long.
    mutating func cut(_ from: Int, _ to: Int) {
        isCut[pair(from, to)] = true
        guard tearsLinks else { return }
        for (end, other) in [(from, to), (to, from)] {
            schedule(
                .link(Int32(end), Int32(other), isUp: false), at: now + options.linkSilence + random(0...1_000_000_000))
        }
    }

    /// All cuts are healed; broken links are made anew when the next attempt is due.
    mutating func heal() {
        for from in nodes.indices {
            for to in nodes.indices where from < to && (isCut[pair(from, to)] || isCut[pair(to, from)]) {
                isCut[pair(from, to)] = false
                isCut[pair(to, from)] = false
                guard !isLinked[pair(from, to)] || !isLinked[pair(to, from)] else { continue }
                // The other end learns at the latest now that its link is gone.
                for (end, other) in [(from, to), (to, from)] where isLinked[pair(end, other)] {
                    isLinked[pair(end, other)] = false
                    feed(.linkDown(GossipNode.id(other)), to: end)
                }
                schedule(.link(Int32(from), Int32(to), isUp: true), at: now + random(1_000_000...options.redial))
            }
        }
    }

    // MARK: Nodes

    /// Ends a process: the others' connections break. `frozen`: its machine stops, and the others hear nothing.
    mutating func kill(_ index: Int, frozen: Bool = false) {
        nodes[index].isUp = false
        for other in nodes.indices where other != index {
            isLinked[pair(index, other)] = false
            let delay =
                frozen ? options.linkSilence + random(0...1_000_000_000) : random(options.delay)
            schedule(.link(Int32(other), Int32(index), isUp: false), at: now + delay)
        }
    }

    /// A new life of a node, empty, linked with all within the time of a redial.
    mutating func restart(_ index: Int) {
        let epoch = nodes[index].swim.own.epoch + 1
        let sent = nodes[index].sent
        for other in nodes.indices where other != index {
            isLinked[pair(index, other)] = false
            if isLinked[pair(other, index)] {
                isLinked[pair(other, index)] = false
                if nodes[other].isUp { feed(.linkDown(GossipNode.id(index)), to: other) }
            }
        }
        watch.forgot(
            held: nodes[index].swim.allMembers.count { $0.status == .alive && $0.node != GossipNode.id(index) })
        nodes[index] = makeNode(index, epoch: epoch)
        nodes[index].sent = sent
        watch.restarted(index)
        setTimer(index)
        for other in nodes.indices where other != index && nodes[other].isUp {
            schedule(.link(Int32(index), Int32(other), isUp: true), at: now + random(1_000_000...options.redial / 4))
        }
    }

    /// A node says that it has another epoch: news of which only it knows.
    mutating func raiseEpoch(_ index: Int) {
        let epoch = nodes[index].swim.own.epoch + 1
        nodes[index].presence.raise(to: epoch)
        watch.restarted(index)
        feed(.epochRaised(epoch), to: index)
    }

    /// Holds a node up for as long as `lengths` gives in turns, with pauses of the same lengths between.
    mutating func stallAgain(_ index: Int, at: UInt64) { schedule(.stall(Int32(index)), at: at) }

    /// A process stands still for a time, once.
    mutating func stallOnce(_ index: Int, for duration: UInt64) {
        hold(index, .process, for: duration)
    }

    private mutating func hold(_ index: Int, _ stall: GossipNode.Stall, for duration: UInt64) {
        nodes[index].stall = stall
        nodes[index].stalledUntil = now + duration
        // Ahead of all that waited for its end.
        queue.push(GossipQueue.Item(at: now + duration, order: 0, event: .stall(Int32(index))))
    }

    mutating func changeStall(_ index: Int) {
        let ends = nodes[index].stall != nil
        nodes[index].stall = nil
        guard nodes[index].isUp, let plan = watch.stalls else { return }
        let length = plan.lengths[Int(random(0...UInt64(plan.lengths.count - 1)))]
        guard !ends else { return schedule(.stall(Int32(index)), at: now + length) }
        hold(index, plan.stopsTimers ? .process : .messages, for: length)
    }

    // MARK: Views

    func status(of other: Int, at index: Int) -> MemberStatus? {
        nodes[index].swim.state(of: GossipNode.id(other))?.status
    }

    func isUp(_ index: Int) -> Bool { nodes[index].isUp }

    /// Whether all that are up hold all of these for alive in their present life.
    var agrees: Bool {
        nodes.indices.allSatisfy { index in
            !nodes[index].isUp
                || nodes.indices.allSatisfy { other in
                    guard nodes[other].isUp else { return true }
                    let held = nodes[index].swim.state(of: GossipNode.id(other))
                    return held?.status == .alive && held?.epoch == nodes[other].swim.own.epoch
                }
        }
    }

    /// Whether all that are up have the others' whole presence.
    var isComplete: Bool {
        nodes.indices.allSatisfy { index in
            !nodes[index].isUp || knowsAll(index)
        }
    }

    func knowsAll(_ index: Int) -> Bool {
        nodes.indices.allSatisfy { other in
            guard other != index, nodes[other].isUp else { return true }
            let truth = nodes[other].presence.ownVersion
            let held = nodes[index].presence.version(of: GossipNode.id(other))
            return held == truth
        }
    }

    func checkInvariants() -> [String] {
        failures + nodes.flatMap { $0.swim.checkInvariants() + $0.presence.checkInvariants() }
    }

    var traffic: GossipTraffic {
        nodes.reduce(into: GossipTraffic()) { $0 += $1.sent }
    }
}
