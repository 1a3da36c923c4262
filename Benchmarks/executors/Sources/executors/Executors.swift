import Foundation
import NIOCore
import NIOPosix

/// What one message costs to hand over, by the way it goes. Build with `-c release`.
@main
struct Executors {
    static func main() async {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let core = group.next()
        let other = group.next()
        let driver = Driver(core: core, other: other)
        print("way                                            ns a message    of it processor")
        for way in Way.allCases {
            // The first run warms up.
            var runs: [Cost] = []
            for run in 0...Way.runs {
                let cost = await driver.measure(way)
                if run > 0 { runs.append(cost) }
            }
            let middle = runs.sorted { $0.wall < $1.wall }[runs.count / 2]
            print("\(pad(way.name, 44))\(number(middle.wall))\(number(middle.processor))")
        }
        try? await group.shutdownGracefully()
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private static func number(_ value: Double) -> String {
        let text = value < 100 ? "\((value * 10).rounded() / 10)" : "\(Int(value.rounded()))"
        return String(repeating: " ", count: max(0, 15 - text.count)) + text
    }
}

/// Nanoseconds for each message: on the clock, and of all of the process's threads together.
struct Cost: Sendable {
    var wall: Double
    var processor: Double
}

enum Way: CaseIterable, Sendable {
    case plain
    case assumeIsolated
    case assumeIsolatedFromLoop
    case awaitSameExecutor
    case awaitDefaultExecutor
    case hop
    case batchedHop

    static let runs = 5
    static let batch = 64

    var name: String {
        switch self {
        case .plain: "plain call"
        case .assumeIsolated: "actor, same executor, assumeIsolated"
        case .assumeIsolatedFromLoop: "the same, from a channel's callback"
        case .awaitSameExecutor: "actor, same executor, await"
        case .awaitDefaultExecutor: "actor on the default executor, await"
        case .hop: "another event loop and back"
        case .batchedHop: "the same, \(Way.batch) messages a hop"
        }
    }

    var messages: Int {
        switch self {
        case .plain, .assumeIsolated, .assumeIsolatedFromLoop, .awaitSameExecutor: 5_000_000
        case .awaitDefaultExecutor, .hop: 100_000
        case .batchedHop: 100_000 * Way.batch / 8
        }
    }
}

/// Sends from the core event loop, where a node's actors live.
actor Driver {
    private let core: any EventLoop
    private let other: any EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { core.executor.asUnownedSerialExecutor() }

    private let plain = PlainReceiver()
    private let near: LoopReceiver
    private let far: LoopReceiver
    private let pool = PoolReceiver()
    private let payload = ByteBuffer(repeating: 0x61, count: 256)

    init(core: any EventLoop, other: any EventLoop) {
        self.core = core
        self.other = other
        near = LoopReceiver(executor: core.executor)
        far = LoopReceiver(executor: other.executor)
    }

    func measure(_ way: Way) async -> Cost {
        let clock = ContinuousClock()
        let began = clock.now
        let processor = Self.processorNanoseconds()
        await send(way)
        let wall = (clock.now - began) / .nanoseconds(1)
        let count = Double(way.messages)
        return Cost(wall: wall / count, processor: (Self.processorNanoseconds() - processor) / count)
    }

    private func send(_ way: Way) async {
        let count = UInt64(way.messages)
        switch way {
        case .plain: for number in 0..<count { plain.take(message(number)) }
        case .assumeIsolated: for number in 0..<count { near.enter(message(number)) }
        case .assumeIsolatedFromLoop: await sendFromLoop(count)
        case .awaitSameExecutor: for number in 0..<count { await near.take(message(number)) }
        case .awaitDefaultExecutor: for number in 0..<count { await pool.take(message(number)) }
        case .hop: for number in 0..<count { await far.take(message(number)) }
        case .batchedHop:
            for first in stride(from: 0, to: count, by: Way.batch) {
                let batch = (first..<first + UInt64(Way.batch)).map { message($0) }
                await far.take(batch)
            }
        }
    }

    /// As a channel handler does: on the event loop, in no task.
    private func sendFromLoop(_ count: UInt64) async {
        let near = near
        let payload = payload
        let done = core.submit {
            for number in 0..<count { near.enter(Message(number: number, payload: payload)) }
        }
        try? await done.get()
    }

    private func message(_ number: UInt64) -> Message { Message(number: number, payload: payload) }

    private static func processorNanoseconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func nanoseconds(_ time: timeval) -> Double { Double(time.tv_sec) * 1e9 + Double(time.tv_usec) * 1e3 }
        return nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
    }
}
