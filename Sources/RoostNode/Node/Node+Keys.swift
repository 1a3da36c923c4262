import Logging
import NIOCore
import RoostCluster
import RoostConsensus
import RoostModel
package import RoostProtocol

/// The keys that sign tokens: made by the leader of partition 0, known to its replicas from the log and to all other
/// nodes because they ask. A new key signs once every node alive has it; an old one goes when what it signed has expired.
extension Node {
    /// Seconds after its successor signs in which a node may still sign with the former key, not having heard.
    private static let keyGraceSeconds: Int64 = 600

    /// The leader of partition 0 makes the first key; every replica of the partition learns it from the log.
    func ensureSigningKey() {
        guard let partition = partitions[0], signingKeyList.isEmpty, !proposingKey,
            partition.onCore({ $0.isLeader && $0.state.signingKeys.isEmpty })
        else {
            fetchSigningKeys()
            return
        }
        proposingKey = true
        call(.propose(.addSigningKey(makeSigningKey())), partition: 0) { [weak self] _ in
            self?.onCore { $0.proposingKey = false }
        }
    }

    /// A node without a replica of partition 0, or with one that is being filled, asks for the keys.
    private func fetchSigningKeys() {
        guard signingKeyList.isEmpty, record != nil else { return }
        askForSigningKeys()
    }

    private func askForSigningKeys() {
        guard !proposingKey else { return }
        proposingKey = true
        call(.read(.signingKeys)) { [weak self] outcome in
            self?.onCore { node in
                node.proposingKey = false
                if case .read(.signingKeys(let keys)) = outcome, !keys.isEmpty { node.signingKeysChanged(keys) }
            }
        }
    }

    func signingKeysChanged(_ keys: [SigningKey]) { signingKeyList = keys }

    /// Whether this node has exactly the keys that the leader of partition 0 has; if not, it asks for them.
    func holdsKeys(_ digest: UInt64) -> Bool {
        if SigningKey.digest(of: signingKeyList) == digest { return true }
        askForSigningKeys()
        return false
    }

    /// Every second: the leader of partition 0 tells the others, and takes the next step with its keys.
    func tendSigningKeys() {
        guard phase == .serving, let partition = partitions[0],
            let keys = partition.onCore({ $0.isLeader ? $0.state.signingKeys : nil }), !keys.isEmpty
        else {
            keysHeld = KeysHeld()
            return
        }
        let digest = SigningKey.digest(of: keys)
        if keysHeld.digest != digest { keysHeld = KeysHeld(digest: digest) }
        let alive = peers.keys.filter { $0 != me && swim.state(of: $0)?.status == .alive }.sorted()
        for node in alive where !keysHeld.nodes.contains(node) && !keysHeld.asked.contains(node) {
            keysHeld.asked.insert(node)
            let deadline = context.clock.now() + 2_000_000_000
            call(.read(.holdsKeys(digest: digest)), partition: 0, to: node, deadline: deadline) { [weak self] outcome in
                self?.onCore { $0.answered(outcome, by: node, about: digest) }
            }
        }
        if alive.allSatisfy({ keysHeld.nodes.contains($0) }) { stepKeys(keys) }
    }

    private func answered(_ outcome: CallOutcome, by node: NodeID, about digest: UInt64) {
        guard keysHeld.digest == digest else { return }
        keysHeld.asked.remove(node)
        if case .read(.holds(true)) = outcome { keysHeld.nodes.insert(node) }
    }

    /// Whoever dies and comes back asks anew when it starts.
    func forgetKeysHeld(by node: NodeID) {
        keysHeld.nodes.remove(node)
        keysHeld.asked.remove(node)
    }

    private func stepKeys(_ keys: [SigningKey]) {
        guard !proposingKey else { return }
        let command: Command
        if let pending = keys.first(where: { $0.activeAt == 0 }) {
            command = .activateSigningKey(id: pending.id)
        } else if let old = expiredKey(keys) {
            command = .removeSigningKey(id: old.id)
        } else {
            return
        }
        proposingKey = true
        context.logger.notice("signing keys: \(command.keyStep)")
        call(.propose(command), partition: 0) { [weak self] _ in
            self?.onCore { $0.proposingKey = false }
        }
    }

    /// One whose successor has signed for longer than any token of its own can live.
    private func expiredKey(_ keys: [SigningKey]) -> SigningKey? {
        let ordered = keys.filter { $0.activeAt > 0 }.sorted { ($0.activeAt, $0.id) < ($1.activeAt, $1.id) }
        guard ordered.count > 1 else { return nil }
        let kept = (Int64(configuration.security.tokenLifetimeSeconds) + Self.keyGraceSeconds) * 1_000_000
        return ordered[1].activeAt + kept < clusterTime ? ordered[0] : nil
    }

    /// Adds a key; the rest follows by itself. One that does not sign yet is answered instead of another.
    package func rotateSigningKey() async -> Result<SigningKey, Rejection> {
        if let pending = await refreshSigningKeys()?.first(where: { $0.activeAt == 0 }) { return .success(pending) }
        let key = makeSigningKey()
        if case .rejected(let rejection) = await propose(.addSigningKey(key)) { return .failure(rejection) }
        return .success(key)
    }

    package func signingKeys() async -> [SigningKey] {
        if !signingKeyList.isEmpty { return signingKeyList }
        if case .signingKeys(let keys) = await read(.signingKeys) { return keys }
        return []
    }

    /// An unknown key is looked up where keys are made, before a token is refused.
    package func refreshSigningKeys() async -> [SigningKey]? {
        guard case .signingKeys(let keys) = await read(.signingKeys), !keys.isEmpty else { return nil }
        signingKeyList = keys
        return keys
    }

    func makeSigningKey() -> SigningKey {
        let id = UUID128.version4(using: &generator)
        return SigningKey(
            id: id.description, secret: ByteBuffer(bytes: context.secretBytes(32)), createdAt: context.clock.wall())
    }
}

/// Who has the keys of a digest, as far as the leader of partition 0 has asked.
struct KeysHeld {
    var digest: UInt64?
    var nodes: Set<NodeID> = []
    var asked: Set<NodeID> = []
}

extension Command {
    fileprivate var keyStep: String {
        switch self {
        case .activateSigningKey(let id): "every node alive has \(id): it signs from now on"
        case .removeSigningKey(let id): "\(id) goes: what it signed has expired"
        default: ""
        }
    }
}
