import Foundation
import NIOCore
import RoostModel
import RoostProtocol
import Testing

/// Encodings as files. A difference means that nodes of two builds no longer understand each other, or that a log on
/// disk can no longer be read: so a file changes only together with a new version (`docs/peer-protocol.md`).
/// `ROOST_REWRITE_VECTORS=1 swift test --filter VectorTests` writes them anew, to be reviewed as a diff.
@Suite("Test vectors")
struct VectorTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Vectors")
    private static let rewrites = ProcessInfo.processInfo.environment["ROOST_REWRITE_VECTORS"] == "1"

    @Test func handshakes() throws {
        try check("handshake.txt", Samples.handshakes, encode: HandshakeCodec.encode) { bytes in
            try HandshakeCodec.nextFrame(from: &bytes)
        }
    }

    @Test func frames() throws {
        try check("frames.txt", Samples.frames, encode: { _ = PeerFrameCodec.encode($0, into: &$1) }) { bytes in
            guard var frame = try PeerFrameCodec.nextFrame(from: &bytes) else { return nil }
            return try PeerFrameCodec.decode(&frame)
        }
    }

    @Test func commands() throws {
        try check("commands.txt", Samples.commands, encode: { $0.encode(into: &$1) }) { try Command(decoding: &$0) }
    }

    @Test func results() throws {
        try check("results.txt", Samples.results, encode: { $0.encode(into: &$1) }) {
            try CommandResult(decoding: &$0)
        }
    }

    @Test func records() throws {
        try check("founding-record.txt", [("record", Samples.founding)], encode: { $0.encode(into: &$1) }) {
            try FoundingRecord(decoding: &$0)
        }
        let configuration = RaftConfiguration(
            voters: [RaftPeer(node: "node-1", store: Samples.store), RaftPeer(node: "node-2", store: StoreID(2))],
            learners: [RaftPeer(node: "node-3", store: StoreID(3))],
            tombstones: [RaftPeer(node: "node-3", store: StoreID(1))])
        try check("raft-configuration.txt", [("configuration", configuration)], encode: { $0.encode(into: &$1) }) {
            RaftConfiguration(decoding: &$0)
        }
        let stamped = StampedCommand(stamp: Samples.stamp, command: .send(Samples.send))
        try check("stamped-command.txt", [("send", stamped)], encode: { $0.encode(into: &$1) }) {
            try StampedCommand(decoding: &$0)
        }
    }

    @Test("There is a vector of every type of frame and command")
    func complete() {
        let frames = Set(
            Samples.frames.compactMap { sample in
                encoded { PeerFrameCodec.encode(sample.1, into: &$0) }.getInteger(at: 4, as: UInt8.self)
            })
        let types: [UInt8] = Array(0x10...0x19) + [0x20] + Array(0x30...0x33) + Array(0x40...0x48)
        #expect(frames == Set(types))
        let commands = Samples.commands.compactMap { sample in
            encoded { sample.1.encode(into: &$0) }.getInteger(at: 0, as: UInt8.self)
        }
        #expect(Set(commands) == Set(1...23))
    }

    /// Lines of `name hex`, in the order of the samples.
    private func check<Value: Equatable>(
        _ file: String, _ samples: [(String, Value)], encode: (Value, inout ByteBuffer) -> Void,
        decode: (inout ByteBuffer) throws -> Value?
    ) throws {
        let url = Self.folder.appending(path: file)
        let current = samples.map { name, value in "\(name) \(hex(encoded { encode(value, &$0) }))\n" }.joined()
        if Self.rewrites { try Data(current.utf8).write(to: url) }
        let stored = String(decoding: try Data(contentsOf: url), as: UTF8.self)
        let lines = stored.split(separator: "\n").map { $0.split(separator: " ") }
        #expect(lines.map { $0.first.map(String.init) } == samples.map(\.0))
        for (line, sample) in zip(lines, samples) {
            var wire = try #require(bytes(fromHex: line.last ?? ""))
            #expect(wire == encoded { encode(sample.1, &$0) }, "\(sample.0) is encoded otherwise than before")
            #expect(try decode(&wire) == sample.1, "\(sample.0) is read otherwise than before")
            #expect(wire.readableBytes == 0)
        }
    }
}
