internal import Foundation
internal import Logging
internal import NIOConcurrencyHelpers

/// A value made of files, and made anew when one of them has changed. Where that fails the former value stays.
final class ReloadedFiles<Value: Sendable>: Sendable {
    private struct Stamp: Equatable {
        var modified: Date?
        var bytes: Int?
        var inode: Int?

        init?(_ path: String) {
            guard let all = try? FileManager.default.attributesOfItem(atPath: path) else { return nil }
            modified = all[.modificationDate] as? Date
            bytes = (all[.size] as? NSNumber)?.intValue
            inode = (all[.systemFileNumber] as? NSNumber)?.intValue
        }
    }

    private struct State {
        var value: Value
        /// Of the files that the value was made of, as they were before.
        var stamps: [Stamp?]
        var complained = false
    }

    let paths: [String]
    private let make: @Sendable () throws(CertificateError) -> Value
    private let state: NIOLockedValueBox<State>

    init(_ paths: [String], make: @escaping @Sendable () throws(CertificateError) -> Value) throws(CertificateError) {
        self.paths = paths
        self.make = make
        let stamps = paths.map { Stamp($0) }
        state = NIOLockedValueBox(State(value: try make(), stamps: stamps))
    }

    var value: Value { state.withLockedValue { $0.value } }

    /// Blocks; one caller at a time.
    /// - Returns: whether the value is a new one.
    func look(_ logger: Logger) -> Bool {
        let now = paths.map { Stamp($0) }
        guard now != state.withLockedValue({ $0.stamps }) else { return false }
        do {
            let value = try make()
            state.withLockedValue { $0 = State(value: value, stamps: now) }
            return true
        } catch {
            // Two files are not replaced at the same moment: it is said once, and tried again at every look.
            let isFirst = state.withLockedValue { state in
                defer { state.complained = true }
                return !state.complained
            }
            if isFirst { logger.warning("a certificate has changed and can't be used, the former one stays: \(error)") }
            return false
        }
    }
}
