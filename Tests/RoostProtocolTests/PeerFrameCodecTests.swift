import NIOCore
import RoostModel
import RoostProtocol
import Testing

@Suite("Peer frames")
struct PeerFrameCodecTests {
    @Test("Every kind of frame comes back as it was", arguments: 0..<RandomValues.frameKinds)
    func roundTrip(kind: Int) throws {
        var values = RandomValues(seed: 1 + UInt64(kind))
        for _ in 0..<60 {
            let frame = values.frame(kind: kind)
            let wire = encoded { PeerFrameCodec.encode(frame, into: &$0) }
            #expect(try decodeFrame(wire) == frame)
        }
    }

    @Test("A body cut anywhere is an error, and never a frame", arguments: 0..<RandomValues.frameKinds)
    func truncation(kind: Int) {
        var values = RandomValues(seed: 100 + UInt64(kind))
        for _ in 0..<6 {
            let wire = encoded { PeerFrameCodec.encode(values.frame(kind: kind), into: &$0) }
            for length in 4..<wire.readableBytes {
                var body = wire.getSlice(at: 4, length: length - 4) ?? ByteBuffer()
                #expect(throws: PeerCodecError.self) { try PeerFrameCodec.decode(&body) }
            }
        }
    }

    @Test("Bytes after the frame's value are an error", arguments: 0..<RandomValues.frameKinds)
    func trailing(kind: Int) {
        var values = RandomValues(seed: 200 + UInt64(kind))
        var wire = encoded { PeerFrameCodec.encode(values.frame(kind: kind), into: &$0) }
        wire.moveReaderIndex(forwardBy: 4)
        wire.writeInteger(0, as: UInt8.self)
        #expect(throws: PeerCodecError.trailingBytes) { try PeerFrameCodec.decode(&wire) }
    }

    @Test("Changed bytes are refused or mean exactly what they say: 60,000 seeded cases")
    func mutations() {
        var values = RandomValues(seed: 300)
        for round in 0..<3_000 {
            let wire = encoded { PeerFrameCodec.encode(values.frame(kind: round % RandomValues.frameKinds), into: &$0) }
            for _ in 0..<20 {
                var bytes = Array(wire.readableBytesView.dropFirst(4))
                for _ in 0...values.below(3) {
                    bytes[values.below(bytes.count)] = UInt8(
                        truncatingIfNeeded: values.word() >> UInt64(values.below(64)))
                }
                expectCanonical(ByteBuffer(bytes: bytes))
            }
        }
    }

    @Test("Noise is refused or means exactly what it says: 40,000 seeded cases")
    func noise() {
        var values = RandomValues(seed: 400)
        let types: [UInt8] = [0x10, 0x11, 0x12, 0x13, 0x14, 0x20] + Array(0x30...0x33) + Array(0x40...0x46)
        for _ in 0..<40_000 {
            var bytes = [types[values.below(types.count)]]
            for _ in 0..<values.below(40) {
                bytes.append(UInt8(truncatingIfNeeded: values.word()) >> UInt8(values.below(8)))
            }
            expectCanonical(ByteBuffer(bytes: bytes))
        }
    }

    /// Whatever is accepted encodes to the very bytes: there is one form of everything.
    private func expectCanonical(_ body: ByteBuffer) {
        var rest = body
        guard let frame = try? PeerFrameCodec.decode(&rest) else { return }
        var wire = encoded { PeerFrameCodec.encode(frame, into: &$0) }
        wire.moveReaderIndex(forwardBy: 4)
        if wire != body { Issue.record("\(hex(body)) was read as \(frame)") }
    }

    @Test("Frames are split where they end, however they arrive")
    func splitting() throws {
        var values = RandomValues(seed: 500)
        let frames = (0..<40).map { values.frame(kind: $0 % RandomValues.frameKinds) }
        let stream = encoded { for frame in frames { PeerFrameCodec.encode(frame, into: &$0) } }
        var arrived = ByteBuffer()
        var decoded: [PeerFrame] = []
        for byte in stream.readableBytesView {
            arrived.writeInteger(byte)
            while var frame = try PeerFrameCodec.nextFrame(from: &arrived) {
                decoded.append(try PeerFrameCodec.decode(&frame))
            }
        }
        #expect(decoded == frames)
        #expect(arrived.readableBytes == 0)
    }

    @Test("A length above the bound is refused before its bytes arrive")
    func lengthBound() throws {
        var largest = ByteBuffer(integer: UInt32(PeerFrameCodec.maxFrame))
        #expect(try PeerFrameCodec.nextFrame(from: &largest) == nil)
        var above = ByteBuffer(integer: UInt32(PeerFrameCodec.maxFrame + 1))
        #expect(throws: PeerCodecError.frameTooLarge(PeerFrameCodec.maxFrame + 1)) {
            try PeerFrameCodec.nextFrame(from: &above)
        }
        var empty = ByteBuffer(integer: UInt32(0))
        #expect(throws: PeerCodecError.truncated) { try PeerFrameCodec.nextFrame(from: &empty) }
    }

    @Test("A frame that would be too long is not written")
    func tooLongToSend() {
        let command = ByteBuffer(repeating: 7, count: PeerFrameCodec.maxFrame)
        var buffer = ByteBuffer(string: "before")
        let frame = PeerFrame.propose([Proposal(id: 1, partition: 0, command: command)])
        #expect(PeerFrameCodec.encode(frame, into: &buffer) == false)
        #expect(buffer == ByteBuffer(string: "before"))
    }

    @Test("A list that is too long for one frame goes in several")
    func longLists() throws {
        let proposals = (0..<5).map {
            Proposal(
                id: $0, partition: 0, command: ByteBuffer(repeating: UInt8($0), count: PeerFrameCodec.maxFrame / 3))
        }
        var buffer = ByteBuffer()
        #expect(PeerFrameCodec.encode(.propose(proposals), into: &buffer))
        var received: [Proposal] = []
        var frames = 0
        while var frame = try PeerFrameCodec.nextFrame(from: &buffer) {
            guard case .propose(let part) = try PeerFrameCodec.decode(&frame) else { continue }
            received += part
            frames += 1
        }
        #expect(received == proposals)
        #expect(frames == 3)
    }

    @Test("A count that the bytes cannot hold claims no memory")
    func hugeCounts() {
        for type: UInt8 in [0x20, 0x30, 0x31, 0x32, 0x33, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46] {
            var body = ByteBuffer(bytes: [type, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
            #expect(throws: PeerCodecError.truncated) { try PeerFrameCodec.decode(&body) }
        }
    }

    @Test("Types that nobody knows are named in the error")
    func unknownType() {
        for type: UInt8 in [0, 1, 2, 3, 0x0f, 0x1a, 0x21, 0x34, 0x49, 0xff] {
            var body = ByteBuffer(bytes: [type, 0])
            #expect(throws: PeerCodecError.unknownFrame(type)) { try PeerFrameCodec.decode(&body) }
        }
    }

    @Test("A delivered content and a proposed command share the frame's memory")
    func noCopies() throws {
        let command = ByteBuffer(repeating: 9, count: 1_000)
        let wire = encoded {
            PeerFrameCodec.encode(.propose([Proposal(id: 1, partition: 3, command: command)]), into: &$0)
        }
        guard case .propose(let proposals)? = try decodeFrame(wire), let first = proposals.first else {
            Issue.record("not a proposal")
            return
        }
        #expect(first.command == command)
        #expect(first.command.storageCapacity <= wire.storageCapacity)
        let address = wire.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        let slice = first.command.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        #expect((address..<address + UInt(wire.readableBytes)).contains(slice))
    }
}
