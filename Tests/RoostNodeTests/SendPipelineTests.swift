import NIOCore
import RoostModel
import RoostProtocol
import Testing

@testable import RoostNode

@Suite struct SendPipelineTests {
    private let session = SessionID(7)

    @Test func theBaseIsTheOldestUnanswered() {
        var pipeline = SendPipeline(run: 1)
        #expect(pipeline.take(session: session) == SendOrder(session: session, run: 1, counter: 1, base: 1))
        pipeline.began(counter: 1, call: 10)
        #expect(pipeline.take(session: session) == SendOrder(session: session, run: 1, counter: 2, base: 1))
        pipeline.began(counter: 2, call: 11)
        pipeline.answered(counter: 1)
        #expect(pipeline.base == 2 && !pipeline.isForgettable(now: 0, isBehind: false))
        #expect(pipeline.take(session: session) == SendOrder(session: session, run: 1, counter: 3, base: 2))
        pipeline.began(counter: 3, call: 12)
        // Answers may come in any order.
        pipeline.answered(counter: 3)
        #expect(pipeline.base == 2)
        pipeline.answered(counter: 2)
        #expect(pipeline.isForgettable(now: 0, isBehind: false) && pipeline.base == 4)
    }

    @Test func givingUpBeginsANewRun() {
        var pipeline = SendPipeline(run: 1)
        for number in UInt64(1)...3 {
            _ = pipeline.take(session: session)
            pipeline.began(counter: number, call: number * 10)
        }
        pipeline.answered(counter: 1)
        #expect(pipeline.giveUp() == [20, 30])
        #expect(pipeline.isForgettable(now: 0, isBehind: false) && pipeline.run == 2)
        // The new run's first is at its own base: what the log has of the former run does not matter.
        #expect(pipeline.take(session: session) == SendOrder(session: session, run: 2, counter: 4, base: 4))
    }
}

@Suite struct SendHaltTests {
    private let ids = (1...4).map { MessageID(UUID128(high: 7, low: UInt64($0))) }
    private static let quiet = SendHalt.quiet

    /// Refuses the first at 0.
    private func halted(_ reason: SendHalt.Reason = .unavailable) -> SendPipeline {
        var pipeline = SendPipeline(run: 1)
        #expect(pipeline.refusal(of: ids[0], now: 0) == nil)
        pipeline.refused(ids[0], reason, now: 0)
        return pipeline
    }

    @Test func whatFollowsIsRefusedUntilTheRefusedComesAgain() {
        var pipeline = halted()
        #expect(pipeline.refusal(of: ids[1], now: 1) == .unavailable)
        #expect(pipeline.refusal(of: nil, now: 2) == .unavailable)
        #expect(pipeline.refusal(of: ids[0], now: 3) == nil)
        #expect(pipeline.refusal(of: ids[1], now: 4) == nil)
    }

    @Test func anyOfTheRefusedEndsIt() {
        var pipeline = halted(.rateLimited)
        #expect(pipeline.refusal(of: ids[1], now: 1) == .rateLimited)
        // The client gave the first up.
        #expect(pipeline.refusal(of: ids[1], now: 2) == nil)
        #expect(pipeline.refusal(of: ids[2], now: 3) == nil)
    }

    @Test func quietEndsIt() {
        var pipeline = halted()
        #expect(pipeline.refusal(of: ids[1], now: Self.quiet - 1) == .unavailable)
        #expect(pipeline.refusal(of: ids[2], now: 2 * Self.quiet - 2) == .unavailable)
        #expect(pipeline.refusal(of: ids[3], now: 3 * Self.quiet - 2) == nil)
    }

    @Test func aHaltThatIsOverKeepsNoPipeline() {
        let pipeline = halted()
        #expect(!pipeline.isForgettable(now: Self.quiet - 1, isBehind: false))
        #expect(!pipeline.isForgettable(now: Self.quiet, isBehind: true))
        #expect(pipeline.isForgettable(now: Self.quiet, isBehind: false))
    }

    @Test func nobodyIsShutOutForGood() {
        var pipeline = halted()
        var now: UInt64 = 0
        while pipeline.refusal(of: nil, now: now) != nil { now += Self.quiet / 2 }
        #expect(now == SendHalt.longest)
    }
}

@Suite struct CallTableTests {
    private func call(
        _ partition: PartitionID, deadline: UInt64 = 100, remade: (@Sendable () -> Command?)? = nil
    ) -> CallTable.Call {
        var buffer = ByteBuffer()
        Command.advanceCursors([]).encode(into: &buffer)
        return CallTable.Call(partition: partition, body: .propose(buffer), deadline: deadline, remade: remade) { _ in }
    }

    @Test func idsOfOneLifeAreNotThoseOfTheNext() {
        var first = CallTable(epoch: 1_700_000_000)
        var second = CallTable(epoch: 1_700_000_001)
        let early = (0..<3).map { _ in first.add(call(0)) }
        let late = (0..<3).map { _ in second.add(call(0)) }
        #expect(Set(early).isDisjoint(with: late) && early == early.sorted())
        #expect((late.first ?? 0) > (early.last ?? 0))
    }

    private let server = CallTable.Server(node: "node-1", epoch: 7)

    /// One that may still be taken elsewhere can't be said to be refused.
    @Test func aCallIsScatteredOverLives() {
        var table = CallTable(epoch: 1)
        let id = table.add(call(0))
        for _ in 0..<3 { table.sent(id, at: 5, to: server) }
        #expect(table[id]?.isScattered == false)
        table.sent(id, at: 6, to: CallTable.Server(node: "node-1", epoch: 8))
        #expect(table[id]?.isScattered == true)
        table.sent(id, at: 7, to: CallTable.Server(node: "node-1", epoch: 8))
        #expect(table[id]?.isScattered == true)
    }

    @Test func refusalsAreRememberedUpToABound() {
        var refusals = RecentRefusals(limit: 2)
        func origin(_ id: UInt64) -> Partition.ProposalOrigin { .init(node: "node-1", id: id) }
        for id in 1...3 as ClosedRange<UInt64> { refusals.note(.rejected(.notMember), to: origin(id)) }
        refusals.note(.rejected(.outOfOrder), to: origin(4))
        refusals.note(.done, to: origin(5))
        #expect(refusals[origin(1)] == nil)
        #expect(refusals[origin(2)] == .rejected(.notMember) && refusals[origin(3)] == .rejected(.notMember))
        #expect(refusals[origin(4)] == nil && refusals[origin(5)] == nil)
    }

    @Test func whatWaitsGoesInOrder() {
        var table = CallTable(epoch: 1)
        let ids = (0..<6).map { table.add(call(PartitionID(UInt16($0 % 2)))) }
        #expect(table.ids(of: 0) == [ids[0], ids[2], ids[4]])
        for id in ids { table.sent(id, at: 50, to: server) }
        #expect(table.waiting(since: 49).isEmpty)
        #expect(table.waiting(since: 50) == [0, 1])
        table.unsent(ids[3])
        #expect(table.waiting(since: 10) == [1])
        _ = table.remove(ids[3])
        #expect(table.waiting(since: 10).isEmpty && table.count == 5)
    }

    @Test func callsExpireOldestFirst() {
        var table = CallTable(epoch: 1)
        let ids = [100, 50, 75].map { table.add(call(0, deadline: $0)) }
        #expect(table.expired(at: 49).isEmpty)
        #expect(table.expired(at: 75) == [ids[1], ids[2]])
        #expect(table.expired(at: 100) == ids)
    }

    @Test func outOfOrderIsMadeAnewAFewTimes() throws {
        var table = CallTable(epoch: 1)
        let again = Command.setAccountDisabled(user: UserID(foldedUsername: "ada"), disabled: true)
        let id = table.add(call(0, remade: { again }))
        table.sent(id, at: 5, to: server)
        let first = table.outOfOrder(id)
        #expect(first != nil && first?.sentAt == nil)
        guard case .propose(var body)? = first?.body else { return }
        #expect(try Command(decoding: &body) == again)
        var rounds = 1
        while rounds < 100, table.outOfOrder(id) != nil { rounds += 1 }
        #expect(rounds == 10)
        let unknown = table.outOfOrder(99)
        #expect(unknown == nil)
    }
}
