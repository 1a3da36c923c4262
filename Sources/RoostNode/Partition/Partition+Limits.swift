import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

extension ClusterConfig.Limits {
    /// Microseconds.
    var deviceExpiry: Int64 { Int64(deviceExpirySeconds) * 1_000_000 }

    var ofCommands: CommandLimits {
        CommandLimits(
            members: UInt32(clamping: maxMembers), conversationsPerUser: UInt32(clamping: maxConversationsPerUser),
            devicesPerUser: UInt32(clamping: maxDevicesPerUser), deviceExpiry: deviceExpiry)
    }
}

extension Partition {
    /// A command that limits decide carries this leader's, so that all replicas decide alike whatever their files say.
    /// A send needs none but where it makes its conversation, and one that exists stays.
    func limited(_ command: Command, _ encoded: ByteBuffer) -> ByteBuffer {
        switch command {
        case .send(let send):
            guard send.peer != nil, state.lastSeq(of: send.conversation) == nil else { return encoded }
        case .createConversation, .changeMembers, .registerDevice: break
        case .called(_, .createConversation), .called(_, .changeMembers), .called(_, .registerDevice): break
        // What comes from another node has no say in it.
        case .limited(_, let inner): return limited(inner, inner)
        case .createAccount, .setAccountDisabled, .advanceCursors, .addSigningKey, .seeDevices, .forgetDevices,
            .dropCursors, .raiseFloors, .raiseIDFloors, .called, .setLastSeenHidden,
            .foundRing, .changeRing, .revokeTokens, .activateSigningKey, .removeSigningKey:
            return encoded
        }
        return limited(command)
    }

    private func limited(_ command: Command, _ inner: Command) -> ByteBuffer {
        var encoded = ByteBuffer()
        inner.encode(into: &encoded)
        return limited(command, encoded)
    }

    private func limited(_ command: Command) -> ByteBuffer {
        var encoded = ByteBuffer()
        Command.limited(context.configuration.limits.ofCommands, command).encode(into: &encoded)
        return encoded
    }
}
