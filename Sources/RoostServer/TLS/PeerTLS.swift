package import Foundation
internal import Logging
internal import NIOCore
internal import NIOSSL
internal import X509

/// TLS between nodes: 1.3, with a certificate of the cluster's CA at both ends, whose name is the node's id.
package final class PeerTLS: Sendable {
    private struct Contexts {
        var server: NIOSSLContext
        var client: NIOSSLContext
        var leaf: LeafCertificate
        var authorityExpires: Date
    }

    private let node: String
    private let files: ReloadedFiles<Contexts>

    package init(_ paths: CertificateFiles) throws(CertificateError) {
        node = paths.name
        files = try ReloadedFiles([paths.authority, paths.certificate, paths.key]) { () throws(CertificateError) in
            try Self.load(paths)
        }
    }

    /// Until when this node's certificate is valid.
    package var expires: Date { files.value.leaf.expires }
    /// The same of the CA's.
    package var authorityExpires: Date { files.value.authorityExpires }
    func look(_ logger: Logger) -> Bool { files.look(logger) }

    private static func load(_ paths: CertificateFiles) throws(CertificateError) -> Contexts {
        let chain = try LeafCertificate.readAll(paths.certificate)
        guard let own = chain.first, let last = chain.last else {
            throw CertificateError("\(paths.certificate) holds no certificate")
        }
        let leaf = LeafCertificate(own)
        guard leaf.names.contains(paths.name) else {
            let names = leaf.names.isEmpty ? "nobody" : leaf.names.joined(separator: ", ")
            throw CertificateError("\(paths.certificate) is the certificate of \(names), not of \(paths.name)")
        }
        let authorities = try LeafCertificate.readAll(paths.authority)
        guard authorities.contains(where: { $0.publicKey.isValidSignature(last.signature, for: last) }) else {
            throw CertificateError("\(paths.certificate) is not signed by the CA of \(paths.authority)")
        }
        let identity = try TLSFiles.read(certificate: paths.certificate, key: paths.key)
        do {
            let roots = NIOSSLTrustRoots.certificates(
                try NIOSSLCertificate.fromPEMBytes(try PrivateFile.read(paths.authority)))
            var server = TLSConfiguration.makeServerConfigurationWithMTLS(
                certificateChain: identity.chain, privateKey: identity.key, trustRoots: roots)
            var client = TLSConfiguration.makeClientConfiguration()
            client.certificateChain = identity.chain
            client.privateKey = identity.key
            client.trustRoots = roots
            // By names in the certificate and the hello instead: nodes are known by id, whatever their addresses are.
            client.certificateVerification = .noHostnameVerification
            restrict(&server)
            restrict(&client)
            return Contexts(
                server: try NIOSSLContext(configuration: server), client: try NIOSSLContext(configuration: client),
                leaf: leaf, authorityExpires: authorities.map(\.notValidAfter).max() ?? leaf.expires)
        } catch {
            throw CertificateError("\(paths.certificate): \(error)")
        }
    }

    private static func restrict(_ configuration: inout TLSConfiguration) {
        configuration.minimumTLSVersion = .tlsv13
        configuration.applicationProtocols = ["roost-peer"]
        // A frame that says why comes before; nobody has to wait for the other end's goodbye.
        configuration.shutdownTimeout = .milliseconds(100)
    }

    // MARK: Connections

    func accepting() -> NIOSSLServerHandler { NIOSSLServerHandler(context: files.value.server) }

    func dialling() throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: files.value.client, serverHostname: nil)
    }

    /// Who is at the other end, once TLS has shaken hands there. TLS has checked the chain; but a session may be an old
    /// one that goes on.
    static func names(of channel: any Channel, now: Date = Date()) throws(CertificateError) -> [String] {
        guard let handler = try? channel.pipeline.syncOperations.handler(type: NIOSSLHandler.self),
            let der = try? handler.peerCertificate?.toDERBytes()
        else { throw CertificateError("the other end shows no certificate") }
        let leaf = try LeafCertificate(der: der)
        guard leaf.isValid(at: now) else { throw CertificateError("the other end's certificate has expired") }
        return leaf.names
    }
}

/// A certificate chain and its key.
enum TLSFiles {
    static func read(
        certificate: String, key: String
    ) throws(CertificateError) -> (chain: [NIOSSLCertificateSource], key: NIOSSLPrivateKeySource) {
        let chain = try PrivateFile.read(certificate)
        let secret = try PrivateFile.read(key)
        do {
            let certificates = try NIOSSLCertificate.fromPEMBytes(chain)
            return (
                certificates.map { .certificate($0) }, .privateKey(try NIOSSLPrivateKey(bytes: secret, format: .pem))
            )
        } catch {
            throw CertificateError("\(certificate) and \(key) can't be used: \(error)")
        }
    }
}
