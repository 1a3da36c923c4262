import Testing

@testable import RoostCLI

@Suite struct SupervisorTests {
    private func ready() -> Supervisor {
        var supervisor = Supervisor(nodes: 2, drainMilliseconds: 10_000)
        _ = supervisor.receive(.start, now: 0)
        _ = supervisor.receive(.ready(0), now: 100)
        _ = supervisor.receive(.ready(1), now: 200)
        return supervisor
    }

    @Test func startsAllAndTellsWhenTheyAreReady() {
        var supervisor = Supervisor(nodes: 2, drainMilliseconds: 10_000)
        #expect(supervisor.receive(.start, now: 0) == [.spawn(0), .spawn(1)])
        #expect(supervisor.receive(.ready(1), now: 5) == [.announceReady(1)])
        #expect(supervisor.receive(.ready(1), now: 6) == [])
        #expect(supervisor.receive(.ready(0), now: 7) == [.announceReady(0), .announceAllReady])
        #expect(supervisor.deadline == nil)
    }

    @Test func startsTheDeadAgainLaterEachTime() {
        var supervisor = ready()
        var now: UInt64 = 1_000
        for delay: UInt64 in [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
            let exit = Supervisor.Exit.signal(9)
            #expect(
                supervisor.receive(.exited(0, exit), now: now) == [.announceRestart(0, exit, delayMilliseconds: delay)])
            #expect(supervisor.deadline == now + delay)
            #expect(supervisor.receive(.wake, now: now + delay - 1) == [])
            now += delay
            #expect(supervisor.receive(.wake, now: now) == [.spawn(0)])
            now += 10
        }
    }

    @Test func aNodeThatServedLongBeginsAnew() {
        var supervisor = ready()
        _ = supervisor.receive(.exited(0, .code(1)), now: 300)
        _ = supervisor.receive(.wake, now: 800)
        #expect(supervisor.receive(.ready(0), now: 900) == [.announceReady(0)])
        let actions = supervisor.receive(.exited(0, .code(1)), now: 900 + Supervisor.stableMilliseconds)
        #expect(actions == [.announceRestart(0, .code(1), delayMilliseconds: 500)])
    }

    @Test(arguments: [64, 69, 73, 78] as [Int32])
    func hopelessAtTheFirstStartStopsEverything(_ code: Int32) {
        var supervisor = Supervisor(nodes: 2, drainMilliseconds: 10_000)
        _ = supervisor.receive(.start, now: 0)
        #expect(
            supervisor.receive(.exited(0, .code(code)), now: 50) == [.announceGivingUp(0, .code(code)), .terminate(1)])
        #expect(supervisor.receive(.exited(1, .code(0)), now: 90) == [.finish(code: code)])
        #expect(supervisor.deadline == nil)
    }

    @Test func aCodeThatWasHopelessIsNotSoOnceItHasServed() {
        var supervisor = ready()
        #expect(
            supervisor.receive(.exited(1, .code(69)), now: 300) == [
                .announceRestart(1, .code(69), delayMilliseconds: 500)
            ])
    }

    @Test func whoLeavesIsNotStartedAgain() {
        var supervisor = ready()
        #expect(supervisor.receive(.left(1), now: 250) == [])
        #expect(supervisor.receive(.exited(1, .code(0)), now: 300) == [.announceLeft(1)])
        #expect(supervisor.deadline == nil)
        #expect(supervisor.receive(.exited(0, .code(78)), now: 400) == [.announceDown(0, .code(78)), .finish(code: 0)])
    }

    @Test func drainsThenKills() {
        var supervisor = ready()
        #expect(supervisor.receive(.stopRequested, now: 1_000) == [.terminate(0), .terminate(1)])
        #expect(supervisor.deadline == 11_000)
        #expect(supervisor.receive(.exited(0, .code(0)), now: 2_000) == [])
        #expect(supervisor.receive(.wake, now: 11_000) == [.kill(1)])
        #expect(supervisor.deadline == nil)
        #expect(supervisor.receive(.exited(1, .signal(9)), now: 11_001) == [.finish(code: 0)])
        #expect(supervisor.receive(.stopRequested, now: 11_002) == [])
    }

    @Test func aSecondRequestKillsAtOnce() {
        var supervisor = ready()
        _ = supervisor.receive(.stopRequested, now: 1_000)
        #expect(supervisor.receive(.stopRequested, now: 1_001) == [.kill(0), .kill(1)])
    }

    @Test func oneThatWaitsIsNotStartedAgainWhenStopping() {
        var supervisor = ready()
        _ = supervisor.receive(.exited(0, .code(1)), now: 300)
        #expect(supervisor.receive(.stopRequested, now: 400) == [.terminate(1)])
        #expect(supervisor.receive(.wake, now: 900) == [])
        #expect(supervisor.receive(.exited(1, .code(0)), now: 950) == [.finish(code: 0)])
    }

    @Test func readsTheReadyLine() {
        let line = ReadyLine("ready node-1 client=127.0.0.1:8001 admin=http://127.0.0.1:9001")
        #expect(line?.node == "node-1")
        #expect(line?.client == "http://127.0.0.1:8001")
        #expect(line?.admin == "http://127.0.0.1:9001")
        #expect(ReadyLine("ready node-1") == nil)
        #expect(ReadyLine("ready or not, here I come") == nil)
    }

    @Test func putsLinesTogether() {
        var splitter = LineSplitter()
        #expect(splitter.feed(Array("a\nb".utf8)) == ["a"])
        #expect(splitter.feed(Array("c\n\nd".utf8)) == ["bc", ""])
        #expect(splitter.finish() == ["d"])
        #expect(splitter.finish() == [])
        #expect(splitter.feed(Array(repeating: UInt8(ascii: "x"), count: 70_000)).count == 1)
    }
}
