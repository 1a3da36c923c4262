internal import Foundation
internal import Logging
internal import NIOPosix
internal import RoostModel
internal import RoostNode
internal import RoostProtocol
internal import RoostStorage

/// How a blank node is taken into a cluster that runs.
package struct JoinOptions: Sendable {
    /// `host:peer_port` of any node.
    package var seed: String
    package init(seed: String) { self.seed = seed }
}

enum Joining {
    /// Asks until it is taken in, and writes down what it is given. A node that belongs to a cluster already stays there.
    /// - Returns: nil where it was stopped first.
    static func run(
        _ opened: OpenedStore, config: ClusterConfig, own: ClusterConfig.Node, seed: String, secret: ClusterSecret?,
        tls: PeerTLS?, logger: Logger, isStopping: @Sendable () -> Bool
    ) async throws(NodeRunError) -> NodeFacts? {
        var facts = opened.facts
        guard facts.founded == nil else { return facts }
        guard secret != nil || tls != nil else {
            throw NodeRunError(
                message:
                    "--join: with security.peer_tls \"off\" the cluster's secret is needed: --cluster-secret-file or "
                    + "security.cluster_secret_file",
                exitCode: NodeRunError.configuration)
        }
        let hello = JoinHello(
            minVersion: PeerFrameCodec.versions.lowerBound, maxVersion: PeerFrameCodec.versions.upperBound,
            cluster: config.cluster, member: RingMember(own))
        var said = ""
        while !isStopping() {
            switch await JoinClient.ask(
                seed, hello: hello, secret: secret, tls: tls, group: MultiThreadedEventLoopGroup.singleton)
            {
            case .success(let grant):
                facts.founded = grant.record
                facts.ring = grant.ring
                do {
                    try opened.store.saveFacts(facts)
                } catch {
                    throw .opening(error, directory: own.dataDirectory)
                }
                logger.notice("joined cluster \(grant.record.cluster)", metadata: ["ring": "\(grant.ring.version)"])
                return facts
            case .failure(let refusal):
                guard refusal.retry else {
                    throw NodeRunError(
                        message: "--join \(seed): \(refusal.reason)", exitCode: NodeRunError.configuration)
                }
                if refusal.reason != said { logger.warning("not taken in yet: \(refusal.reason); trying on") }
                said = refusal.reason
                try? await Task.sleep(for: .seconds(1))
            }
        }
        return nil
    }

    /// What a node that joined takes over from the cluster, whatever its own file says or does not say.
    static func adapt(_ config: ClusterConfig, to record: FoundingRecord, node: NodeID) -> ClusterConfig {
        guard !record.members.contains(where: { $0.node == node }) else { return config }
        var config = config
        config.cluster = record.cluster
        config.partitions = Int(record.partitions)
        config.replication = Int(record.replication)
        return config
    }
}

extension ClusterSecret {
    /// Nil where the file's path is.
    static func load(_ path: String?) throws(NodeRunError) -> ClusterSecret? {
        guard let path else { return nil }
        guard let data = FileManager.default.contents(atPath: path), data.count <= 65_536 else {
            throw NodeRunError(
                message: "security.cluster_secret_file: \(path) can't be read", exitCode: NodeRunError.configuration)
        }
        guard let secret = ClusterSecret(String(decoding: data, as: UTF8.self)) else {
            throw NodeRunError(
                message: "security.cluster_secret_file: \(path) holds fewer than \(minimumBytes) bytes",
                exitCode: NodeRunError.configuration)
        }
        return secret
    }
}
