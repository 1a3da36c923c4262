import Foundation
import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// A directory of its own for each test, removed at the end.
final class TemporaryDirectory {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("roost-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func path(_ name: String) -> String { path + "/" + name }
}

func user(_ n: UInt64) -> UserID { UserID(UUID128(high: 0xaaaa, low: n)) }
func conversation(_ n: UInt64) -> ConversationID { ConversationID(UUID128(high: 0xcccc, low: n)) }
func message(_ n: UInt64) -> MessageID { MessageID(UUID128(high: 0x1111, low: n)) }
func device(_ name: String) -> DeviceID { DeviceID(validated: name) }

func entry(_ index: UInt64, term: UInt64 = 1, _ text: String = "body") -> RaftEntry {
    RaftEntry(index: index, term: term, kind: .noop, payload: ByteBuffer(string: text))
}

func entry(_ index: UInt64, term: UInt64 = 1, stamp: Int64, _ command: Command) -> RaftEntry {
    var payload = ByteBuffer()
    StampedCommand(stamp: stamp, command: command).encode(into: &payload)
    return RaftEntry(index: index, term: term, kind: .command, payload: payload)
}

/// A log of one conversation or more, with the rows that stand for it.
struct MessageLog {
    var partition: PartitionID
    private(set) var lastIndex: UInt64 = 0
    private var seqs: [ConversationID: UInt64] = [:]

    init(_ partition: PartitionID = 1) { self.partition = partition }

    mutating func send(
        _ conversation: ConversationID, id: UInt64, from sender: UInt64 = 1, content: String = "\"hello\""
    ) -> (entry: RaftEntry, row: MessageRow) {
        lastIndex += 1
        seqs[conversation, default: 0] += 1
        let seq = seqs[conversation, default: 0]
        let send = SendCommand(
            conversation: conversation, peer: nil, sender: user(sender), device: device("phone"), id: message(id),
            type: "text", content: ByteBuffer(string: content),
            order: SendOrder(session: SessionID(7), run: 1, counter: seq, base: 1))
        let row = MessageRow(
            conversation: conversation, seq: seq, index: lastIndex, sentAt: Int64(lastIndex * 1000), id: message(id),
            sender: user(sender), contentHash: UInt64.max - lastIndex)
        return (entry(lastIndex, stamp: Int64(lastIndex * 1000), .send(send)), row)
    }

    /// A write of `count` messages to one conversation, ids counting from `firstID`.
    mutating func write(
        _ conversation: ConversationID, count: Int, firstID: UInt64, content: String = "\"hello\""
    ) -> PartitionWrite {
        var write = PartitionWrite(partition: partition)
        for n in 0..<UInt64(count) {
            let (entry, row) = send(conversation, id: firstID + n, content: content)
            write.entries.append(entry)
            write.changes.append(.message(row))
        }
        write.appliedIndex = lastIndex
        write.lastStamp = Int64(lastIndex * 1000)
        return write
    }
}
