internal import NIOCore
internal import RoostProtocol

/// What a message of the load says: who sent it, its number and when it was due. A JSON string without escapes:
/// `"b:<run>:<sender>:<counter>:<nanoseconds>:xxxx…"`.
struct BenchContent: Equatable {
    /// Tells this run's messages from those of an earlier one with the same accounts.
    var run: UInt32
    var sender: Int
    /// 1, 2, 3 … of the sender.
    var counter: UInt64
    /// When it was due, in nanoseconds of the monotonic clock.
    var dueAt: UInt64

    /// - Parameter size: of the JSON value in bytes; at least what the fields need.
    func write(size: Int, into buffer: inout ByteBuffer) {
        let start = buffer.writerIndex
        buffer.writeStaticString("\"b:")
        buffer.writeJSON(number: UInt64(run))
        buffer.writeInteger(UInt8(ascii: ":"))
        buffer.writeJSON(number: UInt64(sender))
        buffer.writeInteger(UInt8(ascii: ":"))
        buffer.writeJSON(number: counter)
        buffer.writeInteger(UInt8(ascii: ":"))
        buffer.writeJSON(number: dueAt)
        buffer.writeInteger(UInt8(ascii: ":"))
        let padding = size - (buffer.writerIndex - start) - 1
        if padding > 0 { buffer.writeRepeatingByte(UInt8(ascii: "x"), count: padding) }
        buffer.writeInteger(UInt8(ascii: "\""))
    }

    init(run: UInt32, sender: Int, counter: UInt64, dueAt: UInt64) {
        self.run = run
        self.sender = sender
        self.counter = counter
        self.dueAt = dueAt
    }

    /// Nil for a message that is not of the load.
    init?(_ content: ByteBuffer) {
        let content: BenchContent? = content.withUnsafeReadableBytes { bytes in
            guard bytes.count > 3, bytes[0] == UInt8(ascii: "\""), bytes[1] == UInt8(ascii: "b"),
                bytes[2] == UInt8(ascii: ":")
            else { return nil }
            var position = 3
            func field() -> UInt64? {
                var value: UInt64 = 0
                while position < bytes.count, value < 1 << 59 {
                    let byte = bytes[position]
                    position += 1
                    if byte == UInt8(ascii: ":") { return value }
                    guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
                    value = value * 10 + UInt64(byte - UInt8(ascii: "0"))
                }
                return nil
            }
            guard let run = field().flatMap({ UInt32(exactly: $0) }),
                let sender = field().flatMap({ Int32(exactly: $0) }),
                let counter = field(), let dueAt = field()
            else { return nil }
            return BenchContent(run: run, sender: Int(sender), counter: counter, dueAt: dueAt)
        }
        guard let content else { return nil }
        self = content
    }
}
