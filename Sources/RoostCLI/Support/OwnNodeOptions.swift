internal import ArgumentParser
internal import Foundation
internal import RoostModel
internal import RoostNode
internal import RoostServer

/// A node that stands in no file says by options where it listens and keeps its data.
struct OwnNodeOptions: ParsableArguments {
    @Option(help: "Take this node into a cluster that runs: host:peer_port of any of its nodes. Ignored once it is in.")
    var join: String?

    @Option(help: "The file with the cluster's secret (default: security.cluster_secret_file of the file).")
    var clusterSecretFile: String?

    @Option(
        help: ArgumentHelp(
            "Get this node's certificate from the CA in this directory, which is made where there is none.",
            visibility: .hidden))
    var certificateAuthority: String?

    @Option(help: "The directory with ca.pem, ID.pem and ID.key (default: security.certificates, or tls in its data).")
    var certificates: String?

    @Option(
        help:
            "Where this node listens, and where the others find it (default: as in the file, or on loopback where --join is)."
    )
    var host: String?
    @Option(help: "For clients (default: as in the file).")
    var clientPort: Int?
    @Option(help: "For the other nodes (default: as in the file).")
    var peerPort: Int?
    @Option(help: "For the operator, on loopback (default: as in the file).")
    var adminPort: Int?
    @Option(help: "Its data (default: as in the file, or data/ID).")
    var dataDir: String?

    private var isGiven: Bool {
        join != nil || host != nil || clientPort != nil || peerPort != nil || adminPort != nil || dataDir != nil
    }

    /// The file, with this node as it is to be: all of the file's nodes otherwise.
    func configuration(_ options: ConfigOptions, _ id: NodeID) throws -> ClusterConfig {
        let file = isGiven ? try options.loadIfPresent() : try options.load()
        var config = file ?? ClusterConfig(cluster: "", replication: 1, nodes: [])
        if let clusterSecretFile { config.security.clusterSecretFile = path(clusterSecretFile) }
        if let certificates {
            config.security.certificates = path(certificates)
            config.security.localAuthority = nil
        }
        if let certificateAuthority { config.security.localAuthority = path(certificateAuthority) }
        if dataDir?.isEmpty == true { throw Failure("--data-dir must not be empty", .usage) }
        let listed = config.node(id)
        guard isGiven || listed != nil else {
            throw Failure("nodes: there is no node with the id \"\(id)\"; a new one comes with --join", .configuration)
        }
        let own = ClusterConfig.Node(
            id: id, host: try host ?? listed?.host ?? defaultHost(),
            clientPort: try port(clientPort ?? listed?.clientPort, "--client-port"),
            peerPort: try port(peerPort ?? listed?.peerPort, "--peer-port"),
            adminPort: try port(adminPort ?? listed?.adminPort, "--admin-port"),
            dataDirectory: dataDir.map(path) ?? listed?.dataDirectory ?? path("data/\(id)"))
        if !ConfigFile.isLoopback(own.host), certificateAuthority == nil { config.security.localAuthority = nil }
        if let place = config.nodes.firstIndex(where: { $0.id == id }) {
            config.nodes[place] = own
        } else {
            config.nodes.append(own)
        }
        return config
    }

    private func path(_ text: String) -> String { URL(fileURLWithPath: text).standardizedFileURL.path }

    private func port(_ given: Int?, _ option: String) throws -> Int {
        guard let given else { throw Failure("\(option) is needed: this node stands in no file", .configuration) }
        guard (1...65_535).contains(given) else { throw Failure("\(option): must be 1 to 65535", .configuration) }
        return given
    }

    private func defaultHost() throws -> String {
        if let join, join.hasPrefix("127.") || join.hasPrefix("localhost:") { return "127.0.0.1" }
        throw Failure("--host is needed: an address of this machine that the other nodes reach", .configuration)
    }
}
