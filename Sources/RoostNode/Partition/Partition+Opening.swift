import DequeModule
import NIOCore
import OrderedCollections
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol

/// A proven open that is being answered.
struct Opening: Sendable {
    var request: UInt64
    /// Those not answered yet.
    var sessions: ArraySlice<SubscribedSession>
    var origin: NodeID
}

/// Answering opens: a bounded number of conversations at a time, so that a node with very many sessions holds up nothing
/// else. A later part is as of a later index, which is as good: what is committed after a session's answer comes by the
/// stream, and what came before is in it.
extension Partition {
    /// Conversations looked at before other events have their turn.
    private static let conversationsATurn = 4_096
    /// Conversations in one part of an answer: some 32 bytes each.
    private static let replyUnread = 32_768
    /// Sessions of which one part of an answer tells.
    private static let replySessions = 1_024

    func answerOpen(request: UInt64, sessions: [SubscribedSession], from origin: NodeID) {
        openings.append(Opening(request: request, sessions: sessions[...], origin: origin))
        if openings.count == 1 { answerOpenings() }
    }

    private func answerOpenings() {
        var budget = Self.conversationsATurn
        while budget > 0, let opening = openings.first {
            let rest = answer(opening, &budget)
            if rest.isEmpty { openings.removeFirst() } else { openings[0].sessions = rest }
        }
        guard !openings.isEmpty else { return }
        _ = context.after(milliseconds: 1) { [weak self] in self?.onCore { $0.answerOpenings() } }
    }

    /// Answers for some of the sessions; returns the others.
    private func answer(_ opening: Opening, _ budget: inout Int) -> ArraySlice<SubscribedSession> {
        guard isLeader, let stream = subscriptions.streams[opening.origin] else { return [] }
        var rest = opening.sessions
        var unread: [UnreadConversation] = []
        var slots: [UInt32] = []
        var revoked: [UserID] = []
        var tokens: [UserRevocations] = []
        repeat {
            guard let session = rest.popFirst() else { break }
            slots.append(session.slot)
            // News of a disabled account may have got lost with a link, or have overtaken a session's admission.
            if let account = state.account(session.user) {
                if account.disabled { revoked.append(session.user) }
                if !account.revocations.isEmpty {
                    tokens.append(UserRevocations(user: session.user, revocations: account.revocations))
                }
            }
            unread += self.unread(of: session)
            budget -= 1 + state.conversationCount(of: session.user)
        } while budget > 0 && unread.count < Self.replyUnread && slots.count < Self.replySessions
        let reply = OpenReply(
            id: opening.request, partition: id, slots: slots,
            outcome: .opened(term: raft.term, position: stream.position, index: state.appliedIndex, unread: unread))
        node.onCore { [revoked, tokens] in
            $0.send(stream: .opened([reply]), to: opening.origin)
            if !revoked.isEmpty { $0.send(stream: .revoked(revoked), to: opening.origin) }
            if !tokens.isEmpty { $0.send(stream: .tokensRevoked(tokens), to: opening.origin) }
        }
        return rest
    }

    private func unread(of session: SubscribedSession) -> [UnreadConversation] {
        let found = state.unread(
            user: session.user, device: session.device,
            initialCursor: { start(of: session.user, session.device, in: $0, startAt: session.startAt) })
        return found.compactMap { found in
            let key = CursorKey(user: session.user, device: session.device, conversation: found.conversation)
            let cursor = max(found.cursor, cursors[key] ?? 0)
            guard cursor < found.head else { return nil }
            var lost = found.lost
            if let range = lost {
                lost = range.upperBound > cursor ? max(range.lowerBound, cursor + 1)...range.upperBound : nil
            }
            return UnreadConversation(
                slot: session.slot, conversation: found.conversation, cursor: cursor, head: found.head, lost: lost)
        }
    }
}
