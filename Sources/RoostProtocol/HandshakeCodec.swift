public import NIOCore
internal import RoostModel

/// What a link carries before it is established: one frame in each direction.
public enum HandshakeFrame: Sendable, Equatable {
    /// From the end that dialled.
    case hello(HandshakeHello)
    /// From the end that was dialled: the link stands, and this is who it is.
    case accept(HandshakeHello)
    /// From either end, which then closes.
    case refuse(HandshakeRefusal)
    /// Random bytes: what the other end proves is bound to them. `HandshakeCodec.secretBytes` of them.
    case challenge([UInt8])
    /// That the sender knows the cluster's secret: a MAC of both ends' words and challenges.
    case proof([UInt8])
    /// Instead of a hello, from a blank node.
    case join(JoinHello)
    /// The node is taken in.
    case joined(FoundingRecord, Ring)
}

/// The handshake's frames have the same shape as all others, and begin with the word ROOST and the range of versions:
/// so any two versions understand each other this far. The types 1, 2, 3 and what follows here never change.
public enum HandshakeCodec {
    /// Longest frame, in bytes after the length: whoever has not shaken hands yet claims no more memory than this.
    public static let maxFrame = 1024
    /// Longest `joined`, which the dialling end takes that has proved itself and had a proof.
    public static let maxJoined = 256 << 10
    /// Bytes of a challenge and of a proof.
    public static let secretBytes = 32

    private enum Tag: UInt8 {
        case hello = 1
        case accept = 2
        case refuse = 3
        case challenge = 4
        case proof = 5
        case join = 6
        case joined = 7
    }

    private static let magic: [UInt8] = Array("ROOST".utf8)

    /// Writes the frame with its length.
    public static func encode(_ frame: HandshakeFrame, into buffer: inout ByteBuffer) {
        let start = buffer.writerIndex
        buffer.writeInteger(0, as: UInt32.self)
        switch frame {
        case .hello(let hello): write(hello, as: .hello, into: &buffer)
        case .accept(let hello): write(hello, as: .accept, into: &buffer)
        case .refuse(let refusal):
            buffer.writeByte(Tag.refuse.rawValue)
            buffer.writeBytes(magic)
            buffer.writeByte(refusal.code.rawValue)
            buffer.writeText(refusal.text.prefix(utf8Bytes: WireBounds.name))
        case .challenge(let bytes): write(bytes, as: .challenge, into: &buffer)
        case .proof(let bytes): write(bytes, as: .proof, into: &buffer)
        case .join(let hello):
            buffer.writeByte(Tag.join.rawValue)
            buffer.writeBytes(magic)
            buffer.writeInteger(hello.minVersion)
            buffer.writeInteger(hello.maxVersion)
            buffer.writeText(hello.cluster)
            hello.member.encode(into: &buffer)
        case .joined(let record, let ring):
            buffer.writeByte(Tag.joined.rawValue)
            buffer.writeBytes(magic)
            record.encode(into: &buffer)
            ring.encode(into: &buffer)
        }
        buffer.setInteger(UInt32(buffer.writerIndex - start - 4), at: start)
    }

    private static func write(_ bytes: [UInt8], as tag: Tag, into buffer: inout ByteBuffer) {
        buffer.writeByte(tag.rawValue)
        buffer.writeBytes(magic)
        buffer.writeBytes(bytes)
    }

    private static func write(_ hello: HandshakeHello, as tag: Tag, into buffer: inout ByteBuffer) {
        buffer.writeByte(tag.rawValue)
        buffer.writeBytes(magic)
        buffer.writeInteger(hello.minVersion)
        buffer.writeInteger(hello.maxVersion)
        buffer.writeText(hello.cluster)
        buffer.writeUUID(hello.clusterID)
        buffer.writeNode(hello.node)
        buffer.writeInteger(hello.store.value)
        buffer.writeVarint(hello.epoch)
        buffer.writeByte(hello.lane.rawValue)
        buffer.writeText(hello.address)
    }

    /// The next whole frame, taken off the front; nil until it is there. Throws at the first bytes that no handshake
    /// begins with, before anything is gathered.
    public static func nextFrame(
        from buffer: inout ByteBuffer, limit: Int = maxFrame
    ) throws(PeerCodecError) -> HandshakeFrame? {
        if let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) {
            // Shorter than type, word and one more byte, or longer than any handshake: another protocol.
            guard length > magic.count + 1, length <= limit else { throw .notRoost }
        } else if let first = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self), first != 0 {
            throw .notRoost
        }
        for (offset, byte) in magic.enumerated() {
            guard let found = buffer.getInteger(at: buffer.readerIndex + 5 + offset, as: UInt8.self) else { return nil }
            guard found == byte else { throw .notRoost }
        }
        guard var frame = try PeerFrameCodec.split(&buffer, limit: limit) else { return nil }
        let tag: Tag = try frame.readTag("handshake frame")
        frame.moveReaderIndex(forwardBy: magic.count)
        let result: HandshakeFrame
        switch tag {
        case .hello: result = .hello(try readHello(&frame))
        case .accept: result = .accept(try readHello(&frame))
        case .refuse:
            result = .refuse(
                HandshakeRefusal(
                    code: try frame.readTag("refusal"), text: try frame.readText("reason", max: WireBounds.name)))
        case .challenge: result = .challenge(try readSecret(&frame))
        case .proof: result = .proof(try readSecret(&frame))
        case .join:
            result = .join(
                JoinHello(
                    minVersion: try frame.readFixed(), maxVersion: try frame.readFixed(),
                    cluster: try frame.readText("cluster", max: WireBounds.name),
                    member: try RingMember(reading: &frame)))
        case .joined: result = .joined(try FoundingRecord(reading: &frame), try Ring(reading: &frame))
        }
        guard frame.readableBytes == 0 else { throw .trailingBytes }
        return result
    }

    private static func readSecret(_ buffer: inout ByteBuffer) throws(PeerCodecError) -> [UInt8] {
        guard let bytes = buffer.readBytes(length: secretBytes) else { throw .truncated }
        return bytes
    }

    private static func readHello(_ buffer: inout ByteBuffer) throws(PeerCodecError) -> HandshakeHello {
        HandshakeHello(
            minVersion: try buffer.readFixed(), maxVersion: try buffer.readFixed(),
            cluster: try buffer.readText("cluster", max: WireBounds.name), clusterID: try buffer.readUUID(),
            node: try buffer.readNode(), store: StoreID(try buffer.readFixed()), epoch: try buffer.readVarint(),
            lane: try buffer.readTag("lane"), address: try buffer.readText("address", max: WireBounds.name))
    }
}

extension String {
    /// As many whole characters from the start as fit in so many bytes of UTF-8.
    func prefix(utf8Bytes limit: Int) -> String {
        var text = Substring(self)
        while text.utf8.count > limit { text.removeLast() }
        return String(text)
    }
}
