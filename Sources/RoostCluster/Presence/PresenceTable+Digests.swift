internal import RoostModel
package import RoostProtocol

/// How far everything goes, for the others to compare.
extension PresenceTable {
    /// All: the own part first, as far as it was flushed, then the visible parts of others.
    package func digests() -> [PresenceDigest] {
        var digests = [ownDigest]
        digests.reserveCapacity(parts.count + 1)
        for part in parts where part.isVisible { digests.append(part.digest) }
        return digests
    }

    /// What goes with a message of `Swim`: everything with a full exchange, a bounded number with pings and acks.
    package mutating func digests(for body: SwimMessage.Body) -> [PresenceDigest] {
        switch body {
        case .ping, .ack, .summary: nextDigests()
        case .exchange: digests()
        case .pingRequest, .nack: []
        }
    }

    private var ownDigest: PresenceDigest { PresenceDigest(node: me, epoch: epoch, version: log.version) }

    /// The own part, then those that went on of late, the newest first, then the others in turns.
    private mutating func nextDigests() -> [PresenceDigest] {
        let limit = max(1, limits.digestsPerMessage)
        var chosen = [ownDigest]
        if parts.count < limit {
            for part in parts where part.isVisible { chosen.append(part.digest) }
            return chosen
        }
        // At most half of the places, so that the others' turns come, however much changes.
        var place = fresh.count
        while place > 0, chosen.count <= limit / 2 {
            place -= 1
            guard let index = find(fresh[place]), parts[index].isVisible, parts[index].freshness > 0 else {
                fresh.remove(at: place)
                continue
            }
            chosen.append(parts[index].digest)
            parts[index].freshness -= 1
            if parts[index].freshness == 0 { fresh.remove(at: place) }
        }
        var steps = 0
        while chosen.count < limit, steps < parts.count {
            let part = parts[turn % parts.count]
            turn = (turn + 1) % parts.count
            steps += 1
            if part.isVisible, !chosen.contains(where: { $0.node == part.node }) { chosen.append(part.digest) }
        }
        return chosen
    }

    /// A part went on: its digest goes first for a while.
    mutating func freshen(_ index: Int) {
        if parts[index].freshness == 0 {
            if fresh.count >= 64 {
                let oldest = fresh.removeFirst()
                if let place = find(oldest) { parts[place].freshness = 0 }
            }
            fresh.append(parts[index].node)
        }
        parts[index].freshness = limits.freshSends
    }
}
