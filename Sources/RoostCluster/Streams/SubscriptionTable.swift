package import OrderedCollections
package import RoostModel
package import RoostProtocol

/// Whom a partition's leader streams to: the sessions that nodes opened, by node and by user. One term's worth: a new
/// leader begins empty, and the nodes open again.
package struct SubscriptionTable: Sendable {
    package struct Stream: Sendable {
        package var position: UInt64 = 0
        package var digest: UInt64 = 0
        package fileprivate(set) var sessions: [UInt32: SubscribedSession] = [:]
    }
    /// A session as delivery needs it.
    package struct Subscriber: Sendable {
        package var node: NodeID
        package var slot: UInt32
        package var device: DeviceID
        package var startAt: Int64
    }

    package private(set) var streams: OrderedDictionary<NodeID, Stream> = [:]
    private var byUser: [UserID: [Subscriber]] = [:]

    package init() {}

    package var isEmpty: Bool { byUser.isEmpty }
    package var sessionCount: Int { streams.values.reduce(0) { $0 + $1.sessions.count } }

    package mutating func open(node: NodeID, sessions: [SubscribedSession], reset: Bool) {
        if reset { end(node: node) }
        if streams[node] == nil { streams[node] = Stream() }
        for session in sessions {
            if let old = streams[node]?.sessions.updateValue(session, forKey: session.slot) {
                streams[node]?.digest ^= old.digest
                drop(node: node, session: old)
            }
            streams[node]?.digest ^= session.digest
            byUser[session.user, default: []].append(
                Subscriber(node: node, slot: session.slot, device: session.device, startAt: session.startAt))
        }
    }

    package mutating func close(node: NodeID, slot: UInt32, session: SessionID) {
        guard let old = streams[node]?.sessions[slot], old.session == session else { return }
        streams[node]?.sessions[slot] = nil
        streams[node]?.digest ^= old.digest
        drop(node: node, session: old)
    }

    /// The stream of a node is over: it must open again.
    package mutating func end(node: NodeID) {
        guard let stream = streams.removeValue(forKey: node) else { return }
        for session in stream.sessions.values { drop(node: node, session: session) }
    }

    package func stream(of node: NodeID) -> Stream? { streams[node] }

    package func subscribers(of user: UserID) -> [Subscriber] { byUser[user] ?? [] }

    /// The next position of a node's stream.
    package mutating func advance(node: NodeID) -> UInt64 {
        streams[node]?.position += 1
        return streams[node]?.position ?? 0
    }

    private mutating func drop(node: NodeID, session: SubscribedSession) {
        guard var list = byUser[session.user] else { return }
        list.removeAll { $0.node == node && $0.slot == session.slot }
        byUser[session.user] = list.isEmpty ? nil : list
    }
}
