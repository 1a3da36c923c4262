import NIOCore
import Testing

@testable import RoostServer

@Suite struct WebSocketReaderTests {
    private func read(_ bytes: [UInt8], maxFrame: Int = 1_000) -> [WebSocketReader.Event] {
        var reader = WebSocketReader(maxFrame: maxFrame)
        var events: [WebSocketReader.Event] = []
        reader.read(ByteBuffer(bytes: bytes), into: &events)
        return events
    }

    private func code(_ bytes: [UInt8], maxFrame: Int = 1_000) -> UInt16? {
        guard case .failed(let code, _)? = read(bytes, maxFrame: maxFrame).last else { return nil }
        return code
    }

    @Test func textOfEveryLengthIsUnmasked() {
        for length in [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 125, 126, 127, 999, 1_000] {
            let text = String((0..<length).map { Character(Unicode.Scalar(UInt8(97 + $0 % 26))) })
            #expect(read(TestFrame.text(text)) == [.text(ByteBuffer(string: text))])
        }
    }

    @Test func framesCutAnywhereAreTheSame() {
        let bytes =
            TestFrame.text("première") + TestFrame.make(.ping, Array("p".utf8))
            + TestFrame.make(.text, Array("a€".utf8.prefix(2)), isFinal: false)
            + TestFrame.make(.pong, []) + TestFrame.make(.continuation, Array("a€".utf8.dropFirst(2)))
            + TestFrame.make(.close, [0x03, 0xe8])
        let expected: [WebSocketReader.Event] = [
            .text(ByteBuffer(string: "première")), .ping(ByteBuffer(string: "p")), .pong(ByteBuffer()),
            .text(ByteBuffer(string: "a€")), .close(code: 1000),
        ]
        #expect(read(bytes) == expected)
        for cut in 1..<bytes.count {
            var reader = WebSocketReader(maxFrame: 100)
            var events: [WebSocketReader.Event] = []
            reader.read(ByteBuffer(bytes: bytes[..<cut]), into: &events)
            reader.read(ByteBuffer(bytes: bytes[cut...]), into: &events)
            #expect(events == expected, "cut at \(cut)")
        }
        var reader = WebSocketReader(maxFrame: 100)
        var events: [WebSocketReader.Event] = []
        for byte in bytes { reader.read(ByteBuffer(bytes: [byte]), into: &events) }
        #expect(events == expected)
    }

    @Test func brokenRulesHaveTheirCodes() {
        #expect(code(TestFrame.make(.text, Array("x".utf8), masked: false)) == 1002)
        for bit: UInt8 in [0x40, 0x20, 0x10] { #expect(code([0x81 | bit, 0x80, 0, 0, 0, 0]) == 1002) }
        for opcode: UInt8 in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            #expect(code([0x80 | opcode, 0x80, 0, 0, 0, 0]) == 1002)
        }
        #expect(code(TestFrame.make(.ping, [], isFinal: false)) == 1002)
        #expect(code(TestFrame.make(.ping, Array(repeating: 0, count: 126))) == 1002)
        #expect(code(TestFrame.make(.binary, [1])) == 1003)
        #expect(code(TestFrame.make(.continuation, [1])) == 1002)
        #expect(code(TestFrame.make(.text, [97], isFinal: false) + TestFrame.text("b")) == 1002)
        #expect(code(TestFrame.make(.text, [0xff])) == 1007)
        #expect(code(TestFrame.make(.text, [0xed, 0xa0, 0x80])) == 1007)
        #expect(code(TestFrame.make(.text, [0xc0, 0x80])) == 1007)
    }

    @Test func closeFramesAreChecked() {
        #expect(read(TestFrame.make(.close, [])) == [.close(code: nil)])
        #expect(read(TestFrame.make(.close, [0x0f, 0xa1, 97])) == [.close(code: 4001)])
        #expect(code(TestFrame.make(.close, [3])) == 1002)
        for forbidden: UInt16 in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            #expect(code(TestFrame.make(.close, [UInt8(forbidden >> 8), UInt8(forbidden & 0xff)])) == 1002)
        }
        #expect(code(TestFrame.make(.close, [0x03, 0xe8, 0xff])) == 1007)
        // Nothing is read behind it.
        #expect(read(TestFrame.make(.close, []) + TestFrame.text("x")).count == 1)
    }

    @Test func theBoundHoldsBeforeThePayloadIsThere() {
        #expect(code(Array(TestFrame.text(String(repeating: "a", count: 101)).prefix(4)), maxFrame: 100) == 1009)
        #expect(code([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], maxFrame: 100) == 1009)
        #expect(read(TestFrame.text(String(repeating: "a", count: 100)), maxFrame: 100).count == 1)
        let half = TestFrame.make(.text, Array(repeating: 97, count: 60), isFinal: false)
        #expect(code(half + TestFrame.make(.continuation, Array(repeating: 97, count: 41)), maxFrame: 100) == 1009)
        // A control frame between fragments counts for itself.
        let ping = TestFrame.make(.ping, Array(repeating: 97, count: 60))
        #expect(read(half + ping + TestFrame.make(.continuation, [97]), maxFrame: 100).count == 2)
    }
}
