import NIOCore
import RoostModel
import RoostProtocol

@testable import RoostServer

/// What strangers, and nodes gone mad, can make a node read. `Fuzz/` makes up the input, `CorpusTests` reads again what
/// is kept of it.
enum FuzzedInput {
    /// What reads an input: the last four bits of its first byte say.
    enum Surface: Int, CaseIterable {
        /// A stream of peer frames with their lengths, in pieces as a socket brings them.
        case frames
        /// A peer frame without its length.
        case frame
        case handshake
        /// Whole connections of the peer port.
        case lane
        case clientFrame
        /// A client's WebSocket frames.
        case webSocket
        /// What a client reads.
        case serverFrame
        case command
        case result
        case record
        /// The handshake between nodes, frame by frame.
        case handshaking

        init?(_ byte: UInt8) { self.init(rawValue: Int(byte & 15)) }
    }

    /// Nil where all is as it should be, whether the input is taken or refused.
    static func flaw(in input: some Collection<UInt8>) -> String? {
        guard let first = input.first else { return nil }
        let bytes = ByteBuffer(bytes: input.dropFirst())
        return switch Surface(first) {
        case .frames: frames(bytes)
        case .frame: frame(bytes)
        case .handshake: handshake(bytes)
        case .lane: FuzzedLane.flaw(in: bytes)
        case .clientFrame: clientFrame(bytes)
        case .webSocket: webSocket(bytes)
        case .serverFrame: serverFrame(bytes)
        case .command: canonical(bytes, Command.init(decoding:)) { $0.encode(into: &$1) }
        case .result: canonical(bytes, CommandResult.init(decoding:)) { $0.encode(into: &$1) }
        case .record: record(bytes)
        case .handshaking: FuzzedHandshake.flaw(in: bytes)
        case nil: nil
        }
    }

    // MARK: The peer port

    private static func frames(_ bytes: ByteBuffer) -> String? {
        var whole = bytes
        let expected = bodies(of: &whole)
        for size in [1, 7] {
            var rest = bytes
            var arrived = ByteBuffer()
            var found: [ByteBuffer] = []
            while let piece = rest.readSlice(length: min(size, rest.readableBytes)), piece.readableBytes > 0 {
                arrived.writeImmutableBuffer(piece)
                found += bodies(of: &arrived)
            }
            if found != expected { return "in pieces of \(size) it is other frames than at once" }
        }
        for body in expected {
            if let flaw = frame(body) { return flaw }
        }
        return nil
    }

    private static func bodies(of stream: inout ByteBuffer) -> [ByteBuffer] {
        var found: [ByteBuffer] = []
        while let body = try? PeerFrameCodec.nextFrame(from: &stream) { found.append(body) }
        return found
    }

    private static func frame(_ body: ByteBuffer) -> String? {
        canonical(body, PeerFrameCodec.decode) { frame, buffer in
            PeerFrameCodec.encode(frame, into: &buffer)
            buffer.moveReaderIndex(forwardBy: 4)
        }
    }

    private static func handshake(_ bytes: ByteBuffer) -> String? {
        for limit in [HandshakeCodec.maxFrame, HandshakeCodec.maxJoined] {
            var rest = bytes
            while true {
                let before = rest
                guard let frame = try? HandshakeCodec.nextFrame(from: &rest, limit: limit) else { break }
                var encoded = ByteBuffer()
                HandshakeCodec.encode(frame, into: &encoded)
                let taken = before.readableBytesView.prefix(before.readableBytes - rest.readableBytes)
                if !encoded.readableBytesView.elementsEqual(taken) { return "\(frame) is written otherwise" }
            }
        }
        return nil
    }

    private static func record(_ bytes: ByteBuffer) -> String? {
        canonical(bytes, StampedCommand.init(decoding:)) { $0.encode(into: &$1) }
            ?? canonical(bytes, FoundingRecord.init(decoding:)) { $0.encode(into: &$1) }
            ?? canonical(bytes, Ring.init(decoding:)) { $0.encode(into: &$1) }
    }

    /// What can be read is written as the same bytes: there is one form of everything.
    private static func canonical<Value>(
        _ bytes: ByteBuffer, _ decode: (inout ByteBuffer) throws(PeerCodecError) -> Value,
        _ encode: (Value, inout ByteBuffer) -> Void
    ) -> String? {
        var rest = bytes
        guard let value = try? decode(&rest) else { return nil }
        var encoded = ByteBuffer()
        encode(value, &encoded)
        let taken = bytes.readableBytesView.prefix(bytes.readableBytes - rest.readableBytes)
        return encoded.readableBytesView.elementsEqual(taken) ? nil : "\(value) is written otherwise"
    }

    // MARK: The client port

    private static let contentLimit = 1_000

    private static func clientFrame(_ text: ByteBuffer) -> String? {
        let isJSON: Bool
        do {
            _ = try JSONBody.duplicate(in: text)
            isJSON = true
        } catch {
            isJSON = false
        }
        do throws(ClientFrameError) {
            let frame = try ClientFrame(parsing: text, contentLimit: contentLimit)
            guard isJSON else { return "\(frame) was no JSON" }
            var written = ByteBuffer()
            frame.write(into: &written)
            let again = try ClientFrame(parsing: written, contentLimit: contentLimit)
            return again == frame ? nil : "\(frame) is written as \(again)"
        } catch {
            guard (error.code == .invalidJSON) != isJSON else { return "JSON or not? \(error)" }
            return nil
        }
    }

    private static func webSocket(_ bytes: ByteBuffer) -> String? {
        let expected = events(of: bytes, pieces: max(1, bytes.readableBytes))
        for size in [1, 5] where events(of: bytes, pieces: size) != expected {
            return "in pieces of \(size) it is something else than at once"
        }
        for case .text(let text) in expected {
            if String(validating: text.readableBytesView, as: UTF8.self) == nil { return "no UTF-8" }
            if let flaw = clientFrame(text) { return flaw }
        }
        return nil
    }

    private static func events(of bytes: ByteBuffer, pieces size: Int) -> [WebSocketReader.Event] {
        var reader = WebSocketReader(maxFrame: 1_000)
        var events: [WebSocketReader.Event] = []
        var rest = bytes
        while let piece = rest.readSlice(length: min(size, rest.readableBytes)), piece.readableBytes > 0 {
            // A copy: what was read is unmasked where it lies.
            reader.read(ByteBuffer(bytes: piece.readableBytesView), into: &events)
        }
        return events
    }

    private static func serverFrame(_ text: ByteBuffer) -> String? {
        _ = try? ServerFrame(parsing: text)
        _ = try? JSONMessage.parse(text)
        return nil
    }
}
