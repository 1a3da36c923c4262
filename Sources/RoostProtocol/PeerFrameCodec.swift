public import NIOCore
internal import RoostModel

/// The binary form of the frames between nodes: UInt32 length of what follows (big endian), UInt8 type, body.
/// `docs/peer-protocol.md` has every frame by its bytes.
public enum PeerFrameCodec {
    /// The versions of the protocol that this build speaks. A link uses the highest that both ends speak.
    public static let versions: ClosedRange<UInt16> = 1...1
    /// Longest frame in bytes after the length; a longer one is refused before any of it is buffered.
    public static let maxFrame = 8 << 20

    private enum Tag: UInt8 {
        case swim = 0x10
        case presence = 0x11
        case founding = 0x12
        case linkPing = 0x13
        case linkPong = 0x14
        case reaches = 0x15
        case draining = 0x16
        case clock = 0x17
        case repair = 0x18
        case ring = 0x19
        case raft = 0x20
        case propose = 0x30
        case proposalResults = 0x31
        case read = 0x32
        case readReplies = 0x33
        case open = 0x40
        case opened = 0x41
        case unsubscribe = 0x42
        case deliver = 0x43
        case streamStatus = 0x44
        case acks = 0x45
        case revoked = 0x46
        case relayed = 0x47
        case tokensRevoked = 0x48
    }

    /// Writes the frame with its length. A list that would be longer than `maxFrame` is written as several frames, which
    /// mean the same. False, and nothing written, where one value alone is too long.
    @discardableResult
    public static func encode(_ frame: PeerFrame, into buffer: inout ByteBuffer) -> Bool {
        let start = buffer.writerIndex
        buffer.writeInteger(0, as: UInt32.self)
        buffer.writeByte(tag(of: frame).rawValue)
        writeBody(of: frame, into: &buffer)
        let length = buffer.writerIndex - start - 4
        guard length <= maxFrame else {
            buffer.moveWriterIndex(to: start)
            guard let (first, second) = halves(of: frame) else { return false }
            guard encode(first, into: &buffer), encode(second, into: &buffer) else {
                buffer.moveWriterIndex(to: start)
                return false
            }
            return true
        }
        buffer.setInteger(UInt32(length), at: start)
        return true
    }

    /// The next whole frame (type and body), taken off the front as a slice; nil until all of it is there.
    public static func nextFrame(from buffer: inout ByteBuffer) throws(PeerCodecError) -> ByteBuffer? {
        try split(&buffer, limit: maxFrame)
    }

    static func split(_ buffer: inout ByteBuffer, limit: Int) throws(PeerCodecError) -> ByteBuffer? {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) else { return nil }
        guard length <= limit else { throw .frameTooLarge(Int(length)) }
        guard length > 0 else { throw .truncated }
        guard buffer.readableBytes >= 4 + Int(length) else { return nil }
        buffer.moveReaderIndex(forwardBy: 4)
        return buffer.readSlice(length: Int(length))
    }

    /// Decodes type and body, which must take up the whole buffer. Payloads are slices of its storage.
    public static func decode(_ buffer: inout ByteBuffer) throws(PeerCodecError) -> PeerFrame {
        let type: UInt8 = try buffer.readFixed()
        guard let tag = Tag(rawValue: type) else { throw .unknownFrame(type) }
        let frame = try readBody(tag, from: &buffer)
        guard buffer.readableBytes == 0 else { throw .trailingBytes }
        return frame
    }

    private static func halves(of frame: PeerFrame) -> (PeerFrame, PeerFrame)? {
        func split<Value>(_ values: [Value], _ make: ([Value]) -> PeerFrame) -> (PeerFrame, PeerFrame)? {
            guard values.count > 1 else { return nil }
            return (make(Array(values[..<(values.count / 2)])), make(Array(values[(values.count / 2)...])))
        }
        return switch frame {
        case .raft(let values): split(values, PeerFrame.raft)
        case .propose(let values): split(values, PeerFrame.propose)
        case .proposalResults(let values): split(values, PeerFrame.proposalResults)
        case .read(let values): split(values, PeerFrame.read)
        case .readReplies(let values): split(values, PeerFrame.readReplies)
        case .opened(let values): split(values, PeerFrame.opened)
        case .unsubscribe(let values): split(values, PeerFrame.unsubscribe)
        case .deliver(let values): split(values, PeerFrame.deliver)
        case .streamStatus(let values): split(values, PeerFrame.streamStatus)
        case .acks(let values): split(values, PeerFrame.acks)
        case .revoked(let values): split(values, PeerFrame.revoked)
        case .tokensRevoked(let values): split(values, PeerFrame.tokensRevoked)
        case .repair(.rows(let partition, let rows)):
            split(rows) { .repair(.rows(partition: partition, rows: $0)) }
        case .swim, .presence, .founding, .linkPing, .linkPong, .reaches, .draining, .clock, .repair, .ring, .open,
            .relayed:
            nil
        }
    }

    private static func tag(of frame: PeerFrame) -> Tag {
        switch frame {
        case .swim: .swim
        case .presence: .presence
        case .founding: .founding
        case .linkPing: .linkPing
        case .linkPong: .linkPong
        case .clock: .clock
        case .reaches: .reaches
        case .draining: .draining
        case .repair: .repair
        case .ring: .ring
        case .raft: .raft
        case .propose: .propose
        case .proposalResults: .proposalResults
        case .read: .read
        case .readReplies: .readReplies
        case .open: .open
        case .opened: .opened
        case .unsubscribe: .unsubscribe
        case .deliver: .deliver
        case .streamStatus: .streamStatus
        case .acks: .acks
        case .revoked: .revoked
        case .tokensRevoked: .tokensRevoked
        case .relayed: .relayed
        }
    }

    private static func writeBody(of frame: PeerFrame, into buffer: inout ByteBuffer) {
        switch frame {
        case .swim(let message): message.encode(into: &buffer)
        case .presence(let message): message.encode(into: &buffer)
        case .founding(let message): message.encode(into: &buffer)
        case .linkPing(let token), .linkPong(let token): buffer.writeInteger(token)
        case .clock(let wall): buffer.writeInteger(wall)
        case .reaches(let nodes): buffer.writeArray(nodes)
        case .draining: break
        case .repair(let message): message.encode(into: &buffer)
        case .ring(let message): message.encode(into: &buffer)
        case .raft(let envelopes): buffer.writeArray(envelopes)
        case .propose(let proposals): buffer.writeArray(proposals)
        case .proposalResults(let results): buffer.writeArray(results)
        case .read(let calls): buffer.writeArray(calls)
        case .readReplies(let replies): buffer.writeArray(replies)
        case .open(let request): request.encode(into: &buffer)
        case .opened(let replies): buffer.writeArray(replies)
        case .unsubscribe(let ends): buffer.writeArray(ends)
        case .deliver(let batches): buffer.writeArray(batches)
        case .streamStatus(let statuses): buffer.writeArray(statuses)
        case .acks(let batches): buffer.writeArray(batches)
        case .revoked(let users): buffer.writeArray(users)
        case .tokensRevoked(let users): buffer.writeArray(users)
        case .relayed(let relayed): relayed.encode(into: &buffer)
        }
    }

    private static func readBody(_ tag: Tag, from buffer: inout ByteBuffer) throws(PeerCodecError) -> PeerFrame {
        switch tag {
        case .swim: .swim(try SwimMessage(reading: &buffer))
        case .presence: .presence(try PresenceMessage(reading: &buffer))
        case .founding: .founding(try FoundingMessage(reading: &buffer))
        case .linkPing: .linkPing(token: try buffer.readFixed())
        case .linkPong: .linkPong(token: try buffer.readFixed())
        case .clock: .clock(wall: try buffer.readFixed())
        case .reaches: .reaches(try buffer.readArray())
        case .draining: .draining
        case .repair: .repair(try RepairMessage(reading: &buffer))
        case .ring: .ring(try RingMessage(reading: &buffer))
        case .raft: .raft(try buffer.readArray())
        case .propose: .propose(try buffer.readArray())
        case .proposalResults: .proposalResults(try buffer.readArray())
        case .read: .read(try buffer.readArray())
        case .readReplies: .readReplies(try buffer.readArray())
        case .open: .open(try OpenRequest(reading: &buffer))
        case .opened: .opened(try buffer.readArray())
        case .unsubscribe: .unsubscribe(try buffer.readArray())
        case .deliver: .deliver(try buffer.readArray())
        case .streamStatus: .streamStatus(try buffer.readArray())
        case .acks: .acks(try buffer.readArray())
        case .revoked: .revoked(try buffer.readArray())
        case .tokensRevoked: .tokensRevoked(try buffer.readArray())
        case .relayed: .relayed(try RelayedFrame(reading: &buffer))
        }
    }
}
