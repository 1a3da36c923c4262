/// Where a node listens to clients, as a URL says it: `http://host:port`, or `https://` where it speaks TLS.
public struct ServerAddress: Sendable, Hashable, CustomStringConvertible {
    public let host: String
    public let port: Int
    public let isSecure: Bool

    public init(host: String, port: Int, isSecure: Bool = false) {
        self.host = host
        self.port = port
        self.isSecure = isSecure
    }

    /// Takes `http://host[:port]`, `https://…`, `ws://…` and `wss://…` with nothing but a slash behind; an IPv6 address stands in brackets.
    /// Nil for anything else.
    public init?(_ url: String) {
        let schemes = ["http://", "ws://", "https://", "wss://"]
        guard let scheme = schemes.first(where: { url.lowercased().hasPrefix($0) }) else { return nil }
        isSecure = scheme.hasSuffix("s://") && scheme != "ws://"
        var rest = url.dropFirst(scheme.count)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        var portText: Substring?
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            let after = rest[rest.index(after: end)...]
            guard after.isEmpty || after.hasPrefix(":") else { return nil }
            portText = after.isEmpty ? nil : after.dropFirst()
        } else if let colon = rest.firstIndex(of: ":") {
            host = String(rest[..<colon])
            portText = rest[rest.index(after: colon)...]
        } else {
            host = String(rest)
        }
        if let portText {
            guard let port = UInt16(portText), port > 0 else { return nil }
            self.port = Int(port)
        } else {
            port = isSecure ? 443 : 80
        }
        guard !host.isEmpty, !host.contains(where: { "/?#@ ".contains($0) || !$0.isASCII }) else { return nil }
    }

    /// `host:port`, as the Host header wants it.
    public var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    public var description: String { "\(isSecure ? "https" : "http")://\(authority)" }
}
