internal import Crypto
package import Foundation
internal import SwiftASN1
internal import X509

/// What makes the certificates by which the nodes of one cluster know each other: a key, and a certificate that it has
/// signed itself.
package struct CertificateAuthority: Sendable {
    /// Ten years: it is made once.
    package static let lifetimeDays = 3_650
    /// Of a node's certificate: renewed once a year, or every 335 days where that goes by itself.
    package static let nodeLifetimeDays = 365
    /// A certificate is valid from so long before it was made, for clocks that are behind, seconds.
    private static let backdating: TimeInterval = 86_400

    private let certificate: Certificate
    private let key: P256.Signing.PrivateKey
    package let certificatePEM: String
    package var keyPEM: String { key.pemRepresentation }

    /// Makes one.
    /// - Parameter name: of the cluster, for those who look at the certificate.
    package init(name: String, now: Date = Date(), days: Int = lifetimeDays) throws(CertificateError) {
        key = P256.Signing.PrivateKey()
        do {
            let signer = Certificate.PrivateKey(key)
            let subject = try DistinguishedName {
                OrganizationName("roost")
                CommonName("\(name.prefix(40)) cluster CA")
            }
            certificate = try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: signer.publicKey,
                notValidBefore: now - Self.backdating, notValidAfter: now + Double(days) * 86_400, issuer: subject,
                subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                    Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                    SubjectKeyIdentifier(hash: signer.publicKey)
                }, issuerPrivateKey: signer)
            certificatePEM = try certificate.serializeAsPEM().pemString + "\n"
        } catch {
            throw CertificateError("no certificate can be made: \(error)")
        }
    }

    /// Takes one that was made before.
    package init(certificatePEM: String, keyPEM: String) throws(CertificateError) {
        self.certificatePEM = certificatePEM
        do {
            certificate = try Certificate(pemEncoded: certificatePEM)
            key = try P256.Signing.PrivateKey(pemRepresentation: keyPEM)
        } catch {
            throw CertificateError("this is no CA as `roost certs init` makes it: \(error)")
        }
        guard certificate.publicKey == Certificate.PrivateKey(key).publicKey else {
            throw CertificateError("the CA's key does not belong to its certificate")
        }
    }

    package var expires: Date { certificate.notValidAfter }

    /// A new key, and a certificate for it that both ends of a link may show.
    /// - Parameter name: the node's id, its only name; or what a client calls the server, such as `roost.example.com`.
    package func issue(
        _ names: [String], now: Date = Date(), days: Int = nodeLifetimeDays
    ) throws(CertificateError) -> (certificatePEM: String, keyPEM: String) {
        let own = P256.Signing.PrivateKey()
        do {
            let holder = Certificate.PrivateKey(own).publicKey
            let subject = try DistinguishedName {
                OrganizationName("roost")
                CommonName(String((names.first ?? "").prefix(64)))
            }
            let issued = try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: holder,
                notValidBefore: now - Self.backdating,
                notValidAfter: min(now + Double(days) * 86_400, certificate.notValidAfter),
                issuer: certificate.subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    Critical(KeyUsage(digitalSignature: true))
                    try ExtendedKeyUsage([.serverAuth, .clientAuth])
                    SubjectAlternativeNames(names.map(Self.name))
                    SubjectKeyIdentifier(hash: holder)
                    AuthorityKeyIdentifier(
                        keyIdentifier: try certificate.extensions.subjectKeyIdentifier?.keyIdentifier)
                }, issuerPrivateKey: Certificate.PrivateKey(key))
            return (try issued.serializeAsPEM().pemString + "\n", own.pemRepresentation + "\n")
        } catch {
            throw CertificateError("no certificate can be made: \(error)")
        }
    }

    private static func name(_ text: String) -> GeneralName {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            return .ipAddress(ASN1OctetString(contentBytes: withUnsafeBytes(of: v4) { ArraySlice($0) }))
        }
        var v6 = in6_addr()
        if inet_pton(AF_INET6, text, &v6) == 1 {
            return .ipAddress(ASN1OctetString(contentBytes: withUnsafeBytes(of: v6) { ArraySlice($0) }))
        }
        return .dnsName(text)
    }
}

/// Why certificates can't be made or used: a line for the operator.
package struct CertificateError: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String
    init(_ description: String) { self.description = description }
}
