import RoostCluster
import RoostModel
import RoostProtocol
import Testing

private let second: UInt64 = 1_000_000_000

/// A watch with its clock, the truth, and what each session was told.
private struct Watcher {
    var watch: PresenceWatch
    var now: UInt64 = 100 * second
    var online: Set<UserID> = []
    var told: [UInt32: [PresenceFrame]] = [:]
    /// Whom the log was asked about.
    var asked: [UserID] = []

    init(limits: PresenceWatchLimits = .init(), settles: UInt64 = 0) {
        watch = PresenceWatch(limits: limits, now: now, settles: settles)
    }

    @discardableResult
    mutating func subscribe(_ slot: UInt32, _ users: UInt64...) -> Bool {
        watch.subscribe(slot, to: users.map(presenceUser), now: now) { online.contains($0) }
    }

    mutating func set(_ number: UInt64, online isOnline: Bool) {
        let user = presenceUser(number)
        if isOnline { online.insert(user) } else { online.remove(user) }
        if !isOnline { watch.gone(user, now: now) }
        watch.changed(user, isOnline: isOnline, now: now)
    }

    /// Writes what may be written, to all sessions but the slow ones; the log answers at once.
    @discardableResult
    mutating func tick(slow: Set<UInt32> = [], lastSeen: Int64? = 7) -> [UInt32: [PresenceFrame]] {
        watch.settle(now: now)
        var fresh: [UInt32: [PresenceFrame]] = [:]
        for _ in 0..<2 {
            var asks: [UserID] = []
            for _ in 0..<watch.readyCount {
                guard let slot = watch.nextReady() else { break }
                if slow.contains(slot) {
                    watch.postpone(slot)
                } else {
                    fresh[slot, default: []] += watch.take(slot, limit: 100, now: now, asks: &asks)
                }
            }
            asked += asks
            for user in asks { watch.seen(user, lastSeen, now: now) }
        }
        for (slot, frames) in fresh { told[slot, default: []] += frames }
        return fresh.filter { !$0.value.isEmpty }
    }

    mutating func pass(_ seconds: Double) { now += UInt64(seconds * 1e9) }
}

private func frame(_ number: UInt64, _ status: PresenceStatus) -> PresenceFrame {
    PresenceFrame(user: presenceUser(number), status: status)
}

@Suite struct PresenceWatchTests {
    @Test func tellsNowAndOnChange() {
        var watcher = Watcher()
        watcher.set(1, online: true)
        watcher.subscribe(9, 1, 2)
        #expect(watcher.tick()[9] == [frame(1, .online), frame(2, .offline(lastSeen: 7))])
        #expect(watcher.tick().isEmpty && !watcher.watch.hasReady && watcher.watch.nextDue == nil)
        watcher.set(2, online: true)
        #expect(watcher.tick() == [9: [frame(2, .online)]])
        watcher.set(1, online: false)
        #expect(watcher.tick().isEmpty)
        #expect(watcher.watch.nextDue == watcher.now + 3 * second)
        watcher.pass(3)
        #expect(watcher.tick(lastSeen: 11) == [9: [frame(1, .offline(lastSeen: 11))]])
        #expect(watcher.watch.checkInvariants() == [])
    }

    @Test func whoComesBackInTimeWasNeverAway() {
        var watcher = Watcher()
        watcher.set(1, online: true)
        watcher.subscribe(9, 1)
        watcher.tick()
        for _ in 0..<5 {
            watcher.set(1, online: false)
            watcher.pass(2.9)
            #expect(watcher.tick().isEmpty)
            watcher.set(1, online: true)
            watcher.pass(1)
            #expect(watcher.tick().isEmpty)
        }
        #expect(watcher.watch.nextDue == nil)
    }

    @Test func whoHasJustGoneIsNotOfflineForALaterSubscriberEither() {
        var watcher = Watcher()
        watcher.set(1, online: true)
        watcher.set(1, online: false)
        watcher.pass(1)
        watcher.subscribe(9, 1, 2)
        #expect(watcher.tick()[9] == [frame(2, .offline(lastSeen: 7))])
        watcher.pass(1.9)
        #expect(watcher.tick().isEmpty)
        watcher.pass(0.1)
        #expect(watcher.tick()[9] == [frame(1, .offline(lastSeen: 7))])
    }

    @Test func aNodeThatMayNotKnowYetWaits() {
        var watcher = Watcher(settles: 5 * second)
        watcher.subscribe(9, 1)
        #expect(watcher.tick().isEmpty)
        watcher.set(1, online: true)
        #expect(watcher.tick()[9] == [frame(1, .online)])
        watcher.pass(6)
        watcher.subscribe(8, 2)
        #expect(watcher.tick()[8] == [frame(2, .offline(lastSeen: 7))])
        watcher.watch.manyGone(now: watcher.now)
        watcher.subscribe(7, 3)
        #expect(watcher.tick().isEmpty)
        watcher.pass(3)
        #expect(watcher.tick()[7] == [frame(3, .offline(lastSeen: 7))])
    }

    @Test func aSlowSessionIsToldWhatHoldsAndNoMore() {
        var watcher = Watcher()
        watcher.subscribe(9, 1, 2)
        watcher.subscribe(8, 1)
        watcher.tick()
        for turn in 0..<10 {
            watcher.set(1, online: turn % 2 == 0)
            watcher.set(2, online: turn % 2 == 0)
            watcher.pass(4)
            let told = watcher.tick(slow: [9])
            #expect(told.keys.sorted() == [8])
        }
        #expect(watcher.tick().isEmpty, "in the end nothing has changed")
        watcher.set(1, online: true)
        watcher.pass(4)
        watcher.tick(slow: [9])
        #expect(watcher.tick() == [9: [frame(1, .online)]])
    }

    @Test func aNewListReplacesTheFormer() {
        var watcher = Watcher()
        watcher.set(1, online: true)
        watcher.set(2, online: true)
        watcher.subscribe(9, 1, 2)
        watcher.tick()
        watcher.subscribe(9, 2, 3)
        #expect(watcher.tick()[9] == [frame(3, .offline(lastSeen: 7))], "who stays is not told again")
        watcher.set(1, online: false)
        watcher.pass(4)
        #expect(watcher.tick().isEmpty && !watcher.watch.isWatched(presenceUser(1)))
        watcher.subscribe(9)
        #expect(watcher.watch.subscriptions == 0 && watcher.watch.watchedUsers.isEmpty)
        watcher.subscribe(9, 2)
        #expect(watcher.tick()[9] == [frame(2, .online)])
        watcher.watch.end(9)
        #expect(watcher.watch.subscriptions == 0 && !watcher.watch.hasReady)
        #expect(watcher.watch.checkInvariants() == [])
    }

    /// He is offline for one who may not see him.
    @Test func whomASessionMayNotWatchAnyMoreIsOfflineToIt() {
        var watcher = Watcher()
        watcher.set(1, online: true)
        watcher.subscribe(9, 1, 2)
        watcher.tick()
        watcher.watch.revoke([presenceUser(1), presenceUser(2)], from: 9)
        #expect(watcher.watch.checkInvariants() == [])
        #expect(watcher.tick()[9] == [frame(1, .offline(lastSeen: nil))])
        watcher.set(1, online: false)
        watcher.set(1, online: true)
        #expect(watcher.tick().isEmpty && watcher.watch.subscriptions == 0)
        #expect(watcher.watch.checkInvariants() == [])
    }

    @Test func whatIsKnownOfLastSeenIsReadAnewAfterASecond() {
        var watcher = Watcher()
        watcher.subscribe(9, 1)
        watcher.tick(lastSeen: 7)
        watcher.pass(0.9)
        watcher.subscribe(8, 1)
        #expect(watcher.tick(lastSeen: nil)[8] == [frame(1, .offline(lastSeen: 7))])
        watcher.pass(0.1)
        watcher.subscribe(7, 1)
        #expect(watcher.tick(lastSeen: nil)[7] == [frame(1, .offline(lastSeen: nil))])
        #expect(watcher.asked == [presenceUser(1), presenceUser(1)])
    }

    @Test func thereIsRoomForSoMany() {
        var limits = PresenceWatchLimits()
        limits.subscriptions = 3
        var watcher = Watcher(limits: limits)
        #expect(watcher.subscribe(9, 1, 2) == true)
        #expect(watcher.subscribe(8, 1, 2) == false)
        #expect(watcher.watch.users(of: 8).isEmpty && watcher.watch.subscriptions == 2)
        #expect(watcher.subscribe(9, 3, 4, 5) == true, "its own former list makes room")
        #expect(watcher.subscribe(9, 1, 2, 3, 4) == false)
        #expect(watcher.watch.users(of: 9) == [3, 4, 5].map(presenceUser))
    }

    /// Against a truth kept apart: users come and go, sessions subscribe, are slow and end. In the end everybody knows how
    /// all stand; never the same twice, never offline before the debounce.
    @Test(arguments: 0..<60 as Range<UInt64>) func everybodyIsToldTheTruth(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        func random(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
        var watcher = Watcher()
        var lists: [UInt32: Set<UInt64>] = [:]
        var last: [UInt32: [UserID: Bool]] = [:]
        var wentAt: [UserID: UInt64] = [:]
        func judge(_ fresh: [UInt32: [PresenceFrame]], _ watcher: Watcher) {
            for (slot, frames) in fresh {
                for frame in frames {
                    let isOnline = frame.status.isOnline
                    #expect(last[slot]?[frame.user] != isOnline, "seed \(seed): twice \(frame)")
                    last[slot, default: [:]][frame.user] = isOnline
                    if !isOnline, let went = wentAt[frame.user] {
                        #expect(watcher.now >= went + 3 * second, "seed \(seed): too early")
                        #expect(!watcher.online.contains(frame.user), "seed \(seed)")
                    }
                    if isOnline { #expect(watcher.online.contains(frame.user) || wentAt[frame.user] != nil) }
                }
            }
        }
        for _ in 0..<400 {
            watcher.pass(Double(random(0...20)) / 10)
            let slot = UInt32(random(1...4))
            switch random(0...9) {
            case 0...4:
                let number = UInt64(random(1...6))
                let isOnline = random(0...1) == 0
                if !isOnline, watcher.online.contains(presenceUser(number)) {
                    wentAt[presenceUser(number)] = watcher.now
                }
                watcher.set(number, online: isOnline)
            case 5:
                let users = Set((0..<random(0...5)).map { _ in UInt64(random(1...6)) })
                lists[slot] = users
                last[slot] = last[slot]?.filter { users.map(presenceUser).contains($0.key) }
                let taken = watcher.watch.subscribe(slot, to: users.map(presenceUser), now: watcher.now) {
                    watcher.online.contains($0)
                }
                #expect(taken)
            case 6:
                watcher.watch.end(slot)
                lists[slot] = nil
                last[slot] = nil
            default:
                let slow = Set((1...4).filter { _ in random(0...2) == 0 }.map { UInt32($0) })
                judge(watcher.tick(slow: slow), watcher)
            }
            let problems = watcher.watch.checkInvariants()
            #expect(problems == [], "seed \(seed)")
            guard problems.isEmpty else { return }
        }
        watcher.pass(4)
        judge(watcher.tick(), watcher)
        judge(watcher.tick(), watcher)
        for (slot, users) in lists {
            for number in users {
                let user = presenceUser(number)
                #expect(last[slot]?[user] == watcher.online.contains(user), "seed \(seed): \(slot) of \(number)")
            }
        }
        #expect(!watcher.watch.hasReady && watcher.watch.nextDue == nil)
    }
}
