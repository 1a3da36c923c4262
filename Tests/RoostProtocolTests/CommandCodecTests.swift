import NIOCore
import RoostModel
import RoostProtocol
import Testing

@Suite("Commands, results, entries and the founding record")
struct CommandCodecTests {
    @Test("Commands come back as they were; cut or lengthened ones are errors")
    func commands() throws {
        var values = RandomValues(seed: 11)
        for round in 0..<400 {
            let command = values.command()
            let bytes = encoded { command.encode(into: &$0) }
            var copy = bytes
            #expect(try Command(decoding: &copy) == command)
            #expect(copy.readableBytes == 0)
            guard round < 40 else { continue }
            for length in 0..<bytes.readableBytes {
                var part = bytes.getSlice(at: 0, length: length) ?? ByteBuffer()
                #expect(throws: PeerCodecError.self) { try Command(decoding: &part) }
            }
            var longer = bytes
            longer.writeInteger(0, as: UInt8.self)
            #expect(throws: PeerCodecError.trailingBytes) { try Command(decoding: &longer) }
        }
    }

    @Test("An entry's payload is the stamp and the proposal's own bytes")
    func stamped() throws {
        var values = RandomValues(seed: 12)
        for _ in 0..<100 {
            let stamped = StampedCommand(stamp: values.time(), command: values.command())
            let whole = encoded { stamped.encode(into: &$0) }
            let proposal = encoded { stamped.command.encode(into: &$0) }
            #expect(StampedCommand.payload(stamp: stamped.stamp, encodedCommand: proposal) == whole)
            #expect(whole.getInteger(at: 0, as: Int64.self) == stamped.stamp)
            var copy = whole
            #expect(try StampedCommand(decoding: &copy) == stamped)
        }
    }

    @Test("Results, entries and founding records come back as they were")
    func others() throws {
        var values = RandomValues(seed: 13)
        for _ in 0..<200 {
            let result = values.result()
            var bytes = encoded { result.encode(into: &$0) }
            #expect(try CommandResult(decoding: &bytes) == result)
            let entry = values.entry()
            bytes = encoded { entry.encode(into: &$0) }
            #expect(try RaftEntry(decoding: &bytes) == entry)
            let record = values.foundingRecord()
            bytes = encoded { record.encode(into: &$0) }
            #expect(try FoundingRecord(decoding: &bytes) == record)
        }
    }

    @Test("Changed bytes never crash, and what is accepted has one form: 40,000 seeded cases")
    func mutations() {
        var values = RandomValues(seed: 14)
        for _ in 0..<2_000 {
            let bytes = encoded { values.command().encode(into: &$0) }
            for _ in 0..<20 {
                var changed = Array(bytes.readableBytesView)
                changed[values.below(changed.count)] = UInt8(truncatingIfNeeded: values.word())
                if values.below(4) == 0 { changed.removeLast(values.below(changed.count)) }
                var buffer = ByteBuffer(bytes: changed)
                guard let command = try? Command(decoding: &buffer) else { continue }
                let again = encoded { command.encode(into: &$0) }
                if again != ByteBuffer(bytes: changed) { Issue.record("\(changed) was read as \(command)") }
            }
        }
    }

    /// Node `a`, store 1, id 7.
    private static let call = "0161" + "0000000000000001" + "0000000000000007"
    private static let zeroID = String(repeating: "00", count: 16)

    /// Bytes, and what is wrong with them.
    private static let broken: [(hex: String, error: PeerCodecError)] = [
        ("", .truncated),
        ("00", .invalid("command")),
        ("18", .invalid("command")),
        ("090101010000000000000000090101010000000000000000", .invalid("limited command")),
        // A call in a call, with limits, of a command that needs no identity, older than any.
        ("10\(call)00" + "10\(call)00" + "03\(zeroID)01", .invalid("called command")),
        ("10\(call)00" + "0901", .invalid("called command")),
        ("10\(call)00" + "0700", .invalid("called command")),
        ("10\(call)08" + "03\(zeroID)01", .invalid("oldest call")),
        ("03\(zeroID)02", .invalid("disabled")),
        ("05\(zeroID)05", .invalid("conversation type")),
        // Device names: empty, 65 bytes long, with a space, not UTF-8, shorter than announced.
        ("04\(zeroID)00", .invalid("device")),
        ("04\(zeroID)41", .invalid("device")),
        ("04\(zeroID)01200000000000000000", .invalid("device")),
        ("04\(zeroID)01ff0000000000000000", .invalid("device")),
        ("04\(zeroID)0561", .truncated),
        // Counts: in a second form, above 64 bits, without an end, of more than there is.
        ("078000", .invalid("varint")),
        ("07ffffffffffffffffff02", .invalid("varint")),
        ("07ffffffffffffffffffff", .invalid("varint")),
        ("07ff", .truncated),
        ("0701", .truncated),
    ]

    @Test("Values that break their field's rule are refused")
    func invalid() throws {
        for (hex, error) in Self.broken {
            var buffer = try #require(bytes(fromHex: hex))
            #expect(throws: error, "\(hex)") { try Command(decoding: &buffer) }
        }
    }
}
