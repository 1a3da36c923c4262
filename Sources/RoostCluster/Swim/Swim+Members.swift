package import RoostModel
internal import RoostProtocol

/// The ring says who may be a member; SWIM only who of them is reachable.
extension Swim {
    /// Members that are in no such list.
    package func unlisted(in nodes: [NodeID]) -> [NodeID] {
        members.records.map(\.state.node).filter { !nodes.contains($0) }
    }

    /// From now on nothing is heard of any other node. Those that are new count as never heard of.
    package mutating func setMembers(_ list: [(node: NodeID, address: String)], now: UInt64) {
        allowed = Set(list.map(\.node))
        for node in unlisted(in: list.map(\.node)) {
            members.remove(node)
            lives[node] = nil
            queue.remove(node)
            probes.removeAll { $0.target == node }
            relays.removeAll { $0.target == node || $0.requester == node }
        }
        for seed in list where seed.node != own.node && members.state(of: seed.node) == nil {
            members.put(
                MemberState(
                    node: seed.node, epoch: 0, incarnation: 0, status: .suspect, address: seed.address, since: now))
            seedsDue = max(seedsDue ?? 0, now + timing.seedGrace)
        }
    }
}
