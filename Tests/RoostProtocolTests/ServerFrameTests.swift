import NIOCore
import RoostModel
import RoostProtocol
import Testing

@Suite("Frames of the server")
struct ServerFrameTests {
    private static let user = "11111111-1111-5111-9111-111111111111"
    private static let id = "44444444-4444-7444-9444-444444444444"
    private static let conversation = "33333333-3333-4333-9333-333333333333"
    private static let members = """
        "id":"\(id)","conversation_id":"\(conversation)","seq":7,"sender_id":"\(user)","origin_device_id":"phone",\
        "type":"text","content":"hi","sent_at":1700000000.123456
        """

    private func text(_ write: (inout ByteBuffer) -> Void) -> String { String(buffer: encoded(write)) }
    private func parse(_ text: String) throws(ServerFrameError) -> ServerFrame {
        var buffer = ByteBuffer(string: "x" + text)
        buffer.moveReaderIndex(forwardBy: 1)
        return try ServerFrame(parsing: buffer)
    }

    @Test("A message frame is the same for all but the number")
    func message() throws {
        let tail = MessageFrame.encodeTail(Samples.message)
        for n: UInt64 in [1, 10, 12_345, .max] {
            let frame = text { MessageFrame.write(n: n, tail: tail, into: &$0) }
            #expect(frame == "{\"op\":\"message\",\"n\":\(n),\(Self.members)}")
            #expect(try parse(frame) == .message(n: n, Samples.message))
        }
    }

    @Test("A message on its own")
    func jsonMessage() throws {
        let json = encoded { JSONMessage.write(Samples.message, into: &$0) }
        #expect(String(buffer: json) == "{\(Self.members)}")
        #expect(try JSONMessage.parse(json) == Samples.message)
    }

    @Test("Content comes out as it went in")
    func content() throws {
        var message = Samples.message
        for raw in ["{ \"b\" :1.50 ,\n\"a\":\"\\u00e9\\/\" }", "null", "[ ]", "-0"] {
            message.content = ByteBuffer(string: raw)
            let tail = MessageFrame.encodeTail(message)
            guard case .message(_, let read) = try parse(text { MessageFrame.write(n: 1, tail: tail, into: &$0) })
            else {
                Issue.record("no message")
                continue
            }
            #expect(String(buffer: read.content) == raw)
        }
    }

    @Test("welcome")
    func welcome() throws {
        let welcome = WelcomeFrame(
            session: SessionID(0xab), node: "node-1", user: Samples.user, device: Samples.device, heartbeat: 30,
            maxFrame: 65_536, window: 256)
        let frame = text { welcome.write(into: &$0) }
        #expect(
            frame == """
                {"op":"welcome","session":"00000000000000ab","node_id":"node-1","user_id":"\(Self.user)",\
                "device_id":"phone","heartbeat":30,"max_frame":65536,"window":256}
                """)
        #expect(try parse(frame) == .welcome(welcome))
    }

    @Test("caught_up, accepted, skipped")
    func others() throws {
        #expect(text { CaughtUpFrame().write(into: &$0) } == #"{"op":"caught_up"}"#)
        let incomplete = text { CaughtUpFrame(incomplete: true).write(into: &$0) }
        #expect(incomplete == #"{"op":"caught_up","incomplete":true}"#)
        #expect(try parse(#"{"op":"caught_up"}"#) == .caughtUp(incomplete: false))
        #expect(try parse(incomplete) == .caughtUp(incomplete: true))

        let accepted = AcceptedFrame(
            id: Samples.messageID, conversation: Samples.conversation, seq: 7, sentAt: Samples.stamp)
        let acceptedText = text { accepted.write(into: &$0) }
        #expect(
            acceptedText == """
                {"op":"accepted","id":"\(Self.id)","conversation_id":"\(Self.conversation)","seq":7,\
                "sent_at":1700000000.123456}
                """)
        #expect(try parse(acceptedText) == .accepted(accepted))

        let skipped = SkippedFrame(conversation: Samples.conversation, from: 1, to: 20)
        let skippedText = text { skipped.write(into: &$0) }
        #expect(skippedText == #"{"op":"skipped","conversation_id":"\#(Self.conversation)","from":1,"to":20}"#)
        #expect(try parse(skippedText) == .skipped(skipped))
    }

    @Test("presence, subscribed")
    func presence() throws {
        func round(_ frame: PresenceFrame) throws -> String {
            let written = text { frame.write(into: &$0) }
            #expect(try parse(written) == .presence(frame))
            return written
        }
        #expect(
            try round(PresenceFrame(user: Samples.user, status: .online))
                == #"{"op":"presence","user_id":"\#(Self.user)","status":"online"}"#)
        #expect(
            try round(PresenceFrame(user: Samples.user, status: .offline(lastSeen: nil)))
                == #"{"op":"presence","user_id":"\#(Self.user)","status":"offline"}"#)
        #expect(
            try round(PresenceFrame(user: Samples.user, status: .offline(lastSeen: Samples.stamp)))
                == #"{"op":"presence","user_id":"\#(Self.user)","status":"offline","last_seen":1700000000.123456}"#)

        #expect(text { SubscribedFrame().write(into: &$0) } == #"{"op":"subscribed"}"#)
        let partly = SubscribedFrame(id: Samples.messageID, refused: [Samples.user])
        let written = text { partly.write(into: &$0) }
        #expect(written == #"{"op":"subscribed","id":"\#(Self.id)","refused":["\#(Self.user)"]}"#)
        #expect(try parse(written) == .subscribed(partly))
    }

    @Test("Errors of every code", arguments: ErrorCode.allCases)
    func errors(code: ErrorCode) throws {
        let frame = ErrorFrame(
            code: code, detail: "a \"b\"", retryAfterMilliseconds: code.retryable ? 250 : nil, id: Samples.messageID)
        let written = text { frame.write(into: &$0) }
        let retry = code.retryable ? "true,\"retry_after_ms\":250" : "false"
        #expect(
            written == """
                {"op":"error","code":"\(code.rawValue)","detail":"a \\"b\\"","retryable":\(retry),"id":"\(Self.id)"}
                """)
        let expected = ServerError(
            codeText: code.rawValue, detail: "a \"b\"", retryable: code.retryable,
            retryAfterMilliseconds: frame.retryAfterMilliseconds, id: Samples.messageID)
        #expect(expected.code == code)
        #expect(try parse(written) == .error(expected))
    }

    @Test("Only what is unknown or busy may be sent again")
    func retryable() {
        #expect(ErrorCode.allCases.filter(\.retryable) == [.rateLimited, .unavailable])
    }

    @Test("A client reads what a newer server says")
    func newer() throws {
        #expect(try parse(#"{"op":"confetti","x":[{}]}"#) == .unknown(op: "confetti"))
        #expect(
            try parse(#"{"op":"error","code":"teapot","retryable":true,"why":1}"#)
                == .error(ServerError(codeText: "teapot", detail: "", retryable: true)))
    }

    @Test(
        "Frames that break a rule are errors",
        arguments: [
            "", "[]", "{}", #"{"op":1}"#, #"{"op":"message","n":1}"#, #"{"op":"accepted"}"#, #"{"op":"error"}"#,
            #"{"op":"welcome","session":"xyz"}"#, #"{"op":"caught_up","incomplete":1}"#, #"{"op":"a","op":"b"}"#,
            #"{"op":"presence","status":"online"}"#,
            #"{"op":"presence","user_id":"33333333-3333-4333-9333-333333333333","status":"away"}"#,
            #"{"op":"skipped","conversation_id":"33333333-3333-4333-9333-333333333333","from":-1,"to":2}"#,
        ])
    func broken(text: String) {
        #expect(throws: ServerFrameError.self) { try parse(text) }
    }

    @Test("Random messages come back as they were")
    func roundTrip() throws {
        var values = RandomValues(seed: 51)
        for _ in 0..<200 {
            var message = values.message()
            message.type = values.text()
            let text = values.text()
            message.content = encoded { $0.writeJSON(string: text) }
            let json = encoded { JSONMessage.write(message, into: &$0) }
            #expect(try JSONMessage.parse(json) == message)
        }
    }
}
