import Foundation
import RoostClient
import RoostModel
import Testing

@testable import RoostCLI

@Suite struct SinceExpressionTests {
    @Test(
        arguments: [
            ("1700000000", 1_700_000_000), ("1700000000.5", 1_700_000_000.5), ("0", 0), ("10 seconds ago", 999_990),
            ("1 second ago", 999_999), ("10 minutes ago", 999_400), ("2 hours ago", 992_800), ("1 day ago", 913_600),
            ("  3   Days  AGO ", 740_800), ("1.5 minutes ago", 999_910), ("400 days ago", 0),
        ] as [(String, Double)])
    func reads(_ text: String, _ expected: Double) {
        #expect(SinceExpression.parse(text, now: 1_000_000) == expected)
    }

    @Test(arguments: [
        "", "ago", "yesterday", "-5", "-5 minutes ago", "10 minutes", "10 weeks ago", "minutes ago", "nan", "inf",
        "10 minutes ago now", "10minutes ago",
    ])
    func refuses(_ text: String) { #expect(SinceExpression.parse(text, now: 1_000_000) == nil) }
}

@Suite struct TokenStoreTests {
    private func entry(_ name: String, _ token: String, _ servers: [String], expires: Double = 2_000)
        -> TokenStore.Entry
    {
        TokenStore.Entry(username: name, userID: "u-\(name)", token: token, expires: expires, servers: servers)
    }

    @Test func keepsATokenPerUserAndCluster() throws {
        let directory = NSTemporaryDirectory() + "roost-tokens-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let store = TokenStore(directory: directory + "/roost")
        #expect(store.token(username: "alice", servers: ["a"], now: 0) == nil)
        try store.save(entry("alice", "1", ["a", "b"]))
        try store.save(entry("bob", "2", ["a", "b"]))
        try store.save(entry("alice", "3", ["other"]))
        // Any node of the cluster knows it.
        #expect(store.token(username: "alice", servers: ["b"], now: 0)?.token == "1")
        #expect(store.token(username: "alice", servers: ["other"], now: 0)?.token == "3")
        #expect(store.token(username: "carol", servers: ["a"], now: 0) == nil)
        #expect(store.token(username: "alice", servers: ["b"], now: 2_000) == nil)
        try store.save(entry("alice", "4", ["b"]))
        #expect(store.token(username: "alice", servers: ["b"], now: 0)?.token == "4")
        let attributes = try FileManager.default.attributesOfItem(atPath: directory + "/roost/tokens.json")
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test func findsTheFolder() {
        #expect(TokenStore.standard(environment: ["XDG_CONFIG_HOME": "/x", "HOME": "/h"]).directory == "/x/roost")
        #expect(TokenStore.standard(environment: ["HOME": "/h"]).directory == "/h/.config/roost")
        #expect(
            TokenStore.standard(environment: ["XDG_CONFIG_HOME": "", "HOME": "/h"]).directory == "/h/.config/roost")
    }
}

@Suite struct StatusTableTests {
    @Test func showsMembersLeadersAndWhatIsMissing() throws {
        func json(_ text: String) throws -> JSONValue {
            try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
        }
        let lines = StatusTable.lines(
            cluster: try json(
                """
                {"cluster":"dev","node_id":"node-1","ring":{"version":4,"replication":2,
                "members":[{"id":"node-1","state":"active"}]},"storage":{"full":true,
                "damaged_rows":3,"repaired_rows":2,"waiting_rows":1,"rebuilt_partitions":0,
                "scrub":{"percent":40,"last_pass_at":null}},"members":[
                {"id":"node-1","status":"alive","epoch":7,"incarnation":1,"host":"127.0.0.1"},
                {"id":"node-2","status":"dead","epoch":8,"incarnation":0,"host":"127.0.0.1"}]}
                """),
            partitions: try json(
                """
                [{"id":0,"leader":"node-1","conversations":2,"replicas":[{"node_id":"node-1","role":"voter"},
                {"node_id":"node-2","role":"learner"}]},{"id":1,"leader":null,"conversations":1,"replicas":[]}]
                """),
            links: try json(#"[{"node_id":"node-2","connected":false,"round_trip_us":1234,"queued_bytes":5}]"#))
        #expect(lines[0] == "cluster dev as node-1 sees it, replication 2, ring version 4")
        #expect(lines[3] == "node-1  alive   active  127.0.0.1  7      1            1      1")
        #expect(lines[4] == "node-2  dead    -       127.0.0.1  8      0            0      1")
        #expect(lines[6] == "2 partitions here, 3 conversations, 1 replicas being filled, WITHOUT A LEADER: 1")
        #expect(
            lines[7]
                == "node-1's database: NO SPACE, it leads nothing; 3 rows found damaged, 2 written again; "
                + "1 WAIT for another replica; 40 % checked")
        #expect(lines[10] == "node-1 - node-2  no         1.23 ms     5 B")
    }

    @Test func warnsOfCertificatesInTime() throws {
        let now = Date(timeIntervalSince1970: 1_000_000)
        func lines(_ days: Double) throws -> [String] {
            let text =
                #"{"node_id":"node-1","certificates":[{"kind":"peer","expires_at":\#(Int(1_000_000 + days * 86_400))}]}"#
            let cluster = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
            return StatusTable.lines(cluster: cluster, partitions: .array([]), links: .array([]), now: now)
                .filter { $0.contains("certificate") }
        }
        #expect(try lines(31) == [])
        #expect(try lines(29.5) == [#"node-1's certificate "peer" EXPIRES in 29 days: renew it"#])
        #expect(try lines(-0.5) == [#"node-1's certificate "peer" HAS EXPIRED"#])
    }
}

@Suite struct MessagePrinterTests {
    @Test func whatOthersWriteCommandsNoTerminal() {
        let shown = MessagePrinter.harmless("a\u{1b}[2Jb\r\nc\u{202e}d é 👍\t")
        #expect(shown == #"a\u{1b}[2Jb\u{d}\nc\u{202e}d é 👍"# + "\t")
    }
}
