package import RoostModel

/// One partition's stream as the receiving node sees it: proves that nothing was left out, or asks to open again.
package struct StreamReceiver: Sendable {
    package enum Phase: Sendable, Equatable {
        case closed
        /// Asked with this request; whatever answers another one is stale.
        case opening(request: UInt64)
        case open
    }
    package private(set) var phase: Phase = .closed
    package private(set) var leader: NodeID?
    package private(set) var term: UInt64 = 0
    package private(set) var position: UInt64 = 0
    /// Opens of single sessions under way on an open stream.
    package private(set) var joining = 0
    private var mismatches = 0

    private let planted: PlantedFaults

    package init(planted: PlantedFaults = []) { self.planted = planted }

    package var isOpen: Bool { phase == .open }

    /// A leader became known, by Raft, a hint or a status. True where the stream must be opened anew.
    package mutating func leaderKnown(_ node: NodeID, term newTerm: UInt64) -> Bool {
        guard newTerm > term || (newTerm == term && leader != node) else { return false }
        term = newTerm
        leader = node
        close()
        return true
    }

    /// What was said of the leader turned out wrong: whoever answers next decides.
    package mutating func leaderLost() {
        close()
    }

    package mutating func close() {
        phase = .closed
        joining = 0
        mismatches = 0
    }

    package mutating func opening(request: UInt64) { phase = .opening(request: request) }
    package mutating func joinBegan() { joining += 1 }

    /// A leader's answer to a reset. True where it is the one waited for.
    package mutating func opened(request: UInt64, by node: NodeID, term newTerm: UInt64, position newPosition: UInt64)
        -> Bool
    {
        guard phase == .opening(request: request), newTerm >= term else { return false }
        term = newTerm
        leader = node
        position = newPosition
        phase = .open
        mismatches = 0
        joining = 0
        return true
    }

    /// A leader's answer, or with `ends` the last of it, to the open of single sessions. False where the stream is
    /// another by now.
    package mutating func joined(by node: NodeID, term answered: UInt64, ends: Bool = true) -> Bool {
        if ends { joining = max(0, joining - 1) }
        return phase != .closed && term == answered && leader == node
    }

    package enum Verdict: Sendable, Equatable {
        case accept
        /// From another stream than the open one: of no use.
        case stale
        /// Something is missing: open again.
        case gap
    }

    package mutating func receive(from node: NodeID, term streamTerm: UInt64, position streamPosition: UInt64)
        -> Verdict
    {
        if case .opening = phase {
            // Before the answer of a reset: what comes after it by the log is in the answer.
            return streamTerm >= term ? .accept : .stale
        }
        guard isOpen, node == leader, streamTerm == term else { return .stale }
        guard streamPosition == position + 1 || planted.contains(.gapIgnored) else { return .gap }
        position = streamPosition
        return .accept
    }

    /// The once-a-second word of a leader. True: open again. One differing digest may be a crossing of messages, two
    /// in a row are not.
    package mutating func status(from node: NodeID, term streamTerm: UInt64, position said: UInt64, matches: Bool)
        -> Bool
    {
        if leaderKnown(node, term: streamTerm) { return true }
        guard streamTerm == term, node == leader else { return false }
        guard isOpen else { return phase == .closed }
        if planted.contains(.gapIgnored) { position = said }
        if said != position { return true }
        if matches || joining > 0 {
            mismatches = 0
            return false
        }
        mismatches += 1
        return mismatches >= 2
    }
}
