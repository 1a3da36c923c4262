import Foundation
import Logging
import NIOCore
import NIOSSL

@testable import RoostServer

/// A CA in a directory of its own, which goes when this does.
final class TestAuthority: Sendable {
    let directory = NSTemporaryDirectory() + "roost-ca-\(UUID().uuidString)"
    var local: LocalAuthority { LocalAuthority(directory: directory) }

    init() throws { try local.make(name: "test") }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    static var logger: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

    func files(_ node: String) -> CertificateFiles {
        CertificateFiles(directory: "\(directory)/\(node)", name: node)
    }

    /// - Parameters:
    ///   - named: what the certificate says, where that is not the node's id.
    ///   - daysAgo: when it was made.
    @discardableResult
    func issue(_ node: String, named: String? = nil, daysAgo: Int = 0) throws -> CertificateFiles {
        let authority = try local.load()
        let made = try authority.issue([named ?? node], now: Date() - Double(daysAgo) * 86_400)
        let files = files(named ?? node)
        try files.write(
            authorityPEM: authority.certificatePEM, certificatePEM: made.certificatePEM, keyPEM: made.keyPEM)
        return files
    }

    func peer(_ node: String, named: String? = nil, daysAgo: Int = 0) throws -> PeerTLS {
        try PeerTLS(issue(node, named: named, daysAgo: daysAgo))
    }

    /// As whoever dials, with this certificate or with none.
    func dialler(_ files: CertificateFiles?) throws -> @Sendable (any Channel) throws -> Void {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        if let files {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(files.certificate).map {
                .certificate($0)
            }
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: files.key, format: .pem))
        }
        let context = try NIOSSLContext(configuration: configuration)
        return { channel in
            try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
        }
    }
}
