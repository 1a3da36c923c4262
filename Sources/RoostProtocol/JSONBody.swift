public import NIOCore

/// Checks a JSON object before somebody else's decoder reads it: as strictly as frames are read (RFC 8259, UTF-8, no
/// lone surrogates, nesting up to 64).
public enum JSONBody {
    /// Why the text is not one JSON object.
    public struct Flaw: Error, Sendable, Equatable {
        /// Bytes before the one that cannot stand there.
        public var offset: Int
        public var reason: String
    }

    /// The first member of the object whose name stands there twice.
    public static func duplicate(in text: ByteBuffer) throws(Flaw) -> String? {
        let result = text.withUnsafeReadableBytes { bytes in
            Result { () throws(Flaw) in
                var names: Set<String> = []
                var duplicate: String?
                do throws(JSONError) {
                    try JSONObject.forEachMember(of: bytes) { key, _ in
                        let name = JSONObject.decode(key, in: bytes)
                        if !names.insert(name).inserted { duplicate = duplicate ?? name }
                    }
                } catch {
                    throw Flaw(offset: error.offset, reason: error.reason)
                }
                return duplicate
            }
        }
        return try result.get()
    }
}
