import Foundation
import RoostModel
import Synchronization

/// Partitions whose tables are known to be damaged and are made anew from the log when they are loaded next. A file
/// for each keeps it known where the process ends first.
final class Distrusted: Sendable {
    private let directory: String?
    /// With the reason.
    private let partitions: Mutex<[PartitionID: String]>

    /// `directory`: nil in memory.
    init(directory: String?) {
        self.directory = directory
        let names = directory.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0) } ?? []
        partitions = Mutex(
            Dictionary(
                names.filter { $0.hasPrefix(Self.prefix) }.compactMap { UInt16($0.dropFirst(Self.prefix.count)) }
                    .map { (PartitionID($0), "partition \($0): the tables are marked as damaged") },
                uniquingKeysWith: { first, _ in first }))
    }

    func reason(_ partition: PartitionID) -> String? { partitions.withLock { $0[partition] } }

    func distrust(_ partition: PartitionID, because reason: String) {
        let isFirst = partitions.withLock { partitions in
            defer { partitions[partition] = partitions[partition] ?? reason }
            return partitions[partition] == nil
        }
        guard isFirst, let path = path(partition) else { return }
        // Where it can't be written the damage is met again.
        _ = FileManager.default.createFile(atPath: path, contents: nil)
    }

    /// Its tables were cleared.
    func trust(_ partition: PartitionID) {
        guard partitions.withLock({ $0.removeValue(forKey: partition) }) != nil, let path = path(partition) else {
            return
        }
        try? FileManager.default.removeItem(atPath: path)
    }

    static let prefix = "rebuild-"

    private func path(_ partition: PartitionID) -> String? {
        directory.map { "\($0)/\(Self.prefix)\(partition.value)" }
    }
}
