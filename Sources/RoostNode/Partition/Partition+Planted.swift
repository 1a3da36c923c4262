import OrderedCollections
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol

/// What a replica does where a rule is broken on purpose.
extension Partition {
    nonisolated func isPlanted(_ fault: PlantedFaults) -> Bool { context.configuration.planted.contains(fault) }

    /// Answers sends that were only just appended.
    func acceptEarly(_ batch: [Proposing]) {
        for item in batch {
            var body = item.payload
            guard let send = (try? Command(decoding: &body))?.sending,
                let last = state.lastSeq(of: send.conversation)
            else { continue }
            reply(.sent(conversation: send.conversation, seq: last + 1, sentAt: hlc.last), to: item.origin)
        }
    }

    /// Answers changes that were only just appended.
    func answerEarly(_ batch: [Proposing]) {
        for item in batch {
            var body = item.payload
            switch try? Command(decoding: &body) {
            case .limited(_, .called(_, .changeMembers)): reply(.done, to: item.origin)
            case .createAccount: reply(.created(at: hlc.last), to: item.origin)
            default: continue
            }
        }
    }

    /// Subscribes sessions when their open has been answered.
    func subscribeLate(_ request: OpenRequest, from origin: NodeID) {
        subscriptions.open(node: origin, sessions: [], reset: request.reset)
        _ = context.after(milliseconds: 300) { [weak self] in
            self?.onCore { partition in
                guard partition.subscriptions.streams[origin] != nil else { return }
                partition.subscriptions.open(node: origin, sessions: request.sessions, reset: false)
            }
        }
    }
}
