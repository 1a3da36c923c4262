/// Why bytes from a peer or from disk are not what they should be. A link that sends such bytes is closed.
public enum PeerCodecError: Error, Sendable, Equatable {
    /// The bytes end in the middle of a value, or announce more values than there are bytes.
    case truncated
    /// A whole value was read, and bytes are left.
    case trailingBytes
    /// The announced length is above the bound.
    case frameTooLarge(Int)
    case unknownFrame(UInt8)
    /// The other end does not speak this protocol at all: its first bytes are no handshake.
    case notRoost
    /// A value breaks the rule of its field: unknown tag, text too long or not UTF-8, number out of range.
    case invalid(String)
}
