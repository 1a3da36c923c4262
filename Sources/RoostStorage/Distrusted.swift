import Foundation
import RoostModel
import Synchronization

/// Partitions whose tables are known to be damaged and are made anew from the log when they are loaded next. A file
/// for each keeps it known where the process ends first.
final class Distrusted: Sendable {
    private let directory: String?
    private let partitions: Mutex<Set<PartitionID>>

    /// `directory`: nil in memory.
    init(directory: String?) {
        self.directory = directory
        let names = directory.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0) } ?? []
        partitions = Mutex(
            Set(
                names.filter { $0.hasPrefix(Self.prefix) }.compactMap { UInt16($0.dropFirst(Self.prefix.count)) }
                    .map { PartitionID($0) }))
    }

    func contains(_ partition: PartitionID) -> Bool { partitions.withLock { $0.contains(partition) } }

    func distrust(_ partition: PartitionID) {
        guard partitions.withLock({ $0.insert(partition).inserted }), let path = path(partition) else { return }
        // Where it can't be written the damage is met again.
        _ = FileManager.default.createFile(atPath: path, contents: nil)
    }

    /// Its tables were cleared.
    func trust(_ partition: PartitionID) {
        guard partitions.withLock({ $0.remove(partition) }) != nil, let path = path(partition) else { return }
        try? FileManager.default.removeItem(atPath: path)
    }

    static let prefix = "rebuild-"

    private func path(_ partition: PartitionID) -> String? {
        directory.map { "\($0)/\(Self.prefix)\(partition.value)" }
    }
}
