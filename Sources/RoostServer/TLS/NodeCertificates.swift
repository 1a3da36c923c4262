package import Foundation
package import Logging
internal import NIOConcurrencyHelpers
package import NIOCore
internal import NIOPosix
internal import RoostModel
package import RoostNode

/// A node's certificates: loaded at its start, looked at again and again, renewed where it can do that by itself.
package final class NodeCertificates: Sendable {
    private static let warningInterval: TimeInterval = 86_400

    /// Nil where links are in plain text.
    package let peer: PeerTLS?
    /// Nil where the port speaks plain HTTP; the same for the admin port.
    package let client: ListenerTLS?
    package let admin: ListenerTLS?
    private let authority: LocalAuthority?
    private let files: CertificateFiles
    private let others: [CertificateFiles]
    private let cluster: String
    private let interval: TimeAmount
    private let logger: Logger
    private let state = NIOLockedValueBox(State())

    private struct State {
        var task: RepeatedTask?
        var warned: Date?
    }

    /// Until when something is valid.
    package struct Expiry: Sendable, Equatable {
        /// `peer`, `peer_ca`, `client` or `admin`.
        package var kind: String
        package var date: Date
    }

    /// - Throws: a line that says what is missing, and which command makes it.
    package init(
        config: ClusterConfig, own: ClusterConfig.Node, logger: Logger
    ) throws(CertificateError) {
        let security = config.security
        self.logger = logger
        cluster = config.cluster
        interval = .seconds(Int64(security.certificateCheckSeconds))
        files = CertificateFiles(directory: own.certificates(security), name: own.id.name)
        others = config.nodes.filter { $0.id != own.id }.map {
            CertificateFiles(directory: $0.certificates(security), name: $0.id.name)
        }
        authority = security.localAuthority.map { LocalAuthority(directory: $0) }
        client = try Self.listener("client", security.clientCertificate, security.clientKey)
        admin = try Self.listener("admin", security.adminCertificate, security.adminKey)
        guard security.peerTLS else {
            peer = nil
            logger.warning(
                "security.peer_tls is \"off\": what nodes say to each other can be read and changed on its way")
            return
        }
        if let authority, try authority.provide(files, cluster: cluster, others: others) {
            logger.info("this node has a new certificate", metadata: ["file": "\(files.certificate)"])
        }
        guard files.isThere else {
            throw CertificateError(
                "\(files.certificate) is missing: make it where the cluster's CA is, with \"roost certs issue --id "
                    + "\(files.name)\", and bring it here; or set security.peer_tls to \"off\"")
        }
        let peer = try PeerTLS(files)
        guard peer.expires > Date() else {
            throw CertificateError(
                "\(files.certificate) has expired at \(peer.expires.formatted(.iso8601)): make a new one where the "
                    + "cluster's CA is, with \"roost certs renew --id \(files.name)\"")
        }
        self.peer = peer
    }

    private static func listener(
        _ kind: String, _ certificate: String?, _ key: String?
    ) throws(CertificateError) -> ListenerTLS? {
        guard let certificate, let key else { return nil }
        do throws(CertificateError) {
            return try ListenerTLS(certificate: certificate, key: key)
        } catch {
            throw CertificateError("security.\(kind)_certificate: \(error)")
        }
    }

    package var expiries: [Expiry] {
        var all: [Expiry] = []
        if let peer {
            all.append(Expiry(kind: "peer", date: peer.expires))
            all.append(Expiry(kind: "peer_ca", date: peer.authorityExpires))
        }
        if let client { all.append(Expiry(kind: "client", date: client.expires)) }
        if let admin { all.append(Expiry(kind: "admin", date: admin.expires)) }
        return all
    }

    // MARK: Looking

    /// From now on, until `stop`.
    package func start(on loop: any EventLoop) {
        guard !expiries.isEmpty else { return }
        look()
        let task = loop.scheduleRepeatedAsyncTask(initialDelay: interval, delay: interval) { _ in
            // Not on the loop: files are read.
            NIOThreadPool.singleton.runIfActive(eventLoop: loop) { self.look() }
        }
        state.withLockedValue { $0.task = task }
    }

    package func stop() { state.withLockedValue { $0.task }?.cancel() }

    /// Blocks.
    package func look(now: Date = Date()) {
        if peer != nil, let authority {
            do {
                _ = try authority.provide(files, cluster: cluster, others: others, now: now)
            } catch {
                warn("this node's certificate can't be renewed: \(error)", now)
            }
        }
        if let peer, peer.look(logger) { tell("peer", files.certificate, peer.expires) }
        if let client, client.look(logger) { tell("client", client.certificate, client.expires) }
        if let admin, admin.look(logger) { tell("admin", admin.certificate, admin.expires) }
        for expiry in expiries where expiry.date < now + Double(LocalAuthority.renewalDays) * 86_400 {
            warn("the certificate \"\(expiry.kind)\" expires at \(expiry.date.formatted(.iso8601)): renew it", now)
        }
    }

    private func tell(_ kind: String, _ file: String, _ expires: Date) {
        logger.notice(
            "a new certificate is used for new connections",
            metadata: ["kind": "\(kind)", "file": "\(file)", "expires": "\(expires.formatted(.iso8601))"])
    }

    /// Once a day.
    private func warn(_ text: String, _ now: Date) {
        let isDue = state.withLockedValue { state in
            if let warned = state.warned, now.timeIntervalSince(warned) < Self.warningInterval { return false }
            state.warned = now
            return true
        }
        if isDue { logger.warning("\(text)") }
    }
}
