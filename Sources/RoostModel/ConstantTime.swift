internal import Crypto

/// Comparing secrets without telling by the time it takes how much of them was right.
package enum ConstantTime {
    /// Of a fixed length: comparing digests tells nothing of the length of a secret either.
    package static func digest(_ text: String) -> [UInt8] {
        var hash = SHA256()
        Array(text.utf8).withUnsafeBytes { hash.update(bufferPointer: $0) }
        return Array(hash.finalize())
    }

    /// Takes as long for equal as for different texts of the same length.
    package static func equal(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Bool {
        guard a.count == b.count else { return false }
        var difference: UInt8 = 0
        for (x, y) in zip(a, b) { difference |= x ^ y }
        return difference == 0
    }
}
