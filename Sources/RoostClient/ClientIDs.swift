internal import Foundation
public import RoostModel

/// Ids that a client chooses.
public enum ClientIDs {
    /// A UUIDv7 of the wall clock: ids of one client sort by time.
    public static func message() -> MessageID { MessageID(uuid()) }

    package static func uuid() -> UUID128 {
        var generator = SystemRandomNumberGenerator()
        return .version7(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1_000)), using: &generator)
    }
}
