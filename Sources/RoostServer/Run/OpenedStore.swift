internal import Foundation
internal import RoostModel
internal import RoostNode
internal import RoostStorage

/// The node's database, opened, with the facts of the life that begins now.
struct OpenedStore {
    let store: SQLiteStore
    let facts: NodeFacts

    /// The epoch is raised above every former one and synced before the node says a word.
    static func open(
        config: ClusterConfig, own: ClusterConfig.Node, failed: @escaping @Sendable (String) -> Void
    ) throws(NodeRunError) -> OpenedStore {
        var options = SQLiteStore.Options()
        options.readers = config.durability.readerThreads
        do throws(StoreError) {
            let store = try SQLiteStore(directory: own.dataDirectory, options: options) { error in
                failed("data_dir \(own.dataDirectory): a lookup failed: \(error)")
            }
            let seconds = UInt64(max(0, Date().timeIntervalSince1970))
            var facts: NodeFacts
            if let former = try store.loadFacts() {
                facts = former
                facts.epoch = max(former.epoch + 1, seconds)
            } else {
                var generator = SystemRandomNumberGenerator()
                facts = NodeFacts(store: StoreID(generator.next()), epoch: max(1, seconds))
            }
            try store.saveFacts(facts)
            return OpenedStore(store: store, facts: facts)
        } catch {
            throw .opening(error, directory: own.dataDirectory)
        }
    }
}
