import NIOCore
import RoostModel
import RoostProtocol
import Testing

@Suite("Frames of clients")
struct ClientFrameTests {
    private static let id = "44444444-4444-7444-9444-444444444444"
    private static let conversation = "33333333-3333-4333-9333-333333333333"

    private func parse(_ text: String, limit: Int = 1_000) throws(ClientFrameError) -> ClientFrame {
        // In the midst of a buffer: nothing may depend on where the frame begins.
        var buffer = ByteBuffer(string: "xx" + text)
        buffer.moveReaderIndex(forwardBy: 2)
        return try ClientFrame(parsing: buffer, contentLimit: limit)
    }

    private func content(_ text: String) -> String? {
        guard case .send(let send)? = try? parse(text) else { return nil }
        return String(buffer: send.content)
    }

    @Test("A whole send")
    func send() throws {
        let frame = try parse(
            """
            {"op":"send","id":"\(Self.id.uppercased())","conversation_id":"\(Self.conversation)","type":"note",\
            "content":"hi","more":[1]}
            """)
        #expect(
            frame
                == .send(
                    ClientSend(
                        id: Samples.messageID, conversation: Samples.conversation, type: "note",
                        content: ByteBuffer(string: "\"hi\""))))
    }

    @Test("op, id and type may be missing")
    func defaults() throws {
        guard case .send(let send) = try parse(#" {"to_user":"Zo\u00eb","content":1} "#) else {
            Issue.record("no send")
            return
        }
        #expect(send.id == nil)
        #expect(send.conversation == nil)
        #expect(send.toUser == "Zoë")
        #expect(send.type == "text")
        guard case .send(let alias) = try parse(#"{"toUser":"zoe","content":1}"#) else {
            Issue.record("no send")
            return
        }
        #expect(alias.toUser == "zoe")
    }

    @Test(
        "Content passes byte for byte, without the white space around it",
        arguments: [
            "\"hi\"", "\"\"", #""\u0041\/\ud83d\ude00 ä""#, "0", "-1.50e+10", "12345678901234567890123", "true", "null",
            "[]", "{ \"b\" : 1,\n \"a\" : [ 1 , 2 ] , \"a\":3}",
        ])
    func rawContent(text: String) {
        #expect(content("{\"to_user\":\"z\",\"content\":\(text)}") == text)
        #expect(content("{\"to_user\":\"z\",\"content\" : \n\t\(text) \r,\"x\":1}") == text)
        #expect(content("{\"cont\\u0065nt\":\(text),\"to_user\":\"z\"}") == text)
    }

    @Test("Acknowledgements")
    func ack() throws {
        #expect(try parse(#"{"op":"ack","n":17}"#) == .ack(17))
        #expect(try parse(#"{"n":0,"op":"\u0061ck"}"#) == .ack(0))
        #expect(try parse(#"{"op":"ack","n":18446744073709551615}"#) == .ack(.max))
    }

    @Test("Subscriptions")
    func subscribe() throws {
        let user = Samples.user.description
        #expect(
            try parse(#"{"op":"subscribe","id":"\#(Self.id)","presence":["\#(user)", "\#(user.uppercased())" ]}"#)
                == .subscribe(ClientSubscription(id: Samples.messageID, users: [Samples.user, Samples.user])))
        #expect(try parse(#"{"op":"subscribe","presence":[ ]}"#) == .subscribe(ClientSubscription(users: [])))
        var written = ByteBuffer()
        let frame = ClientFrame.subscribe(
            ClientSubscription(id: Samples.messageID, users: [Samples.user, Samples.other]))
        frame.write(into: &written)
        #expect(try ClientFrame(parsing: written, contentLimit: 0) == frame)
    }

    private static let refused: [(text: String, code: ErrorCode, field: String)] = [
        ("", .invalidJSON, ""),
        ("{", .invalidJSON, ""),
        ("[]", .invalidJSON, "object"),
        ("null", .invalidJSON, "object"),
        ("\"x\"", .invalidJSON, "object"),
        ("\u{feff}{\"op\":\"ack\",\"n\":1}", .invalidJSON, ""),
        (#"{"op":"ack","n":1} x"#, .invalidJSON, ""),
        (#"{"op":"ack","n":01}"#, .invalidJSON, ""),
        (#"{"to_user":"z","content":"\ud800"}"#, .invalidJSON, "surrogate"),
        (#"{"to_user":"z","content":\#(String(repeating: "[", count: 70))"#, .invalidJSON, "64"),
        (#"{"op":"shout"}"#, .unknownOp, "op"),
        (#"{"op":""}"#, .unknownOp, "op"),
        (#"{"op":"subscribe"}"#, .missingField, "presence"),
        (#"{"op":"subscribe","presence":"x"}"#, .invalidField, "presence"),
        (#"{"op":"subscribe","presence":["33333333"]}"#, .invalidField, "presence"),
        (#"{"op":"subscribe","presence":["33333333-3333-4333-9333-333333333333",1]}"#, .invalidField, "presence"),
        (#"{"op":"subscribe","presence":[],"presence":[]}"#, .invalidField, "presence"),
        (#"{"op":1}"#, .invalidField, "op"),
        (#"{"op":null}"#, .invalidField, "op"),
        (#"{"op":"ack"}"#, .missingField, "n"),
        (#"{"op":"ack","n":"1"}"#, .invalidField, "n"),
        (#"{"op":"ack","n":-1}"#, .invalidField, "n"),
        (#"{"op":"ack","n":1.5}"#, .invalidField, "n"),
        (#"{"op":"ack","n":18446744073709551616}"#, .invalidField, "n"),
        (#"{"op":"ack","n":1,"n":2}"#, .invalidField, "n"),
        (#"{}"#, .missingField, "conversation_id"),
        (#"{"content":"x"}"#, .missingField, "to_user"),
        (#"{"to_user":"z"}"#, .missingField, "content"),
        (#"{"to_user":"","content":1}"#, .invalidField, "to_user"),
        (#"{"to_user":7,"content":1}"#, .invalidField, "to_user"),
        (#"{"to_user":"\#(String(repeating: "z", count: 1_025))","content":1}"#, .invalidField, "to_user"),
        (#"{"to_user":"z","toUser":"z","content":1}"#, .invalidField, "to_user"),
        (#"{"to_user":"z","conversation_id":"\#(conversation)","content":1}"#, .invalidField, "conversation_id"),
        (#"{"conversation_id":"33333333","content":1}"#, .invalidField, "conversation_id"),
        (#"{"conversation_id":null,"content":1}"#, .invalidField, "conversation_id"),
        (#"{"to_user":"z","content":1,"content":2}"#, .invalidField, "content"),
        (#"{"to_user":"z","content":1,"type":""}"#, .invalidField, "type"),
        (#"{"to_user":"z","content":1,"type":5}"#, .invalidField, "type"),
        (#"{"to_user":"z","content":1,"type":"\#(String(repeating: "t", count: 65))"}"#, .invalidField, "type"),
        (#"{"to_user":"z","content":1,"id":"no"}"#, .invalidField, "id"),
        (#"{"to_user":"z","content":1,"id":null}"#, .invalidField, "id"),
    ]

    @Test("Refusals have their code and name the member")
    func refusals() {
        for (text, code, field) in Self.refused {
            let error = #expect(throws: ClientFrameError.self, "\(text)") { try parse(text) }
            #expect(error?.code == code, "\(text)")
            #expect(error?.detail.contains(field) == true, "\(text): \(error?.detail ?? "")")
            #expect(error?.id == nil)
        }
    }

    @Test("An id that can be read is in the error")
    func errorIDs() {
        for rest in [
            #""to_user":"z""#, #""op":"shout""#, #""op":3"#, #""content":1"#, #""type":3"#, #""content":1,"content":1"#,
            #""op":"ack""#,
        ] {
            let error = #expect(throws: ClientFrameError.self) { try parse("{\(rest),\"id\":\"\(Self.id)\"}") }
            #expect(error?.id == Samples.messageID, "\(rest)")
        }
    }

    @Test("Content over its limit is too large; at the limit it is not")
    func limit() throws {
        let text = #"{"id":"\#(Self.id)","to_user":"z","content":"12345678"}"#
        #expect(throws: Never.self) { try parse(text, limit: 10) }
        let error = #expect(throws: ClientFrameError.self) { try parse(text, limit: 9) }
        #expect(error?.code == .tooLarge)
        #expect(error?.id == Samples.messageID)
    }

    @Test("What a client writes is what a server reads")
    func writing() throws {
        let sends = [
            ClientSend(id: Samples.messageID, conversation: Samples.conversation, content: Samples.content),
            ClientSend(
                id: nil, conversation: nil, toUser: "Zo\"ë\n", type: "no\\te", content: ByteBuffer(string: "{\"a\": 1}")
            ),
        ]
        for frame in sends.map(ClientFrame.send) + [.ack(0), .ack(.max)] {
            let text = encoded { frame.write(into: &$0) }
            #expect(try ClientFrame(parsing: text, contentLimit: 100) == frame)
        }
    }

    @Test("Changed frames never crash: 20,000 seeded cases")
    func mutations() {
        var values = RandomValues(seed: 41)
        let text = Array(
            #"{"op":"send","id":"\#(Self.id)","to_user":"z\u00eb","type":"t","content":{"a":[1,"\ud83d\ude00"]},"n":1}"#
                .utf8)
        for _ in 0..<20_000 {
            var changed = text
            for _ in 0...values.below(2) { changed[values.below(changed.count)] = UInt8(values.below(256)) }
            let buffer = ByteBuffer(bytes: changed)
            guard let frame = try? ClientFrame(parsing: buffer, contentLimit: 1_000) else { continue }
            let again = encoded { frame.write(into: &$0) }
            let read = try? ClientFrame(parsing: again, contentLimit: 1_000)
            #expect(read == frame)
        }
    }
}
