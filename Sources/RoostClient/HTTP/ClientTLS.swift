internal import Foundation
internal import NIOCore
package import NIOSSL

/// Which servers a client believes at `https://` addresses: those with a certificate of the system's CAs, or of CAs that
/// are given, for the name or address that was asked for. TLS 1.2 and 1.3.
public final class ClientTLS: Sendable {
    /// For HTTP calls.
    package let configuration: TLSConfiguration
    private let context: NIOSSLContext

    /// - Parameter caFile: CAs in PEM that are believed as well; nil: the system's alone.
    /// - Throws: `invalid_field` where the file can't be used.
    public init(caFile: String? = nil) throws(RoostError) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.shutdownTimeout = .seconds(1)
        do {
            if let caFile {
                configuration.additionalTrustRoots = [.certificates(try NIOSSLCertificate.fromPEMFile(caFile))]
            }
            context = try NIOSSLContext(configuration: configuration)
        } catch {
            throw RoostError(.invalidField, "\(caFile ?? "the system's CAs"): no CA certificates in PEM: \(error)")
        }
        self.configuration = configuration
    }

    func handler(for server: ServerAddress) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: context, serverHostname: server.serverName)
    }
}

extension ServerAddress {
    /// An address is no server name; the certificate must have it all the same.
    var serverName: String? { (try? SocketAddress(ipAddress: host, port: 0)) == nil ? host : nil }
}
