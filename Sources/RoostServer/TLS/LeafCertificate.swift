package import Foundation
internal import SwiftASN1
internal import X509

/// What is to be known of a certificate that is shown: whose it is, and until when.
package struct LeafCertificate: Sendable, Equatable {
    /// The DNS names among its alternative names.
    package var names: [String]
    package var starts: Date
    package var expires: Date

    init(_ certificate: Certificate) {
        var names: [String] = []
        if let all = try? certificate.extensions.subjectAlternativeNames {
            for case .dnsName(let name) in all { names.append(name) }
        }
        self.names = names
        starts = certificate.notValidBefore
        expires = certificate.notValidAfter
    }

    init(der: [UInt8]) throws(CertificateError) {
        do {
            self.init(try Certificate(derEncoded: der))
        } catch {
            throw CertificateError("this certificate can't be read: \(error)")
        }
    }

    func isValid(at now: Date) -> Bool { starts <= now && now < expires }

    /// The first one of a file in PEM.
    package static func read(_ path: String) throws(CertificateError) -> LeafCertificate {
        let all = try readAll(path)
        guard let first = all.first else { throw CertificateError("\(path) holds no certificate") }
        return LeafCertificate(first)
    }

    /// All of a file in PEM.
    static func readAll(_ path: String) throws(CertificateError) -> [Certificate] {
        let text = String(decoding: try PrivateFile.read(path), as: UTF8.self)
        do {
            let all = try PEMDocument.parseMultiple(pemString: text)
            return try all.filter { $0.discriminator == Certificate.defaultPEMDiscriminator }
                .map { try Certificate(pemDocument: $0) }
        } catch {
            throw CertificateError("\(path) holds no certificate in PEM: \(error)")
        }
    }
}
