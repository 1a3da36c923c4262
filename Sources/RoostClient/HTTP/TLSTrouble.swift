internal import Foundation
internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import NIOTLS

/// Why TLS with a server fails, in a line that says what to do about it.
enum TLSTrouble {
    /// Whether it is the server's certificate that is not believed: then it is worth a look.
    static func isCertificate(_ error: any Error) -> Bool {
        isOtherName(error) || "\(error)".contains("CERTIFICATE_VERIFY_FAILED")
    }

    /// Nil for what is no error of TLS.
    /// - Parameter leaf: the certificate that the server shows, where that is known.
    static func text(
        _ error: any Error, host: String, leaf: NIOSSLCertificate?, now: Date = Date()
    ) -> String? {
        guard error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError else { return nil }
        let reason = "\(error)"
        if isOtherName(error) {
            let names = leaf.map(names) ?? []
            return "its certificate is not of \(host)"
                + (names.isEmpty ? "" : ", but of \(names.joined(separator: ", "))")
        }
        if isCertificate(error) { return chain(leaf, now) }
        if reason.contains("WRONG_VERSION_NUMBER") || reason.contains("HTTP_REQUEST") {
            return "it speaks no TLS: http:// instead of https://?"
        }
        if reason.contains("eofDuringHandshake") || reason.contains("EOF during handshake") {
            return "closed while TLS shook hands"
        }
        return "TLS: \(reason)"
    }

    private static func isOtherName(_ error: any Error) -> Bool {
        (error as? NIOSSLExtraError) == .failedToValidateHostname
    }

    /// BoringSSL says that it does not believe it, and not why.
    private static func chain(_ leaf: NIOSSLCertificate?, _ now: Date) -> String {
        let authority = "of a CA that is not known here: --ca-file, or ROOST_CA_FILE, names the file of that CA"
        guard let leaf else { return "its certificate is not valid now, or \(authority)" }
        let (begin, end) = (date(leaf.notValidBefore), date(leaf.notValidAfter))
        if now > end { return "its certificate has expired, at \(end.formatted(.iso8601))" }
        if now < begin {
            return "its certificate is valid from \(begin.formatted(.iso8601)) on: is this machine's clock right?"
        }
        return "its certificate is \(authority)"
    }

    private static func date(_ time: time_t) -> Date { Date(timeIntervalSince1970: Double(time)) }

    private static func names(of leaf: NIOSSLCertificate) -> [String] {
        leaf._subjectAlternativeNames().compactMap { name in
            switch name.nameType {
            case .dnsName: name.contents.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
            case .ipAddress: address(name.contents.withUnsafeBufferPointer { Array($0) })
            default: nil
            }
        }
    }

    private static func address(_ bytes: [UInt8]) -> String? {
        (try? SocketAddress(packedIPAddress: ByteBuffer(bytes: bytes), port: 0))?.ipAddress
    }
}

extension ClientTLS {
    private static let patience = TimeAmount.seconds(2)

    /// The certificate that a server shows, believed or not; it is told nothing. Nil where none came in two seconds.
    static func certificate(of server: ServerAddress, on group: any EventLoopGroup) async -> NIOSSLCertificate? {
        let eventLoop = group.next()
        let shown = eventLoop.makePromise(of: NIOSSLCertificate?.self)
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        guard let context = try? NIOSSLContext(configuration: configuration) else { return nil }
        ClientBootstrap(group: eventLoop)
            .connectTimeout(patience)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: server.serverName))
                    try pipeline.addHandler(CertificateReader(shown))
                }
            }
            .connect(host: server.host, port: server.port)
            .whenComplete { result in
                guard case .success(let channel) = result else { return shown.succeed(nil) }
                let timer = channel.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
                channel.closeFuture.whenComplete { _ in
                    timer.cancel()
                    shown.succeed(nil)
                }
            }
        return (try? await shown.futureResult.get()) ?? nil
    }
}

private final class CertificateReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let shown: EventLoopPromise<NIOSSLCertificate?>

    init(_ shown: EventLoopPromise<NIOSSLCertificate?>) { self.shown = shown }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent else { return }
        shown.succeed(try? context.pipeline.syncOperations.handler(type: NIOSSLHandler.self).peerCertificate)
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
