internal import Foundation
internal import RoostNode

/// The keys of `security` that are no numbers.
enum SecurityKeys {
    /// - Parameter directory: what relative paths are relative to; absolute.
    static func read(
        _ section: inout ConfigSection, _ security: inout ClusterConfig.Security, directory: String
    ) throws(ConfigError) {
        if let host = try section.optionalString("admin_host") {
            guard ConfigFile.isHost(host) else { throw section.failure("admin_host", ConfigFile.hostRule) }
            security.adminHost = host
        }
        if let token = try section.optionalString("admin_token") {
            guard isToken(token) else { throw section.failure("admin_token", tokenRule) }
            security.adminToken = token
        }
        if let value = section.take("admin_tokens") {
            security.adminTokens = try adminTokens(value, path: section.keyPath("admin_tokens"))
        }
        if let mode = try section.optionalString("peer_tls") {
            guard mode == "on" || mode == "off" else { throw section.failure("peer_tls", "must be \"on\" or \"off\"") }
            security.peerTLS = mode == "on"
        }
        security.clusterSecretFile = try path("cluster_secret_file", &section, directory)
        security.certificates = try path("certificates", &section, directory)
        (security.clientCertificate, security.clientKey) = try pair("client", &section, directory)
        (security.adminCertificate, security.adminKey) = try pair("admin", &section, directory)
    }

    private static let tokenRule = "must be 16 or more printable ASCII characters without spaces"

    private static func isToken(_ text: String) -> Bool {
        text.utf8.count >= 16 && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }

    private static func adminTokens(
        _ value: ConfigValue, path: String
    ) throws(ConfigError) -> [ClusterConfig.AdminToken] {
        guard case .object(let members) = value else {
            throw ConfigError(path: path, reason: "must be an object, is \(value.kind)")
        }
        var tokens: [ClusterConfig.AdminToken] = []
        for member in members {
            guard ConfigFile.isName(member.key) else {
                throw ConfigError(path: "\(path).\(member.key)", reason: ConfigFile.nameRule)
            }
            guard case .string(let token) = member.value, isToken(token) else {
                throw ConfigError(path: "\(path).\(member.key)", reason: tokenRule)
            }
            tokens.append(ClusterConfig.AdminToken(name: member.key, token: token))
        }
        return tokens.sorted { $0.name < $1.name }
    }

    /// A certificate and its key: both or none.
    private static func pair(
        _ name: String, _ section: inout ConfigSection, _ directory: String
    ) throws(ConfigError) -> (String?, String?) {
        let certificate = try path("\(name)_certificate", &section, directory)
        let key = try path("\(name)_key", &section, directory)
        guard (certificate == nil) == (key == nil) else {
            let missing = certificate == nil ? "certificate" : "key"
            throw section.failure(
                "\(name)_\(missing)", "is missing: a certificate needs its key, and a key its certificate")
        }
        return (certificate, key)
    }

    private static func path(
        _ key: String, _ section: inout ConfigSection, _ directory: String
    ) throws(ConfigError) -> String? {
        guard let path = try section.optionalString(key) else { return nil }
        guard !path.isEmpty, !path.utf8.contains(0) else { throw section.failure(key, "must be a path") }
        let base = URL(fileURLWithPath: directory, isDirectory: true)
        return URL(fileURLWithPath: path, relativeTo: base).standardizedFileURL.path
    }
}
