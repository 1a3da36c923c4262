import RoostCluster
import RoostModel
import RoostProtocol
import Testing

func presenceUser(_ number: UInt64) -> UserID { UserID(UUID128(high: 7, low: number)) }

func presenceEntry(_ number: UInt64, _ device: String = "phone", session: UInt64 = 1, since: Int64 = 0) -> PresenceEntry
{
    PresenceEntry(
        user: presenceUser(number), device: DeviceID(validated: device), session: SessionID(session),
        generation: Generation(term: 1, count: session), since: since)
}

func memberState(_ node: NodeID, _ status: MemberStatus, epoch: Epoch = 1) -> MemberState {
    MemberState(node: node, epoch: epoch, incarnation: 0, status: status, address: "h", since: 0)
}

/// An owner `a` and a reader `b`, and what passes between them.
private struct Pair {
    var a: PresenceTable
    var b: PresenceTable
    var now: UInt64 = 0
    var told: [PresenceTable.Action] = []
    /// What b sent.
    var sent: [PresenceMessage] = []

    init(limits: PresenceLimits = PresenceLimits()) {
        a = PresenceTable(me: "a", epoch: 1, limits: limits)
        b = PresenceTable(me: "b", epoch: 1, limits: limits)
    }
    mutating func deliver(_ messages: [PresenceMessage]) {
        for message in messages {
            var actions: [PresenceTable.Action] = []
            b.receive(message, from: "a", now: now, into: &actions)
            sort(actions)
        }
    }
    mutating func sort(_ actions: [PresenceTable.Action]) {
        for action in actions {
            if case .send(let message, _) = action { sent.append(message) } else { told.append(action) }
        }
    }
    mutating func compare() {
        var actions: [PresenceTable.Action] = []
        b.compare(a.digests(), from: "a", now: now, into: &actions)
        sort(actions)
    }
    mutating func change(_ state: MemberState, wall: Int64 = 0) {
        var actions: [PresenceTable.Action] = []
        b.memberChanged(state, wall: wall, into: &actions)
        sort(actions)
    }
    /// What a answers to everything b sent.
    mutating func answers() -> [PresenceMessage] {
        var actions: [PresenceTable.Action] = []
        for message in sent { a.receive(message, from: "b", now: now, into: &actions) }
        sent = []
        return actions.compactMap { if case .send(let message, "b") = $0 { message } else { nil } }
    }
    mutating func takeTold() -> [PresenceTable.Action] {
        defer { told = [] }
        return told
    }
}

@Suite("Presence: rules")
struct PresenceTableTests {
    @Test("changes are gathered into one delta, of each device the last, and due after the batch delay")
    func batching() {
        var pair = Pair()
        #expect(pair.a.nextFlush == nil)
        pair.a.announce(presenceEntry(1), now: 100)
        pair.a.announce(presenceEntry(2), now: 200)
        pair.a.withdraw(user: presenceUser(1), device: presenceEntry(1).device, session: SessionID(1), at: 50, now: 300)
        #expect(pair.a.nextFlush == 100 + PresenceLimits().batchDelay)
        let messages = pair.a.flush()
        #expect(pair.a.nextFlush == nil)
        guard case .delta("a", 1, 0, 2, let changes)? = messages.first, messages.count == 1 else {
            return #expect(Bool(false), "\(messages)")
        }
        #expect(changes.map(\.online) == [true, false])
        #expect(changes.map(\.version) == [1, 2])
        #expect(changes[1].entry.since == 50)
        #expect(pair.a.flush().isEmpty)
    }

    @Test("a session withdraws only its own entry, and an older one does not replace a newer")
    func ownSession() {
        var pair = Pair()
        let announced = [1, 2, 1].map { pair.a.announce(presenceEntry(1, session: $0), now: 0) }
        #expect(announced == [true, true, false])
        func withdraw(_ session: UInt64) -> Bool {
            pair.a.withdraw(
                user: presenceUser(1), device: presenceEntry(1).device, session: SessionID(session), at: 9, now: 0)
        }
        let stale = withdraw(1)
        #expect(!stale)
        #expect(pair.a.sessions(of: presenceUser(1)).map(\.entry.session) == [SessionID(2)])
        let withdrawn = [withdraw(2), withdraw(2)]
        #expect(withdrawn == [true, false])
        #expect(pair.a.sessions(of: presenceUser(1)).isEmpty)
        #expect(pair.a.lastOnline(user: presenceUser(1), device: presenceEntry(1).device) == 9)
    }

    @Test("deltas tell what appeared, was replaced, and disappeared")
    func deltas() {
        var pair = Pair()
        pair.a.announce(presenceEntry(1), now: 0)
        pair.a.announce(presenceEntry(2), now: 0)
        pair.deliver(pair.a.flush())
        #expect(pair.takeTold() == [.appeared(presenceEntry(1), node: "a"), .appeared(presenceEntry(2), node: "a")])
        pair.a.announce(presenceEntry(1, session: 5), now: 0)
        pair.a.withdraw(user: presenceUser(2), device: presenceEntry(2).device, session: SessionID(1), at: 77, now: 0)
        pair.deliver(pair.a.flush())
        #expect(
            pair.takeTold() == [
                .appeared(presenceEntry(1, session: 5), node: "a"), .disappeared(presenceEntry(2), node: "a"),
            ])
        #expect(pair.b.lastOnline(user: presenceUser(2), device: presenceEntry(2).device) == 77)
        #expect(pair.b.devices(on: "a") == [presenceEntry(1, session: 5)])
        #expect(pair.b.deviceCount(on: "a") == 1)
        #expect(pair.b.onlineDevices == 1)
        #expect(
            pair.b.versions == [
                PresenceDigest(node: "a", epoch: 1, version: 4), PresenceDigest(node: "b", epoch: 1, version: 0),
            ])
    }

    @Test(
        "a delta that does not continue is not applied: the owner is asked, once per timeout, and answers with a delta")
    func gap() {
        var pair = Pair()
        pair.a.announce(presenceEntry(1), now: 0)
        pair.deliver(pair.a.flush())
        pair.a.announce(presenceEntry(2), now: 0)
        _ = pair.a.flush()  // Lost.
        pair.a.announce(presenceEntry(3), now: 0)
        let third = pair.a.flush()
        pair.deliver(third)
        pair.deliver(third)
        pair.compare()
        #expect(pair.b.deviceCount(on: "a") == 1)
        #expect(pair.sent == [.request(node: "a", epoch: 1, version: 1)])
        pair.now += PresenceLimits().deltaTimeout
        pair.compare()
        #expect(pair.sent.count == 2)
        pair.sent.removeLast()
        let answers = pair.answers()
        guard case .delta("a", 1, 1, 3, _)? = answers.first else { return #expect(Bool(false), "\(answers)") }
        pair.deliver(answers + answers)
        #expect(pair.b.deviceCount(on: "a") == 3)
        pair.compare()
        #expect(pair.sent.isEmpty)
        #expect(pair.b.checkInvariants().isEmpty)
    }

    @Test("the last word is said once more, so that what was lost last is missed at once")
    func echo() {
        var pair = Pair()
        pair.a.announce(presenceEntry(1), now: 0)
        #expect(pair.a.nextDeadline == pair.a.limits.batchDelay)
        let early = pair.a.tick(now: 1)
        #expect(early.isEmpty)
        let flushed = pair.a.limits.batchDelay
        let lost = pair.a.tick(now: flushed)
        #expect(lost.count == 1)
        #expect(pair.a.nextDeadline == flushed + pair.a.limits.echoDelay)
        let echo = pair.a.tick(now: flushed + pair.a.limits.echoDelay)
        #expect(echo == [.delta(node: "a", epoch: 1, from: 1, to: 1, changes: [])])
        #expect(pair.a.nextDeadline == nil)
        pair.deliver(echo)
        #expect(pair.sent == [.request(node: "a", epoch: 1, version: 0)])
        pair.deliver(pair.answers())
        #expect(pair.b.deviceCount(on: "a") == 1)
        // Who has it all hears nothing new.
        pair.deliver(echo)
        #expect(pair.sent.isEmpty)
    }

    @Test("requests are repeated after ever longer waits, and anew at once when an answer came")
    func repeats() {
        var pair = Pair()
        pair.a.announce(presenceEntry(1), now: 0)
        _ = pair.a.flush()
        var asked: [UInt64] = []
        let step = pair.a.limits.snapshotTimeout
        for tick in 0..<64 {
            pair.now = UInt64(tick) * step
            pair.compare()
            if !pair.sent.isEmpty { asked.append(UInt64(tick)) }
            pair.sent = []
        }
        #expect(asked == [0, 1, 3, 7, 15, 31, 47, 63])
        pair.b.receive(
            .delta(node: "a", epoch: 1, from: 0, to: 1, changes: []), from: "a", now: pair.now, into: &pair.told)
        pair.a.announce(presenceEntry(2), now: 0)
        _ = pair.a.flush()
        pair.compare()
        #expect(pair.sent.count == 1)
    }

    @Test("a ping carries the own digest, those of parts that went on of late, and the others in turns")
    func digestTurns() {
        var table = PresenceTable(me: "me", epoch: 1)
        var actions: [PresenceTable.Action] = []
        let names = (10..<50).map { NodeID("d\($0)") }
        for name in names { table.memberChanged(memberState(name, .alive), wall: 0, into: &actions) }
        let limit = table.limits.digestsPerMessage
        var seen = Set<NodeID>()
        for round in 0..<6 {
            let digests = table.digests(for: round % 2 == 0 ? .ping(sequence: 1) : .ack(sequence: 1, target: "me"))
            #expect(digests.count == limit && digests.first?.node == "me")
            #expect(Set(digests.map(\.node)).count == limit)
            seen.formUnion(digests.map(\.node))
        }
        #expect(seen.count == 41)
        table.receive(
            .delta(
                node: "d33", epoch: 1, from: 0, to: 1,
                changes: [PresenceChange(version: 1, online: true, entry: presenceEntry(1))]), from: "d33", now: 0,
            into: &actions)
        var first = 0
        for _ in 0..<10 where table.digests(for: .ping(sequence: 1))[1].node == "d33" { first += 1 }
        #expect(first == Int(table.limits.freshSends))
        let all = table.digests(for: .exchange(reply: true))
        #expect(all.count == 41)
        let none = table.digests(for: .nack(sequence: 1, target: "d10"))
        #expect(none.isEmpty)
        table.memberChanged(memberState("d10", .dead), wall: 0, into: &actions)
        let rest = table.digests(for: .exchange(reply: false))
        #expect(rest.count == 40 && !rest.contains { $0.node == "d10" })
    }

    @Test("below the floor a snapshot comes in chunks, in any order, and is swapped in whole")
    func snapshot() {
        var limits = PresenceLimits()
        limits.keptChanges = 4
        limits.changesPerMessage = 3
        var pair = Pair(limits: limits)
        for number in UInt64(1)...3 { pair.a.announce(presenceEntry(number), now: 0) }
        pair.deliver(pair.a.flush())
        _ = pair.takeTold()
        pair.a.withdraw(user: presenceUser(1), device: presenceEntry(1).device, session: SessionID(1), at: 1, now: 0)
        for number in UInt64(4)...11 { pair.a.announce(presenceEntry(number), now: 0) }
        _ = pair.a.flush()
        pair.compare()
        let chunks = pair.answers()
        #expect(chunks.count == 4)
        pair.deliver([chunks[3], chunks[0], chunks[0], chunks[2]])
        #expect(pair.b.deviceCount(on: "a") == 3)
        #expect(pair.told.isEmpty)
        pair.deliver([chunks[1]])
        #expect(pair.b.devices(on: "a") == (2...11).map { presenceEntry($0) })
        #expect(
            pair.told == [.disappeared(presenceEntry(1), node: "a")]
                + (4...11).map { .appeared(presenceEntry($0), node: "a") })
        #expect(pair.a.checkInvariants().isEmpty)
        pair.deliver(chunks)
        #expect(pair.b.deviceCount(on: "a") == 10)
    }

    @Test("a newer snapshot replaces an unfinished one, and a delta that overtakes it makes it needless")
    func snapshotOvertaken() {
        var limits = PresenceLimits()
        limits.keptChanges = 2
        limits.changesPerMessage = 2
        var pair = Pair(limits: limits)
        for number in UInt64(1)...4 { pair.a.announce(presenceEntry(number), now: 0) }
        _ = pair.a.flush()
        pair.compare()
        let old = pair.answers()
        pair.deliver([old[0]])
        for number in UInt64(5)...8 { pair.a.announce(presenceEntry(number), now: 0) }
        _ = pair.a.flush()
        pair.now += 10 * limits.snapshotTimeout
        pair.compare()
        let new = pair.answers()
        pair.deliver([new[1], old[1], new[0], new[3], new[2]])
        #expect(pair.b.devices(on: "a") == (1...8).map { presenceEntry($0) })
    }

    @Test("an empty part below the floor is a snapshot of no entries")
    func emptySnapshot() {
        var limits = PresenceLimits()
        limits.keptChanges = 1
        var pair = Pair(limits: limits)
        pair.a.announce(presenceEntry(1), now: 0)
        pair.deliver(pair.a.flush())
        for session in UInt64(2)...5 {
            pair.a.announce(presenceEntry(1, session: session), now: 0)
            _ = pair.a.flush()
        }
        pair.a.withdraw(user: presenceUser(1), device: presenceEntry(1).device, session: SessionID(5), at: 1, now: 0)
        _ = pair.a.flush()
        pair.compare()
        pair.deliver(pair.answers())
        #expect(pair.b.onlineDevices == 0)
        pair.compare()
        #expect(pair.sent.isEmpty)
    }

    @Test("dead and left hide a part, alive in the same epoch shows it again", arguments: [MemberStatus.dead, .left])
    func hide(status: MemberStatus) {
        var pair = Pair()
        pair.a.announce(presenceEntry(1), now: 0)
        pair.deliver(pair.a.flush())
        _ = pair.takeTold()
        pair.change(memberState("a", .suspect))
        #expect(pair.takeTold().isEmpty)
        pair.change(memberState("a", status), wall: 123)
        #expect(pair.takeTold() == [.partChanged("a")])
        #expect(pair.b.sessions(of: presenceUser(1)).isEmpty)
        #expect(pair.b.devices(on: "a").isEmpty)
        #expect(pair.b.onlineDevices == 0)
        #expect(pair.b.digests().map(\.node) == ["b"])
        #expect(pair.b.lastOnline(user: presenceUser(1), device: presenceEntry(1).device) == 123)
        // What comes meanwhile is kept, and told only when it is shown.
        pair.a.announce(presenceEntry(2), now: 0)
        pair.deliver(pair.a.flush())
        #expect(pair.takeTold().isEmpty)
        pair.change(memberState("a", .alive))
        #expect(pair.takeTold() == [.partChanged("a")])
        #expect(pair.b.devices(on: "a") == [presenceEntry(1), presenceEntry(2)])
    }

    @Test("a higher epoch replaces a part at once, by whatever it is heard of; a lower one is nothing")
    func epochs() {
        for way in 0..<3 {
            var pair = Pair()
            pair.a.announce(presenceEntry(1), now: 0)
            pair.deliver(pair.a.flush())
            _ = pair.takeTold()
            var actions: [PresenceTable.Action] = []
            switch way {
            case 0: pair.b.memberChanged(memberState("a", .alive, epoch: 2), wall: 0, into: &actions)
            case 1:
                pair.b.compare([PresenceDigest(node: "a", epoch: 2, version: 0)], from: "c", now: 0, into: &actions)
            default:
                pair.b.receive(
                    .delta(node: "a", epoch: 2, from: 0, to: 0, changes: []), from: "a", now: 0, into: &actions)
            }
            #expect(actions == [.partChanged("a")])
            #expect(pair.b.onlineDevices == 0)
            // A straggler of the former life.
            pair.deliver([
                .delta(
                    node: "a", epoch: 1, from: 0, to: 9,
                    changes: [PresenceChange(version: 9, online: true, entry: presenceEntry(3))])
            ])
            pair.change(memberState("a", .dead, epoch: 1))
            #expect(pair.b.onlineDevices == 0)
            #expect(pair.b.ignored == 1)
            pair.deliver([
                .delta(
                    node: "a", epoch: 2, from: 0, to: 1,
                    changes: [PresenceChange(version: 1, online: true, entry: presenceEntry(4))])
            ])
            #expect(pair.b.devices(on: "a") == [presenceEntry(4)])
        }
    }

    @Test("a raised epoch carries the sessions that are there over by a snapshot")
    func raise() {
        var pair = Pair()
        pair.a.announce(presenceEntry(1), now: 0)
        pair.deliver(pair.a.flush())
        pair.a.announce(presenceEntry(2), now: 0)
        pair.a.raise(to: 2)
        pair.compare()
        #expect(pair.sent == [.request(node: "a", epoch: 2, version: 0)])
        pair.deliver(pair.answers())
        #expect(pair.b.devices(on: "a") == [presenceEntry(1), presenceEntry(2)])
        pair.a.announce(presenceEntry(3), now: 0)
        pair.deliver(pair.a.flush())
        #expect(pair.b.deviceCount(on: "a") == 3)
    }

    @Test("nobody else writes a part")
    func owner() {
        var pair = Pair()
        var actions: [PresenceTable.Action] = []
        let change = PresenceChange(version: 1, online: true, entry: presenceEntry(1))
        pair.b.receive(
            .delta(node: "a", epoch: 1, from: 0, to: 1, changes: [change]), from: "c", now: 0, into: &actions)
        pair.b.receive(
            .delta(node: "b", epoch: 9, from: 0, to: 1, changes: [change]), from: "b", now: 0, into: &actions)
        pair.b.receive(
            .snapshot(node: "a", epoch: 1, version: 1, chunk: 0, chunks: 1, entries: [presenceEntry(1)]), from: "c",
            now: 0,
            into: &actions)
        pair.b.receive(.request(node: "a", epoch: 1, version: 0), from: "c", now: 0, into: &actions)
        pair.b.receive(
            .snapshot(node: "a", epoch: 1, version: 1, chunk: 0, chunks: .max, entries: []), from: "a", now: 0,
            into: &actions)
        pair.b.receive(
            .snapshot(node: "a", epoch: 1, version: 1, chunk: 5, chunks: 2, entries: []), from: "a", now: 0,
            into: &actions)
        #expect(actions.isEmpty)
        #expect(pair.b.ignored == 5)
        #expect(pair.b.onlineDevices == 0)
    }

    @Test("the newest session of a device is the one of the highest generation, wherever it is")
    func newer() {
        var pair = Pair()
        pair.b.announce(presenceEntry(1, session: 3), now: 0)
        pair.a.announce(presenceEntry(1, session: 5), now: 0)
        pair.a.announce(presenceEntry(1, "tablet", session: 9), now: 0)
        pair.deliver(pair.a.flush())
        let phone = presenceEntry(1).device
        let newer = pair.b.newerSession(user: presenceUser(1), device: phone, than: Generation(term: 1, count: 3))
        #expect(newer?.node == "a" && newer?.entry.session == SessionID(5))
        #expect(pair.b.newerSession(user: presenceUser(1), device: phone, than: Generation(term: 1, count: 5)) == nil)
        #expect(pair.b.newerSession(user: presenceUser(1), device: phone, than: Generation(term: 2, count: 0)) == nil)
        #expect(pair.b.sessions(of: presenceUser(1)).map(\.node) == ["a", "b", "a"])
        #expect(pair.b.sessions(of: presenceUser(1)).map(\.entry.device.text) == ["phone", "phone", "tablet"])
    }

    @Test("the last times online, and parts, are bounded")
    func bounds() {
        var limits = PresenceLimits()
        limits.lastOnline = 10
        limits.maxParts = 3
        var pair = Pair(limits: limits)
        for number in UInt64(1)...30 {
            pair.a.announce(presenceEntry(number), now: 0)
            pair.a.withdraw(
                user: presenceUser(number), device: presenceEntry(number).device, session: SessionID(1),
                at: Int64(number), now: 0)
        }
        #expect(pair.a.lastOnline(user: presenceUser(20), device: presenceEntry(1).device) == nil)
        #expect(pair.a.lastOnline(user: presenceUser(21), device: presenceEntry(1).device) == 21)
        var actions: [PresenceTable.Action] = []
        for index in 0..<9 { pair.a.memberChanged(memberState(NodeID("m\(index)"), .alive), wall: 0, into: &actions) }
        #expect(pair.a.versions.count == 4)
        #expect(pair.a.checkInvariants().isEmpty)
    }
}
