/// Why a `cluster.json` can't be used: one line that names the key. The process ends with EX_CONFIG.
package struct ConfigError: Error, Equatable, CustomStringConvertible {
    /// EX_CONFIG of sysexits.h.
    package static let exitCode: Int32 = 78

    /// The key path (`nodes[1].peer_port`), or the file where no key is to blame.
    package var path: String
    package var reason: String

    package init(path: String, reason: String) {
        self.path = path
        self.reason = reason
    }

    package var description: String { "\(path): \(reason)" }
}
