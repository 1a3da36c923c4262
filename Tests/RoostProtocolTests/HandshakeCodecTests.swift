import NIOCore
import RoostModel
import RoostProtocol
import Testing

@Suite("Handshake frames")
struct HandshakeCodecTests {
    @Test("Handshakes come back as they were, whole or byte by byte")
    func roundTrip() throws {
        var values = RandomValues(seed: 21)
        for _ in 0..<100 {
            let frame = values.handshake()
            let wire = encoded { HandshakeCodec.encode(frame, into: &$0) }
            #expect(wire.readableBytes <= HandshakeCodec.maxFrame + 4)
            var arrived = ByteBuffer()
            for (offset, byte) in wire.readableBytesView.enumerated() {
                arrived.writeInteger(byte)
                let found = try HandshakeCodec.nextFrame(from: &arrived)
                #expect(found == (offset + 1 == wire.readableBytes ? frame : nil))
            }
        }
    }

    @Test(
        "Whoever speaks something else is refused at the first bytes",
        arguments: [
            "GET /", "G", "SSH-2.0-x", "\u{16}\u{3}\u{1}\u{2}", "\0\0\u{4}\u{1}", "\0\0\0\0", "\0\0\0\u{6}",
            "\0\0\u{1}\0\u{1}r", "\0\0\u{1}\0\u{1}ROOT", "\0\0\u{1}\0\u{1}ROOSE", "\u{1}\0\0\0",
        ])
    func nonsense(text: String) {
        var buffer = ByteBuffer(string: text)
        #expect(throws: PeerCodecError.notRoost) { try HandshakeCodec.nextFrame(from: &buffer) }
    }

    @Test("Unknown types, codes and lanes are refused")
    func unknownValues() {
        for body in ["\u{4}ROOST\u{1}\0", "\u{3}ROOST\0\0", "\u{3}ROOST\u{63}\0"] {
            var buffer = ByteBuffer(integer: UInt32(body.utf8.count))
            buffer.writeString(body)
            #expect(throws: PeerCodecError.self) { try HandshakeCodec.nextFrame(from: &buffer) }
        }
    }

    @Test("The longest names fit the bound")
    func longest() throws {
        let name = String(repeating: "n", count: 255)
        let hello = HandshakeHello(
            minVersion: 1, maxVersion: .max, cluster: name, clusterID: .zero, node: NodeID(name),
            store: StoreID(.max), epoch: .max, lane: .bulk, address: name)
        var wire = encoded { HandshakeCodec.encode(.hello(hello), into: &$0) }
        #expect(try HandshakeCodec.nextFrame(from: &wire) == .hello(hello))
    }

    @Test("A refusal's text is cut to 255 bytes between characters")
    func longReason() throws {
        let text = String(repeating: "ä€", count: 100)
        var wire = encoded {
            HandshakeCodec.encode(.refuse(HandshakeRefusal(code: .malformed, text: text)), into: &$0)
        }
        guard case .refuse(let refusal)? = try HandshakeCodec.nextFrame(from: &wire) else {
            Issue.record("no refusal")
            return
        }
        #expect(text.hasPrefix(refusal.text))
        #expect((252...255).contains(refusal.text.utf8.count))
    }

    @Test("Changed bytes never crash: 20,000 seeded cases")
    func mutations() {
        var values = RandomValues(seed: 22)
        for _ in 0..<2_000 {
            let wire = encoded { HandshakeCodec.encode(values.handshake(), into: &$0) }
            for _ in 0..<10 {
                var changed = Array(wire.readableBytesView)
                changed[values.below(changed.count)] = UInt8(truncatingIfNeeded: values.word())
                var buffer = ByteBuffer(bytes: changed)
                guard let frame = try? HandshakeCodec.nextFrame(from: &buffer) else { continue }
                changed.removeLast(buffer.readableBytes)
                #expect(encoded { HandshakeCodec.encode(frame, into: &$0) } == ByteBuffer(bytes: changed))
            }
        }
    }
}
