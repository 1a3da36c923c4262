import Foundation
import RoostModel
import RoostNode
import RoostServer
import Testing

@Suite struct ConfigFileTests {
    static func file(_ nodes: String = node(1) + "," + node(2) + "," + node(3), _ rest: String = "") -> String {
        #"{"cluster": "dev", "replication": 3, "nodes": [\#(nodes)]\#(rest)}"#
    }

    static func node(_ number: Int, _ changes: [String: String] = [:]) -> String {
        var members = [
            "id": "\"node-\(number)\"", "host": "\"127.0.0.1\"", "client_port": "800\(number)",
            "peer_port": "700\(number)",
            "admin_port": "900\(number)", "data_dir": "\"data/node-\(number)\"",
        ]
        members.merge(changes) { $1 }
        let text = members.filter { !$0.value.isEmpty }.map { "\"\($0.key)\": \($0.value)" }
        return "{" + text.sorted().joined(separator: ", ") + "}"
    }

    private func parse(_ text: String) throws(ConfigError) -> ClusterConfig {
        try ConfigFile.parse(Array(text.utf8), name: "cluster.json", directory: "/etc/roost")
    }

    @Test func readsTheSmallestFile() throws {
        let config = try parse(Self.file())
        #expect(config.cluster == "dev")
        #expect(config.partitions == 32)
        #expect(config.nodes.map(\.id) == ["node-1", "node-2", "node-3"])
        #expect(config.nodes[1].dataDirectory == "/etc/roost/data/node-2")
        #expect(config.limits == .init())
        #expect(config.timing == .init())
    }

    @Test func nodesOnLoopbackAloneHelpThemselves() throws {
        func authority(_ nodes: String, _ security: String = "{}") throws -> String? {
            try parse(Self.file(nodes, #", "security": \#(security)"#)).security.localAuthority
        }
        let all = (1...3).map { Self.node($0) }.joined(separator: ",")
        #expect(try authority(all) == "/etc/roost/data/ca")
        #expect(try authority(all, #"{"certificates": "tls"}"#) == nil)
        let abroad = Self.node(1) + "," + Self.node(2) + "," + Self.node(3, ["host": "\"10.0.0.3\""])
        #expect(try authority(abroad) == nil)
        let config = try parse(
            Self.file(
                all,
                #", "security": {"peer_tls": "off", "client_certificate": "a.pem", "client_key": "/k/a.key"}"#))
        #expect(!config.security.peerTLS)
        #expect(config.security.clientCertificate == "/etc/roost/a.pem" && config.security.clientKey == "/k/a.key")
        #expect(config.nodes[0].certificates(config.security) == "/etc/roost/data/node-1/tls")
    }

    @Test func takesEveryKnob() throws {
        func object<Section>(_ knobs: [ConfigKnob<Section>], _ more: String = "") -> String {
            "{" + (knobs.map { "\"\($0.key)\": \($0.range.upperBound)" }.joined(separator: ", ") + more) + "}"
        }
        let more = """
            , "admin_host": "0.0.0.0", "admin_token": "0123456789abcdef",
            "admin_tokens": {"eve": "1123456789abcdef", "adam": "2123456789abcdef"}
            """
        let text = Self.file(
            Self.node(1) + "," + Self.node(2) + "," + Self.node(3),
            """
            , "partitions": 7, "limits": \(object(ConfigKnobs.limits)),
            "security": \(object(ConfigKnobs.security, more)),
            "durability": \(object(ConfigKnobs.durability)),
            "timing": {"election_ms": 700, "raft_heartbeat_ms": 350, "drain_ms": 0}
            """)
        let config = try parse(text)
        #expect(config.partitions == 7)
        for knob in ConfigKnobs.limits { #expect(config.limits[keyPath: knob.property] == knob.range.upperBound) }
        for knob in ConfigKnobs.durability {
            #expect(config.durability[keyPath: knob.property] == knob.range.upperBound)
        }
        #expect(config.security.adminToken == "0123456789abcdef")
        #expect(config.security.adminTokens.map(\.name) == ["adam", "eve"])
        #expect(config.timing.electionMilliseconds == 700)
        #expect(config.timing.drainMilliseconds == 0)
    }

    @Test func everyPropertyHasAKnobAndADefaultWithinItsRange() {
        func check<Section>(_ section: Section, _ knobs: [ConfigKnob<Section>], others: Int = 0) {
            #expect(Mirror(reflecting: section).children.count == knobs.count + others)
            #expect(Set(knobs.map(\.property)).count == knobs.count)
            #expect(Set(knobs.map(\.key)).count == knobs.count)
            for knob in knobs {
                #expect(knob.range.contains(section[keyPath: knob.property]), "\(knob.key)")
            }
        }
        check(ClusterConfig.Limits(), ConfigKnobs.limits)
        check(ClusterConfig.Timing(), ConfigKnobs.timing)
        check(ClusterConfig.Security(), ConfigKnobs.security, others: 11)
        check(ClusterConfig.Durability(), ConfigKnobs.durability)
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        var text: String
        var error: String
        var testDescription: String { error }
        init(_ text: String, _ error: String) {
            self.text = text
            self.error = error
        }
        /// The second of three nodes changed.
        init(node changes: [String: String], _ error: String) {
            let nodes = node(1) + "," + node(2, changes) + "," + node(3)
            self.init(file(nodes), error)
        }
        init(rest: String, _ error: String) {
            self.init(file(node(1) + "," + node(2) + "," + node(3), ", " + rest), error)
        }
    }

    static let bad: [Bad] = [
        Bad("", "cluster.json:1:1: the file ends too early"),
        Bad("{\n  \"cluster\": dev}", "cluster.json:2:14: not a JSON value"),
        Bad("{\"a\": 1, \"a\": 2}", "cluster.json:1:13: the key \"a\" stands twice"),
        Bad("[]", "cluster.json: must be an object, is an array"),
        Bad("{}", "cluster: is missing"),
        Bad(#"{"cluster": 1}"#, "cluster: must be a string, is a number"),
        Bad(#"{"cluster": "a b"}"#, "cluster: must be 1 to 64 letters, digits, '.', '_' or '-'"),
        Bad(#"{"cluster": "a", "nodes": 3}"#, "nodes: must be an array, is a number"),
        Bad(#"{"cluster": "a", "nodes": []}"#, "nodes: must be 1 to 64 nodes"),
        Bad(#"{"cluster": "a", "nodes": [\#(node(1))], "replication": 2}"#, "replication: 2 is more than the 1 nodes"),
        Bad(
            #"{"cluster": "a", "nodes": [\#(node(1))], "replication": 0}"#,
            "replication: 0 is not within 1 to \(Int.max)"),
        Bad(
            #"{"cluster": "a", "nodes": [\#(node(1))], "replication": true}"#,
            "replication: must be a number, is a boolean"),
        Bad(rest: #""replicas": 3"#, "replicas: unknown key"),
        Bad(rest: #""partitions": 0"#, "partitions: 0 is not within 1 to 1024"),
        Bad(rest: #""partitions": 1025"#, "partitions: 1025 is not within 1 to 1024"),
        Bad(rest: #""partitions": 3.5"#, "partitions: must be a whole number"),
        Bad(rest: #""limits": []"#, "limits: must be an object, is an array"),
        Bad(rest: #""limits": {"max_frames": 1}"#, "limits.max_frames: unknown key"),
        Bad(rest: #""limits": {"window": 0}"#, "limits.window: 0 is not within 1 to 65536"),
        Bad(rest: #""limits": {"window": "256"}"#, "limits.window: must be a number, is a string"),
        Bad(
            rest: #""timing": {"raft_heartbeat_ms": 400}"#,
            "timing.raft_heartbeat_ms: must be at most half of timing.election_ms, or leaders fall"),
        Bad(rest: #""timing": {"probe_timeout_ms": 500}"#, "timing.probe_timeout_ms: must be below timing.probe_ms"),
        Bad(
            rest: #""security": {"admin_host": "0.0.0.0"}"#,
            "security.admin_host: other than loopback needs security.admin_token"),
        Bad(
            rest: #""security": {"admin_token": "short"}"#,
            "security.admin_token: must be 16 or more printable ASCII characters without spaces"),
        Bad(rest: #""security": {"peer_tls": "maybe"}"#, "security.peer_tls: must be \"on\" or \"off\""),
        Bad(
            rest: #""security": {"client_certificate": "roost.pem"}"#,
            "security.client_key: is missing: a certificate needs its key, and a key its certificate"),
        Bad(
            rest: #""security": {"admin_key": "roost.key"}"#,
            "security.admin_certificate: is missing: a certificate needs its key, and a key its certificate"),
        Bad(node: ["id": "\"node-1\""], "nodes[1].id: \"node-1\" is also nodes[0].id"),
        Bad(node: ["id": ""], "nodes[1].id: is missing"),
        Bad(node: ["host": "\"a b\""], "nodes[1].host: must be a host name or an IP address"),
        Bad(node: ["host": "\"127.0.0.256\""], "nodes[1].host: must be a host name or an IP address"),
        Bad(node: ["client_port": "0"], "nodes[1].client_port: 0 is not within 1 to 65535"),
        Bad(node: ["client_port": "65536"], "nodes[1].client_port: 65536 is not within 1 to 65535"),
        Bad(node: ["peer_port": "8001"], "nodes[1].peer_port: 8001 is also nodes[0].client_port"),
        Bad(node: ["admin_port": "8002"], "nodes[1].admin_port: 8002 is also nodes[1].client_port"),
        Bad(node: ["data_dir": "\"data/../data/node-1\""], "nodes[1].data_dir: is also nodes[0].data_dir"),
        Bad(node: ["data_dir": "\"\""], "nodes[1].data_dir: must be a path"),
        Bad(node: ["port": "1"], "nodes[1].port: unknown key"),
        Bad(
            node: ["host": "\"localhost\"", "admin_port": "9001"],
            "nodes[1].admin_port: 9001 is also nodes[0].admin_port"),
    ]

    @Test(arguments: bad) func namesTheKeyThatIsWrong(_ bad: Bad) {
        let error = #expect(throws: ConfigError.self) { try parse(bad.text) }
        #expect(error?.description == bad.error)
    }

    @Test func portsMayRepeatOnOtherHosts() throws {
        let other = Self.node(
            2,
            [
                "host": "\"roost-2.example\"", "client_port": "8001", "peer_port": "7001",
                "data_dir": "\"/var/lib/roost\"",
            ])
        let third = Self.node(3, ["host": "\"::2\"", "client_port": "8001", "data_dir": "\"/var/lib/roost\""])
        let config = try parse(Self.file(Self.node(1) + "," + other + "," + third))
        #expect(config.nodes[1].dataDirectory == "/var/lib/roost")
        #expect(config.nodes[2].host == "::2")
    }

    @Test func stringsKeepTheirEscapes() throws {
        let text = Self.file(
            Self.node(1) + "," + Self.node(2, ["data_dir": #""a\u00e4\ud83d\ude00\/b""#]) + "," + Self.node(3))
        #expect(try parse(text).nodes[1].dataDirectory == "/etc/roost/aä😀/b")
        #expect(throws: ConfigError.self) { try parse(#"{"cluster": "\ud83d"}"#) }
    }

    @Test func aMissingFileIsAConfigurationError() {
        let error = #expect(throws: ConfigError.self) { try ConfigFile.load(path: "/nonexistent/cluster.json") }
        #expect(error?.description == "/nonexistent/cluster.json: can't be read: No such file or directory")
    }
}

@Suite struct ConfigurationDocumentTests {
    /// docs/configuration.md tells each knob's default and range as they are.
    @Test func describesEveryKnob() throws {
        let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("docs/configuration.md"), encoding: .utf8)
        func check<Section>(_ section: Section, _ knobs: [ConfigKnob<Section>]) {
            for knob in knobs {
                let row = text.split(separator: "\n").first { $0.hasPrefix("| `\(knob.key)` | ") }
                let cells = row?.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) } ?? []
                #expect(cells.count == 5, "\(knob.key)")
                guard cells.count == 5 else { continue }
                #expect(cells[1] == String(section[keyPath: knob.property]), "\(knob.key)")
                #expect(cells[3] == "\(knob.range.lowerBound) to \(knob.range.upperBound)", "\(knob.key)")
            }
        }
        check(ClusterConfig.Limits(), ConfigKnobs.limits)
        check(ClusterConfig.Timing(), ConfigKnobs.timing)
        check(ClusterConfig.Security(), ConfigKnobs.security)
        check(ClusterConfig.Durability(), ConfigKnobs.durability)
    }
}
