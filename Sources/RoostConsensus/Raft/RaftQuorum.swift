internal import RoostModel

/// Majorities over the voters of a configuration, of whom this group's own peer may be one.
enum RaftQuorum {
    static func size(voters: Int) -> Int { voters / 2 + 1 }

    /// The highest value that a majority of the voters has reached; 0 if there are no voters. `own` is nil if this peer
    /// is no voter. Quadratic, without allocation: there are a handful of voters.
    static func agreed(
        _ peers: [RaftProgress], own: UInt64?, planted: PlantedFaults = [], value: (RaftProgress) -> UInt64
    ) -> UInt64 {
        var voters = own == nil ? 0 : 1
        for peer in peers where peer.isVoter { voters += 1 }
        guard voters > 0 else { return 0 }
        let needed = size(voters: voters) - (planted.contains(.majorityOffByOne) ? 1 : 0)
        func reached(_ bound: UInt64) -> Bool {
            var count = (own ?? 0) >= bound && own != nil ? 1 : 0
            for peer in peers where peer.isVoter && value(peer) >= bound { count += 1 }
            return count >= needed
        }
        var best: UInt64 = 0
        if let own, own > best, reached(own) { best = own }
        for peer in peers where peer.isVoter {
            let candidate = value(peer)
            if candidate > best, reached(candidate) { best = candidate }
        }
        return best
    }
}
