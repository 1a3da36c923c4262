package import Foundation
package import RoostNode

/// A CA in a directory of this machine: `ca.pem` and `ca.key`.
package struct LocalAuthority: Sendable {
    /// A certificate that has fewer days left is renewed, or warned of where nobody here can.
    package static let renewalDays = 30

    package let directory: String
    package var certificate: String { directory + "/ca.pem" }
    package var key: String { directory + "/ca.key" }
    package var isThere: Bool { FileManager.default.fileExists(atPath: key) }

    package init(directory: String) { self.directory = directory }

    /// Where the nodes of one machine have theirs: `ca` in the closest directory that all their data are below, so that
    /// it outlives the loss of any of them.
    package static func directory(of nodes: [ClusterConfig.Node]) -> String? {
        let parents = nodes.map { node in node.dataDirectory.split(separator: "/").dropLast() }
        guard let first = parents.first else { return nil }
        let common = first.indices.prefix { index in
            parents.allSatisfy { index < $0.endIndex && $0[index] == first[index] }
        }
        let path = common.isEmpty ? first : first[..<common.upperBound]
        return "/" + path.joined(separator: "/") + (path.isEmpty ? "ca" : "/ca")
    }

    /// The CA that is there.
    package func load() throws(CertificateError) -> CertificateAuthority {
        try CertificateAuthority(
            certificatePEM: String(decoding: PrivateFile.read(certificate), as: UTF8.self),
            keyPEM: String(decoding: PrivateFile.read(key), as: UTF8.self))
    }

    /// Makes a CA where there is none.
    package func make(name: String, days: Int = CertificateAuthority.lifetimeDays) throws(CertificateError) {
        try locked { () throws(CertificateError) in
            guard !isThere else { throw CertificateError("\(directory) has a CA already") }
            try write(CertificateAuthority(name: name, days: days))
        }
    }

    private func write(_ authority: CertificateAuthority) throws(CertificateError) {
        try PrivateFile.write(authority.certificatePEM, to: certificate)
        try PrivateFile.write(authority.keyPEM, to: key)
    }

    /// A new key and a new certificate for the node, by the CA that is there.
    package func issue(_ files: CertificateFiles, days: Int = CertificateAuthority.nodeLifetimeDays)
        throws(CertificateError)
    {
        let authority = try load()
        let issued = try authority.issue([files.name], days: days)
        try files.write(
            authorityPEM: authority.certificatePEM, certificatePEM: issued.certificatePEM, keyPEM: issued.keyPEM)
    }

    /// For nodes that help themselves: sees to it that the node has a certificate that is valid for a while. Several
    /// processes may do it at once.
    /// - Parameters:
    ///   - cluster: the name that a new CA gets.
    ///   - others: files of the other nodes here; where one has a certificate and the CA is gone, a new one would part
    ///     them.
    /// - Returns: whether there is a new certificate.
    package func provide(
        _ files: CertificateFiles, cluster: String, others: [CertificateFiles], now: Date = Date()
    ) throws(CertificateError) -> Bool {
        if files.isThere {
            let expires = try? LeafCertificate.read(files.certificate).expires
            let limit = now + Double(Self.renewalDays) * 86_400
            if let expires, expires > limit || !isThere { return false }
        }
        return try locked { () throws(CertificateError) in
            if !isThere {
                if let other = others.first(where: { $0 != files && $0.isThere }) {
                    throw CertificateError(
                        "\(directory) has no CA any more, but \(other.name) has a certificate of it: put the CA back, or "
                            + "delete the certificates of all nodes, such as \(other.certificate)")
                }
                try write(CertificateAuthority(name: cluster, now: now))
            }
            try issue(files)
            return true
        }
    }

    /// One process at a time, in a directory that nobody else can write in.
    private func locked<Value>(_ body: () throws(CertificateError) -> Value) throws(CertificateError) -> Value {
        try PrivateFile.makeDirectory(directory)
        let all = try? FileManager.default.attributesOfItem(atPath: directory)
        guard let owner = (all?[.ownerAccountID] as? NSNumber)?.uint32Value, owner == geteuid(),
            let mode = (all?[.posixPermissions] as? NSNumber)?.intValue, mode & 0o022 == 0
        else {
            throw CertificateError("\(directory) must belong to this user, and be writable by nobody else")
        }
        let lock = open(directory + "/lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard lock >= 0 else {
            throw CertificateError("\(directory)/lock can't be written: \(ConnectionTrouble.words(errno))")
        }
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0, errno == EINTR {}
        return try body()
    }
}
