import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

/// Actions and messages in a line each.
enum RaftTranscriptText {
    static func of(_ action: RaftGroup.Action) -> String {
        switch action {
        case .persist(let ticket, let hardState, let truncateFrom, let entries):
            var text = "persists #\(ticket)"
            if let hardState { text += " term \(hardState.term) vote \(hardState.vote?.node.name ?? "-")" }
            if let truncateFrom { text += " truncate from \(truncateFrom)" }
            if !entries.isEmpty { text += " " + of(entries) }
            return text
        case .send(let message, let to): return "-> \(to.node) \(of(message))"
        case .committed(let entries): return "hands out \(of(entries))"
        case .load(_, let from, let through, _, let purpose): return "loads \(from)...\(through) to \(of(purpose))"
        case .readReady(let id, let index): return "read \(id) ready at \(index)"
        case .readFailed(let id): return "read \(id) failed"
        case .roleChanged(let role, let term, let leader):
            return "is \(role) in term \(term), led by \(leader?.node.name ?? "-")"
        case .membershipChanged(let configuration): return "has \(of(configuration))"
        case .peerRegressed(let peer, let confirmed, let has):
            return "finds that \(peer.node) confirmed \(confirmed) and has \(has)"
        }
    }

    static func of(_ message: RaftMessage) -> String {
        switch message {
        case .preVote(let term, let index, let lastTerm): "preVote \(term) last \(index)/\(lastTerm)"
        case .preVoteReply(let term, let granted): "preVoteReply \(term) \(granted ? "granted" : "refused")"
        case .vote(let term, let index, let lastTerm, let transfer):
            "vote \(term) last \(index)/\(lastTerm)\(transfer ? " transfer" : "")"
        case .voteReply(let term, let granted): "voteReply \(term) \(granted ? "granted" : "refused")"
        case .append(let term, let index, let prevTerm, let commit, let entries):
            "append \(term) after \(index)/\(prevTerm) commit \(commit) \(of(entries))"
        case .appendReply(let term, let success, let index, let conflictTerm):
            "appendReply \(term) " + (success ? "synced \(index)" : "refused, try \(index)/\(conflictTerm)")
        case .heartbeat(let term, let commit, let read, let hibernate):
            "heartbeat \(term) commit \(commit) round \(read)\(hibernate ? " hibernate" : "")"
        case .heartbeatReply(let term, let read, let lastIndex):
            "heartbeatReply \(term) round \(read) last \(lastIndex)"
        case .timeoutNow(let term): "timeoutNow \(term)"
        }
    }

    private static func of(_ entries: [RaftEntry]) -> String {
        let texts = entries.map { entry in
            switch entry.kind {
            case .noop: "\(entry.index)/\(entry.term) noop"
            case .command: "\(entry.index)/\(entry.term) \(String(buffer: entry.payload))"
            case .configuration: "\(entry.index)/\(entry.term) configuration"
            }
        }
        return "[" + texts.joined(separator: ", ") + "]"
    }

    private static func of(_ configuration: RaftConfiguration) -> String {
        func names(_ peers: [RaftPeer]) -> String { peers.map(\.node.name).joined(separator: " ") }
        return "voters [\(names(configuration.voters))] learners [\(names(configuration.learners))]"
            + " tombstones [\(names(configuration.tombstones))]"
    }

    private static func of(_ purpose: RaftGroup.LoadPurpose) -> String {
        switch purpose {
        case .apply: "apply"
        case .replicate(let peer): "send to \(peer.node)"
        }
    }
}
