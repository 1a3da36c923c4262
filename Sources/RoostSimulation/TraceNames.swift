import RoostProtocol

extension PeerFrame {
    /// What a line of the trace calls it.
    var traceName: String {
        switch self {
        case .swim: "swim"
        case .presence: "presence"
        case .founding: "founding"
        case .linkPing: "ping"
        case .linkPong: "pong"
        case .reaches: "reaches"
        case .clock: "clock"
        case .draining: "draining"
        case .repair: "repair"
        case .ring: "ring"
        case .raft(let list): list.map { "raft/\($0.partition)/\($0.message.traceName)" }.joined(separator: " ")
        case .propose(let list): "propose×\(list.count)"
        case .proposalResults(let list): "results×\(list.count)"
        case .read(let list): "read×\(list.count)"
        case .readReplies(let list): "replies×\(list.count)"
        case .open(let request): "open×\(request.sessions.count)"
        case .opened(let list): "opened×\(list.count)"
        case .unsubscribe(let list): "unsubscribe×\(list.count)"
        case .deliver(let list): list.map { "deliver/\($0.partition)×\($0.items.count)" }.joined(separator: " ")
        case .streamStatus: "status"
        case .acks(let list): "acks×\(list.count)"
        case .revoked: "revoked"
        case .tokensRevoked: "tokensRevoked"
        case .relayed: "relayed"
        }
    }
}

extension RaftMessage {
    var traceName: String {
        switch self {
        case .preVote(let term, _, _): "preVote(\(term))"
        case .preVoteReply(let term, let granted): "preVoteReply(\(term), \(granted))"
        case .vote(let term, let last, _, _): "vote(\(term), last \(last))"
        case .voteReply(let term, let granted): "voteReply(\(term), \(granted))"
        case .append(let term, let prev, _, let commit, let entries):
            "append(\(term), \(prev)+\(entries.count), commit \(commit))"
        case .appendReply(let term, let success, let index, _): "appendReply(\(term), \(success), \(index))"
        case .heartbeat(let term, let commit, let read, _): "heartbeat(\(term), commit \(commit), read \(read))"
        case .heartbeatReply(let term, let read, _): "heartbeatReply(\(term), read \(read))"
        case .timeoutNow(let term): "timeoutNow(\(term))"
        }
    }
}
