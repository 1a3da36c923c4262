import NIOCore
import Testing

@testable import RoostClient

@Suite struct WebSocketFrameTests {
    private func read(_ bytes: [UInt8], max: Int = 1_000) throws(WebSocketViolation) -> [WebSocketInput] {
        var reader = WebSocketFrameReader(maxMessage: max)
        var inputs: [WebSocketInput] = []
        // A byte at a time: every boundary is met.
        for byte in bytes {
            var buffer = ByteBuffer(bytes: [byte])
            reader.feed(&buffer)
            while let input = try reader.next() { inputs.append(input) }
        }
        return inputs
    }

    @Test func readsFramesOfAllLengths() throws {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            var bytes: [UInt8] = [0x81]
            if length < 126 {
                bytes.append(UInt8(length))
            } else if length < 65_536 {
                bytes += [126, UInt8(length >> 8), UInt8(length & 255)]
            } else {
                bytes += [127, 0, 0, 0, 0, 0, UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255)]
            }
            bytes += Array(repeating: UInt8(ascii: "a"), count: length)
            #expect(try read(bytes, max: 70_000) == [.text(ByteBuffer(repeating: UInt8(ascii: "a"), count: length))])
        }
    }

    @Test func putsFragmentsTogetherWithAPingBetween() throws {
        let bytes: [UInt8] = [0x01, 2, 0x61, 0x62, 0x89, 1, 0x70, 0x00, 1, 0x63, 0x80, 1, 0x64]
        #expect(try read(bytes) == [.ping(ByteBuffer(string: "p")), .text(ByteBuffer(string: "abcd"))])
    }

    @Test func readsAClose() throws {
        #expect(try read([0x88, 4, 0x0f, 0xa1, 0x6e, 0x6f]) == [.close(code: 4001, reason: "no")])
        #expect(try read([0x88, 0]) == [.close(code: nil, reason: "")])
    }

    @Test(
        arguments: [
            [0xc1, 0], [0x83, 0], [0x81, 0x80, 0, 0, 0, 0], [0x09, 0], [0x89, 126, 0, 200], [0x80, 0],
            [0x01, 0, 0x81, 0],
        ] as [[UInt8]])
    func refusesWhatNoServerMaySend(_ bytes: [UInt8]) {
        let error = #expect(throws: WebSocketViolation.self) { try read(bytes) }
        #expect(error != .tooLarge)
    }

    @Test(
        arguments: [
            [0x81, 126, 0x03, 0xe9], [0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0], [0x81, 127, 0xff, 0, 0, 1, 0, 0, 0, 0],
        ] as [[UInt8]])
    func refusesWhatIsTooLargeBeforeItIsThere(_ bytes: [UInt8]) {
        #expect(throws: WebSocketViolation.tooLarge) { try read(bytes) }
    }

    @Test func fragmentsAreBoundedTogether() {
        let part = [0x01, 100] + Array(repeating: UInt8(0x61), count: 100)
        let more = [0x00, 100] + Array(repeating: UInt8(0x61), count: 100)
        #expect(throws: WebSocketViolation.tooLarge) { try read(part + more + more, max: 250) }
    }

    @Test(arguments: [0, 1, 125, 126, 65_535, 65_536]) func writesMaskedFrames(_ length: Int) {
        let payload = ByteBuffer(bytes: (0..<length).map { UInt8(truncatingIfNeeded: $0) })
        var out = ByteBuffer(string: "before")
        WebSocketFrameWriter.write(.text, payload.readableBytesView, mask: 0x0102_0304, into: &out)
        out.moveReaderIndex(forwardBy: 6)
        #expect(out.readInteger(as: UInt8.self) == 0x81)
        let short = out.readInteger(as: UInt8.self) ?? 0
        #expect(short & 0x80 != 0)
        switch short & 0x7f {
        case 126: #expect(out.readInteger(as: UInt16.self).map { Int($0) } == length)
        case 127: #expect(out.readInteger(as: UInt64.self).map { Int($0) } == length)
        default: #expect(Int(short & 0x7f) == length)
        }
        #expect(out.readBytes(length: 4) == [1, 2, 3, 4])
        let body = out.readableBytesView.enumerated().map { $1 ^ [1, 2, 3, 4][$0 & 3] }
        #expect(ByteBuffer(bytes: body) == payload)
    }

    @Test func readsServerAddresses() {
        #expect(ServerAddress("http://127.0.0.1:8001") == ServerAddress(host: "127.0.0.1", port: 8_001))
        #expect(ServerAddress("http://[::1]:8001/") == ServerAddress(host: "::1", port: 8_001))
        #expect(ServerAddress("WS://roost.example") == ServerAddress(host: "roost.example", port: 80))
        #expect(
            ServerAddress("https://roost.example") == ServerAddress(host: "roost.example", port: 443, isSecure: true))
        #expect(ServerAddress("wss://[::1]:8001")?.description == "https://[::1]:8001")
        #expect(ServerAddress("http://[::1]:8001")?.description == "http://[::1]:8001")
        for bad in [
            "", "127.0.0.1:8001", "ftp://a", "http://", "http://a:0", "http://a:70000", "http://a/b", "http://[::1",
        ] {
            #expect(ServerAddress(bad) == nil, "\(bad)")
        }
    }
}
