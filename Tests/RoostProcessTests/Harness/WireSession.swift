import Foundation

/// A WebSocket client that checks nothing on its way out: it can send what no library would. A thread reads and keeps
/// all that comes; pings are answered, messages are acknowledged if wanted.
final class WireSession: @unchecked Sendable {
    // Unchecked: what changes is touched under `lock` only.
    struct Options: Sendable {
        var query = ""
        /// Offer `roost.v1`.
        var modern = true
        var acknowledges = true
    }

    struct Arrival: Sendable {
        var frame: JSON
        var at: ContinuousClock.Instant
    }

    /// An opening handshake that was refused.
    struct Refused: Error {
        var answer: HTTPResult
    }

    private let wire: Wire
    private let options: Options
    private let lock = NSLock()
    private var arrivals: [Arrival] = []
    private var code: Int?
    private var ended = false

    /// The key of RFC 6455, section 1.3, and the answer given there.
    private static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    private static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    /// - Throws: `Refused`.
    static func open(
        port: Int, user: String, token: String?, device: String?, options: Options = Options()
    ) async throws -> WireSession {
        try await onThread {
            let wire = try Wire(port: port)
            try wire.write(handshake(port: port, user: user, token: token, device: device, options: options))
            var bytes: [UInt8] = []
            while bytes.firstRange(of: [13, 10, 13, 10]) == nil {
                let read = try wire.read()
                guard !read.isEmpty else { throw HarnessError("the connection ended within the handshake") }
                bytes += read
            }
            let answer = try HTTPResult(parsing: bytes)
            guard answer.status == 101 else { throw Refused(answer: try HTTPResult(parsing: bytes + wire.readAll())) }
            guard answer.headers["sec-websocket-accept"] == accept else {
                throw HarnessError("a wrong Sec-WebSocket-Accept: \(answer.headers)")
            }
            let session = WireSession(wire, options)
            Thread.detachNewThread { session.run(answer.body) }
            return session
        }
    }

    static func handshake(
        port: Int, user: String, token: String?, device: String?, options: Options = Options()
    ) -> String {
        var target = "/api/ws/\(user)?"
        if let device { target += "device_id=\(device)" }
        var head = "GET \(target)\(options.query) HTTP/1.1\r\nhost: 127.0.0.1:\(port)\r\nupgrade: websocket\r\n"
        head += "connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: \(key)\r\n"
        let protocols = (options.modern ? ["roost.v1"] : []) + (token.map { [$0] } ?? [])
        if !protocols.isEmpty { head += "sec-websocket-protocol: \(protocols.joined(separator: ", "))\r\n" }
        return head + "\r\n"
    }

    private init(_ wire: Wire, _ options: Options) {
        self.wire = wire
        self.options = options
    }

    deinit { wire.shut() }

    // MARK: What came

    var all: [Arrival] { lock.withLock { arrivals } }
    var isEnded: Bool { lock.withLock { ended } }
    /// Of the server's close frame.
    var closeCode: Int? { lock.withLock { code } }

    func arrivals(_ operation: String) -> [Arrival] { all.filter { $0.frame["op"].string == operation } }
    func frames(_ operation: String) -> [JSON] { arrivals(operation).map(\.frame) }
    var messages: [JSON] { frames("message") }
    var contents: [String] { messages.map { $0["content"].string ?? "?" } }

    func caughtUp() async throws {
        try await eventually("caught_up") { !self.frames("caught_up").isEmpty || self.isEnded }
    }

    /// The `accepted` or `error` that answers the send.
    func answer(to id: String, within limit: Duration = .seconds(15)) async throws -> JSON {
        var answer: JSON?
        try await eventually("an answer to \(id)", within: limit) {
            answer =
                self.all.first {
                    $0.frame["id"].string == id && ["accepted", "error"].contains($0.frame["op"].string)
                }?.frame
            return answer != nil
        }
        return try answer.orThrow("no answer")
    }

    /// The close code, once the connection has ended.
    func closed(within limit: Duration = .seconds(10)) async throws -> Int? {
        try await eventually("the session is closed", within: limit) { self.isEnded }
        return closeCode
    }

    // MARK: What goes

    @discardableResult
    func send(_ content: String, to conversation: String, id: String = newID()) throws -> String {
        try text(
            #"{"op":"send","id":"\#(id)","conversation_id":"\#(conversation)","content":\#(JSON.quoted(content))}"#)
        return id
    }

    /// Sends, and waits for the answer.
    func say(_ content: String, to conversation: String) async throws -> JSON {
        try await answer(to: try send(content, to: conversation))
    }

    func text(_ text: String) throws { try frame(opcode: 1, Array(text.utf8)) }

    func frame(opcode: UInt8, _ payload: [UInt8], final: Bool = true, reserved: UInt8 = 0, masked: Bool = true) throws {
        try wire.write(Self.encode(opcode, payload, final: final, reserved: reserved, masked: masked))
    }

    func bytes(_ bytes: [UInt8]) throws { try wire.write(bytes) }

    static func encode(
        _ opcode: UInt8, _ payload: [UInt8], final: Bool = true, reserved: UInt8 = 0, masked: Bool = true
    ) -> [UInt8] {
        var bytes = [(final ? 0x80 : 0) | reserved << 4 | opcode]
        let mark: UInt8 = masked ? 0x80 : 0
        switch payload.count {
        case ..<126: bytes.append(mark | UInt8(payload.count))
        case ..<65_536: bytes += [mark | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xff)]
        default: bytes += [mark | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        guard masked else { return bytes + payload }
        let mask: [UInt8] = [0x12, 0x34, 0x56, 0x78]
        bytes += mask
        bytes += payload.enumerated().map { $0.element ^ mask[$0.offset % 4] }
        return bytes
    }

    /// Ends the connection without a word, in order or with a reset.
    func drop(hard: Bool = false) { hard ? wire.reset() : wire.shut() }

    // MARK: Reading

    private func run(_ first: [UInt8]) {
        var buffer = first
        while true {
            while let (opcode, payload) = Self.takeFrame(&buffer) { take(opcode, payload) }
            // Silence is no end: what a test waits for has a limit of its own.
            guard let read = try? wire.read() else {
                if isEnded { break } else { continue }
            }
            if read.isEmpty { break }
            buffer += read
        }
        lock.withLock { ended = true }
    }

    private func take(_ opcode: UInt8, _ payload: [UInt8]) {
        switch opcode {
        case 1:
            guard let frame = try? JSON(payload) else { return }
            lock.withLock { arrivals.append(Arrival(frame: frame, at: .now)) }
            if options.acknowledges, frame["op"].string == "message", let n = frame["n"].int {
                try? text(#"{"op":"ack","n":\#(n)}"#)
            }
        case 8:
            lock.withLock { code = payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : 1005 }
            try? frame(opcode: 8, Array(payload.prefix(2)))
            wire.shutWriting()
        case 9: try? frame(opcode: 10, payload)
        default: break
        }
    }

    /// The server's frames are whole and unmasked.
    private static func takeFrame(_ buffer: inout [UInt8]) -> (UInt8, [UInt8])? {
        guard buffer.count >= 2 else { return nil }
        var length = Int(buffer[1] & 0x7f)
        var start = 2
        if length >= 126 {
            let bytes = length == 126 ? 2 : 8
            guard buffer.count >= 2 + bytes else { return nil }
            length = buffer[2..<2 + bytes].reduce(0) { $0 << 8 | Int($1) }
            start += bytes
        }
        guard buffer.count >= start + length else { return nil }
        defer { buffer.removeFirst(start + length) }
        return (buffer[0] & 0x0f, Array(buffer[start..<start + length]))
    }
}
