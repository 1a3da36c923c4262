import Logging
import RoostCluster
import RoostModel
import RoostProtocol
import Synchronization

/// The wall clock, checked against those of the others: stamps and log time must not follow one clock that is wrong.
extension Node {
    /// Microseconds since 1970 by this node's clock, or by the others' where that is off by more than the bound.
    var clusterTime: Int64 { clocks.time(own: context.clock.wall(), now: context.clock.now()) }

    /// By which it is judged what is old enough to be removed; nil while there are other nodes and none was heard.
    var removalTime: Int64? {
        guard peers.keys.contains(where: { $0 != me }) else { return clusterTime }
        return clocks.removalTime(own: context.clock.wall(), now: context.clock.now())
    }

    /// How far the own clock is ahead of what the others allow, microseconds.
    package var clockSkew: Int64 { clocks.skew(own: context.clock.wall(), now: context.clock.now()) }

    /// Once a second: tells the others, and the operator when the clock goes wrong or is right again.
    func watchClocks() {
        let wall = context.clock.wall()
        for peer in peers.keys.sorted() where peer != me { send(control: .clock(wall: wall), to: peer) }
        let skew = clockSkew
        context.clockCorrection.store(abs(skew) > clocks.bound ? skew : 0, ordering: .relaxed)
        // It must come back well within the bound: no line for each swing about it.
        let isOff = abs(skew) > (isSkewed ? clocks.bound / 2 : clocks.bound)
        guard isOff != isSkewed else { return }
        isSkewed = isOff
        if isSkewed {
            context.logger.error(
                "this machine's clock is \(seconds(skew)) \(skew > 0 ? "ahead of" : "behind") the other nodes': messages are stamped by theirs until it is set right (NTP?)"
            )
        } else {
            context.logger.notice("this machine's clock agrees with the other nodes' again")
        }
    }

    private func seconds(_ microseconds: Int64) -> String { "\(abs(microseconds) / 1_000_000) s" }
}

extension Partition {
    /// What log time is compared with: stamps, expiries and the retention must not follow one clock that is wrong.
    var clusterTime: Int64 { node.onCore { $0.clusterTime } }
    var removalTime: Int64? { node.onCore { $0.removalTime } }
}
