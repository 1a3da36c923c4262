import Foundation
import NIOCore
import RoostClient
import RoostModel
import RoostProtocol
import Testing

@testable import RoostCLI

@Suite struct BenchTallyTests {
    private func accepted(_ counters: [UInt64]) -> BenchAccepted {
        var accepted = BenchAccepted()
        for counter in counters { accepted.insert(counter) }
        return accepted
    }

    private func flow(_ counters: [UInt64]) -> BenchFlow {
        var flow = BenchFlow()
        for counter in counters { _ = flow.receive(counter) }
        return flow
    }

    @Test func aCleanRun() {
        let tally = BenchTally(
            senders: [(3, accepted([1, 2, 3])), (2, accepted([1, 2]))],
            flows: [[flow([1, 2, 3]), flow([1, 2, 3])], [flow([1, 2])]])
        #expect(tally.isClean)
        #expect(tally.sent == 5 && tally.accepted == 5 && tally.delivered == 8)
    }

    @Test func findsLossesInTheMiddleAndAtTheEnd() {
        let tally = BenchTally(senders: [(6, accepted([1, 2, 3, 4, 5, 6]))], flows: [[flow([1, 3, 4])]])
        #expect(tally.lost == 3)
        #expect(!tally.isClean)
    }

    @Test func whatWasNotAcceptedIsNotLost() {
        // 2 was refused, 5 is open: both may arrive or not.
        let tally = BenchTally(senders: [(5, accepted([1, 3, 4]))], flows: [[flow([1, 3])], []])
        #expect(tally.lost == 1)
        #expect(BenchTally(senders: [(5, accepted([1, 3, 4]))], flows: [[flow([1, 3, 4, 5])]]).lost == 0)
    }

    @Test func tellsDuplicatesFromStragglers() {
        var flow = BenchFlow()
        #expect(flow.receive(1) == .new)
        #expect(flow.receive(4) == .new)
        #expect(flow.receive(2) == .outOfOrder)
        #expect(flow.receive(2) == .duplicate)
        #expect(flow.receive(4) == .duplicate)
        #expect(flow.contains(2) && !flow.contains(3) && !flow.contains(5))
        #expect(flow.missing == [3])
        #expect(flow.received == 3 && flow.duplicates == 2 && flow.outOfOrder == 1)
    }

    @Test func gapsAreBounded() {
        var flow = BenchFlow()
        _ = flow.receive(10_000_000)
        #expect(flow.missing.count == BenchFlow.maxMissing)
        #expect(flow.next == 10_000_001)
    }

    @Test func acceptedOutOfOrderCloses() {
        let some = accepted([2, 3, 5, 1])
        #expect(some.floor == 3)
        #expect(some.above == [5])
        #expect(some.count == 4 && some.highest == 5)
        #expect(some.count(from: 3) == 2)
        #expect(some.contains(3) && !some.contains(4) && !some.contains(0))
    }
}

@Suite struct BenchContentTests {
    @Test func roundTrip() throws {
        let content = BenchContent(run: 77, sender: 3, counter: 12_345, dueAt: 987_654_321_012)
        for size in [64, 256, 1_000] {
            var buffer = ByteBuffer()
            content.write(size: size, into: &buffer)
            #expect(buffer.readableBytes == size)
            #expect(BenchContent(buffer) == content)
        }
    }

    @Test(arguments: ["", "\"hello\"", "\"b:\"", "\"b:1:2:3\"", "\"b:1:2:x:4:\"", "\"b:99999999999:1:1:1:\"", "{}"])
    func othersAreNotOurs(_ text: String) { #expect(BenchContent(ByteBuffer(string: text)) == nil) }
}

@Suite struct BenchPlanTests {
    @Test func pairsUseTheServersTheyAreGiven() {
        let plan = BenchPlan(
            pairs: 3, groups: 0, groupSize: 2, idle: 0, senders: [0, 1], receivers: [2], idleServers: [0, 1, 2])
        #expect(plan.users == 6)
        #expect(plan.conversations.map(\.users) == [[0, 1], [2, 3], [4, 5]])
        let senders = plan.endpoints.filter { if case .sender = $0.role { true } else { false } }
        #expect(Set(senders.map(\.server)) == [0, 1])
        #expect(plan.endpoints.filter { $0.role == .receiver }.allSatisfy { $0.server == 2 })
    }

    @Test func groupsShareTheirReceivers() {
        let plan = BenchPlan(
            pairs: 0, groups: 3, groupSize: 5, idle: 0, senders: [0], receivers: [0, 1], idleServers: [0, 1])
        #expect(plan.users == 4 + 3)
        #expect(plan.conversations.allSatisfy { $0.receivers == 4 })
        #expect(plan.endpoints.count { $0.role == .receiver } == 4)
        // A sender's account is in no other group: its socket receives nothing.
        let senders = plan.conversations.map { $0.users[0] }
        #expect(Set(senders).count == 3)
        #expect(plan.conversations.allSatisfy { Set($0.users.dropFirst()).isDisjoint(with: senders) })
    }

    @Test func idleDevicesShareAccounts() {
        let plan = BenchPlan(
            pairs: 0, groups: 0, groupSize: 2, idle: 33, senders: [0], receivers: [0], idleServers: [0, 1])
        #expect(plan.users == 3)
        #expect(plan.endpoints.count == 33)
        #expect(Set(plan.endpoints.map { "\($0.user)/\($0.device)" }).count == 33)
    }
}

@Suite struct BenchSenderTests {
    private func settings(rate: Double? = nil, messages: UInt64? = nil, window: Int = 4) -> BenchSettings {
        let plan = BenchPlan(pairs: 1, groups: 0, groupSize: 2, idle: 0, senders: [0], receivers: [0], idleServers: [0])
        return BenchSettings(
            run: 5, size: 100, window: window, ratePerSender: rate, messagesPerSender: messages, servers: [],
            plan: plan,
            users: [], conversations: [ConversationID(UUID128(high: 1, low: 2))])
    }

    private func next(_ sender: inout BenchSender, now: UInt64, sending: Bool = true) throws -> [ClientSend] {
        var frames: [ByteBuffer] = []
        _ = sender.next(now: now, since: 0, isSending: sending, into: &frames)
        return try frames.compactMap { frame in
            guard case .send(let send) = try ClientFrame(parsing: frame, contentLimit: 1_000) else { return nil }
            return send
        }
    }

    private func counters(_ sends: [ClientSend]) -> [UInt64?] { sends.map { BenchContent($0.content)?.counter } }

    @Test func keepsItsWindowFull() throws {
        var sender = BenchSender(number: 0, settings: settings())
        let first = try next(&sender, now: 1)
        #expect(counters(first) == [1, 2, 3, 4])
        #expect(try next(&sender, now: 2).isEmpty)
        #expect(sender.accepted(try #require(first[0].id)) == 1)
        #expect(sender.accepted(try #require(first[0].id)) == nil)
        #expect(counters(try next(&sender, now: 3)) == [5])
    }

    @Test func keepsToItsRateAndMeasuresFromWhenItWasDue() throws {
        var sender = BenchSender(number: 0, settings: settings(rate: 100))
        #expect(try next(&sender, now: 9_000_000).isEmpty)
        let sends = try next(&sender, now: 35_000_000)
        #expect(sends.map { BenchContent($0.content)?.dueAt } == [10_000_000, 20_000_000, 30_000_000])
    }

    @Test func stopsAtItsNumber() throws {
        var sender = BenchSender(number: 0, settings: settings(messages: 2))
        #expect(try next(&sender, now: 1).count == 2)
        #expect(try next(&sender, now: 2, sending: false).isEmpty)
    }

    @Test func sendsAgainInOrderWithTheSameIds() throws {
        var sender = BenchSender(number: 0, settings: settings())
        let first = try next(&sender, now: 1)
        let ids = try first.map { try #require($0.id) }
        let refusal = ServerError(
            codeText: "unavailable", detail: "", retryable: true, retryAfterMilliseconds: 10, id: ids[1])
        sender.refused(refusal, now: 5)
        _ = sender.accepted(ids[0])
        // The others are still on their way.
        #expect(try next(&sender, now: 1_000_000_000).isEmpty)
        for id in ids[2...] {
            sender.refused(
                ServerError(codeText: "unavailable", detail: "", retryable: true, retryAfterMilliseconds: 10, id: id),
                now: 6)
        }
        #expect(try next(&sender, now: 1_000).isEmpty)
        let again = try next(&sender, now: 20_000_000)
        #expect(again.prefix(3).map(\.id) == ids[1...].map { $0 })
        #expect(counters(again) == [2, 3, 4, 5])
        sender.disconnected()
        #expect(counters(try next(&sender, now: 21_000_000, sending: false)) == [2, 3, 4, 5])
    }
}

@Suite struct ProcessMeterTests {
    private func stats(_ pid: Int32, cpu: Double, started: UInt64 = 1) -> ProcessStats {
        ProcessStats(pid: pid, cpuSeconds: cpu, residentBytes: 1, startTicks: started)
    }

    @Test func countsFromTheFirstLookOn() {
        var meter = ProcessMeter()
        #expect(meter.cpuSeconds == 0 && meter.latest == nil)
        meter.observe(stats(7, cpu: 10))
        #expect(meter.cpuSeconds == 0)
        meter.observe(stats(7, cpu: 12.5))
        #expect(meter.cpuSeconds == 2.5 && meter.restarts == 0)
    }

    @Test func aRestartedProcessCountsFromItsStart() {
        var meter = ProcessMeter()
        meter.observe(stats(7, cpu: 10))
        meter.observe(stats(7, cpu: 12))
        meter.observe(nil)
        #expect(meter.cpuSeconds == 2)
        meter.observe(stats(8, cpu: 0.5, started: 2))
        #expect(meter.cpuSeconds == 2.5 && meter.restarts == 1 && meter.latest?.pid == 8)
        // The number is used again: the start tells them apart.
        meter.observe(stats(8, cpu: 0.25, started: 3))
        #expect(meter.cpuSeconds == 2.75 && meter.restarts == 2)
    }

    @Test func followsAProcessOfItsOwn() throws {
        var meters = ProcessMeters([.init(name: "this", pid: getpid(), port: nil)])
        meters.observe()
        meters.observe()
        let meter = try #require(meters.servers.first?.meter)
        #expect(meter.restarts == 0 && meter.cpuSeconds >= 0 && meter.latest?.residentBytes ?? 0 > 0)
        // Nothing has this number.
        var none = ProcessMeters([.init(name: "none", pid: .max, port: nil)])
        none.observe()
        #expect(none.servers.first?.meter.latest == nil)
    }
}

@Suite struct ProcessStatsTests {
    @Test func findsListeningSockets() {
        let table = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0
               1: 0100007F:1F41 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0
               2: 0100007F:1F42 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0
            """
        #expect(ProcessStats.listeningInodes(table, port: 8_001) == ["4711"])
        #expect(ProcessStats.listeningInodes(table, port: 8_003) == [])
    }
}
