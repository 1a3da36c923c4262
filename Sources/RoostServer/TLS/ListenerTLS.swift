package import Foundation
internal import Logging
internal import NIOCore
internal import NIOSSL

/// TLS of a port that clients or operators connect to: 1.2 and 1.3, ciphers with forward secrecy and authentication
/// alone; who connects shows no certificate.
package final class ListenerTLS: Sendable {
    private struct Loaded {
        var context: NIOSSLContext
        var leaf: LeafCertificate
    }

    private let files: ReloadedFiles<Loaded>
    let certificate: String

    /// - Parameters:
    ///   - certificate: path of the chain in PEM, the server's own first.
    ///   - key: path of its key in PEM.
    package init(certificate: String, key: String) throws(CertificateError) {
        self.certificate = certificate
        files = try ReloadedFiles([certificate, key]) { () throws(CertificateError) in
            let leaf = try LeafCertificate.read(certificate)
            let identity = try TLSFiles.read(certificate: certificate, key: key)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: identity.chain, privateKey: identity.key)
            configuration.minimumTLSVersion = .tlsv12
            configuration.cipherSuites = "ECDHE+AESGCM:ECDHE+CHACHA20"
            configuration.applicationProtocols = ["http/1.1"]
            configuration.shutdownTimeout = .seconds(1)
            do {
                return Loaded(context: try NIOSSLContext(configuration: configuration), leaf: leaf)
            } catch {
                throw CertificateError("\(certificate) and \(key) can't be used: \(error)")
            }
        }
    }

    /// Until when the certificate is valid.
    package var expires: Date { files.value.leaf.expires }
    func look(_ logger: Logger) -> Bool { files.look(logger) }
    func handler() -> NIOSSLServerHandler { NIOSSLServerHandler(context: files.value.context) }
}
