internal import Foundation
internal import RoostNode

/// The cluster's secret where the file names none: made beside the nodes' data, for the user alone.
enum UpSecret {
    private static let bytes = 32

    static func path(for config: ClusterConfig) throws -> String {
        if let given = config.security.clusterSecretFile { return given }
        guard let first = config.nodes.first else { throw Failure("nodes: there are none", .configuration) }
        let directory = URL(fileURLWithPath: first.dataDirectory).deletingLastPathComponent()
        let path = directory.appendingPathComponent("cluster.secret").path
        guard !FileManager.default.fileExists(atPath: path) else { return path }
        try? FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        var generator = SystemRandomNumberGenerator()
        let text = (0..<bytes).map { _ in
            let digits = String(UInt8.random(in: .min ... .max, using: &generator), radix: 16)
            return digits.count < 2 ? "0" + digits : digits
        }.joined()
        let made = FileManager.default.createFile(
            atPath: path, contents: Data((text + "\n").utf8), attributes: [.posixPermissions: 0o600])
        guard made else { throw Failure("\(path) can't be written", .configuration) }
        return path
    }
}
