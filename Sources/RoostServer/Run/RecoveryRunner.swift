internal import Foundation
package import RoostModel
package import RoostNode
internal import RoostStorage

/// `roost recover`: works on the data directory of a node that does not run.
package struct RecoveryRunner {
    private let store: SQLiteStore
    private let directory: String
    package let plan: UnsafeRecovery

    /// Opens the survivor's data and says what would be done; nothing is changed.
    package init(config: ClusterConfig, survivor id: NodeID) throws(NodeRunError) {
        guard let own = config.node(id) else {
            throw NodeRunError(message: "--from: there is no node \(id) in this file", exitCode: 78)
        }
        directory = own.dataDirectory
        guard FileManager.default.fileExists(atPath: directory + "/roost.db") else { throw .nothing(in: directory) }
        do {
            let store = try SQLiteStore(directory: directory)
            self.store = store
            var generator = SystemRandomNumberGenerator()
            guard let facts = try store.loadFacts() else { throw UnsafeRecovery.Refusal.blank }
            plan = try UnsafeRecovery(
                survivor: id, facts: facts, clusterID: .version4(using: &generator)
            ) { partition throws(StoreError) in try store.loadPartition(partition) }
        } catch let error as StoreError {
            throw .opening(error, directory: own.dataDirectory)
        } catch UnsafeRecovery.Refusal.lacks(let partitions) {
            let list = partitions.prefix(16).map(\.description).joined(separator: ", ")
            throw NodeRunError(
                message: "\(id) holds no replica of partition \(list): recover from a node that has all of them",
                exitCode: NodeRunError.cannotCreate)
        } catch {
            throw .nothing(in: directory)
        }
    }

    /// The new generation first: were this interrupted, no node of the former one could join in any more.
    package func apply() throws(NodeRunError) {
        do throws(StoreError) {
            try store.saveFacts(plan.facts)
            try store.commit(plan.writes)
            try store.close()
        } catch {
            throw .opening(error, directory: directory)
        }
    }
}

extension NodeRunError {
    fileprivate static func nothing(in directory: String) -> NodeRunError {
        NodeRunError(
            message: "data_dir \(directory): blank, there is nothing to recover from", exitCode: cannotCreate)
    }
}
