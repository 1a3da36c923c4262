internal import Crypto

/// A 128-bit UUID (RFC 9562) held as two integers in network order: hashable and comparable without Foundation.
public struct UUID128: Hashable, Sendable, Comparable {
    public let high: UInt64
    public let low: UInt64

    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public static let zero = UUID128(high: 0, low: 0)

    @inlinable
    public static func < (a: UUID128, b: UUID128) -> Bool {
        a.high != b.high ? a.high < b.high : a.low < b.low
    }

    /// Parses the 36-character form `8-4-4-4-12`, any case; nil for anything else.
    @inlinable
    public init?(_ text: some StringProtocol) {
        self.init(utf8: text.utf8)
    }

    /// Parses the 36-character form from UTF-8 bytes; nil for anything else. Inlinable, since a call that stays
    /// generic looks up a witness for every byte: it was a sixth of what a device's frames cost.
    @inlinable
    public init?(utf8 bytes: some Sequence<UInt8>) {
        var high: UInt64 = 0
        var low: UInt64 = 0
        var position = 0
        var digits = 0
        for byte in bytes {
            if position == 8 || position == 13 || position == 18 || position == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
            } else {
                let nibble: UInt8
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"): nibble = byte - UInt8(ascii: "0")
                case UInt8(ascii: "a")...UInt8(ascii: "f"): nibble = byte - UInt8(ascii: "a") + 10
                case UInt8(ascii: "A")...UInt8(ascii: "F"): nibble = byte - UInt8(ascii: "A") + 10
                default: return nil
                }
                if digits < 16 { high = high << 4 | UInt64(nibble) } else { low = low << 4 | UInt64(nibble) }
                digits += 1
            }
            position += 1
            if position > 36 { return nil }
        }
        guard position == 36 else { return nil }
        self.init(high: high, low: low)
    }

    /// Calls `emit` with each of the 36 ASCII bytes of the lower-case form.
    @inlinable
    public func forEachASCII(_ emit: (UInt8) -> Void) {
        for digit in 0..<32 {
            if digit == 8 || digit == 12 || digit == 16 || digit == 20 { emit(UInt8(ascii: "-")) }
            let word = digit < 16 ? high : low
            let nibble = UInt8(truncatingIfNeeded: word >> UInt64((15 - digit % 16) * 4)) & 0xf
            emit(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10)
        }
    }

    /// The 16 bytes in network order.
    public var bytes: [UInt8] {
        (0..<16).map { index in
            UInt8(truncatingIfNeeded: (index < 8 ? high : low) >> UInt64((7 - index % 8) * 8))
        }
    }

    /// A name-based UUID, version 5 (RFC 9562, section 5.5: SHA-1 of namespace and name).
    public static func version5(namespace: UUID128, name: some Sequence<UInt8>) -> UUID128 {
        var hash = Insecure.SHA1()
        hash.update(data: namespace.bytes)
        hash.update(data: Array(name))
        var high: UInt64 = 0
        var low: UInt64 = 0
        for (index, byte) in hash.finalize().enumerated() where index < 16 {
            if index < 8 { high = high << 8 | UInt64(byte) } else { low = low << 8 | UInt64(byte) }
        }
        return UUID128(
            high: high & 0xffff_ffff_ffff_0fff | 0x5000, low: low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000)
    }

    /// A random UUID, version 4, from the generator passed in.
    public static func version4(using generator: inout some RandomNumberGenerator) -> UUID128 {
        UUID128(
            high: generator.next() & 0xffff_ffff_ffff_0fff | 0x4000,
            low: generator.next() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000)
    }

    /// A time-ordered UUID, version 7, of `milliseconds` since 1970.
    public static func version7(milliseconds: UInt64, using generator: inout some RandomNumberGenerator) -> UUID128 {
        UUID128(
            high: milliseconds << 16 | 0x7000 | generator.next() & 0x0fff,
            low: generator.next() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000)
    }
}

extension UUID128: CustomStringConvertible {
    public var description: String {
        String(unsafeUninitializedCapacity: 36) { buffer in
            var index = 0
            forEachASCII { byte in
                buffer[index] = byte
                index += 1
            }
            return 36
        }
    }
}
