internal import RoostModel
internal import RoostProtocol

/// Calls that reach the log twice, since a node sends an unanswered one again to the next leader.
extension PartitionState {
    /// What it was answered before; nil where it is to be applied.
    func answer(toCalled identity: CallIdentity, _ command: Command) -> CommandResult? {
        if limits.planted.contains(.callsApplyTwice) { return nil }
        switch calls.standing(of: identity, limit: limits.callsRemembered) {
        case .new: return nil
        case .past: return .rejected(.unavailable)
        case .answered(.done): return .done
        case .answered(.rejected(let rejection)): return .rejected(rejection)
        case .answered(.conversation):
            guard case .createConversation(let creation) = command, let found = conversation(creation.id) else {
                return .rejected(.unavailable)
            }
            return .conversation(found)
        }
    }

    /// Of a call that the log does not know. Another try may be on its way, so the log decides; but a device that is refused
    /// and then registered by that does no harm, and may be refused often.
    func refusal(ofCalled command: Command, at now: Int64?) -> CommandResult? {
        guard case .registerDevice(let user, let device, _, let token) = command else { return nil }
        return answer(toRegistering: device, of: user, token, at: now ?? lastStamp)
    }

    mutating func noteAnswer(
        _ result: CommandResult, to identity: CallIdentity, index: UInt64, into output: inout ApplyOutput
    ) {
        guard let answer = CallRow.Answer(result), !limits.planted.contains(.callsApplyTwice) else { return }
        calls.note(identity, answer, index: index, limit: limits.callsRemembered, into: &output.changes)
    }
}
