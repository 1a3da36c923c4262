import Foundation
import RoostClient
import Testing

@testable import RoostCLI

@Suite struct StatusChangesTests {
    private func json(_ text: String) throws -> JSONValue {
        try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
    }

    private func view(
        asked: String = "node-1", ring: Int = 1, second: String = "alive", epoch: Int = 8, leader: String? = "node-2",
        role: String = "voter", connected: Bool = true
    ) throws -> StatusView {
        let leader = leader.map { "\"\($0)\"" } ?? "null"
        return StatusView(
            cluster: try json(
                """
                {"node_id":"\(asked)","ring":{"version":\(ring)},"storage":{"full":false},"members":[
                {"id":"node-1","status":"alive","epoch":7},{"id":"node-2","status":"\(second)","epoch":\(epoch)}]}
                """),
            partitions: try json(
                """
                [{"id":0,"leader":"node-1","replicas":[{"node_id":"node-1","role":"voter"}]},
                {"id":1,"leader":\(leader),"replicas":[{"node_id":"node-2","role":"\(role)"}]}]
                """),
            links: try json(
                #"[{"node_id":"node-2","connected":\#(connected),"round_trip_us":\#(Int.random(in: 1...99)),"#
                    + #""last_error":\#(connected ? "null" : "\"refused\"")}]"#))
    }

    @Test func nothingIsSaidWhereNothingChanged() throws {
        #expect(StatusChanges.lines(from: try view(), to: try view()).isEmpty)
    }

    @Test func aNodeDiesAndComesBack() throws {
        let dead = try view(second: "dead", leader: nil, connected: false)
        #expect(
            StatusChanges.lines(from: try view(), to: dead) == [
                "node-2 is dead, was alive", "1 partitions have no leader, had 0", "node-2 leads 0, led 1",
                "link node-1 - node-2 is down: refused",
            ])
        #expect(
            StatusChanges.lines(from: dead, to: try view(epoch: 9, leader: "node-1")) == [
                "node-2 is alive, was dead", "node-2 has started again (epoch 9)", "0 partitions have no leader, had 1",
                "node-1 leads 2, led 1", "link node-1 - node-2 is up",
            ])
    }

    @Test func theRingAndTheRolesChange() throws {
        #expect(
            StatusChanges.lines(from: try view(), to: try view(asked: "node-2", ring: 2, role: "learner")) == [
                "as node-2 sees it, no longer node-1", "node-2 votes in 0, in 1 before",
                "node-2: 1 replicas being filled", "the ring has version 2",
            ])
    }
}
