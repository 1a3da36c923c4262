internal import Foundation
internal import RoostModel
package import RoostNode

/// Reads `cluster.json`. Strict: whatever is unknown, missing, twice or out of its range is an error that names the
/// key.
package enum ConfigFile {
    /// Larger files are refused unread.
    private static let maxBytes = 1_048_576

    /// A relative `data_dir` is relative to the file's directory.
    package static func load(path: String) throws(ConfigError) -> ClusterConfig {
        let url = URL(fileURLWithPath: path)
        let bytes: [UInt8]
        do {
            let handle = try FileHandle(forReadingFrom: url)
            defer { try? handle.close() }
            bytes = Array(try handle.read(upToCount: maxBytes + 1) ?? Data())
        } catch {
            // Foundation's own words name neither the file nor what to do.
            let reason = access(path, R_OK) == 0 ? "it is no file" : String(cString: strerror(errno))
            throw ConfigError(path: path, reason: "can't be read: \(reason)")
        }
        guard bytes.count <= maxBytes else { throw ConfigError(path: path, reason: "is larger than 1 MiB") }
        return try parse(
            bytes, name: url.lastPathComponent, directory: url.standardizedFileURL.deletingLastPathComponent().path)
    }

    /// - Parameters:
    ///   - name: of the file, for messages.
    ///   - directory: what relative paths are relative to; absolute.
    package static func parse(_ bytes: [UInt8], name: String, directory: String) throws(ConfigError) -> ClusterConfig {
        let value: ConfigValue
        do {
            value = try ConfigJSONParser.parse(bytes)
        } catch {
            throw ConfigError(path: "\(name):\(error.line):\(error.column)", reason: error.reason)
        }
        var root = try ConfigSection(value, path: "")
        let cluster = try root.string("cluster")
        guard isName(cluster) else { throw root.failure("cluster", nameRule) }
        let nodes = try nodes(try root.require("nodes"), directory: directory)
        let replication = try root.integer("replication", in: 1...Int.max)
        guard replication <= nodes.count else {
            throw root.failure("replication", "\(replication) is more than the \(nodes.count) nodes")
        }
        var config = ClusterConfig(cluster: cluster, replication: replication, nodes: nodes)
        config.partitions = try root.optionalInteger("partitions", in: 1...1_024) ?? config.partitions
        try knobs(&root, "limits", ConfigKnobs.limits, &config.limits)
        try knobs(&root, "timing", ConfigKnobs.timing, &config.timing)
        try knobs(&root, "durability", ConfigKnobs.durability, &config.durability)
        try knobs(&root, "security", ConfigKnobs.security, &config.security) { section, security throws(ConfigError) in
            try SecurityKeys.read(&section, &security, directory: directory)
        }
        try root.finish()
        try checkTogether(config)
        if config.security.certificates == nil, nodes.allSatisfy({ isLoopback($0.host) }) {
            config.security.localAuthority = LocalAuthority.directory(of: nodes)
        }
        return config
    }

    private static func knobs<Section>(
        _ root: inout ConfigSection, _ key: String, _ knobs: [ConfigKnob<Section>], _ target: inout Section,
        rest: (inout ConfigSection, inout Section) throws(ConfigError) -> Void = { (_, _) throws(ConfigError) in }
    ) throws(ConfigError) {
        guard let value = root.take(key) else { return }
        var section = try ConfigSection(value, path: root.keyPath(key))
        for knob in knobs {
            if let number = try section.optionalInteger(knob.key, in: knob.range) {
                target[keyPath: knob.property] = number
            }
        }
        try rest(&section, &target)
        try section.finish()
    }

    private static func nodes(_ value: ConfigValue, directory: String) throws(ConfigError) -> [ClusterConfig.Node] {
        guard case .array(let values) = value else {
            throw ConfigError(path: "nodes", reason: "must be an array, is \(value.kind)")
        }
        guard (1...64).contains(values.count) else { throw ConfigError(path: "nodes", reason: "must be 1 to 64 nodes") }
        var nodes: [ClusterConfig.Node] = []
        for (index, value) in values.enumerated() {
            var section = try ConfigSection(value, path: "nodes[\(index)]")
            let id = try section.string("id")
            guard isName(id) else { throw section.failure("id", nameRule) }
            let host = try section.string("host")
            guard isHost(host) else { throw section.failure("host", hostRule) }
            let ports = 1...65_535
            let client = try section.integer("client_port", in: ports)
            let peer = try section.integer("peer_port", in: ports)
            let admin = try section.integer("admin_port", in: ports)
            let data = try section.string("data_dir")
            guard !data.isEmpty, !data.utf8.contains(0) else { throw section.failure("data_dir", "must be a path") }
            try section.finish()
            let path = URL(fileURLWithPath: data, relativeTo: URL(fileURLWithPath: directory, isDirectory: true))
            let node = ClusterConfig.Node(
                id: NodeID(id), host: host, clientPort: client, peerPort: peer, adminPort: admin,
                dataDirectory: path.standardizedFileURL.path)
            try checkDistinct(node, from: nodes, section)
            nodes.append(node)
        }
        return nodes
    }

    /// Ids are unique in the cluster; ports and directories on each host.
    private static func checkDistinct(
        _ node: ClusterConfig.Node, from others: [ClusterConfig.Node], _ section: ConfigSection
    ) throws(ConfigError) {
        var taken: [Int: String] = [:]
        for (index, other) in others.enumerated() {
            guard other.id != node.id else { throw section.failure("id", "\"\(node.id)\" is also nodes[\(index)].id") }
            guard sameHost(other.host, node.host) else { continue }
            taken[other.clientPort] = "nodes[\(index)].client_port"
            taken[other.peerPort] = "nodes[\(index)].peer_port"
            taken[other.adminPort] = "nodes[\(index)].admin_port"
            guard other.dataDirectory != node.dataDirectory else {
                throw section.failure("data_dir", "is also nodes[\(index)].data_dir")
            }
        }
        let ports = [("client_port", node.clientPort), ("peer_port", node.peerPort), ("admin_port", node.adminPort)]
        for (key, port) in ports {
            if let other = taken[port] { throw section.failure(key, "\(port) is also \(other)") }
            taken[port] = section.keyPath(key)
        }
    }

    /// Values that are right each, but not together.
    private static func checkTogether(_ config: ClusterConfig) throws(ConfigError) {
        let timing = config.timing
        guard timing.raftHeartbeatMilliseconds * 2 <= timing.electionMilliseconds else {
            throw ConfigError(
                path: "timing.raft_heartbeat_ms", reason: "must be at most half of timing.election_ms, or leaders fall")
        }
        guard timing.probeTimeoutMilliseconds < timing.probeMilliseconds else {
            throw ConfigError(path: "timing.probe_timeout_ms", reason: "must be below timing.probe_ms")
        }
        guard timing.proposalRetryMilliseconds <= timing.proposalTimeoutMilliseconds else {
            throw ConfigError(path: "timing.proposal_retry_ms", reason: "must be at most timing.proposal_timeout_ms")
        }
        let security = config.security
        guard isLoopback(security.adminHost) || security.adminToken != nil || !security.adminTokens.isEmpty else {
            throw ConfigError(
                path: "security.admin_host", reason: "other than loopback needs security.admin_token")
        }
    }

    package static let nameRule = "must be 1 to 64 letters, digits, '.', '_' or '-'"
    static let hostRule = "must be a host name or an IP address"

    package static func isName(_ text: String) -> Bool { DeviceID(text) != nil }

    /// A DNS name, an IPv4 or an IPv6 address (without brackets).
    static func isHost(_ text: String) -> Bool {
        if text.contains(":") {
            return text.utf8.count <= 45 && text.allSatisfy { $0.isASCII && $0.isHexDigit || $0 == ":" || $0 == "." }
                && text.count { $0 == ":" } >= 2
        }
        guard (1...253).contains(text.utf8.count) else { return false }
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        let allDigits = labels.allSatisfy { !$0.isEmpty && $0.allSatisfy { $0.isASCII && $0.isNumber } }
        if allDigits { return labels.count == 4 && labels.allSatisfy { UInt8($0) != nil } }
        return labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
        }
    }

    package static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "::1" || host.hasPrefix("127.")
    }

    private static func sameHost(_ a: String, _ b: String) -> Bool {
        a.lowercased() == b.lowercased() || isLoopback(a) && isLoopback(b)
    }
}
