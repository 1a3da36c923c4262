internal import Foundation
internal import Logging
internal import RoostModel
internal import RoostNode
internal import RoostStorage

/// The node's database, opened, with the facts of the life that begins now.
struct OpenedStore {
    let store: SQLiteStore
    var facts: NodeFacts

    /// The epoch is raised above every former one and synced before the node says a word. A damaged database is set
    /// aside, and the node begins blank. Nil where there is no space for that yet.
    static func open(
        config: ClusterConfig, own: ClusterConfig.Node, logger: Logger,
        failed: @escaping @Sendable (String) -> Void, isFull: (String) -> Void
    ) throws(NodeRunError) -> OpenedStore? {
        var options = SQLiteStore.Options()
        options.readers = config.durability.readerThreads
        let directory = own.dataDirectory
        do throws(StoreError) {
            let (store, setAside) = try SQLiteStore.openOrSetAside(directory: directory, options: options) { error in
                failed("data_dir \(directory): a lookup failed: \(error)")
            }
            if let setAside {
                logger.warning(
                    """
                    the database was damaged (\(setAside.reason)): its files are in \(setAside.directory) now, and \
                    this node begins blank and is filled from the other replicas
                    """)
            }
            do throws(StoreError) {
                return OpenedStore(store: store, facts: try begin(store, directory))
            } catch {
                try? store.close()
                throw error
            }
        } catch .full(let reason) {
            isFull("data_dir \(directory): no space (\(reason))")
            return nil
        } catch {
            throw .opening(error, directory: directory)
        }
    }

    private static func begin(_ store: SQLiteStore, _ directory: String) throws(StoreError) -> NodeFacts {
        let seconds = UInt64(max(0, Date().timeIntervalSince1970))
        var facts: NodeFacts
        if let former = try store.loadFacts() {
            facts = former
            facts.epoch = max(former.epoch + 1, seconds)
        } else {
            var generator = SystemRandomNumberGenerator()
            facts = NodeFacts(
                store: StoreID(generator.next()), epoch: max(1, seconds),
                joinsOnly: DataDirectory.hasSetAside(directory))
        }
        try store.saveFacts(facts)
        return facts
    }
}
