import NIOCore
import RoostModel
import RoostProtocol
import Testing

@testable import RoostNode

@Suite struct SendPipelineTests {
    private let session = SessionID(7)

    @Test func theBaseIsTheOldestUnanswered() {
        var pipeline = SendPipeline()
        #expect(pipeline.take(session: session) == SendOrder(session: session, run: 1, counter: 1, base: 1))
        pipeline.began(counter: 1, call: 10)
        #expect(pipeline.take(session: session) == SendOrder(session: session, run: 1, counter: 2, base: 1))
        pipeline.began(counter: 2, call: 11)
        pipeline.answered(counter: 1)
        #expect(pipeline.base == 2 && !pipeline.isIdle)
        #expect(pipeline.take(session: session) == SendOrder(session: session, run: 1, counter: 3, base: 2))
        pipeline.began(counter: 3, call: 12)
        // Answers may come in any order.
        pipeline.answered(counter: 3)
        #expect(pipeline.base == 2)
        pipeline.answered(counter: 2)
        #expect(pipeline.isIdle && pipeline.base == 4)
    }

    @Test func givingUpBeginsANewRun() {
        var pipeline = SendPipeline()
        for number in UInt64(1)...3 {
            _ = pipeline.take(session: session)
            pipeline.began(counter: number, call: number * 10)
        }
        pipeline.answered(counter: 1)
        #expect(pipeline.giveUp() == [20, 30])
        #expect(pipeline.isIdle && pipeline.run == 2)
        // The new run's first is at its own base: what the log has of the former run does not matter.
        #expect(pipeline.take(session: session) == SendOrder(session: session, run: 2, counter: 4, base: 4))
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

    @Test func whatWaitsGoesInOrder() {
        var table = CallTable(epoch: 1)
        let ids = (0..<6).map { table.add(call(PartitionID(UInt16($0 % 2)))) }
        #expect(table.ids(of: 0) == [ids[0], ids[2], ids[4]])
        for id in ids { table.sent(id, at: 50) }
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
        table.sent(id, at: 5)
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
