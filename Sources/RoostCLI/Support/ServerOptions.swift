internal import ArgumentParser
internal import Foundation
internal import RoostClient
internal import RoostNode
internal import RoostServer

/// `--config`, where a command can do without the file.
struct ConfigOptions: ParsableArguments {
    static let defaultPath = "cluster.json"

    @Option(help: "The cluster's file (default: cluster.json).")
    var config: String?

    @Option(help: "CAs in PEM that are believed at https:// addresses, beside the system's (default: $ROOST_CA_FILE).")
    var caFile: String?

    /// Nil: the system's CAs alone.
    func tls() throws -> ClientTLS? {
        guard let path = caFile ?? ProcessInfo.processInfo.environment["ROOST_CA_FILE"] else { return nil }
        do throws(RoostError) {
            return try ClientTLS(caFile: path)
        } catch {
            throw Failure("--ca-file: \(error.detail)", .usage)
        }
    }

    /// The file that was named, which must be right then, or the one of the current directory, if there is one.
    func loadIfPresent() throws -> ClusterConfig? {
        if let config { return try load(config) }
        return FileManager.default.fileExists(atPath: Self.defaultPath) ? try load(Self.defaultPath) : nil
    }

    func load() throws -> ClusterConfig { try load(config ?? Self.defaultPath) }

    private func load(_ path: String) throws -> ClusterConfig {
        do throws(ConfigError) {
            return try ConfigFile.load(path: path)
        } catch {
            throw Failure(error)
        }
    }
}

extension ClusterConfig.Node {
    func clientURL(_ security: ClusterConfig.Security) -> String {
        ServerAddress(host: host, port: clientPort, isSecure: security.clientCertificate != nil).description
    }
    func adminURL(_ security: ClusterConfig.Security) -> String {
        ServerAddress(host: host, port: adminPort, isSecure: security.adminCertificate != nil).description
    }
}

extension ClusterConfig {
    /// Of all nodes.
    var clientURLs: [String] { nodes.map { $0.clientURL(security) } }
    var adminURLs: [String] { nodes.map { $0.adminURL(security) } }
}

/// Which nodes a client talks to.
struct ServerOptions: ParsableArguments {
    static let defaultServer = "http://127.0.0.1:8001"

    @Option(
        help: "A node, as http://host:port; may be repeated (default: those of the file, else \(Self.defaultServer)).")
    var server: [String] = []

    @OptionGroup var configOptions: ConfigOptions

    /// - Parameter others: also the other nodes of the cluster's file, to go on when the chosen one is gone. Always so
    ///   where none was chosen.
    func urls(others: Bool) throws -> [String] {
        for url in server where ServerAddress(url) == nil {
            throw Failure("--server: \"\(url)\" is not http://host:port", .usage)
        }
        guard others || server.isEmpty, let config = try configOptions.loadIfPresent() else {
            return server.isEmpty ? [Self.defaultServer] : server
        }
        let nodes = config.clientURLs
        if server.isEmpty { return nodes }
        let known = Set(nodes.compactMap { ServerAddress($0) })
        // Another cluster's file has nothing to say about a server that is not in it.
        guard server.contains(where: { ServerAddress($0).map(known.contains) ?? false }) else { return server }
        return server + nodes.filter { !server.contains($0) }
    }
}
