internal import NIOCore

// In place of Sources/RoostServer/TLS: TLS itself is BoringSSL's, which has fuzzers of its own.

package final class PeerTLS: Sendable {
    func accepting() -> any ChannelHandler { NoTLS() }
    func dialling() throws -> any ChannelHandler { NoTLS() }
    static func names(of channel: any Channel) throws(CertificateError) -> [String] { throw CertificateError("no TLS") }
}

struct CertificateError: Error {
    var description: String
    init(_ description: String) { self.description = description }
}

enum TLSTrouble {
    static func text(_ error: any Error) -> String? { nil }
}

private final class NoTLS: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
}
