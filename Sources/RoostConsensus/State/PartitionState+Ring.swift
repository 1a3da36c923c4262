internal import RoostModel
internal import RoostProtocol

/// The ring, in the log of partition 0: who belongs to the cluster is decided where its entry is applied.
extension PartitionState {
    mutating func foundRing(_ founding: Ring, into output: inout ApplyOutput) -> CommandResult {
        guard partition == 0 else { return .rejected(.invalid) }
        // Two leaders may have proposed it, one after the other.
        guard founding.version > ring?.version ?? 0 else { return .done }
        return adopt(founding, into: &output)
    }

    mutating func changeRing(_ change: RingChange, into output: inout ApplyOutput) -> CommandResult {
        guard partition == 0 else { return .rejected(.invalid) }
        guard let ring else { return .rejected(.unavailable) }
        switch ring.changed(by: change) {
        case .same: return .done
        case .refused(let rejection): return .rejected(rejection)
        case .changed(let next): return adopt(next, into: &output)
        }
    }

    private mutating func adopt(_ next: Ring, into output: inout ApplyOutput) -> CommandResult {
        ring = next
        output.changes.append(.ring(next))
        output.ring = next
        return .done
    }

    func answer(toChanging change: RingChange) -> CommandResult? {
        guard partition == 0 else { return .rejected(.invalid) }
        guard let ring else { return nil }
        return switch ring.changed(by: change) {
        case .same: .done
        case .refused(let rejection): .rejected(rejection)
        case .changed: nil
        }
    }
}
