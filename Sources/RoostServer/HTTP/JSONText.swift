package import NIOCore
internal import RoostProtocol

/// Writes JSON (RFC 8259) into a buffer, in the order it is told.
package struct JSONText: Sendable {
    package private(set) var bytes: ByteBuffer
    private var needsComma = false

    package init(capacity: Int = 256) {
        bytes = ByteBuffer()
        bytes.reserveCapacity(capacity)
    }

    package mutating func object(_ content: (inout JSONText) -> Void) {
        separate()
        bytes.writeInteger(UInt8(ascii: "{"))
        needsComma = false
        content(&self)
        bytes.writeInteger(UInt8(ascii: "}"))
        needsComma = true
    }

    package mutating func array<Items: Sequence>(
        _ items: Items, _ content: (inout JSONText, Items.Element) -> Void
    ) {
        separate()
        bytes.writeInteger(UInt8(ascii: "["))
        needsComma = false
        for item in items { content(&self, item) }
        bytes.writeInteger(UInt8(ascii: "]"))
        needsComma = true
    }

    package mutating func key(_ key: String) {
        separate()
        bytes.writeJSON(string: key)
        bytes.writeInteger(UInt8(ascii: ":"))
        needsComma = false
    }

    package mutating func value(_ value: String?) {
        separate()
        if let value { bytes.writeJSON(string: value) } else { bytes.writeStaticString("null") }
        needsComma = true
    }

    package mutating func value(_ value: Int) { raw(String(value)) }
    package mutating func value(_ value: UInt64) { raw { $0.writeJSON(number: value) } }
    package mutating func value(_ value: Bool) { raw(value ? "true" : "false") }

    /// Anything that is JSON already.
    package mutating func raw(_ text: String) {
        separate()
        bytes.writeString(text)
        needsComma = true
    }

    /// A value written by `write`, which must be JSON.
    package mutating func raw(_ write: (inout ByteBuffer) -> Void) {
        separate()
        write(&bytes)
        needsComma = true
    }

    package mutating func field(_ name: String, _ text: String?) {
        key(name)
        value(text)
    }
    package mutating func field(_ name: String, _ number: Int) {
        key(name)
        value(number)
    }
    package mutating func field(_ name: String, _ number: UInt64) {
        key(name)
        value(number)
    }
    package mutating func field(_ name: String, _ flag: Bool) {
        key(name)
        value(flag)
    }
    /// Microseconds as seconds.
    package mutating func field(_ name: String, microseconds: Int64) {
        key(name)
        raw { $0.writeJSON(secondsOf: microseconds) }
    }

    private mutating func separate() {
        if needsComma { bytes.writeInteger(UInt8(ascii: ",")) }
        needsComma = false
    }
}
