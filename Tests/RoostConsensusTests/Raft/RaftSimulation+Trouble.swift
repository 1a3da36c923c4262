import RoostConsensus
import RoostModel
import RoostProtocol

extension RaftSimulation {
    mutating func trouble() {
        let number = Int(random(UInt64(slots.count)))
        switch random(changesMembers ? 14 : 10) {
        case 0, 1, 2: if slots[number].isUp { crash(number) }
        case 3, 4: split()
        case 5, 6: mend()
        case 7:
            if let leader = anyLeader() {
                receive(leader, .transferLeadership(to: slots[number].node.peer))
            }
        case 8: if slots[number].isUp { receive(number, .wake) }
        case 9: if slots[number].isUp { fill(number) }
        default: changeMembers()
        }
    }

    /// A part of what was not synced may be there nevertheless; the state tables are somewhere behind.
    mutating func crash(_ number: Int) {
        let unsynced = slots[number].node.disk.unsynced.count
        _ = slots[number].node.disk.sync(Int(random(UInt64(unsynced + 1))))
        var disk = slots[number].node.disk
        disk.unsynced = []
        let applied = slots[number].node.group.appliedIndex
        disk.appliedIndex += random(applied - min(applied, disk.appliedIndex) + 1)
        slots[number].node.disk = disk
        slots[number].isUp = false
        slots[number].life += 1
        report(number, isReachable: false)
        schedule.plan(.restart(number), at: now + random(2_000) * Self.millisecond)
    }

    mutating func restart(_ number: Int) {
        guard !slots[number].isUp else { return }
        let node = slots[number].node
        slots[number] = Slot(
            node: LabNode(node.peer, disk: node.disk, options: options, now: now, seed: generator.next()),
            life: slots[number].life, store: slots[number].store)
        report(number, isReachable: true)
        after(number)
    }

    /// The others' links notice, but not always.
    private mutating func report(_ number: Int, isReachable: Bool) {
        let node = slots[number].node.peer.node
        for other in slots.indices where other != number && slots[other].isUp {
            guard isHealed || isReachable || chance(70) else { continue }
            receive(other, isReachable ? .peerReachable(node) : .peerUnreachable(node))
        }
    }

    private mutating func split() {
        for number in slots.indices { groups[number] = Int(random(2)) }
        for number in slots.indices where slots[number].isUp {
            for other in slots.indices where groups[other] != groups[number] && chance(50) {
                receive(number, .peerUnreachable(slots[other].node.peer.node))
            }
        }
    }

    private mutating func mend() {
        for number in slots.indices { groups[number] = 0 }
        for number in slots.indices where slots[number].isUp {
            for other in slots.indices where other != number {
                receive(number, .peerReachable(slots[other].node.peer.node))
            }
        }
    }

    private mutating func fill(_ number: Int) {
        slots[number].isFull.toggle()
        receive(number, slots[number].isFull ? .storageFull : .storageAvailable)
    }

    /// Learners are promoted, a removed node comes back as another peer, and now and then one is removed.
    private mutating func changeMembers() {
        guard let leader = anyLeader() else { return }
        let known = slots[leader].node.group.configuration
        let members = known.voters + known.learners
        if let learner = known.learners.first, chance(70) { return change(leader, .promote(learner)) }
        if let number = slots.indices.first(where: { !members.contains(slots[$0].node.peer) }), chance(70) {
            let peer = slots[number].node.peer
            if model.configuration.tombstones.contains(peer) { wipe(number) }
            guard !known.tombstones.contains(slots[number].node.peer) else { return }
            return change(leader, .addLearner(slots[number].node.peer))
        }
        let victim = members[Int(random(UInt64(members.count)))]
        if known.voters.count >= 3 { change(leader, .remove(victim)) }
    }

    private mutating func change(_ leader: Int, _ change: RaftGroup.MembershipChange) {
        _ = slots[leader].node.change(change, now: now)
        after(leader)
    }

    private mutating func wipe(_ number: Int) {
        let store = slots[number].store + 1
        let node = LabNode(
            RaftPeer(number, store: store), disk: LabDisk(), options: options, now: now, seed: generator.next())
        slots[number] = Slot(node: node, life: slots[number].life + 1, store: store)
    }

    /// All faults end.
    mutating func heal() {
        isHealed = true
        for number in slots.indices {
            restart(number)
            slots[number].isFull = false
            receive(number, .storageAvailable)
        }
        mend()
    }

    /// What is missing of progress after healing: empty if all is well.
    mutating func demandProgress() -> [String] {
        heal()
        let before = model.committed.count
        run(milliseconds: 3_000)
        var missing = model.broken
        guard missing.isEmpty else { return missing }
        if model.committed.count <= before { missing.append("nothing was committed after healing") }
        stopClients()
        run(milliseconds: 4_000)
        compareLogs()
        missing += model.broken
        let members = model.configuration.voters + model.configuration.learners
        for slot in slots where members.contains(slot.node.peer) {
            let group = slot.node.group
            if Int(group.appliedIndex) != model.committed.count {
                missing.append("\(slot.node.peer.node) applied \(group.appliedIndex) of \(model.committed.count)")
            }
            if !group.isHibernating { missing.append("\(slot.node.peer.node) is awake") }
            missing += slot.node.checkInvariants()
        }
        return missing
    }

    private mutating func stopClients() {
        var kept = Schedule<Item>()
        while let next = schedule.next() {
            switch next.item {
            case .propose, .read: continue
            default: kept.plan(next.item, at: next.time)
            }
        }
        schedule = kept
    }
}
