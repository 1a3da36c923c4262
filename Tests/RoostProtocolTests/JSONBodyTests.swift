import NIOCore
import RoostProtocol
import Testing

@Suite struct JSONBodyTests {
    @Test(
        arguments: [
            (#"{}"#, nil), (#" {"a":1,"b":{"a":2,"a":3},"c":[{"a":1}]} "#, nil), (#"{"a":1,"b":2,"a":3}"#, "a"),
            (#"{"a":1,"\u0061":3}"#, "a"), (#"{"b":1,"a":1,"a":2,"b":2}"#, "a"), (#"{"":1,"":2}"#, ""),
            (#"{"A":1,"a":2}"#, nil),
        ] as [(String, String?)])
    func duplicatesAreNamed(_ text: String, _ name: String?) throws {
        #expect(try JSONBody.duplicate(in: ByteBuffer(string: text)) == name)
    }

    @Test(arguments: ["", " ", "[]", "7", "{", #"{"a"}"#, #"{"a":1,}"#, #"{"a":1}{"#, #"{"a":"\ud800"}"#, "nul"])
    func whatIsNoObjectIsRefused(_ text: String) {
        #expect(throws: JSONBody.Flaw.self) { try JSONBody.duplicate(in: ByteBuffer(string: text)) }
    }

    @Test func bytesThatAreNotUTF8AreRefused() {
        #expect(throws: JSONBody.Flaw.self) { try JSONBody.duplicate(in: ByteBuffer(bytes: [0x7b, 0xff, 0x7d])) }
    }
}
