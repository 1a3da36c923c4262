internal import NIOCore
internal import RoostModel

/// Which call of which node a command is, so that one that reaches the log twice is applied once.
public struct CallIdentity: Sendable, Equatable {
    /// The node, and its store: within a store ids only grow, whatever the clocks say.
    public var caller: RaftPeer
    /// Higher than of every earlier call, those of former lives included.
    public var id: UInt64
    /// Below it the caller waits for no answer of this partition any more; at most `id`.
    public var oldest: UInt64
    public init(caller: RaftPeer, id: UInt64, oldest: UInt64) {
        self.caller = caller
        self.id = id
        self.oldest = min(oldest, id)
    }
}

extension CallIdentity: WireValue {
    static var minimumSize: Int { RaftPeer.minimumSize + 9 }

    /// The id, and how far below it the oldest is.
    func encode(into buffer: inout ByteBuffer) {
        caller.encode(into: &buffer)
        buffer.writeInteger(id)
        buffer.writeVarint(id - oldest)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        let caller = try RaftPeer(reading: &buffer)
        let id: UInt64 = try buffer.readFixed()
        let behind: UInt64 = try buffer.readVarint()
        guard behind <= id else { throw .invalid("oldest call") }
        self.init(caller: caller, id: id, oldest: id - behind)
    }
}

extension Command {
    /// Whether applying it again, after others, would undo them. What needs no identity says itself what it is: a send
    /// has an id, an account its salt, a cursor or a floor never goes back.
    public var needsIdentity: Bool {
        switch self {
        case .setAccountDisabled, .setLastSeenHidden, .registerDevice, .createConversation, .changeMembers,
            .dropCursors, .changeRing, .revokeTokens, .addSigningKey, .activateSigningKey, .removeSigningKey:
            true
        case .send, .createAccount, .advanceCursors, .limited, .called, .seeDevices, .forgetDevices,
            .raiseFloors, .raiseIDFloors, .foundRing:
            false
        }
    }
}
