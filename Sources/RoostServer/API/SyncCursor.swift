internal import FoundationEssentials
internal import RoostModel

/// Where a sync goes on: of every partition the log index up to which the client has everything. Opaque to clients:
/// version byte, then one LEB128 number a partition, in base64url.
struct SyncCursor: Sendable, Equatable {
    private static let version: UInt8 = 1

    private(set) var covered: [UInt64]

    /// The beginning.
    init(partitions: Int) { covered = Array(repeating: 0, count: partitions) }

    /// Nil for anything that `text` of as many partitions did not write.
    init?(_ text: String, partitions: Int) {
        guard text.utf8.count <= 16 * (partitions + 1), let bytes = Base64URL.decode(text.utf8),
            bytes.first == Self.version
        else { return nil }
        covered = []
        var number: UInt64 = 0
        var shift: UInt64 = 0
        for byte in bytes.dropFirst() {
            guard shift < 63 else { return nil }
            number |= UInt64(byte & 0x7f) << shift
            shift += 7
            guard byte & 0x80 == 0 else { continue }
            covered.append(number)
            (number, shift) = (0, 0)
        }
        guard shift == 0, covered.count == partitions else { return nil }
    }

    subscript(partition: PartitionID) -> UInt64 {
        get { covered.indices.contains(Int(partition.value)) ? covered[Int(partition.value)] : 0 }
        set { if covered.indices.contains(Int(partition.value)) { covered[Int(partition.value)] = newValue } }
    }

    var text: String {
        var bytes = [Self.version]
        for number in covered {
            var rest = number
            while rest >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            bytes.append(UInt8(rest))
        }
        return Base64URL.encode(bytes)
    }
}
